"""The `cdc` command. Groups live in one file each and are imported only when they run."""

import difflib
import importlib
import os
import sys
from importlib import metadata

import click

from workers.cli.columns import talk
from workers.cli.suggestions import with_suggestion
from workers.failures import BugError, CommandError, ExitCode

COMMANDS = {
    "check": "workers.cli.check:check",
    "checkpoint": "workers.cli.checkpoint:checkpoint",
    "chaos": "workers.cli.chaos:chaos",
    "completion": "workers.cli.completion:completion",
    "config": "workers.cli.config:config",
    "demo": "workers.cli.demo:demo",
    "dlq": "workers.cli.dlq:dlq",
    "health": "workers.cli.health:health",
    "invoke": "workers.cli.invoke:invoke",
    "logs": "workers.cli.logs:logs",
    "pause": "workers.cli.pause:pause",
    "redact": "workers.cli.redact:redact",
    "replay": "workers.cli.replay:replay",
    "resume": "workers.cli.pause:resume",
    "rules": "workers.cli.rules:rules",
    "sandbox": "workers.cli.sandbox:sandbox",
    "schema": "workers.cli.schema:schema",
    "status": "workers.cli.status:status",
    "table": "workers.cli.table:table",
    "tables": "workers.cli.tables:tables",
    "tail": "workers.cli.tail:tail",
    "topics": "workers.cli.topics:topics",
    "trace": "workers.cli.trace:trace",
    "version": "workers.cli.version:version",
    "worker": "workers.cli.worker:worker",
}

SENTENCE = 300
"""Longer than the first sentence of any command, in characters."""

NEEDS_SANDBOX = ("chaos", "demo", "sandbox")


class CommandGroup(click.Group):
    """Imports a command when it is needed, and knows what a mistyped one may have meant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if cmd_name not in NEEDS_SANDBOX:
                raise
            return _missing(cmd_name, error.name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The whole first sentence of each command, over as many lines as it needs; Click would cut it off."""
        shown = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(limit=SENTENCE)) for name, command in shown if command is not None]
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            also = f" Did you mean '{close[0]}'?" if close else f" There are: {', '.join(sorted(COMMANDS))}."
            ctx.fail(f"No such command '{args[0]}'.{also}")
        return super().resolve_command(ctx, args)


def _missing(name: str, module: str | None) -> click.Command:
    """Stands for a command whose extra is not installed, so that help and completion still list it."""

    def say() -> None:
        raise CommandError(
            f"cdc {name} needs the sandbox extra ({module} is missing)",
            hint="in a checkout: make setup; elsewhere: pip install 'cdc-worker[sandbox]'",
        )

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(
        name, callback=say, help="Needs the sandbox extra.", context_settings=anything, add_help_option=False
    )


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 error, 2 usage, 3 configuration, 4 denied, 5 dependency unreachable, 6 not found, "
    "7 partial, 8 refused, 70 bug, 75 restart me.",
)
@click.version_option(metadata.version("cdc-worker"), prog_name="cdc")
def cdc() -> None:
    """Turn database change streams into clean business events, exactly once through Kafka.

    \b
    Start here:  cdc demo
    """


def main() -> None:
    """Entry point: turn every way a command can end into its exit code."""
    try:
        code = cdc.main(prog_name="cdc", standalone_mode=False)
    except click.exceptions.Abort:
        code = ExitCode.OK  # Ctrl-C is an orderly end
    except click.ClickException as error:
        with_suggestion(error).show()
        code = ExitCode.USAGE
    except CommandError as error:
        talk(f"cdc: {error}")
        if error.hint:
            talk(f"     {error.hint}")
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.OK
    except Exception as error:
        click.echo(f"cdc: {BugError(error)}", err=True)
        if BugError.shown_whole():
            raise
        code = ExitCode.BUG
    sys.exit(int(code or 0))
