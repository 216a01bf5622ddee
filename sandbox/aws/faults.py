"""Scripted faults: rules that say which calls fail, how, and how often they did."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from sandbox.aws.errors import AwsError
from sandbox.aws.fault_kinds import KINDS, OF_ENTRIES, SILENT, TOLD, refusal
from sandbox.aws.fields import Body
from sandbox.aws.place import Clock

Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Index = Annotated[int, msgspec.Meta(ge=0)]
Scalar = str | int | float | bool | None
ErrorStatus = Annotated[int, msgspec.Meta(ge=400, le=599)]


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One kind of fault, and the calls it happens to: every one that fits `service`, `operation`, `stream`, `shard`.

    The first fault is that of the `nth` fitting call (from 1); `times` is how many there are (None: no end); of what
    is left, `probability` is the share that fails, by dice with the seed `seed`; all within `lasts` seconds after the
    rule was added (None: no end). Calls are counted, but for the kind `entry`: there, entries are.

    `bus`, `source`, `detail_type` and `detail` (values by dotted path) choose entries of PutEvents: a call that has one
    of them fits, and the kinds `partial` and `entry` happen to them alone. `entries` (places from 0, None: all) belongs
    to partial and entry, and says which results are missing in short (None: the last); `code` belongs to partial, entry
    and error, `status` to error; `seconds` and `spread` (up to so many more, by dice) to slow. `message` replaces that
    of an error.
    """

    kind: str
    service: str = "kinesis"
    operation: str | None = None
    stream: str | None = None
    shard: str | None = None
    bus: str | None = None
    source: str | None = None
    detail_type: str | None = None
    detail: dict[str, Scalar] | None = None
    nth: Count = 1
    times: Count | None = None
    probability: Share = 1.0
    seed: int = 0
    lasts: Seconds | None = None
    seconds: Seconds = 1.0
    spread: Seconds = 0.0
    entries: tuple[Index, ...] | None = None
    code: str | None = None
    status: ErrorStatus = 400
    message: str | None = None

    @property
    def chooses(self) -> bool:
        """Whether it is about some entries only, by what they say."""
        return any(wish is not None for wish in (self.bus, self.source, self.detail_type, self.detail))

    def means(self, entry: Body) -> bool:
        """Whether an entry of PutEvents is one of those it chooses."""
        if (
            self.bus is not None
            and str(entry.get("EventBusName") or "default").rpartition(":event-bus/")[2] != self.bus
        ):
            return False
        if self.source is not None and entry.get("Source") != self.source:
            return False
        if self.detail_type is not None and entry.get("DetailType") != self.detail_type:
            return False
        return self.detail is None or _holds(entry.get("Detail"), self.detail)


class FaultReport(msgspec.Struct, frozen=True):
    """A rule that is in force: how many calls fitted it, and how many of them it made fail."""

    id: str
    rule: FaultRule
    matched: int
    fired: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about; a batch of records may be about several shards. `entries` are those of PutEvents."""

    stream: str | None = None
    shards: Collection[str] = ()
    entries: Sequence[Body] = ()


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens to one call. At most one of the others is set; any of them may come `delay` seconds late."""

    delay: float = 0.0
    error: AwsError | None = None
    cut: str | None = None  # cut_before, cut_after or truncate
    short: FaultRule | None = None


@dataclass(slots=True)
class Fault:
    """A rule and its counts. `until` is when it ends, in seconds since 1970."""

    id: str
    rule: FaultRule
    until: float | None = None
    matched: int = 0
    fired: int = 0
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.rule.seed)

    def report(self) -> FaultReport:
        return FaultReport(self.id, self.rule, self.matched, self.fired)

    def fires(self, subject: Subject, now: float) -> bool:
        """Count the call if it fits, and say whether it fails."""
        rule = self.rule
        if rule.stream is not None and rule.stream != subject.stream:
            return False
        if rule.shard is not None and rule.shard not in subject.shards:
            return False
        if rule.chooses and not any(rule.means(entry) for entry in subject.entries):
            return False
        return self._counts(now)

    def failing(self, entries: Sequence[tuple[int, Body]], now: float) -> list[int]:
        """Which places of a batch fail, for the kinds `partial` and `entry`; counts calls or entries, as these do."""
        rule = self.rule
        fitting = [
            place
            for place, entry in entries
            if (rule.entries is None or place in rule.entries) and (not rule.chooses or rule.means(entry))
        ]
        if rule.kind == "entry":
            return [place for place in fitting if self._counts(now)]
        return fitting if fitting and self._counts(now) else []

    def delay(self) -> float:
        """Seconds, of a slow call."""
        rule = self.rule
        return rule.seconds + (self.dice.random() * rule.spread if rule.spread else 0.0)

    def _counts(self, now: float) -> bool:
        rule = self.rule
        if self.until is not None and now >= self.until:
            return False
        self.matched += 1
        if self.matched < rule.nth or (rule.times is not None and self.fired >= rule.times):
            return False
        if rule.probability < 1 and self.dice.random() >= rule.probability:
            return False
        self.fired += 1
        return True


