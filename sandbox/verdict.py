"""Matches what left the pipeline with the ledger of what went in, and says whether any promise was broken."""

import json
import math
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.generator.ledger import Canaries, Ending, SourceChange

NAMED = 5
"""So many of a kind of problem are named one by one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run went. Counts of records; latencies in milliseconds, put call to receipt from the queue."""

    sent: int
    published: int
    filtered: int
    dead: int
    lost: int
    duplicated: int
    redelivered: int
    out_of_order: int
    p50_ms: float | None
    p99_ms: float | None
    problems: tuple[str, ...] = ()
    """Everything that must not be, in words, without values of rows (P6)."""

    @property
    def passed(self) -> bool:
        """True if every record ended as the ledger says, once and in order, and nothing leaked."""
        return not (self.lost or self.duplicated or self.out_of_order or self.problems)

    def figures(self) -> dict[str, Any]:
        """The summary document."""
        return {name: value for name, value in asdict(self).items() if name != "problems"}


@dataclass(slots=True)
class _Sent:
    change: SourceChange
    at: float
    events: int = 0
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class _Arrival:
    position: tuple[str, str]
    transaction: str
    event_id: str
    row: str
    org_id: str | None
    user_id: str | None
    owner_source: str
    at: float


@dataclass(slots=True)
class _Counts:
    redelivered: int = 0
    out_of_order: int = 0
    ownerless: int = 0
    latencies: list[float] = field(default_factory=list)


