"""`python -m workers.dashboards`: writes deploy/grafana/dashboards/."""

import json
from pathlib import Path

from workers.dashboards.boards import BOARDS
from workers.dashboards.panel import Board

FOLDER = Path(__file__).parents[2] / "deploy/grafana/dashboards"


def text_of(board: Board) -> str:
    """The file of a dashboard."""
    return json.dumps(board.document(), indent=1) + "\n"


if __name__ == "__main__":
    for each in BOARDS:
        (FOLDER / f"{each.name}.json").write_text(text_of(each), encoding="utf-8")
