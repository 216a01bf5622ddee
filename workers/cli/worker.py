"""`cdc worker`: run the pipeline."""

import logging
import sys

import click

from workers.cli.suggestions import meant
from workers.failures import BugError, CommandError, ExitCode
from workers.logs.lines import LogPlace
from workers.logs.options import LoggerConfigOptions


def _stages(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    from workers.app import FACTORIES  # noqa: PLC0415  importing Faust takes a second; --help should not

    if value is None:
        return None
    chosen = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    unknown = [stage for stage in chosen if stage not in FACTORIES]
    if unknown or not chosen:
        also = meant(unknown[0], list(FACTORIES)) if unknown else ""
        there = f"there are: {', '.join(FACTORIES)}."
        raise click.BadParameter(f"unknown stage {', '.join(unknown) or '(none)'}; {there}{also}")
    return chosen


EXAMPLES = """\b
Examples:
  cdc worker
  cdc worker --stages bridge
  CDC_WORKER_NAME=$(hostname) cdc worker
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--stages", callback=_stages, metavar="A,B",
    help="Which stages this process runs; without it bridge, enrich and publish, and archive if a setting switches it "
    "on. Each scales by itself: run as many workers as you like.",
)  # fmt: skip
@click.option("--web-port", type=click.IntRange(1, 65535), help="Port of the web views (CDC_WEB_PORT).")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
              help="Log level (CDC_LOG_LEVEL).")  # fmt: skip
@click.pass_context
def worker(ctx: click.Context, stages: tuple[str, ...] | None, web_port: int | None, log_level: str | None) -> None:
    """Run the pipeline: Kinesis -> Kafka -> events -> EventBridge.

    Settings come from the environment and .env; see .env.example. SIGTERM and Ctrl-C stop it in order, exit code 0;
    7 if a gap or a stopped shard waits for you. A stage that `cdc pause` holds is no reason for 7.
    """
    from workers.settings.log import early_log_format  # noqa: PLC0415

    try:
        _run(stages, web_port, log_level)
    except CommandError as error:
        if early_log_format(terminal=sys.stderr.isatty()) == "text":
            raise
        tell_end(error)
        ctx.exit(int(error.exit_code))
    except (click.exceptions.Abort, click.ClickException, BrokenPipeError):
        raise
    except Exception as error:
        if BugError.shown_whole() or early_log_format(terminal=sys.stderr.isatty()) == "text":
            raise
        tell_end(BugError(error))
        ctx.exit(int(ExitCode.BUG))


def tell_end(error: CommandError) -> None:
    """One object, as whoever reads the lines of this worker expects; also if its logging was never set up."""
    if not logging.getLogger().handlers:
        LoggerConfigOptions("INFO", form="json").apply()
    logging.getLogger("cdc.worker").critical("%s", error, extra={"hint": error.hint} if error.hint else {})


def _run(stages: tuple[str, ...] | None, web_port: int | None, log_level: str | None) -> None:
    from workers.app import stages_of, worker_name  # noqa: PLC0415
    from workers.engine.stages import leave  # noqa: PLC0415
    from workers.process import make_process  # noqa: PLC0415
    from workers.settings.log import log_format  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415
    from workers.tracing.switch import send_rest  # noqa: PLC0415
    from workers.web.callers import told_access  # noqa: PLC0415
    from workers.web.server import listen, own_url  # noqa: PLC0415

    overrides = {"web_port": web_port, "log_level": log_level.upper() if log_level else None}
    settings = load_settings({name: value for name, value in overrides.items() if value is not None})
    form = log_format(settings.log_format, settings.environment, terminal=sys.stderr.isatty())
    LoggerConfigOptions(settings.log_level, form=form, place=LogPlace(worker_name(settings), settings.app)).apply()
    stages = stages or stages_of(settings)
    listening = listen(settings.web_port, settings.web_bind)
    port = listening.getsockname()[1]
    process = make_process(settings, stages, listening)
    say = _in_json if form == "json" else _in_words
    say(f"stages {', '.join(stages)}, web views at {own_url(settings, port)}/")
    say(f"the web views are {told_access(settings)}")
    if settings.health_port:
        say(f"/livez, /readyz, /metrics on {settings.health_bind}:{settings.health_port}")
    code = process.run()
    send_rest(settings)
    for name, why in sorted(process.waiting.items()):
        say(f"{name} waits for you: {why}", logging.WARNING)
    if process.waiting:
        say("stopped, but not everything goes on by itself; see docs/runbook.md", logging.WARNING)
    for name, why in sorted(process.paused.items()):
        say(f"{name} is paused: {why}; `cdc resume` ends that")
    if not process.waiting and not code:
        say("stopped")
    leave(code)


def _in_words(text: str, _level: int = logging.INFO) -> None:
    click.echo(f"cdc worker: {text}", err=True)


def _in_json(text: str, level: int = logging.INFO) -> None:
    """Whoever reads objects gets nothing else."""
    logging.getLogger("cdc.worker").log(level, "%s", text)
