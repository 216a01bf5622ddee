"""`cdc.dead` -> S3, SQS and SNS: at least once, in a group of its own, so that nothing else waits for them (P7)."""

import asyncio
import functools
from typing import Any

from workers.archive.filing import Filing
from workers.archive.notices import LetterNotices
from workers.archive.sinks import LetterSink
from workers.aws.errors import AwsError
from workers.engine.app import StageApp
from workers.engine.delivery import Delivered, Undeliverable, WindowOptions
from workers.engine.slot import Slot
from workers.engine.slot_task import SlotTask
from workers.engine.unit import UnitOfWork

STAGE = "archive"
CALL_SECONDS = 60.0
"""For all sinks of a letter; boto3 tries each of its calls more than once."""
LETTERS_AT_ONCE = 8
CATCH_UP_SECONDS = 5.0


def add_archive(app: StageApp, dead: str, sinks: list[LetterSink], notices: LetterNotices | None) -> None:
    """Register the stage's window over the topic `dead`, and its alerts, if anybody wants them."""
    everywhere = [*sinks, notices] if notices is not None else sinks
    filing = Filing(app, everywhere)

    def emit(
        unit: UnitOfWork, record: Any, outcome: Delivered | Undeliverable, attempts: int, with_value: bool
    ) -> None:
        """Nothing: that a letter was filed is told by the offset."""

    for sink in everywhere:
        app.reports[sink.name] = functools.partial(filing.report, sink.name)
    app.measures.append(filing.measure)
    app.deliver_to(
        filing, dead, emit=emit, name="archive_letters", doc="Dead letters to S3, SQS and SNS, at least once.",
        options=WindowOptions(per_call=1, max_calls=LETTERS_AT_ONCE, call_timeout=CALL_SECONDS),
    )  # fmt: skip

    async def catch_up(slot: Slot, stopping: asyncio.Event) -> None:
        """Letters that were held back are told when their time has come, also if no other one follows."""
        await app.slots.wait_stopping(CATCH_UP_SECONDS)
        if stopping.is_set() or notices is None:
            return
        try:
            await notices.catch_up()
        except AwsError as error:
            app.log.warning("slot %s: alerts that were held back: %s", slot.index, error.code)

    def begin(slot: Slot) -> SlotTask:
        filing.forget_troubles()
        return SlotTask(slot, catch_up)

    app.slot_bodies.append(begin)
    if notices is not None:
        app.measures.append(notices.measure)
