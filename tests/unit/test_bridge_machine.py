"""P1 and the parent rule over the pure core of the bridge: whatever is put, split, merged, polled, committed, crashed,
stolen, expired and trimmed, in any order.

Kinesis and Kafka are modelled as far as the core sees them: shards with horizons, and a log in which records and
checkpoints appear together or not at all, from the newest owner of a slot alone.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from enrichers.routing import Router
from models.catalogue import Catalogue
from models.checkpoint import Boot, Checkpoint, Start
from models.raw import HEADER_SEQUENCE, HEADER_SHARD, HEADER_SUB_SEQUENCE
from models.shard import Shard
from sandbox.generator.aggregates import aggregated
from tests.unit.packed import read_headers
from workers.kinesis.cursor import Gap, Part, ShardCursor
from workers.kinesis.forwarding import Destination, Loss, forward, record_loss
from workers.kinesis.lineage import Begin, Blocked, Ended, Orphaned, Resume, Unbooted, Vanished, decide
from workers.kinesis.pages import ChildShard, HashKeyRange, Page, Record

ARN = "arn:aws:kinesis:us-east-1:0:stream/s"
SLOTS, SPACE, HOUR = 6, 1 << 128, 3_600_000
RETENTION = 24 * HOUR
KEYS = [SPACE * n // 11 for n in range(11)]
"""Hash keys of eleven source rows."""


@dataclass
class Log:
    """One shard as the service holds it."""

    shard: Shard
    records: list[tuple[Record, int, int, int]] = field(default_factory=list)
    """(record, hash key, first value, number of user records)"""
    closed_at: int | None = None

    def page(self, start: int, limit: int, now: int, children: list["Log"]) -> tuple[Page, int]:
        """At most `limit` records from index `start` on, and where the next page begins."""
        horizon = next((i for i, r in enumerate(self.records) if r[0].arrival_ms >= now - RETENTION), len(self.records))
        start = max(start, horizon)
        stop = min(start + limit, len(self.records))
        ended = self.closed_at is not None and stop == len(self.records)
        behind = now - self.records[stop][0].arrival_ms if stop < len(self.records) else 0
        told = [
            ChildShard(c.shard.id, c.shard.parents, HashKeyRange(str(c.shard.first_hash), str(c.shard.last_hash)))
            for c in children
        ]
        page = Page(
            records=[record for record, *_ in self.records[start:stop]], millis_behind_latest=behind,
            next_shard_iterator=None if ended else "next", child_shards=tuple(told) if ended else (),
        )  # fmt: skip
        return page, stop


class Outbox:
    """What a unit of work gathers."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, int, bytes]] = []
        self.lost: list[Loss] = []

    def send(self, topic: str, key: Any, value: Any, headers: Any, *, partition: int) -> None:
        found = read_headers(headers)
        if topic == "raw":
            where = (found[HEADER_SHARD].decode(), int(found[HEADER_SEQUENCE]), int(found[HEADER_SUB_SEQUENCE]))
            self.sent.append((*where, value))

    def took(self, records: int) -> None:
        """Nothing is counted here."""


@dataclass
class Reader:
    cursor: ShardCursor
    at: int | None = None
    """Index in the shard's log of the iterator; None: none was built yet."""
    done: bool = False


@dataclass
class Owner:
    """One worker's hold on one slot."""

    slot: int
    epoch: int
    own: dict[str, Checkpoint]
    readers: dict[str, Reader] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    gaps: dict[str, Gap] = field(default_factory=dict)
    told_at: dict[str, int] = field(default_factory=dict)
    """How many listings there had been when a closed shard told of its child."""


class Knowledge:
    def __init__(self, machine: "BridgeMachine", owner: Owner) -> None:
        self.machine, self.owner = machine, owner
        self.boot: Boot | None = machine.boot

    def checkpoint(self, shard: str) -> Checkpoint | None:
        return self.owner.own.get(shard) or self.machine.seen.get(shard)

    def vanished(self, shard: str) -> bool:
        listings = self.machine.listings[self.owner.told_at.get(shard, 0) :][-2:]
        agreed = len(listings) == 2 and all(shard not in listing for listing in listings)
        return agreed and self.machine.seen_at >= len(self.machine.listings)


class BridgeMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000 * HOUR
        self.logs: dict[str, Log] = {}
        self.sequence = 7
        self.values: dict[int, int] = defaultdict(int)
        self.raw: list[tuple[str, int, int, bytes]] = []
        self.checkpoints: dict[str, Checkpoint] = {}
        self.epochs: dict[int, int] = defaultdict(int)
        self.owners: list[Owner] = []
        self.seen: dict[str, Checkpoint] = {}
        self.seen_at = 0
        self.listings: list[dict[str, Shard]] = []
        self.boot: Boot | None = None
        self.losses: list[Loss] = []
        self.names = 0
        catalogue = Catalogue(())
        self.to = Destination("core", "raw", 4, "checkpoints", "dead", Router(catalogue))

    # the service

    def open(self, first: int, last: int, *parents: str) -> None:
        name = f"s{self.names:03}"
        self.names += 1
        self.logs[name] = Log(Shard(name, first, last, parents))

    @initialize(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        bounds = [SPACE * n // count for n in range(count + 1)]
        for first, end in pairwise(bounds):
            self.open(first, end - 1)
        self.list()
        self.boot = Boot(ARN, Start("TRIM_HORIZON"), tuple(log.shard for log in self.logs.values()), 0, self.now)
        for slot in range(SLOTS):
            self.steal(slot)

    def opened(self) -> list[Log]:
        found = [log for log in self.logs.values() if log.closed_at is None]
        return sorted(found, key=lambda log: log.shard.first_hash)

    @rule(row=st.sampled_from(KEYS), users=st.sampled_from([0, 0, 0, 1, 3]))
    def put(self, row: int, users: int) -> None:
        log = next(log for log in self.opened() if log.shard.first_hash <= row <= log.shard.last_hash)
        first = self.values[row]
        values = [b"%d/%d" % (row, first + n) for n in range(max(users, 1))]
        data = aggregated([("k", value, None) for value in values]) if users else values[0]
        self.values[row] += len(values)
        self.sequence += 1
        record = Record(str(self.sequence), data, "k", self.now / 1000)
        log.records.append((record, row, first, len(values)))

    @rule(pick=st.integers(0, 9))
    def split(self, pick: int) -> None:
        logs = self.opened()
        log = logs[pick % len(logs)]
        shard = log.shard
        if shard.last_hash - shard.first_hash < 4 or len(self.logs) > 12:
            return
        log.closed_at = self.now
        middle = (shard.first_hash + shard.last_hash) // 2
        self.open(shard.first_hash, middle, shard.id)
        self.open(middle + 1, shard.last_hash, shard.id)

    @rule(pick=st.integers(0, 9))
    def merge(self, pick: int) -> None:
        logs = self.opened()
        if len(logs) < 2 or len(self.logs) > 12:
            return
        low, high = logs[pick % (len(logs) - 1)], logs[pick % (len(logs) - 1) + 1]
        low.closed_at = high.closed_at = self.now
        self.open(low.shard.first_hash, high.shard.last_hash, low.shard.id, high.shard.id)

    @rule(hours=st.sampled_from([0, 0, 1, 13, 25]))
    def trim(self, hours: int) -> None:
        """Time passes; what is older than the retention is gone."""
        self.now += hours * HOUR + 1

    # the workers

    @rule()
    def list(self) -> None:
        horizon = self.now - RETENTION
        kept = {name: log.shard for name, log in self.logs.items() if log.closed_at is None or log.closed_at >= horizon}
        self.listings.append(kept)

    @rule()
    def watch(self) -> None:
        """Somebody's checkpoints arrive at everybody."""
        self.seen, self.seen_at = dict(self.checkpoints), len(self.listings)

    @rule(slot=st.integers(0, SLOTS - 1))
    def steal(self, slot: int) -> None:
        """The slot gets a new owner, who fences the old one; that one does not know yet."""
        self.epochs[slot] += 1
        own = {
            name: found for name, found in self.checkpoints.items()
            if name in self.logs and self.logs[name].shard.source_slot(SLOTS) == slot
        }  # fmt: skip
        zombies = [owner for owner in self.owners if owner.slot == slot][-1:]
        self.owners = [owner for owner in self.owners if owner.slot != slot] + zombies
        self.owners.append(Owner(slot, self.epochs[slot], own))

    @rule(pick=st.integers(0, 20))
    def crash(self, pick: int) -> None:
        self.steal(self.owners[pick % len(self.owners)].slot)

    @rule(pick=st.integers(0, 20), limit=st.integers(1, 4))
    def poll(self, pick: int, limit: int) -> None:
        owner = self.owners[pick % len(self.owners)]
        self.reconcile(owner)
        for name, reader in list(owner.readers.items()):
            self.read(owner, name, reader, limit)

    @rule(pick=st.integers(0, 20))
    def expire(self, pick: int) -> None:
        for reader in self.owners[pick % len(self.owners)].readers.values():
            reader.cursor.rebuild()
            reader.at = None

    def reconcile(self, owner: Owner) -> None:
        told = {child.id: child for found in (self.seen | owner.own).values() for child in found.children}
        assert self.boot is not None
        for name in (*told, *self.boot.names):
            owner.told_at.setdefault(name, len(self.listings))
        shards = {shard.id: shard for shard in self.boot.shards} | told | self.listings[-1]
        mine = {name: shard for name, shard in shards.items() if shard.source_slot(SLOTS) == owner.slot}
        mine |= {n: Shard(n, 0, 0, c.parents) for n, c in owner.own.items() if n not in mine and not c.ended}
        known = Knowledge(self, owner)
        for name, shard in mine.items():
            match decide(shard, owner.own.get(name), known):
                case Resume() | Begin() as origin:
                    if name not in owner.readers:
                        self.parents_are_done(shard)
                        owner.readers[name] = Reader(ShardCursor(shard, origin))
                case Orphaned(parents, since):
                    self.lose(owner, Loss(shard, since, f"parents {parents}"))
                case Vanished(since):
                    closed_at = self.logs[name].closed_at
                    assert closed_at is not None and closed_at < self.now - RETENTION  # noqa: PT018  it is gone indeed
                    owner.readers.pop(name, None)
                    owner.gaps.pop(name, None)
                    owner.parts = [part for part in owner.parts if part.shard.id != name]
                    self.lose(owner, Loss(shard, since, "vanished", ended=True))
                case Ended() | Blocked() | Unbooted():
                    pass

    def parents_are_done(self, shard: Shard) -> None:
        """The parent rule: no child is read before everything of its parents is committed, or gone for good."""
        assert self.boot is not None
        for parent in shard.parents:
            found = self.checkpoints.get(parent)
            gone = self.logs[parent].closed_at is not None and parent not in self.listings[-1]
            assert (found is not None and found.ended) or gone or shard.id in self.boot.names

    def read(self, owner: Owner, name: str, reader: Reader, limit: int) -> None:
        if reader.done or name in owner.gaps or name not in self.logs:
            return
        log = self.logs[name]
        if reader.at is None:
            where = reader.cursor.iterator()
            start = int(where.get("StartingSequenceNumber", 0))
            numbers = [int(record.sequence_number) for record, *_ in log.records]
            reader.at = next((i for i, number in enumerate(numbers) if number >= start), len(numbers))
        children = [child for child in self.logs.values() if name in child.shard.parents]
        page, after = log.page(reader.at, limit, self.now, children)
        gap = reader.cursor.gap(page, self.now, RETENTION)
        if gap is not None:
            owner.gaps[name] = gap  # the page is asked for again behind the gap
            return
        reader.at = after
        owner.parts += reader.cursor.parts(page, self.now, max_records=2, max_bytes=1 << 20)
        reader.done = page.ended

    def lose(self, owner: Owner, loss: Loss) -> bool:
        outbox = Outbox()
        before = owner.own.get(loss.shard.id)
        checkpoint = record_loss(outbox, self.to, ARN, loss, before, self.now)  # type: ignore[arg-type]
        if not self.transact(owner, outbox, {loss.shard.id: checkpoint}):
            return False
        self.losses.append(loss)
        return True

    def transact(self, owner: Owner, outbox: Outbox, moved: dict[str, Checkpoint]) -> bool:
        """All or nothing, and only from the slot's newest owner."""
        if owner.epoch != self.epochs[owner.slot]:
            return False
        self.raw += outbox.sent
        for checkpoint in moved.values():
            self.checkpoints[checkpoint.shard] = owner.own[checkpoint.shard] = Checkpoint.decode(checkpoint.encode())
        return True

    @rule(pick=st.integers(0, 20))
    @precondition(lambda self: self.owners)
    def commit(self, pick: int) -> None:
        owner = self.owners[pick % len(self.owners)]
        outbox, moved = Outbox(), dict[str, Checkpoint]()
        for part in owner.parts:
            before = moved.get(part.shard.id) or owner.own.get(part.shard.id)
            moved[part.shard.id] = forward(outbox, self.to, ARN, part, before)  # type: ignore[arg-type]
        owner.parts = []
        self.transact(owner, outbox, moved)
        for name, gap in list(owner.gaps.items()):
            if self.lose(owner, Loss(gap.shard, gap.since_ms, gap.why)):
                del owner.gaps[name]
                owner.readers[name].cursor.forgive()

    # the promises

    @invariant()
    def nothing_stands_in_the_log_twice(self) -> None:
        places = [place[:3] for place in self.raw]
        assert len(places) == len(set(places))

    @invariant()
    def every_row_keeps_its_order(self) -> None:
        last: dict[bytes, int] = {}
        for *_, value in self.raw:
            row, _, number = value.partition(b"/")
            assert last.get(row, -1) < int(number)
            last[row] = int(number)

    def teardown(self) -> None:
        """Left alone, the newest owners bring everything that was not deleted unread, and say what was."""
        for _ in range(60):
            self.list()
            self.watch()
            for index in range(len(self.owners)):
                self.poll(index, 4)
                self.commit(index)
        arrived = {value for *_, value in self.raw}
        for name, log in self.logs.items():
            lineage = {name} | self.lineage(name, up=True) | self.lineage(name, up=False)
            for record, row, first, count in log.records:
                if any(b"%d/%d" % (row, first + n) not in arrived for n in range(count)):
                    # Whoever was never listed cannot be named; its ancestor or its descendant is.
                    told = [loss for loss in self.losses if loss.shard.id in lineage]
                    assert any(loss.since_ms <= record.arrival_ms for loss in told)

    def lineage(self, name: str, *, up: bool) -> set[str]:
        """Everything above or below a shard."""
        near = {
            *(self.logs[name].shard.parents if up else ()),
            *(() if up else (other for other, log in self.logs.items() if name in log.shard.parents)),
        }
        return near.union(*(self.lineage(other, up=up) for other in near))


BridgeMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestBridgeMachine = BridgeMachine.TestCase
