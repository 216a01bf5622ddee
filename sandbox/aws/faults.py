"""Scripted faults: rules that say which calls fail, how, and how often they did."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from sandbox.aws.errors import AwsError
from sandbox.aws.fault_kinds import KINDS, SILENT, refusal, throttle_code

Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Index = Annotated[int, msgspec.Meta(ge=0)]


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One kind of fault, and the calls it happens to: every one that fits `service`, `operation`, `stream`, `shard`.

    The first fault is that of the `nth` fitting call (from 1); `times` is how many there are (None: no end); of what
    is left, `probability` is the share that fails, by dice with the seed `seed`. `seconds` belongs to slow; `entries`
    (places from 0, None: all) and `code` belong to partial. `message` replaces that of an error.
    """

    kind: str
    service: str = "kinesis"
    operation: str | None = None
    stream: str | None = None
    shard: str | None = None
    nth: Count = 1
    times: Count | None = None
    probability: Share = 1.0
    seed: int = 0
    seconds: Seconds = 1.0
    entries: tuple[Index, ...] | None = None
    code: str | None = None
    message: str | None = None


class FaultReport(msgspec.Struct, frozen=True):
    """A rule that is in force: how many calls fitted it, and how many of them it made fail."""

    id: str
    rule: FaultRule
    matched: int
    fired: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about; a batch of records may be about several shards."""

    stream: str | None = None
    shards: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens to one call. At most one of the others is set; any of them may come `delay` seconds late."""

    delay: float = 0.0
    error: AwsError | None = None
    cut: str | None = None  # cut_before, cut_after or truncate
    partial: FaultRule | None = None


@dataclass(slots=True)
class Fault:
    """A rule and its counts."""

    id: str
    rule: FaultRule
    matched: int = 0
    fired: int = 0
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.rule.seed)

    def report(self) -> FaultReport:
        return FaultReport(self.id, self.rule, self.matched, self.fired)

    def fires(self, subject: Subject) -> bool:
        """Count the call if it fits, and say whether it fails."""
        rule = self.rule
        if rule.stream is not None and rule.stream != subject.stream:
            return False
        if rule.shard is not None and rule.shard not in subject.shards:
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

    def __init__(self, calls: Collection[str]) -> None:
        """`calls` are all the server offers, as `service.Operation`."""
        self.of_call: dict[str, list[Fault]] = {}
        self._calls = sorted(calls)
        self._faults: dict[str, Fault] = {}
        self._added = 0

    def add(self, rule: FaultRule) -> FaultReport:
        """Put a rule in force, after those there are. Raises ValueError, with what is allowed."""
        self._check(rule)
        self._added += 1
        fault = Fault(str(self._added), rule)
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
        if rule.kind != "partial" and (rule.entries is not None or rule.code is not None):
            raise ValueError("entries and code belong to the kind 'partial' only")


def strike(faults: Sequence[Fault], subject: Subject, call: str) -> Strike:
    """What the rules of a call make of it: slowness adds up, and the first of the others that fires decides."""
    delay = 0.0
    for fault in faults:
        if not fault.fires(subject):
            continue
        rule = fault.rule
        if rule.kind == "slow":
            delay += rule.seconds
        elif rule.kind == "partial":
            return Strike(delay, partial=rule)
        elif rule.kind in SILENT:
            return Strike(delay, cut=rule.kind)
        else:
            return Strike(delay, error=refusal(rule.kind, call, rule.message))
    return Strike(delay)


def entry_error(rule: FaultRule, call: str) -> dict[str, str]:
    """How a batch says that one of its entries failed."""
    return {
        "ErrorCode": rule.code or throttle_code(call),
        "ErrorMessage": rule.message or "A fault rule of the stand-in says so.",
    }
