"""What the buses of the stand-in took, entry by entry, and what can be asked of it: loss, repeats, order, concurrency.

Events are known by members of their detail: `eventId`, `entityType` and `entityId`, `metadata.sequence` and `.replay`
(docs/models/events.md). What lacks them is remembered all the same.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import msgspec

REMEMBERED = 100_000
"""Entries; half a kilobyte each."""


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """One accepted entry. `number` counts acceptances from 1, over all buses; `request` counts calls of PutEvents.

    `id` is that which the bus gave, `sha256` of the bytes of Detail in hex, `at` in seconds since 1970. An event for a
    bus that does not exist is accepted, too, and goes `nowhere`.
    """

    number: int
    request: int
    bus: str
    at: float
    id: str
    event_id: str | None
    entity: str | None
    sequence: str | None
    replay: int | None
    sha256: str
    nowhere: bool


class Repeat(msgspec.Struct, frozen=True):
    """An event that was accepted more than once."""

    event_id: str
    times: int
    same_bytes: bool


class Disorder(msgspec.Struct, frozen=True):
    """A first delivery that came after a later one of its entity, which has the sequence `after`."""

    entity: str
    event_id: str | None
    sequence: str
    after: str


class Crowd(msgspec.Struct, frozen=True):
    """Several entries of one entity in one request."""

    request: int
    entity: str
    entries: int


class Deliveries(msgspec.Struct, frozen=True):
    """The answer to all questions at once.

    `lost` are expected ids that no existing bus took. `concurrent` has the most requests under way at once of every
    entity that had more than one. `failed` counts refused entries by code. The oldest of `accepted` may be `forgotten`:
    `lost`, `repeats` and `disorder` are about the others only.
    """

    accepted: int
    nowhere: int
    forgotten: int
    requests: int
    failed: dict[str, int]
    lost: tuple[str, ...]
    repeats: tuple[Repeat, ...]
    disorder: tuple[Disorder, ...]
    crowded: tuple[Crowd, ...]
    concurrent: dict[str, int]

    @property
    def in_order(self) -> bool:
        """Whether first deliveries of every entity came in order, one at a time."""
        return not (self.disorder or self.crowded or self.concurrent)


@dataclass(slots=True)
class Request:
    """A PutEvents under way, and how many entries of which entity it has. `open` until it is answered."""

    number: int
    open: bool = False
    entities: dict[str, int] = field(default_factory=dict)


_REQUEST: ContextVar[Request | None] = ContextVar("request", default=None)


class EventLedger:
    """Remembers the latest `most` accepted entries; counts go on beyond them. Not for several threads."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self.clear()

    def clear(self) -> None:
        """Forget everything; numbers begin at 1 again."""
        self._accepted: deque[Accepted] = deque(maxlen=self._most)
        self._crowds: deque[tuple[Request, str]] = deque(maxlen=self._most)
        self._count = self._nowhere = self._requests = 0
        self._failed: Counter[str] = Counter()
        self._under_way: dict[str, int] = {}
        self._concurrent: dict[str, int] = {}

    @contextmanager
    def request(self) -> Iterator[None]:
        """What is accepted inside belongs to one request, which is under way until the end, or `answered`."""
        request = self._next()
        request.open = True
        token = _REQUEST.set(request)
        try:
            yield
        finally:
            self.answered()
            _REQUEST.reset(token)

    def answered(self) -> None:
        """The request is no longer under way: whoever sent it may know by now."""
        request = _REQUEST.get()
        if request is None or not request.open:
            return
        request.open = False
        for entity in request.entities:
            self._under_way[entity] -= 1
            if self._under_way[entity] <= 0:
                del self._under_way[entity]

    def current(self) -> Request:
        """The request this is called in, or a new one that is answered at once."""
        return _REQUEST.get() or self._next()

    def accept(
        self,
        request: Request,
        bus: str,
        event_id: str,
        detail: Mapping[str, Any],
        text: str,
        at: float,
        *,
        nowhere: bool,
    ) -> None:
        """An entry was taken: `event_id` is the bus's, `text` the Detail as it was sent."""
        entity = entity_of(detail)
        metadata = detail.get("metadata")
        if not isinstance(metadata, dict):
            metadata = {}
        replay = metadata.get("replay")
        self._count += 1
        self._nowhere += nowhere
        self._accepted.append(
            Accepted(
                self._count, request.number, bus, at, event_id, _text(detail.get("eventId")), entity,
                _text(metadata.get("sequence")), replay if isinstance(replay, int) else None,
                hashlib.sha256(text.encode()).hexdigest(), nowhere,
            )
        )  # fmt: skip
        self._carry(request, entity)

    def refuse(self, request: Request, code: str, text: object = None) -> None:
        """An entry failed. `text` is its Detail, if that may be one."""
        self._failed[code] += 1
        try:
            detail = msgspec.json.decode(text) if isinstance(text, str) else None
        except (msgspec.DecodeError, RecursionError):
            return
        if isinstance(detail, dict):
            self._carry(request, entity_of(detail))

    def accepted(self, bus: str | None = None, after: int = 0) -> list[Accepted]:
        """In order of acceptance: of one bus (by its name) or all, with numbers above `after`."""
        return [entry for entry in self._accepted if entry.number > after and bus in (None, entry.bus)]

    def deliveries(self, expected: Iterable[str] = (), bus: str | None = None) -> Deliveries:
        """Judge what was accepted; `bus` leaves out the entries of others, though not in what is said of requests."""
        arrived = [entry for entry in self.accepted(bus) if not entry.nowhere]
        there = {entry.event_id for entry in arrived}
        return Deliveries(
            accepted=self._count,
            nowhere=self._nowhere,
            forgotten=self._count - len(self._accepted),
            requests=self._requests,
            failed=dict(sorted(self._failed.items())),
            lost=tuple(event_id for event_id in expected if event_id not in there),
            repeats=tuple(_repeats(arrived)),
            disorder=tuple(_disorder(arrived)),
            crowded=tuple(Crowd(request.number, entity, request.entities[entity]) for request, entity in self._crowds),
            concurrent=dict(self._concurrent),
        )

    def _next(self) -> Request:
        self._requests += 1
        return Request(self._requests)

    def _carry(self, request: Request, entity: str | None) -> None:
        if entity is None:
            return
        entries = request.entities[entity] = request.entities.get(entity, 0) + 1
        if entries == 1 and request.open:
            requests = self._under_way[entity] = self._under_way.get(entity, 0) + 1
            if requests > 1:
                self._concurrent[entity] = max(self._concurrent.get(entity, 0), requests)
        elif entries == 2:
            self._crowds.append((request, entity))


