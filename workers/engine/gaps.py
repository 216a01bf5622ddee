"""Positions outside of the log and changelogs that lost entries: loud, never a jump."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from workers.engine.errors import EngineError, Fenced, StaleBatch
from workers.engine.ledger import REMADE, SKIPPED, UNFINISHED, Extent, Ledger, last_written
from workers.engine.offsets import Position
from workers.engine.unit import Advance, UnitOfWork


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets `start` .. `end - 1` of a source partition that were deleted before the stage had read them. Beyond the
    log's end (it was re-created) `end` lies below `start`."""

    tp: TP
    start: int
    end: int


def lost_entries(recorded: dict[str, Extent], bounds: dict[str, tuple[int, int]]) -> str:
    """What is missing from the changelogs of a slot, in words; empty if nothing is.

    `recorded`: how far the slot had written each, from its committed offsets. `bounds`: (log start, log end) now. A
    compacted log neither loses its end nor moves its start."""
    for table, extent in recorded.items():
        if extent.last == UNFINISHED:
            return f"a rebuild of {table} was not completed"
        begin, end = bounds.get(table, (0, 0))
        if end <= extent.last:
            return f"the changelog of {table} ends at {end} but was written up to {extent.last}: it was truncated"
        if begin > extent.begin:
            return f"the changelog of {table} begins at {begin}, not at {extent.begin}: entries were deleted"
    return ""


class Gaps:
    """Checks every position against the bounds of its log and applies `on_gap`."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._waiting: set[asyncio.Task[None]] = set()

    async def positions(self, tps: list[TP]) -> dict[TP, Position]:
        """Committed positions to go on from. Left out: what has no position, what lies in a gap (`on_gap=stop`), and
        slots whose own changelogs lost entries. With `on_gap=continue` the first fetch meets the gap and settles it."""
        consumer = self.app.consumer
        found: dict[TP, Position] = {}
        ledgers: dict[int, list[Ledger]] = defaultdict(list)
        for tp, committed in (await consumer._thread.call(consumer._thread.committed_positions, tps)).items():
            if committed.offset is not None:
                # Of a source in a gap, too: it may be the one that was committed last, with the furthest extents.
                ledgers[tp.partition].append(Ledger.decode(committed.metadata))
            going_on = self.app.options.on_gap == "continue" and committed.offset is not None
            if committed.in_log or going_on:
                found[tp] = Position(committed.offset, committed.metadata)
                consumer.open_gaps.pop(tp, None)
            else:
                self._stop(tp, committed.offset, committed.log_start, committed.log_end)
        return await self._with_whole_changelogs(found, ledgers)

    async def _with_whole_changelogs(
        self, found: dict[TP, Position], ledgers: dict[int, list[Ledger]]
    ) -> dict[TP, Position]:  # fmt: skip
        """P2: a table is as good as its changelog. Only slots whose changelogs hold all they wrote may go on."""
        app = self.app
        logs = {TP(table.changelog_topic_name, index): name for name, table in app.tables.items() for index in ledgers}
        thread = app.consumer._thread
        bounds: dict[int, dict[str, tuple[int, int]]] = defaultdict(dict)
        for tp, extent in (await thread.call(thread.log_bounds, list(logs))).items():
            bounds[tp.partition][logs[tp]] = extent
        whole = set()
        for index, of_slot in ledgers.items():
            problem = lost_entries(last_written(of_slot, app.tables), bounds[index])
            if not problem:
                whole.add(index)
                slot = app.slots.owned.get(index)
                if slot is not None:
                    slot.changelog_begins = {table: begin for table, (begin, _) in bounds[index].items()}
                continue
            app.log.critical("slot %s stopped: %s; `cdc table rebuild` restores it", index, problem)
            for tp in [tp for tp in found if tp.partition == index]:
                app.consumer.open_gaps[tp] = problem
        return {tp: position for tp, position in found.items() if tp.partition in whole}

    def _stop(self, tp: TP, offset: int | None, start: int, end: int) -> None:
        what = "no committed offset" if offset is None else f"position {offset}"
        text = f"{what}, log is [{start}..{end})"
        self._report(tp, text)
        self.app.consumer.open_gaps[tp] = text

    def _report(self, tp: TP, text: str) -> None:
        self.app.log.critical("GAP in %s/%s: %s, on_gap=%s", tp.topic, tp.partition, text, self.app.options.on_gap)
        self.app.slots.stats.gaps += 1

    def found_while_running(self, tp: TP, offset: int, handed_over: int) -> None:
        """A fetch at `offset` was out of range. `handed_over`: end of what the stage already has in memory; control
        records may lie between the two."""
        task = asyncio.ensure_future(self._settle(tp, offset, handed_over))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _settle(self, tp: TP, offset: int, handed_over: int) -> None:
        app = self.app
        if app.consumer.is_changelog(tp):
            await app.crash(RuntimeError(f"changelog {tp.topic}/{tp.partition} was truncated at {offset}"))
            return
        slot = app.slots.owned.get(tp.partition)
        # What was fetched before the gap is still in memory: it is finished first, whatever `on_gap` says.
        while slot is not None and slot.current and slot.position.get(tp, handed_over) < handed_over:
            if await app.slots.wait_stopping(0.05):
                return
        reported = False
        while slot is not None and slot.current and slot.position.get(tp) == handed_over:
            bounds = (await app.consumer._thread.call(app.consumer._thread.committed_positions, [tp]))[tp]
            start, end = bounds.log_start, bounds.log_end
            if start <= handed_over <= end and start <= offset <= end:
                await app.consumer.deliver_from({tp: handed_over})  # a moment's error: the log holds it after all
                return
            if app.options.on_gap == "stop":
                self._stop(tp, offset, start, end)
                return
            if not reported:
                self._report(tp, f"position {offset}, log is [{start}..{end})")
                reported = True
            gap = Gap(tp, handed_over, start if offset < start else end)
            await self._skip(slot, gap)
            if slot.current and slot.position.get(tp) == gap.end:
                for body in slot.bodies:
                    body.skip(tp, gap.end)
                await app.consumer.deliver_from({tp: gap.end})
                return
            await app.slots.wait_stopping(0.5)

    async def _skip(self, slot: Any, gap: Gap) -> None:
        """Commit the jump and its record, so that a gap is reported once."""
        app = self.app
        try:
            async with UnitOfWork(slot) as unit:
                what = {SKIPPED: gap.end - gap.start} if gap.end >= gap.start else {REMADE: 1}
                unit.advances[gap.tp] = Advance(gap.start, gap.end, Counter(what))
                if app.record_gap is not None:
                    app.record_gap(unit, gap)
        except StaleBatch:
            return
        except Fenced as error:
            await app.slots.rejoin(slot, error)
        except EngineError as error:
            app.log.warning("gap in %s/%s: %s", gap.tp.topic, gap.tp.partition, error)
            await app.slots.repair(slot, settling=gap.tp)