class Faults:
    """All rules. `of_call` has those of `service.Operation`, and no entry for a call without any."""

    def __init__(self, calls: Collection[str], clock: Clock) -> None:
        """`calls` are all the server offers, as `service.Operation`."""
        self._clock = clock
        self.of_call: dict[str, list[Fault]] = {}
        self._calls = sorted(calls)
        self._faults: dict[str, Fault] = {}
        self._added = 0

    def add(self, rule: FaultRule) -> FaultReport:
        """Put a rule in force, after those there are. Raises ValueError, with what is allowed."""
        self._check(rule)
        self._added += 1
        until = None if rule.lasts is None else self._clock() + rule.lasts
        fault = Fault(str(self._added), rule, until)
        self._faults[fault.id] = fault
        self._sort()
        return fault.report()

    def reports(self) -> list[FaultReport]:
        """In the order in which they were added."""
        return [fault.report() for fault in self._faults.values()]

    def report(self, fault_id: str) -> FaultReport | None:
        fault = self._faults.get(fault_id)
        return fault.report() if fault is not None else None

    def remove(self, fault_id: str) -> FaultReport | None:
        """Its last counts; None if there is no such rule."""
        fault = self._faults.pop(fault_id, None)
        self._sort()
        return fault.report() if fault is not None else None

    def clear(self) -> list[FaultReport]:
        """The last counts of all."""
        last = self.reports()
        self._faults.clear()
        self._sort()
        return last

    def _sort(self) -> None:
        self.of_call = {}
        for fault in self._faults.values():
            for call in self._fitting(fault.rule):
                self.of_call.setdefault(call, []).append(fault)

    def _fitting(self, rule: FaultRule) -> list[str]:
        allowed = KINDS[rule.kind].calls
        return [
            call
            for call in self._calls
            if call.startswith(f"{rule.service}.")
            and rule.operation in (None, call.partition(".")[2])
            and (allowed is None or call in allowed)
        ]

    def _check(self, rule: FaultRule) -> None:
        services = sorted({call.partition(".")[0] for call in self._calls})
        if rule.kind not in KINDS:
            raise ValueError(f"kind {rule.kind!r} is not one of {', '.join(KINDS)}")
        if rule.service not in services:
            raise ValueError(f"service {rule.service!r} is not one of {', '.join(services)}")
        operations = [call.partition(".")[2] for call in self._calls if call.startswith(f"{rule.service}.")]
        if rule.operation is not None and rule.operation not in operations:
            raise ValueError(f"operation {rule.operation!r} is not one of {', '.join(operations)}")
        if not self._fitting(rule):
            where = ", ".join(sorted(KINDS[rule.kind].calls or ()))
            raise ValueError(f"kind {rule.kind!r} happens only to {where}")
        if rule.service != "kinesis" and (rule.stream is not None or rule.shard is not None):
            raise ValueError("stream and shard choose calls of the service 'kinesis' only")
        if rule.service == "eventsv2" and rule.bus is not None:
            raise ValueError(
                "bus chooses entries of the service 'events' only: a request to a Custom Event Bus has one"
            )
        if rule.service not in ("events", "eventsv2") and rule.chooses:
            raise ValueError("bus, source, detail_type and detail choose entries of 'events' and 'eventsv2' only")
        for name, kinds in MEMBERS.items():
            if rule.kind not in kinds and getattr(rule, name) is not None:
                raise ValueError(f"{name} belongs to {', '.join(kinds)} only")
        if rule.kind == "error" and rule.code is None:
            raise ValueError("kind 'error' needs a code")


MEMBERS = {"entries": ("partial", "entry", "short"), "code": ("partial", "entry", "error")}


def strike(faults: Sequence[Fault], subject: Subject, call: str, now: float) -> Strike:
    """What the rules of a call make of it: slowness adds up, and the first of the others that fires decides.

    Those of entries are not asked here (see `sandbox/aws/broken.py`).
    """
    delay = 0.0
    for fault in faults:
        rule = fault.rule
        if rule.kind in OF_ENTRIES or not fault.fires(subject, now):
            continue
        if rule.kind == "slow":
            delay += fault.delay()
        elif rule.kind == "short":
            return Strike(delay, short=rule)
        elif rule.kind in SILENT:
            return Strike(delay, cut=rule.kind)
        elif rule.kind == "error":
            return Strike(delay, error=AwsError(rule.code or "", rule.message or TOLD, status=rule.status))
        else:
            return Strike(delay, error=refusal(rule.kind, call, rule.message))
    return Strike(delay)


def _holds(text: object, wanted: Mapping[str, Scalar]) -> bool:
    """Whether the text of a Detail has these values, by dotted path."""
    try:
        detail = msgspec.json.decode(text) if isinstance(text, str) else None
    except (msgspec.DecodeError, RecursionError):
        return False
    return all(_stands_at(detail, path, value) for path, value in wanted.items())


def _stands_at(found: Any, path: str, wanted: Scalar) -> bool:
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            return False
        found = found[name]
    # In Python True equals 1; in JSON it does not.
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
