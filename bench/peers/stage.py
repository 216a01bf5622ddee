"""Ours: a stage of the engine with its default options, in the process that also runs it in production."""

import argparse
import asyncio
import logging
import sys
import time
from typing import Any

from bench.peers.record import arguments, decode, kept, report
from workers.engine.app import StageApp
from workers.engine.options import EngineOptions
from workers.engine.stages import StageWorker, leave
from workers.engine.unit import Done, UnitOfWork

TABLE = "tasks"


def make_stage(given: argparse.Namespace) -> StageApp:
    """The stage as a user would write it."""
    options = EngineOptions(
        bootstrap=given.bootstrap, partitions=given.partitions, data_dir=given.directory, **given.options
    )
    app = StageApp(given.group, options)
    output = given.output

    def bury(_unit: UnitOfWork, _record: Any, _error: Exception, _with_value: bool) -> None:
        raise RuntimeError("the bench has no dead letters")

    async def forward(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            decode(record.value)
            unit.send(output, record.key, record.value)
            unit.out()
        return Done()

    if given.work == "forward":
        app.process(given.source, bury=bury)(forward)
        return app
    table = app.partitioned(TABLE, "the last state of each row")

    async def remember(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            decode(record.value)
            table[record.key] = kept(record.value)
            unit.send(output, record.key, record.value)
            unit.out()
        return Done()

    app.process(given.source, bury=bury)(remember)
    if given.work == "recovery":
        watch_recovery(app, table, given)
    return app


def watch_recovery(app: StageApp, table: Any, given: argparse.Namespace) -> None:
    """Report the seconds from the first step of the table recovery to the moment the stage is ready."""
    started: list[float] = []
    recovery = app.tables.recovery
    begin = recovery._set_recovery_started

    def began() -> None:
        started.append(time.monotonic())
        begin()

    recovery._set_recovery_started = began

    async def wait() -> None:
        while not (app.ready and started):
            await asyncio.sleep(0.005)
        seconds = time.monotonic() - started[0]
        entries = sum(len(entries) for entries in table.data.partitions.values())
        report(given.report, seconds=seconds, entries=entries)

    app.task(wait)


def main() -> None:
    """Run until a signal."""
    parser = arguments(__doc__)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=NUMBER", help="an engine option")
    given = parser.parse_args()
    given.options = {name: _number(text) for name, text in (pair.split("=") for pair in given.option)}
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if given.uvloop:
        import uvloop  # noqa: PLC0415  not a dependency of the product

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    leave(StageWorker({"bench": lambda: make_stage(given)}).run())


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


if __name__ == "__main__":
    main()