class Checker:
    """Takes observations from any thread, in any order; an event may arrive before its put call has answered."""

    def __init__(self, canaries: Canaries) -> None:
        self._canaries = canaries
        self._lock = threading.RLock()
        self._sent: dict[tuple[str, str], _Sent] = {}
        self._first: dict[str, _Sent] = {}  # by transaction: deliveries of one change share it
        self._early: deque[_Arrival] = deque()
        self._event_ids: dict[int, set[str]] = defaultdict(set)
        self._newest: dict[str, int] = {}
        self._letters: dict[tuple[str, str], str] = {}
        self._filtered: Counter[str] = Counter()
        self._expected: Counter[tuple[Ending, str]] = Counter()
        self._counts = _Counts()
        self._problems: dict[str, list[str]] = defaultdict(list)
        self._published = 0

    def put(self, change: SourceChange, shard: str, sequence: str, at: float) -> None:
        """The stream took a change; `at` is the monotonic time when the call was begun, in seconds."""
        with self._lock:
            sent = _Sent(change, at)
            self._sent[shard, sequence] = sent
            self._expected[change.ending, change.reason] += 1
            if change.transaction:
                self._first.setdefault(change.transaction, sent)
            early, self._early = self._early, deque()
            for arrival in early:  # in the order of arrival, or order could not be judged
                self._match(arrival)
            if (shard, sequence) in self._letters:
                sent.failure = self._letters[shard, sequence]

    def event(self, detail: Mapping[str, Any], text: str, at: float) -> None:
        """An event was received: its `detail`, the whole message as text, and the monotonic time in seconds."""
        metadata = detail.get("metadata", {})
        arrival = _Arrival(
            (str(metadata.get("shardId")), str(metadata.get("sequenceNumber"))), str(metadata.get("transactionId")),
            str(detail.get("eventId")), f"{detail.get('entityType')}:{detail.get('entityId')}",
            detail.get("orgId"), detail.get("userId"), str(metadata.get("enrichment", {}).get("source")), at,
        )  # fmt: skip
        with self._lock:
            sent = self._sent.get(arrival.position)
            self.outside(f"an event of {detail.get('entityType')}", text, sent.change.canaries if sent else ())
            self._match(arrival)

    def dead_letter(self, shard: str, sequence: str, code: str, message: str) -> None:
        """A record stands in the dead letters."""
        with self._lock:
            self._letters[shard, sequence] = code
            self.outside("the message of a dead letter", message)
            sent = self._sent.get((shard, sequence))
            if sent is not None:
                sent.failure = code

    def filtered(self, reasons: Mapping[str, int]) -> None:
        """How many records the pipeline left out so far, by reason."""
        with self._lock:
            self._filtered = Counter(reasons)

    def outside(self, where: str, text: str, own: tuple[str, ...] = ()) -> None:
        """Look for redacted values in something that anybody may see."""
        for column in sorted(self._canaries.leaked(text, own)):
            self._problems[f"LEAK: a value of {column} stands in"].append(where)

    @property
    def seen(self) -> dict[str, int]:
        """Records seen to have ended so far, and what was sent."""
        with self._lock:
            return {
                "sent": len(self._sent),
                "published": self._published,
                "filtered": sum(self._filtered.values()),
                "dead": len(self._letters),
                "events": self._published + self._counts.redelivered,
            }

    @property
    def complete(self) -> bool:
        """True if for every record sent so far the number of endings of its kind has been seen."""
        with self._lock:
            filtered = sum(count for (ending, _), count in self._expected.items() if ending is Ending.FILTERED)
            return (
                self._published >= self._expected[Ending.PUBLISHED, ""]
                and sum(self._filtered.values()) >= filtered
                and len(self._letters) >= sum(n for (ending, _), n in self._expected.items() if ending is Ending.DEAD)
            )

    def _match(self, arrival: _Arrival) -> None:
        sent = self._sent.get(arrival.position)
        if sent is None:
            self._early.append(arrival)
            return
        self._account(sent, arrival, known=sent.events > 0)
        sent.events += 1

    def _account(self, sent: _Sent, arrival: _Arrival, *, known: bool) -> None:
        change = sent.change
        if not known:
            self._published += 1
        ids = self._event_ids[change.change]
        repeated = arrival.event_id in ids
        ids.add(arrival.event_id)
        if repeated:
            self._counts.redelivered += 1
            return
        self._counts.latencies.append((arrival.at - sent.at) * 1000)
        if change.row is None or change.row != arrival.row:
            self._problems["event of another row than the change's:"].append(f"record {change.number}, {change.kind}")
            return
        if change.version < self._newest.get(change.row, 0):
            self._counts.out_of_order += 1
            self._problems["out of order:"].append(
                f"{change.row} version {change.version} after {self._newest[change.row]}"
            )
        self._newest[change.row] = max(change.version, self._newest.get(change.row, 0))
        if arrival.owner_source == "missing":
            self._counts.ownerless += 1  # allowed: a lagging pipeline does not wait for lookups
        elif (arrival.org_id, arrival.user_id) != (change.org_id, change.user_id):
            self._problems["wrong owner:"].append(f"{change.row} version {change.version}")

    @property
    def ownerless(self) -> int:
        """Events whose owner was not known in time; they carry `enrichment.source: missing`."""
        return self._counts.ownerless

    def verdict(self) -> Verdict:
        """Judge what has been seen until now; whatever has not ended yet counts as lost."""
        with self._lock:
            problems = {kind: list(found) for kind, found in self._problems.items()}
            for arrival in self._early:
                self._judge_foreign(arrival, problems)
            lost = self._judge_endings(problems)
            duplicated = 0
            for sent in self._sent.values():
                if sent.change.repeats is None and len(self._event_ids[sent.change.number]) > 1:
                    duplicated += 1
                    problems.setdefault("two eventIds for one change:", []).append(
                        f"{sent.change.row} version {sent.change.version}"
                    )
            latencies = sorted(self._counts.latencies)
            return Verdict(
                sent=len(self._sent), published=self._published, filtered=sum(self._filtered.values()),
                dead=len(self._letters), lost=lost, duplicated=duplicated, redelivered=self._counts.redelivered,
                out_of_order=self._counts.out_of_order, p50_ms=percentile(latencies, 50),
                p99_ms=percentile(latencies, 99), problems=tuple(_in_words(problems)),
            )  # fmt: skip

    def _judge_foreign(self, arrival: _Arrival, problems: dict[str, list[str]]) -> None:
        """A position nobody got an answer for: a put call that was repeated by the client, or an invention."""
        origin = self._first.get(arrival.transaction)
        if origin is None:
            problems.setdefault("event of no change that was sent:", []).append(arrival.row)
        elif arrival.event_id in self._event_ids[origin.change.change]:
            self._counts.redelivered += 1
        else:
            self._event_ids[origin.change.change].add(arrival.event_id)

    def _judge_endings(self, problems: dict[str, list[str]]) -> int:
        lost = 0
        otherwise: Counter[str] = Counter()
        for sent in self._sent.values():
            change = sent.change
            name = f"record {change.number}, {change.kind}" + (f" of {change.row}" if change.row else "")
            ended = sent.events > 0 or sent.failure is not None
            if ended and change.ending is Ending.FILTERED:
                otherwise[change.reason] += 1
            if not ended and change.ending is not Ending.FILTERED:
                lost += 1
                problems.setdefault(f"lost, should be {change.ending}:", []).append(name)
            elif sent.events and change.ending is not Ending.PUBLISHED:
                problems.setdefault(f"published, should be {change.ending} ({change.reason}):", []).append(name)
            elif sent.failure is not None and change.ending is not Ending.DEAD:
                problems.setdefault(f"dead ({sent.failure}), should be {change.ending}:", []).append(name)
            elif change.ending is Ending.DEAD and sent.failure != change.reason:
                problems.setdefault(f"dead as {sent.failure}, should be {change.reason}:", []).append(name)
            if sent.events and sent.failure is not None:
                problems.setdefault("published and dead:", []).append(name)
        for position in self._letters.keys() - self._sent.keys():
            problems.setdefault("dead letter of no record that was sent:", []).append(position[0])
        wanted = {reason: n for (ending, reason), n in self._expected.items() if ending is Ending.FILTERED}
        for reason in sorted(wanted.keys() | self._filtered.keys()):
            wants, has = wanted.get(reason, 0), self._filtered[reason]
            if wants != has:
                problems.setdefault("filtered:", []).append(f"{has} as {reason}, should be {wants}")
                lost += max(0, wants - has - otherwise[reason])
        return lost


def percentile(ordered: list[float], percent: float) -> float | None:
    """The nearest-rank percentile of sorted numbers, to one decimal; None if there are none."""
    if not ordered:
        return None
    return round(ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)], 1)


def read_event(body: str) -> dict[str, Any]:
    """The `detail` of an event as EventBridge puts it into a queue. Raises ValueError if it is none."""
    message = json.loads(body)
    detail = message.get("detail") if isinstance(message, dict) else None
    if not isinstance(detail, dict):
        raise ValueError("a message without detail stands in the queue")  # noqa: TRY004 - it is the content
    return detail


def _in_words(problems: Mapping[str, list[str]]) -> list[str]:
    lines = []
    for kind, found in problems.items():
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        lines.append(f"{kind} {'; '.join(found[:NAMED])}{more}")
    return lines