def entity_of(detail: Mapping[str, Any]) -> str | None:
    """The key of `cdc.events`: `<entityType>:<entityId>`."""
    kind, identity = detail.get("entityType"), detail.get("entityId")
    return f"{kind}:{identity}" if isinstance(kind, str) and isinstance(identity, str) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _repeats(arrived: Collection[Accepted]) -> Iterator[Repeat]:
    times = Counter(entry.event_id for entry in arrived if entry.event_id is not None)
    again = {event_id for event_id, count in times.items() if count > 1}
    bytes_of: dict[str, set[str]] = {event_id: set() for event_id in times if event_id in again}
    for entry in arrived:
        if entry.event_id in bytes_of:
            bytes_of[entry.event_id].add(entry.sha256)
    for event_id, digests in bytes_of.items():
        yield Repeat(event_id, times[event_id], same_bytes=len(digests) == 1)


def _disorder(arrived: Iterable[Accepted]) -> Iterator[Disorder]:
    """A replay or redrive comes late by its nature, and is not judged."""
    newest: dict[str, str] = {}
    seen: set[str] = set()
    for entry in arrived:
        if entry.entity is None or entry.sequence is None or entry.replay is not None or entry.event_id in seen:
            continue
        if entry.event_id is not None:
            seen.add(entry.event_id)
        before = newest.get(entry.entity)
        if before is not None and entry.sequence < before:
            yield Disorder(entry.entity, entry.event_id, entry.sequence, before)
        else:
            newest[entry.entity] = entry.sequence
