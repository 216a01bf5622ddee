"""A seeded sequence of source records, each with the ending it must have."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from models.change import Operation, SourceRow
from models.outcome import Failure
from models.routing import entity_key, partition_of
from models.source_spec import Adapter
from models.sources import adapters
from models.strict_json import lenient
from sandbox.generator import call_center_rows, poison
from sandbox.generator.deck import EARLY, KEY_CHANGE, OTHER, shuffled
from sandbox.generator.encoders import ENCODERS
from sandbox.generator.invented import Invented
from sandbox.generator.ledger import Canaries, Ending, SourceChange
from sandbox.generator.population import Population, Table
from sandbox.generator.tables import TABLES
from sandbox.generator.wire import Row, RowChange

START = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
STEP = timedelta(milliseconds=7)
"""Between the commit times of two changes."""
LOAD_SHARE = 0.06
MOST_LOADS = 80
GROUP_FOLLOWS = 8
"""So many records after the row that refers to it does a late group arrive."""
EARLY_APART = 150
"""Two such rows close together may wait for each other, each before the other's group in a partition, for 5 s."""
RESENT_WITHIN = 200
OVERTAKEN, LATE_BY = 0.06, 3
"""Share of the changes of rows that come before the one they follow, and how many records that one comes later."""
FIRST_LOG_ID = 100_000
LOG = "_log"
"""How tables end whose rows are written once."""


