"""The work of one source slot: which of its shards are read, again and again."""

import asyncio
import functools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, assert_never

from models.checkpoint import BOOT_SLOT
from models.shard import Shard
from workers.engine.app import StageApp
from workers.engine.clock import monotonic
from workers.engine.errors import BootRefused, EngineError
from workers.engine.progress import works
from workers.engine.slot import Slot
from workers.kinesis.boot import boot_of
from workers.kinesis.budget import Budget
from workers.kinesis.checkpoints import CheckpointBook, CheckpointWatch, read_checkpoints
from workers.kinesis.cursor import ShardCursor
from workers.kinesis.directory import missing_parents
from workers.kinesis.forwarding import Loss
from workers.kinesis.intake import Intake, Key
from workers.kinesis.known_checkpoints import KnownCheckpoints
from workers.kinesis.lineage import Begin, Blocked, Decision, Ended, Orphaned, Resume, Unbooted, Vanished, decide
from workers.kinesis.obstacles import obstacle, strangers
from workers.kinesis.reader import ShardReader
from workers.kinesis.source import Bridge, Source
from workers.kinesis.transactions import Transactions
from workers.kinesis.unended import Unended

SLOT_BYTES = 8 << 20
LINGER = 0.1
"""Seconds between the beginnings of two units that are small; a transaction costs the same whatever its size."""
POLL = 0.5
REST = 10.0
WARN_AT = (0.8, 0.5)
"""Shares of the retention."""


