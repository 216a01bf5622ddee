"""`cdc version`: what is installed here."""

import json
from typing import Literal

import click

EXAMPLES = """\b
Examples:
  cdc version
  cdc version --json | jq -r .commit
"""


@click.command(epilog=EXAMPLES)
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: one document on stdout.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as --output json.")
def version(output: Literal["table", "json"], as_json: bool) -> None:
    """Show the versions of cdc-worker, Python and what it stands on, the extras that are installed, and the commit."""
    from workers.version import version as installed  # noqa: PLC0415

    found = installed()
    if as_json or output == "json":
        click.echo(json.dumps(found.document(), indent=2))
        return
    extras = ", ".join(name for name, there in found.extras.items() if there)
    lines = {
        "cdc-worker": found.version, "commit": found.commit or "unknown",
        "compiled": "yes" if found.compiled else "no", "python": found.python,
        "platform": found.platform, **found.dependencies, "extras": extras or "none",
    }  # fmt: skip
    for name, text in lines.items():
        click.echo(f"{name:<16}{text}")
