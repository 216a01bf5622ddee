"""`docs/settings.md`, from the settings themselves: `python -m workers.reference.settings` writes it."""

from collections.abc import Iterator
from pathlib import Path

from workers.reference.env_example import GROUPS
from workers.settings.effective import setting_text
from workers.settings.origins import names_of
from workers.settings.schema import settings_schema, type_in_words
from workers.settings.worker import Settings

PAGE = Path("docs/settings.md")
HEAD = """# Settings

Written by `python -m workers.reference.settings`; do not edit.

Names are those of the environment. What counts, strongest first: flags of a command, the environment, `.env`, the
default. A blank value of a setting without a default counts as not set. An unknown name that begins with `CDC` and an
underscore is an error that names the one it may have meant. `cdc config show --origin` shows the effective values and
where each comes from, `cdc config diff` what differs from the defaults, and `cdc config schema` prints this page as
JSON Schema. Secrets come from the environment, a file (`…_FILE`) or a parameter of SSM, never from a flag.
"""


def setting_page() -> str:
    """The whole page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield HEAD
    schema = settings_schema()["properties"]
    for field, info in Settings.model_fields.items():
        if field in GROUPS:
            yield from ("", f"## {GROUPS[field]}", "", "| name | type | default | meaning |", "|---|---|---|---|")
        name, *others = names_of(info)
        also = f" Also read: {', '.join(f'`{other}`' for other in others)}." if others else ""
        default = setting_text(info.default)
        shown = f"`{default}`" if default else "none"
        cells = (f"`{name}`", type_in_words(schema[name]), shown, (info.description or "") + also)
        yield f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    """Write the page."""
    PAGE.write_text(setting_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
