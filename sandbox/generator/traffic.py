"""A seeded sequence of source records, each with the ending it must have."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from models.routing import entity_key, partition_of
from sandbox.generator import documents, poison
from sandbox.generator.documents import SCHEMA, Row
from sandbox.generator.ledger import Canaries, Ending, SourceChange
from sandbox.generator.rows import Inventor, canaries_of, owner_of

START = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
STEP = timedelta(milliseconds=7)
"""Between the commit times of two changes."""
LOAD_SHARE = 0.06
MOST_LOADS = 80
SHARES = {
    "users insert": 90, "users update": 270, "users delete": 35, "users key change": 20,
    "orgs insert": 15, "orgs update": 40,
    "groups insert": 30, "groups update": 60, "groups delete": 12,
    "availability_log insert": 190, "group_maps_log insert": 150, "group_maps_log before its group": 6,
    "control": 15, "unknown table": 20, "resent": 37, "poison": 10,
}  # fmt: skip
"""Parts in 1,000 of what follows the loads."""
GROUP_FOLLOWS = 8
"""So many records after the row that refers to it does a late group arrive."""
EARLY_APART = 150
"""Two such rows close together may wait for each other, each before the other's group in a partition, for 5 s."""
RESENT_WITHIN = 40
"""A record is sent again while its row still remembers it: the row memory holds 16 changes."""
PRETTY = 0.1
FIRST_TRANSACTION = 87_978_110_000_000
USER_FIRST, ORG_FIRST, GROUP_FIRST = 1_000, 10, 200


