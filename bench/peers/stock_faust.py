"""Stock Faust: an agent over events and a memory table, raw bytes in and out, Faust's defaults."""

import sys
import time
from typing import Any

import faust

from bench.peers.record import arguments, decode, kept, report


def main() -> None:
    """Run until a signal."""
    given = arguments(__doc__).parse_args()
    app = faust.App(
        given.group, broker=f"kafka://{given.bootstrap}", store="memory://", web_enabled=False,
        datadir=given.directory, topic_disable_leader=True,
    )  # fmt: skip
    raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    source = app.topic(given.source, partitions=given.partitions, **raw)
    output = app.topic(given.output, partitions=given.partitions, **raw)
    table = None
    if given.work != "forward":
        table = app.Table("tasks", partitions=given.partitions, key_type=bytes, value_type=bytes)

    @app.agent(source)
    async def forward(stream: Any) -> None:
        async for event in stream.events():
            decode(event.value)
            if table is not None:
                table[event.key] = kept(event.value)
            await output.send(key=event.key, value=event.value)

    if given.work == "recovery":
        watch_recovery(app, table, given)
    sys.argv = ["faust", "worker", "--without-web", "--loglevel", "warn"]
    app.main()


def watch_recovery(app: Any, table: Any, given: Any) -> None:
    """Report the seconds from the first step of the table recovery to the moment the app is ready."""
    started: list[float] = []
    recovery = app.tables.recovery
    begin, ready = recovery._set_recovery_started, app.on_rebalance_end

    def began() -> None:
        started.append(time.monotonic())
        begin()

    def ended() -> None:
        ready()
        if started:
            report(given.report, seconds=time.monotonic() - started[0], entries=len(table))

    recovery._set_recovery_started = began
    app.on_rebalance_end = ended


if __name__ == "__main__":
    main()