class SlotWork:
    """Lives as long as the slot's producer does: after any failure a new one begins at the committed checkpoints."""

    def __init__(
        self, app: StageApp, bridge: Bridge, watch: CheckpointWatch, slot: Slot, stopping: asyncio.Event
    ) -> None:
        self.app = app
        self.bridge = bridge
        self.watch = watch
        self.slot = slot
        self.stopping = stopping
        self.transactions = Transactions(app, bridge, slot)
        self.blocked: dict[Key, tuple[str, ...]] = {}
        self._booted: set[str] = set()
        self._warned: dict[Key, float] = {}
        self._unended: dict[str, Unended] = {}
        self._intake: Intake | None = None
        self.began_at = 0.0
        """When the slot was opened, in monotonic seconds."""

    @property
    def own(self) -> CheckpointBook:
        """The slot's own checkpoints."""
        return self.transactions.own

    @property
    def needed(self) -> bool:
        """Whether this slot has anything to do: most of the 48 have not, and need no producer."""
        for source in self.bridge.sources:
            if source.directory.of_slot(self.slot.index):
                return True
            arn = source.arn
            if arn is None or self.slot.index != BOOT_SLOT:
                continue
            if arn not in self.watch.book.boots:
                return True
        return bool(self.watch.book.active[self.slot.index])

    async def run(self) -> None:
        """Until the slot is given up. Raises EngineError; whatever is raised, nothing is lost: a new run goes on at the
        committed checkpoints."""
        self.began_at = monotonic()
        # P1: InitProducerId first, then the checkpoints, then the records.
        if not await self.app.slots.repair(self.slot, counted=False):
            return
        client = self.app.options.client(f"{self.app.conf.id}-checkpoints")
        try:
            self.transactions.own = await read_checkpoints(client, self.bridge.topics.checkpoints, self.slot.index)
        except ValueError as error:
            raise EngineError(f"{self.bridge.topics.checkpoints}/{self.slot.index}: {error}") from None
        self._intake = intake = Intake(Budget(SLOT_BYTES, self.bridge.budget), self.stopping)
        try:
            while not self.stopping.is_set() and self.slot.current:
                if self.app.brake.stops(self.slot.index):
                    await self._rest(intake)
                    continue
                await self._reconcile(intake)
                await intake.wait(POLL, LINGER)
                if not await self.transactions.commit(intake):
                    return
                await self.transactions.settle_gaps(intake)
        finally:
            await intake.close()

    async def _rest(self, intake: Intake) -> None:
        """An operator has paused the slot: nobody reads. What was read and not committed is read again afterwards, from
        the checkpoints on."""
        for key in list(intake.shards):
            await intake.remove(key)
        self.blocked.clear()
        moved = self.app.brake.moved
        if self.app.brake.stops(self.slot.index):
            await self.app.slots.wait_stopping(REST, until=moved)

    def in_hand(self) -> dict[str, int]:
        """What moves on, whether Kinesis and Kafka answer or not: every call of theirs has a deadline."""
        if self._intake is None or self.stopping.is_set() or not works(self.app, self.slot):
            return {}
        return self._intake.turns(f"source slot {self.slot.index}")

    def leave(self) -> None:
        """The slot is given up."""
        self.transactions.leave()

    def report(self) -> dict[str, Any]:
        """Every shard of this slot, for the web view: counts, milliseconds, no keys and no data."""
        found: dict[str, Any] = {}
        for key, parents in self.blocked.items():
            found["|".join(key)] = {"state": "BLOCKED", "parents": parents}
        if self._intake is not None:
            found |= {"|".join(key): self._reading(self._intake, key) for key in self._intake.shards}
        for key, why in self.transactions.stopped.items():
            found.setdefault("|".join(key), {"state": "STOPPED", "why": why})
        return found

    def _reading(self, intake: Intake, key: Key) -> dict[str, Any]:
        stats, checkpoint = intake.reader(key).stats, self.own.checkpoints.get(key)
        return {
            "state": "STOPPED" if key in self.transactions.stopped else "READING",
            "why": self.transactions.stopped.get(key) or stats.trouble,
            "behind_ms": stats.millis_behind, "records": checkpoint.records if checkpoint else 0,
            "calls": stats.calls, "bytes": stats.bytes, "throttles": stats.throttles,
            "rebuilds": stats.rebuilds, "failures": stats.failures, "gaps": checkpoint.gaps if checkpoint else 0,
            "age_ms": intake.reader(key).age_ms, "errors": dict(stats.errors),
        }  # fmt: skip

    async def _reconcile(self, intake: Intake) -> None:
        for source in self.bridge.sources:
            self.bridge.refresh(source, self.app.log)
            facts = source.directory.facts
            if facts is None or source.directory.listing is None:
                continue
            known = KnownCheckpoints(self.own, self.watch, self.began_at, source, facts.arn)
            why = self.bridge.halted.get(source.name) or obstacle(self.bridge, source, known.boot, self.own)
            if why:
                await self._halt(intake, source, why)
                continue
            if known.others:
                source.directory.tell(self.watch.take_children(facts.arn))
            if known.boot is not None and facts.arn not in self._booted:
                self._booted.add(facts.arn)
                source.directory.tell(known.boot.shards)
            if known.boot is None and self.slot.index == BOOT_SLOT:
                await self._boot(source)
            for shard in self._shards(source, facts.arn, intake):
                key = (facts.arn, shard.id)
                await self._apply(intake, source, key, shard, decide(shard, self.own.checkpoints.get(key), known))
        for text in strangers(self.bridge, self.own):
            self._tell(text)

    async def _halt(self, intake: Intake, source: Source, why: str) -> None:
        """The other sources go on. The stage ends if there is no other one."""
        for key in [key for key in intake.shards if intake.source(key) is source]:
            await intake.remove(key)
        if source.name not in self.bridge.halted:
            self.bridge.halted[source.name] = why
            self.app.blockers[f"source {source.name}"] = why
            if len(self.bridge.halted) < len(self.bridge.sources):
                self.app.log.critical("source %s is not read: %s", source.name, why)
                return
            await self.app.crash(BootRefused(why))
            await self.app.slots.wait_stopping(POLL)

    def _shards(self, source: Source, arn: str, intake: Intake) -> Iterator[Shard]:
        """What AWS lists of this slot, what parents told, and what has a checkpoint here though it is gone. What has
        ended is left out, unless it is still read or reported."""
        own, unended = self.own, self._unended.setdefault(arn, Unended())

        def is_over(shard: str) -> bool:
            key, checkpoint = (arn, shard), own.checkpoints.get((arn, shard))
            return checkpoint is not None and checkpoint.ended and key not in intake.shards and key not in self.blocked

        yield from unended.of(source.directory.of_slot(self.slot.index), is_over)
        for checkpoint in list(own.of(arn)):
            if checkpoint.shard not in unended.names and not checkpoint.ended:
                yield Shard(checkpoint.shard, 0, 0, checkpoint.parents)

    async def _apply(self, intake: Intake, source: Source, key: Key, shard: Shard, decision: Decision) -> None:
        self.blocked.pop(key, None)
        reading = key in intake.shards
        match decision:
            case Ended():
                if reading:
                    await intake.remove(key)
            case Resume() | Begin():
                if not reading and key not in self.transactions.stopped:
                    intake.add(key, source, self._reader(source, intake, shard, decision))
                elif reading:
                    self._watch_lag(intake, source, key)
            case Unbooted():
                self.blocked[key] = ("the boot record of the stream",)
            case Blocked(parents):
                self.blocked[key] = parents
            case Orphaned(parents, since):
                why = f"its parents left the stream unread: {', '.join(parents)}"
                await self.transactions.lose(source, key, Loss(shard, since, why))
            case Vanished(since):
                if reading:
                    await intake.remove(key)
                await self.transactions.lose(
                    source, key, Loss(shard, since, "it left the stream before it was read to its end", True)
                )
            case _:
                assert_never(decision)

    def _reader(self, source: Source, intake: Intake, shard: Shard, origin: Begin | Resume) -> ShardReader:
        facts = source.directory.facts
        if facts is None:
            raise RuntimeError("a stream without facts has no shards")
        return ShardReader(
            source.client, source.directory, facts, ShardCursor(shard, origin), self.bridge.reading, intake.budget,
            functools.partial(self.bridge.now_of, source), self._tell,
        )  # fmt: skip

    def _tell(self, text: str) -> None:
        self.bridge.tell_met(text, self.app.log)

    def _watch_lag(self, intake: Intake, source: Source, key: Key) -> None:
        """Warn once at half and at four fifths of the retention: after that records are deleted unread. Again only
        after it has caught up to a quarter."""
        facts, reader = source.directory.facts, intake.reader(key)
        behind = reader.stats.millis_behind
        if reader.stats.trouble and reader.cursor.covered_ms:  # no page says how far behind it is by now
            behind = max(behind, self.bridge.now_of(source) - reader.cursor.covered_ms)
        share = behind / facts.retention_ms if facts is not None else 0.0
        level = next((level for level in WARN_AT if share >= level), 0.0)
        warned = self._warned.get(key, 0.0)
        if level > warned:
            self.app.log.warning(
                "shard %s of %s is %s s behind, %.0f %% of the retention: records will be lost at 100 %%",
                key[1], source.directory.label, behind // 1000, share * 100,
            )  # fmt: skip
        if level > warned or share < min(WARN_AT) / 2:
            self._warned[key] = level

    async def _boot(self, source: Source) -> None:
        directory = source.directory
        facts, listing = directory.facts, directory.listing
        if facts is None or listing is None:
            return
        # A parent that one listing missed would begin after its children: two must agree that it is gone.
        unsure = [
            parent
            for parent in missing_parents(listing.shards.values(), listing.shards)
            if not directory.absent(parent, self.watch.complete_as_of)
        ]
        if unsure:
            self._tell_waiting(source, len(unsure))
            return
        boot = boot_of(source.start, facts, listing, self.bridge.now_of(source), source.name)
        if not await self.transactions.boot(boot):
            return
        begins: str = boot.start.kind
        if begins == "AT_TIMESTAMP":
            begins = datetime.fromtimestamp(boot.start.timestamp_ms / 1000, UTC).isoformat(timespec="seconds")
        self.app.log.info("stream %s begins at %s with %s shards", source.directory.label, begins, len(boot.shards))
        if facts.unordered:
            self.app.log.warning(
                "stream %s distributes its records by itself (AUTO): there is no order per key", facts.arn
            )

    def _tell_waiting(self, source: Source, parents: int) -> None:
        stream = source.directory.label
        text = f"first boot of {stream}: {parents} parents are not listed, a second listing in 30 s decides"
        if text not in self.bridge.told:
            self.bridge.told.add(text)
            self.app.log.info("%s", text)
