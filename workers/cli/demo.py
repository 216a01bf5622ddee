"""`cdc demo`: the whole pipeline at work in a world of its own, and a verdict on what it delivered."""

import json
import os
import queue
import shlex
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from models.source_spec import ADAPTERS, Adapter
from workers.cli.quiet import quiet
from workers.failures import CommandError, ConfigurationError, ExitCode
from workers.settings.worker import Settings, load_settings

if TYPE_CHECKING:
    from sandbox.demonstration import Demonstration
    from sandbox.verdict import Verdict
    from workers.cli.demo_screen import View

CHANGES, RATE, SEED = 2_000, 200.0, 1
LOOK_SECONDS = 0.12
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MEANING = {
    "sent": "records put on the stream",
    "published": "came out as events",
    "filtered": "left out on purpose: snapshots, repeats, unknown tables",
    "dead": "poison, in the dead letters",
    "lost": "without any ending",
    "duplicated": "changes with two event ids",
    "redelivered": "events that came again under the same id (allowed)",
    "out_of_order": "events behind a later one of their row",
    "p50_ms": "put on the stream to received from the queue, median",
    "p99_ms": "the same, 99th percentile",
}


class _Speed(click.ParamType):
    name = "R/s"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """`200`, `200/s`; `max` is infinity."""
        text = str(value).strip().removesuffix("/s")
        try:
            rate = float("inf") if text == "max" else float(text)
        except ValueError:
            rate = 0.0
        if not rate > 0:
            self.fail(f"{value!r} is no rate; write changes per second, like 200 or 200/s, or max", param, ctx)
        return rate


@click.command(
    epilog="""\b
Examples:
  cdc demo
  cdc demo --adapter dynamodb
  cdc demo --bus v2
  cdc demo --changes 10000 --rate max
  cdc demo --output json | jq .p99_ms
"""
)
@click.option("--changes", type=click.IntRange(1, 1_000_000), default=CHANGES, show_default=True,
              help="Records to put on the stream.")  # fmt: skip
@click.option("--rate", type=_Speed(), default=RATE, show_default=True, help="Changes per second, or `max`.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="The same seed sends the same traffic.")
@click.option("--adapter", type=click.Choice(ADAPTERS), default="dms", show_default=True,
              help="Format of the records on the stream.")  # fmt: skip
@click.option("--bus", type=click.Choice(["classic", "v2"]), default="classic", show_default=True,
              help="Generation of the event bus; v2 is a Custom Event Bus.")  # fmt: skip
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
              help="json: the summary only; jsonl: every event as a line, then the summary.")  # fmt: skip
@click.option("--here", is_flag=True,
              help="In the world of the settings, with the workers that run there; it makes none.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Leave everything running at the end, until Ctrl-C.")
@click.pass_context
def demo(
    ctx: click.Context, *, changes: int, rate: float, seed: int, adapter: Adapter, bus: str, output: str, here: bool,
    keep: bool,
) -> None:  # fmt: skip
    """Watch the pipeline work: generator -> Kinesis -> Kafka -> events -> EventBridge.

    Starts Kafka, an AWS stand-in and a worker of its own, sends realistic changes of all built-in tables (users,
    groups, telephone numbers, calls, queues …; among them repeats and poison) as AWS DMS, DynamoDB, Debezium or Aurora
    DSQL would, receives the events as a consumer would, and compares every one of them with what was sent. The last
    line on stdout is the summary as JSON.

    With --here it sends to KINESIS_STREAM_NAME and receives from EVENT_BUS_NAME while the workers of CDC_APP do the
    work, wherever they run, and leaves everything as it is; nothing else may send meanwhile. Only with
    ENVIRONMENT=LOCAL: what it sends are invented rows.

    Exit 0 only if nothing was lost, duplicated, out of order or leaked. Ctrl-C ends everything.
    """
    settings = load_settings()
    if here:
        _refuse_elsewhere(ctx, settings, adapter, bus, keep=keep)
    demonstration_type = _demonstration_type()
    for number in ENDING:
        signal.signal(number, _end_on_signal)
    events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    demonstration = demonstration_type(
        changes=changes, rate=None if rate == float("inf") else rate, seed=seed, cache=settings.cache_dir, report=_say,
        adapter=adapter, custom_bus=bus == "v2", on_event=events.put if output == "jsonl" else lambda _: None,
        here=settings if here else None,
    )  # fmt: skip
    completed = False
    try:
        with quiet(), demonstration:
            if here:
                _say(f"with the workers of {settings.app!r} at {settings.kafka_bootstrap_servers}, as they are")
            else:
                _say(f"starting Kafka, an AWS stand-in and a worker (about 10 s), for changes of {adapter}")
            demonstration.start()
            _watch(demonstration, events)
            _flush(events)
            verdict = demonstration.verdict()
            demonstration.keep_log = not verdict.passed
            completed = True
            _conclude(demonstration, verdict, output)
            if keep:
                _keep(demonstration)
    except KeyboardInterrupt:
        _say("stopped" if completed else "stopped; the run was not completed")
        return
    if not verdict.passed:
        ctx.exit(ExitCode.ERROR)


