"""Positions outside of the log: loud gaps, never jumps."""

import asyncio
from dataclasses import dataclass
from typing import Any

from faust.types import TP


@dataclass(frozen=True, slots=True)
class Position:
    """Where a source partition goes on, with the metadata of its last commit (the ledger)."""

    offset: int
    metadata: str


class Gaps:
    """Checks every position against the bounds of its log and applies `on_gap`."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._waiting: set[asyncio.Task[None]] = set()

    async def positions(self, tps: list[TP]) -> dict[TP, Position]:
        """Committed positions that lie in their logs; with `on_gap=stop` a gap leaves its partition out."""
        consumer = self.app.consumer
        found: dict[TP, Position] = {}
        for tp, committed in (await consumer._thread.call(consumer._thread.committed_positions, tps)).items():
            if committed.in_log:
                found[tp] = Position(committed.offset, committed.metadata)
                consumer.open_gaps.pop(tp, None)
                continue
            resume = self._report(tp, committed.offset, committed.log_start, committed.log_end)
            if resume is not None:
                found[tp] = Position(resume, committed.metadata)
        return found

    def _report(self, tp: TP, offset: int | None, start: int, end: int) -> int | None:
        what = "no committed offset" if offset is None else f"position {offset}"
        going_on = self.app.options.on_gap == "continue" and offset is not None
        text = f"{what}, log is [{start}..{end})"
        self.app.log.critical("GAP in %s/%s: %s, on_gap=%s", tp.topic, tp.partition, text, self.app.options.on_gap)
        self.app.slots.stats.gaps += 1
        if going_on and offset is not None:
            return start if offset < start else end
        self.app.consumer.open_gaps[tp] = text
        return None

    def found_while_running(self, tp: TP, offset: int, handed_over: int) -> None:
        """A fetch at `offset` was out of range (records were deleted under a running worker). `handed_over`: end of
        what the stage already has in memory; control records may lie between the two."""
        task = asyncio.ensure_future(self._settle(tp, offset, handed_over))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _settle(self, tp: TP, offset: int, handed_over: int) -> None:
        app = self.app
        if app.consumer.is_changelog(tp):
            await app.crash(RuntimeError(f"changelog {tp.topic}/{tp.partition} was truncated at {offset}"))
            return
        slot = app.slots.owned.get(tp.partition)
        if slot is None:
            return
        # What was fetched before the gap is still in memory: it is finished first, whatever `on_gap` says.
        while slot.current and slot.position.get(tp, handed_over) < handed_over:
            if await app.slots.wait_stopping(0.05):
                return
        async with slot.lock:
            if not slot.current or slot.position.get(tp) != handed_over:
                return
            bounds = (await app.consumer._thread.call(app.consumer._thread.committed_positions, [tp]))[tp]
            resume = self._report(tp, offset, bounds.log_start, bounds.log_end)
            if resume is not None:
                slot.position[tp] = resume
                await app.consumer.deliver_from({tp: resume})
