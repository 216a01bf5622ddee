"""`docs/findings.md`, from the kinds of findings: `python -m workers.reference.findings` writes it."""

from collections.abc import Iterator
from pathlib import Path

from workers.checks.kafka_kinds import KINDS
from workers.checks.kinds import SECTIONS

PAGE = Path("docs/findings.md")
HEAD = """# Findings of `cdc check`

Written by `python -m workers.reference.findings`; do not edit.

Ids are stable: scripts and alerts may depend on them. An error ends `cdc check` with the exit code that is given, the
lowest of several; warnings do not. With `ENVIRONMENT=LOCAL` some errors are warnings. `cdc check --explain ID` prints a
row of this page, `cdc check --only SECTION` looks at one section.
"""


def finding_page() -> str:
    """The whole page."""
    return "\n".join(_page()).rstrip("\n") + "\n"


def _page() -> Iterator[str]:
    yield HEAD
    for section, about in SECTIONS.items():
        yield from (f"## {section}", "", f"{about[0].upper()}{about[1:]}.", "")
        yield from ("| id | severity | meaning | what to do |", "|---|---|---|---|")
        for name, kind in KINDS.items():
            if kind.section == section:
                severity = f"error, exit {int(kind.code)}" if kind.severity == "error" else "warning"
                yield f"| `{name}` | {severity} | {kind.meaning} | {kind.action} |"
        yield ""


def main() -> None:
    """Write the page."""
    PAGE.write_text(finding_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