def _refuse_elsewhere(ctx: click.Context, settings: Settings, adapter: Adapter, bus: str, *, keep: bool) -> None:
    """Raises ConfigurationError outside of LOCAL, UsageError for options that speak of a world of its own."""
    if settings.environment != "LOCAL":
        raise ConfigurationError(
            "`cdc demo --here` sends invented rows, and ENVIRONMENT is not LOCAL",
            hint="without --here it has a world of its own",
        )
    own = {"--adapter": adapter != "dms", "--bus": bus != "classic", "--keep": keep}
    for name, given in own.items():
        if given:
            raise click.UsageError(f"{name} does not go with --here", ctx)


def _say(line: str) -> None:
    click.echo(f"demo: {line}", err=True)


def _demonstration_type() -> "type[Demonstration]":
    try:
        import rich  # noqa: F401, PLC0415
    except ModuleNotFoundError:
        raise ConfigurationError(
            "the demo needs packages that are not installed", hint="pip install 'cdc-worker[sandbox]', or `make setup`"
        ) from None
    from sandbox.demonstration import Demonstration  # noqa: PLC0415  boto3 takes its time; --help should not

    return Demonstration


def _end_on_signal(_number: int, _frame: FrameType | None) -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # ending is quick; a second Ctrl-C must not tear it
    raise KeyboardInterrupt


def _view(demonstration: "Demonstration") -> "View":
    from rich.console import Console  # noqa: PLC0415

    from workers.cli.demo_screen import Lines, Screen  # noqa: PLC0415

    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return Lines()
    return Screen(Console(stderr=True), web=demonstration.worker.address, adapter=demonstration.adapter)


def _watch(demonstration: "Demonstration", events: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Until every record has ended, or nothing moves any more."""
    with _view(demonstration) as view:
        while True:
            progress = demonstration.look()
            view.show(progress, *demonstration.latest())
            _flush(events)
            if demonstration.finished or demonstration.stalled:
                return
            time.sleep(LOOK_SECONDS)


def _flush(events: "queue.SimpleQueue[dict[str, Any]]") -> None:
    while not events.empty():
        click.echo(json.dumps(events.get(), separators=(",", ":"), ensure_ascii=False))


def _conclude(demonstration: "Demonstration", verdict: "Verdict", output: str) -> None:
    """Summary on stdout, talk on stderr; the JSON line is the last on stdout."""
    figures = verdict.figures()
    if output == "table":
        click.echo()
        bad = {"lost", "duplicated", "out_of_order"}
        for name, value in figures.items():
            shown = "-" if value is None else f"{value:,}"
            line = f"{name:<13}{shown:>9}  {MEANING[name]}"
            click.echo(click.style(line, fg="red") if name in bad and value and _coloured() else line)
    if demonstration.ownerless:
        _say(f"{demonstration.ownerless} events went out without owner: their group came too late")
    if demonstration.stalled:
        _say("nothing has moved for 30 s; what had not ended by then counts as lost")
    for problem in verdict.problems:
        _say(f"WRONG {problem}")
    if verdict.passed:
        _say("every record ended as it should, in order; no redacted value leaked")
    else:
        kept = f"the worker's log is kept: {demonstration.log}" if demonstration.log else "see the logs of the workers"
        _say(f"FAILED; {kept}")
    if output == "table" and demonstration.log:
        _say("next:")
        _say("  cdc sandbox up --detach                   a world that stays")
        _say("  cdc invoke events/sample-cdc-event.json   one file, without Kafka or AWS")
    click.echo(json.dumps(figures))


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _keep(demonstration: "Demonstration") -> None:
    """Everything goes on until Ctrl-C. Raises CommandError if a part ends by itself."""
    click.echo("", err=True)
    for name, value in demonstration.world.environment().items():
        click.echo(f"export {name}={shlex.quote(value)}", err=True)
    _say(f"web views at {demonstration.worker.address}")
    _say(f"worker's log {demonstration.log}")
    _say("everything still runs; Ctrl-C ends it")
    while demonstration.worker.alive and all(part.pid is not None for part in demonstration.world.parts):
        time.sleep(LOOK_SECONDS)
    raise CommandError("a part of the demo has ended by itself")
