"""`python -m tests.promtool`: alert rules, their unit tests, the scrape configuration and all queries of the
dashboards, as Prometheus itself reads them. Needs promtool (PATH or PROMTOOL; Debian: package prometheus)."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from workers.dashboards.boards import BOARDS

FOLDER = Path(__file__).parents[1] / "deploy/prometheus"


def queries() -> str:
    """Every query of the dashboards as a recording rule: promtool checks rules only."""
    found = [query.expression for board in BOARDS for panel in board.panels for query in panel.queries]
    rules = [{"record": f"query:{number}", "expr": expression} for number, expression in enumerate(found)]
    return yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]})


def main() -> int:
    """Exit code of the first check that fails."""
    promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if promtool is None:
        sys.stderr.write("promtool is missing: on Debian and Ubuntu install the package prometheus\n")
        return 3
    with tempfile.TemporaryDirectory() as folder:
        dashboards = Path(folder) / "dashboards.yaml"
        dashboards.write_text(queries(), encoding="utf-8")
        for words in (
            ["check", "rules", str(dashboards)],
            ["check", "config", str(FOLDER / "prometheus.yaml")],
            ["test", "rules", str(FOLDER / "alerts.test.yaml")],
        ):
            code = subprocess.run([promtool, *words], check=False).returncode
            if code:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
