"""`cdc worker`: run the pipeline."""

import sys

import click

from workers.cli.suggestions import meant
from workers.log_lines import LogPlace
from workers.log_options import LoggerConfigOptions


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
def worker(stages: tuple[str, ...] | None, web_port: int | None, log_level: str | None) -> None:
    """Run the pipeline: Kinesis -> Kafka -> events -> EventBridge.

    Settings come from the environment and .env; see .env.example. SIGTERM and Ctrl-C stop it in order, exit code 0;
    7 if a gap or a stopped shard waits for you. A stage that `cdc pause` holds is no reason for 7.
    """
    from workers.app import stages_of, worker_name  # noqa: PLC0415
    from workers.engine.stages import leave  # noqa: PLC0415
    from workers.log_settings import log_format  # noqa: PLC0415
    from workers.process import make_process  # noqa: PLC0415
    from workers.settings import load_settings  # noqa: PLC0415
    from workers.tracing.switch import send_rest  # noqa: PLC0415
    from workers.web.callers import told_access  # noqa: PLC0415
    from workers.web.server import choose_port, own_url  # noqa: PLC0415

    overrides = {"web_port": web_port, "log_level": log_level.upper() if log_level else None}
    settings = load_settings({name: value for name, value in overrides.items() if value is not None})
    form = log_format(settings.log_format, settings.environment, terminal=sys.stderr.isatty())
    LoggerConfigOptions(settings.log_level, form=form, place=LogPlace(worker_name(settings), settings.app)).apply()
    stages = stages or stages_of(settings)
    port = choose_port(settings.web_port, settings.web_bind)
    process = make_process(settings, stages, port)
    click.echo(f"cdc worker: stages {', '.join(stages)}, web views at {own_url(settings, port)}/", err=True)
    click.echo(f"cdc worker: the web views are {told_access(settings)}", err=True)
    if settings.health_port:
        click.echo(f"cdc worker: /livez, /readyz, /metrics on {settings.health_bind}:{settings.health_port}", err=True)
    code = process.run()
    send_rest(settings)
    for name, why in sorted(process.waiting.items()):
        click.echo(f"cdc worker: {name} waits for you: {why}", err=True)
    if process.waiting:
        click.echo("cdc worker: stopped, but not everything goes on by itself; see docs/runbook.md", err=True)
    for name, why in sorted(process.paused.items()):
        click.echo(f"cdc worker: {name} is paused: {why}; `cdc resume` ends that", err=True)
    if not process.waiting and not code:
        click.echo("cdc worker: stopped", err=True)
    leave(code)