class Traffic:
    """Exactly `changes` records. Same seed, start and count: the same records; iterate only once.

    `partitions` is that of the raw topic: a row that refers to a later group is made for another partition than the
    group, because a partition that waits for a row behind in itself waits in vain for the whole `wait:5s`.
    Records, rows and transactions are counted from `first`: a source that goes on where an earlier one ended.
    """

    def __init__(
        self, seed: int, changes: int, *, start: datetime = START, partitions: int = 4, adapter: Adapter = "dms",
        first: int = 0,
    ) -> None:  # fmt: skip
        self.count = changes
        self._end = first + changes
        self.canaries = Canaries()
        self._rng = random.Random(f"traffic {seed}")
        self._make = Invented(self._rng, self.canaries)
        self._people = Population(self._rng, first)
        self._encoder = ENCODERS[adapter](self._rng)
        self._start = start
        self._partitions = partitions
        self._first = self._number = first
        self._awaited: set[int] = set()
        self._early_from = 0
        self._versions: dict[str, int] = {}
        self._stream_key: dict[tuple[str, Any], str] = {}
        self._recent: deque[SourceChange] = deque(maxlen=RESENT_WITHIN)
        self._due: deque[tuple[int, Callable[[], SourceChange]]] = deque()
        """(at which number, what): records that follow from earlier ones."""

    def __iter__(self) -> Iterator[SourceChange]:
        yield from self._loads(min(MOST_LOADS, max(3, int(self.count * LOAD_SHARE)), self.count))
        deck = shuffled(self._rng, self._end - self._number, TABLES)
        while self._number < self._end:
            left = self._end - self._number
            if self._due and (self._number >= self._due[0][0] or left <= len(self._due)):
                change = self._due.popleft()[1]()
            else:
                change = self._play(deck.pop() if deck else OTHER, left - len(self._due))
            if change.ending is Ending.PUBLISHED:
                self._recent.append(change)
            yield change

    def _loads(self, count: int) -> Iterator[SourceChange]:
        """What is there already: organisations, groups, users. They feed the lookups; a full load is not published."""
        for place in range(count):
            name = "orgs" if place <= count // 6 else "groups" if place <= count // 2 else "users"
            table, number = TABLES[name], self._people.take_id(name)
            row = table.new(self._make, self._people, number, self._now)
            if name == "orgs":
                self._people.orgs.append(number)
            elif name == "groups" or place % 2:
                self._people.settled[name].append(number)
            yield self._insert(table, row, kind=f"{name} load", snapshot=self._encoder.has_loads)

    def _play(self, kind: str, left: int) -> SourceChange:
        match kind:
            case "control":
                return self._control() or self._log()
            case "unknown table":
                return self._unknown()
            case "resent":
                return self._resend() or self._log()
            case "poison":
                return self._poison()
            case _ if kind == EARLY:
                return self._early_map() if left >= 2 and self._number >= self._early_from else self._log()
        name, _, what = kind.partition(" ")
        table = TABLES[name]
        if what == "insert":
            if name == "group_maps_log" and not self._people.settled["groups"]:
                return self._log()
            return self._insert(table, self._new(table))
        row = self._choice(table, what)
        if row is None or (what != "update" and left < 2):
            return self._log()
        if what != "key change" and left >= 2 and self._encoder.unordered and self._rng.random() < OVERTAKEN:
            row = self._overtake(table, row, what)
        steps: dict[str, Callable[[Table, Row], SourceChange]] = {
            "update": self._update, "delete": self._delete, "key change": self._change_key,
        }  # fmt: skip
        return steps[what](table, row)

    def _choice(self, table: Table, what: str) -> Row | None:
        """A row this may happen to."""
        if what == "update":
            fitting = [row for row in self._people.rows[table.name].values() if table.changes(row)]
        else:
            stays = self._awaited if table.name == "groups" else ()
            fitting = [
                row for key, row in self._people.rows[table.name].items()
                if table.goes(row) and key not in stays and not self._people.is_settled(table.name, key)
            ]  # fmt: skip
        return self._rng.choice(fitting) if fitting else None

    def _overtake(self, table: Table, row: Row, what: str) -> Row:
        """The row changes, and the record of that comes after the next one. Returns the row."""
        if table.change is None or not table.changes(row):
            return row
        at = self._now - STEP / 2
        after = {**row, **table.change(self._make, self._people, row, at)}
        moved = table.owner(self._people, after) != table.owner(self._people, row)
        if not table.changes(after) or (moved and what == "delete"):
            return row  # a delete may tell the key alone: nobody could know an owner that nobody was told of
        told = replace(self._told(table, Operation.UPDATE, row, after), at=at)

        def late() -> SourceChange:
            data = self._encoder.change(replace(told, number=self._number))
            return self._finish("late", self._partition_key(told), data, Ending.FILTERED, "late", row, after)

        self._due.appendleft((self._number + LATE_BY, late))
        return after

    def _insert(self, table: Table, row: Row, *, kind: str = "", snapshot: bool = False) -> SourceChange:
        if not table.name.endswith(LOG):
            self._people.rows[table.name][row[table.key]] = row
        change = self._told(table, Operation.CREATE, None, row, snapshot=snapshot)
        return self._ended(change, kind or f"{table.name} insert", table, row)

    def _update(self, table: Table, before: Row) -> SourceChange:
        if table.change is None:
            raise ValueError(f"rows of {table.name} never change")
        after = {**before, **table.change(self._make, self._people, before, self._now)}
        living = self._people.rows[table.name]
        living[before[table.key]] = after
        if not table.changes(after):
            del living[before[table.key]]  # a call that has ended is of no use to the traffic
        return self._ended(self._told(table, Operation.UPDATE, before, after), f"{table.name} update", table, after)

    def _delete(self, table: Table, row: Row, kind: str = "") -> SourceChange:
        told = self._told(table, Operation.DELETE, row, None)
        change = self._ended(told, kind or f"{table.name} delete", table, row)
        del self._people.rows[table.name][row[table.key]]
        if self._encoder.has_tombstones:
            self._due.appendleft(
                (self._number, lambda: self._aside("tombstone", change.partition_key, b"", "tombstone"))
            )
        return change

    def _change_key(self, table: Table, before: Row) -> SourceChange:
        after = {**before, table.key: self._people.take_id(table.name)}
        if not self._encoder.moves_keys:
            self._due.appendleft((self._number + 1, lambda: self._insert(table, after)))
            return self._delete(table, before, KEY_CHANGE)
        old, new = before[table.key], after[table.key]
        del self._people.rows[table.name][old]
        self._people.rows[table.name][new] = after
        # Its partition key stays, or the stream would not keep the change of the key before what follows it.
        self._stream_key[table.name, new] = self._key(table.name, old)
        return self._ended(self._told(table, Operation.UPDATE, before, after), KEY_CHANGE, table, after)

    def _log(self) -> SourceChange:
        table = TABLES["availability_log"]
        return self._insert(table, self._new(table))

    def _early_map(self) -> SourceChange:
        groups, maps = TABLES["groups"], TABLES["group_maps_log"]
        number, schema = FIRST_LOG_ID + self._number, self._encoder.schema
        here = partition_of(entity_key(schema, maps.name, (number,)), self._partitions)
        group = self._people.take_id(groups.name)
        while (
            self._partitions > 1 and partition_of(entity_key(schema, groups.name, (group,)), self._partitions) == here
        ):
            group = self._people.take_id(groups.name)
        later = groups.new(self._make, self._people, group, self._now)
        self._people.rows[groups.name][group] = later
        self._due.append((self._number + GROUP_FOLLOWS, lambda: self._insert(groups, later)))
        self._awaited.add(group)
        self._early_from = self._number + EARLY_APART
        row = call_center_rows.group_map(self._make, self._people, number, group, self._now)
        change = self._insert(maps, row, kind=EARLY)
        del self._people.rows[groups.name][group]  # nothing happens to it before it is there
        return change

    def _control(self) -> SourceChange | None:
        data = self._encoder.control(self._number, "users", self._now)
        return self._aside("control", f"{self._encoder.schema}.users", data, "control") if data is not None else None

    def _unknown(self) -> SourceChange:
        row = {"ID": self._number, "Entry": "login"}
        data = self._encoder.change(
            RowChange(self._number, "audit_trail", "ID", Operation.CREATE, None, row, self._now, stream_key="0")
        )
        return self._aside("unknown table", f"audit_trail.{self._number}", data, "unknown_table")

    def _resend(self) -> SourceChange | None:
        """The source delivers a change again; it is known by its name, if it has one."""
        if not self._recent:
            return None
        first = self._rng.choice(self._recent)
        decoded = adapters.decode(lenient(first.data), self._encoder.adapter)
        if not isinstance(decoded, SourceRow) or decoded.identity is None:
            return None
        number, self._number = self._number, self._number + 1
        return replace(
            first, number=number, kind="resent", repeats=first.change, ending=Ending.FILTERED, reason="resent"
        )

    def _poison(self) -> SourceChange:
        table = TABLES["users"]
        row = self._new(table)
        told = self._told(table, Operation.CREATE, None, row)
        kind, data, failure = poison.spoil(self._encoder, told, self._number)
        return self._finish(kind, f"users.{row['ID']}", data, Ending.DEAD, failure, row)

    def _told(
        self, table: Table, operation: Operation, before: Row | None, after: Row | None, *, snapshot: bool = False
    ) -> RowChange:
        number = (after or before or {})[table.key]
        return RowChange(
            self._number, table.name, table.key, operation, before, after, self._now, snapshot=snapshot,
            stream_key=self._key(table.name, number),
        )  # fmt: skip

    def _ended(self, told: RowChange, kind: str, table: Table, row: Row) -> SourceChange:
        """The record of a change, and what has to become of it. `row` says whose it is."""
        partition_key = self._partition_key(told)
        data, transaction = self._encoder.change(told), self._encoder.transaction(self._number)
        if told.snapshot:
            return self._finish(kind, partition_key, data, Ending.FILTERED, "snapshot", row)
        org, user = table.owner(self._people, row)
        change = self._finish(kind, partition_key, data, Ending.PUBLISHED, "", row, told.before)
        name = f"{table.name}:{row[table.key]}"
        self._versions[name] = self._versions.get(name, 0) + 1
        return replace(
            change, row=name, version=self._versions[name], transaction=transaction,
            org_id=None if org is None else str(org), user_id=None if user is None else str(user),
        )  # fmt: skip

    def _partition_key(self, told: RowChange) -> str:
        return f"{self._encoder.schema}.{told.table}.{told.stream_key}"

    def _aside(self, kind: str, partition_key: str, data: bytes, reason: str) -> SourceChange:
        return self._finish(kind, partition_key, data, Ending.FILTERED, reason)

    def _finish(
        self, kind: str, partition_key: str, data: bytes, ending: Ending, reason: str | Failure, *rows: Row | None
    ) -> SourceChange:
        planted = [canary for row in rows if row is not None for canary in self.canaries.planted(row.values())]
        change = SourceChange(
            self._number, kind, partition_key, data, ending, reason, canaries=tuple(dict.fromkeys(planted))
        )
        self._number += 1
        return change

    def _new(self, table: Table) -> Row:
        number = FIRST_LOG_ID + self._number if table.name.endswith(LOG) else self._people.take_id(table.name)
        return table.new(self._make, self._people, number, self._now)

    def _key(self, table: str, number: Any) -> str:
        return self._stream_key.get((table, number), str(number))

    @property
    def _now(self) -> datetime:
        return self._start + (self._number - self._first) * STEP