class Traffic:
    """Exactly `changes` records. Same seed, start and count: the same records; iterate only once.

    `partitions` is that of the raw topic: a row that refers to a later group is made for another partition than the
    group, because a partition that waits for a row behind in itself waits in vain for the whole `wait:5s`.
    """

    def __init__(self, seed: int, changes: int, *, start: datetime = START, partitions: int = 4) -> None:
        self.count = changes
        self.canaries = Canaries()
        self._rng = random.Random(f"traffic {seed}")
        self._invent = Inventor(self._rng, self.canaries)
        self._start = start
        self._partitions = partitions
        self._number = 0
        self._next_id = {"users": USER_FIRST, "orgs": ORG_FIRST, "groups": GROUP_FIRST}
        self._rows: dict[str, dict[int, Row]] = {"users": {}, "orgs": {}, "groups": {}}
        self._referable: list[int] = []
        """Groups other rows may refer to: they are known long enough, never deleted, and keep their organisation."""
        self._awaited: set[int] = set()
        self._early_from = 0
        self._home_orgs: list[int] = []
        self._versions: dict[str, int] = {}
        self._stream_key: dict[tuple[str, int], int] = {}
        self._recent: deque[SourceChange] = deque(maxlen=RESENT_WITHIN)
        self._late: deque[tuple[int, int, Row]] = deque()  # (at which number, id, row) of groups that are referred to

    def __iter__(self) -> Iterator[SourceChange]:
        yield from self._loads(min(MOST_LOADS, max(3, int(self.count * LOAD_SHARE)), self.count))
        deck = self._deck(self.count - self._number)
        while self._number < self.count:
            left = self.count - self._number
            if self._late and (self._number >= self._late[0][0] or left <= len(self._late)):
                _, number, row = self._late.popleft()
                change = self._insert("groups", number, row)
            else:
                change = self._play(deck.pop() if deck else "availability_log insert", left - len(self._late))
            if change.ending is Ending.PUBLISHED and not change.kind.endswith("delete"):
                self._recent.append(change)
            yield change

    def _loads(self, count: int) -> Iterator[SourceChange]:
        """The full load: organisations, groups, users. It feeds the lookups and is not published."""
        for place in range(count):
            table = "orgs" if place <= count // 6 else "groups" if place <= count // 2 else "users"
            number = self._take_id(table)
            row = self._new_row(table, number)
            if table == "groups":
                self._referable.append(number)
            elif table == "orgs":
                self._home_orgs.append(number)
            self._rows[table][number] = row
            document = {"data": row, "metadata": documents.metadata("load", table, str(number), self._now)}
            yield self._record(f"{table} load", table, number, document, Ending.FILTERED, reason="snapshot", row=row)

    def _deck(self, count: int) -> list[str]:
        cards = [kind for kind, share in SHARES.items() for _ in range(count * share // 1_000)]
        cards += ["poison"] * max(0, min(3, count // 10) - cards.count("poison"))
        cards += ["availability_log insert"] * (count - len(cards))
        self._rng.shuffle(cards)
        return cards

    def _play(self, kind: str, left: int) -> SourceChange:
        table, _, what = kind.partition(" ")
        match kind:
            case "control":
                word = self._rng.choice(("add-column", "change-columns", "rename-column"))
                document = documents.control(word, "users", self._now)
                return self._aside(kind, f"{documents.TASK}.{SCHEMA}.users", document, "control")
            case "unknown table":
                document = self._committed("insert", "audit_trail", 0, {"data": {"ID": self._number, "Entry": "login"}})
                return self._aside(kind, f"{SCHEMA}.audit_trail.{self._number}", document, "unknown_table")
            case "resent":
                return self._resend() or self._log("availability_log")
            case "poison":
                return self._poison()
            case "group_maps_log before its group" if left >= 2 and self._number >= self._early_from:
                return self._early_map()
            case "group_maps_log before its group" | "group_maps_log insert" | "availability_log insert":
                return self._log(table)
            case _ if what == "insert":
                number = self._take_id(table)
                return self._insert(table, number, self._new_row(table, number))
        living = self._rows[table]
        kept = self._awaited.union(self._referable)
        choices = [number for number in living if table != "groups" or what == "update" or number not in kept]
        if not choices:
            return self._log("availability_log")
        number = self._rng.choice(choices)
        steps: dict[str, Callable[[str, int], SourceChange]] = {
            "update": self._update, "delete": self._delete, "key change": self._change_key,
        }  # fmt: skip
        return steps[what](table, number)

    def _insert(self, table: str, number: int, row: Row) -> SourceChange:
        self._rows[table][number] = row
        document = self._committed("insert", table, number, {"data": row})
        return self._published(f"{table} insert", table, number, document, row)

    def _update(self, table: str, number: int) -> SourceChange:
        before = self._rows[table][number]
        after = self._invent.changed(table, before, self._home_orgs, self._now)
        self._rows[table][number] = after
        # What a before image holds depends on the source: everything, the changed columns, or nothing useful.
        differing = {name: value for name, value in before.items() if after[name] != value}
        image = self._rng.choices((before, differing, {}), (6, 3, 1))[0]
        body = documents.with_before(after, image, columns=self._rng.random() < 0.3)
        document = self._committed("update", table, number, body)
        return self._published(f"{table} update", table, number, document, after, former=before)

    def _delete(self, table: str, number: int) -> SourceChange:
        row = self._rows[table].pop(number)
        if self._rng.random() < 0.6:
            body: dict[str, Any] = {"data": {"ID": number}}  # its owner is known only from the row memory
        else:
            body = {"data": {"ID": number}, "before-image": row}
        self._forget_resends(table, number)
        return self._published(f"{table} delete", table, number, self._committed("delete", table, number, body), row)

    def _change_key(self, table: str, number: int) -> SourceChange:
        before = self._rows[table].pop(number)
        self._forget_resends(table, number)
        new = self._take_id(table)
        # Its partition key stays, or the stream would not keep the change of the key before what follows it.
        self._stream_key[table, new] = self._stream_key.get((table, number), number)
        after = {**before, "ID": new}
        self._rows[table][new] = after
        body = documents.with_before(after, before, columns=self._rng.random() < 0.3)
        document = self._committed("update", table, new, body)
        return self._published(f"{table} key change", table, new, document, after)

    def _log(self, table: str) -> SourceChange:
        number = 100_000 + self._number
        user, home = self._any_user()
        if table == "availability_log" or not self._referable:
            row = self._invent.availability(number, home, user, self._now)
            document = self._committed("insert", "availability_log", number, {"data": row})
            return self._published(
                "availability_log insert", "availability_log", number, document, row, owner=(home, user)
            )
        group = self._rng.choice(self._referable)
        return self._map(number, group, int(self._rows["groups"][group]["OrgID"]), user, "group_maps_log insert")

    def _early_map(self) -> SourceChange:
        number, (user, _) = 100_000 + self._number, self._any_user()
        here = partition_of(entity_key(SCHEMA, "group_maps_log", (number,)), self._partitions)
        group = self._take_id("groups")
        while self._partitions > 1 and partition_of(entity_key(SCHEMA, "groups", (group,)), self._partitions) == here:
            group = self._take_id("groups")
        row = self._new_row("groups", group)
        self._late.append((self._number + GROUP_FOLLOWS, group, row))
        self._awaited.add(group)
        self._early_from = self._number + EARLY_APART
        return self._map(number, group, int(row["OrgID"]), user, "group_maps_log before its group")

    def _map(self, number: int, group: int, org: int, user: int, kind: str) -> SourceChange:
        row = self._invent.group_map(number, group, user, self._now)
        document = self._committed("insert", "group_maps_log", number, {"data": row})
        return self._published(kind, "group_maps_log", number, document, row, owner=(org, user))

    def _resend(self) -> SourceChange | None:
        """The source delivers a change again."""
        if not self._recent:
            return None
        first = self._rng.choice(self._recent)
        again = replace(
            first, number=self._number, kind="resent", repeats=first.change, ending=Ending.FILTERED, reason="resent",
        )  # fmt: skip
        self._number += 1
        return again

    def _forget_resends(self, table: str, number: int) -> None:
        """A deleted row is forgotten: whatever it delivers again is a change once more."""
        row = f"{table}:{number}"
        self._recent = deque((change for change in self._recent if change.row != row), maxlen=RESENT_WITHIN)

    def _poison(self) -> SourceChange:
        number = self._take_id("users")
        row = self._invent.user(number, self._rng.choice(self._home_orgs), self._now)
        document = self._committed("insert", "users", number, {"data": row})
        kind, data, failure = poison.spoil(document, self._number)
        return self._finish(
            SourceChange(
                self._number, kind, f"{SCHEMA}.users.{number}", data, Ending.DEAD, failure,
                canaries=canaries_of(row, self.canaries),
            )
        )  # fmt: skip

    def _published(
        self, kind: str, table: str, number: int, document: dict[str, Any], row: Row, *,
        former: Row | None = None, owner: tuple[int, int] | None = None,
    ) -> SourceChange:  # fmt: skip
        org, user = owner or owner_of(table, row)
        change = self._record(kind, table, number, document, Ending.PUBLISHED, row=row, former=former)
        name = f"{table}:{number}"
        self._versions[name] = self._versions.get(name, 0) + 1
        return replace(
            change, row=name, version=self._versions[name], transaction=str(document["metadata"]["transaction-id"]),
            org_id=str(org), user_id=None if user is None else str(user),
        )  # fmt: skip

    def _record(
        self, kind: str, table: str, number: int, document: dict[str, Any], ending: Ending, *,
        reason: str = "", row: Row, former: Row | None = None,
    ) -> SourceChange:  # fmt: skip
        planted = canaries_of(row, self.canaries) + (canaries_of(former, self.canaries) if former else ())
        data = documents.encode(document, pretty=self._rng.random() < PRETTY)
        return self._finish(
            SourceChange(
                self._number, kind, f"{SCHEMA}.{table}.{self._key(table, number)}", data, ending, reason,
                canaries=tuple(dict.fromkeys(planted)),
            )
        )  # fmt: skip

    def _aside(self, kind: str, partition_key: str, document: dict[str, Any], reason: str) -> SourceChange:
        data = documents.encode(document, pretty=self._rng.random() < PRETTY)
        return self._finish(SourceChange(self._number, kind, partition_key, data, Ending.FILTERED, reason))

    def _finish(self, change: SourceChange) -> SourceChange:
        self._number += 1
        return change

    def _committed(self, operation: str, table: str, number: int, body: dict[str, Any]) -> dict[str, Any]:
        about = documents.metadata(operation, table, self._key(table, number), self._now)
        return {
            **body,
            "metadata": {**about, **documents.committed(FIRST_TRANSACTION + self._number, self._number, self._now)},
        }

    def _key(self, table: str, number: int) -> str:
        return str(self._stream_key.get((table, number), number))

    def _new_row(self, table: str, number: int) -> Row:
        if table == "orgs":
            return self._invent.org(number, self._now)
        make = self._invent.user if table == "users" else self._invent.group
        return make(number, self._rng.choice(self._home_orgs), self._now)

    def _any_user(self) -> tuple[int, int]:
        users = self._rows["users"]
        number = self._rng.choice(list(users)) if users else USER_FIRST
        return number, int(users[number]["HomeOrgID"]) if users else self._home_orgs[0]

    def _take_id(self, table: str) -> int:
        self._next_id[table] += 1
        return self._next_id[table]

    @property
    def _now(self) -> datetime:
        return self._start + self._number * STEP
