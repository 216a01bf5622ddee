"""`cdc completion`: scripts that let a shell complete commands, options and names."""

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

VARIABLE = "_CDC_COMPLETE"
SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
EXAMPLES = """\b
Examples:
  cdc completion bash > ~/.local/share/bash-completion/completions/cdc
  cdc completion zsh > "${fpath[1]}/_cdc"
  cdc completion fish > ~/.config/fish/completions/cdc.fish
  source <(cdc completion bash)          # for this shell only
"""


@click.command(epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes commands, options, and names of settings and findings.

    Bash needs version 4.4 or newer.
    """
    # Not `source`: that of bash asks the installed bash for its version, and the script may be for another machine.
    complete = SHELLS[shell](ctx.find_root().command, {}, "cdc", VARIABLE)
    click.echo(complete.source_template % complete.source_vars())
