"""Judges: do the counts of a stage agree with what stands in the topics? Pure.

OK is said only of what was seen whole. Where retention has deleted a part, the rest can still contradict the counts
(BROKEN); if it does not, the verdict is UNKNOWN.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from workers.audit.counts import OTHER, Counted, Forwarded
from workers.audit.tallies import InputTally, OutputTally, ShardTally


class Verdict(StrEnum):
    """From best to worst."""

    OK = "OK"
    UNKNOWN = "UNKNOWN"
    BROKEN = "BROKEN"


SEVERITY = tuple(Verdict)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of them; OK for none."""
    return max(verdicts, key=SEVERITY.index, default=Verdict.OK)


@dataclass(frozen=True, slots=True)
class Check:
    """One statement about a partition or a shard."""

    name: str
    """Stable: position, balanced, input, output, dead, markers, once, gaps, checkpoint."""
    verdict: Verdict
    counted: int | None = None
    """What the stage says."""
    found: int | None = None
    """What stands in the topic."""
    reason: str = ""
    """Empty if OK. Names topics and offsets, never a key or a value (P6)."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A part of a log that cannot be seen: at most `records`, and why. Empty `why`: everything was seen."""

    records: int = 0
    why: str = ""
    boundless: bool = False
    """Nothing can be concluded, whatever the rest holds."""


@dataclass(frozen=True, slots=True)
class Log:
    """One partition that was read: from `start` to `reached`; `end` is where it should have been read to."""

    topic: str
    partition: int
    start: int
    reached: int
    end: int

    @property
    def unread(self) -> Hidden:
        """The end of a log is hidden behind a transaction that nobody ends."""
        missing = self.end - self.reached
        return Hidden(missing, f"{self} could not be read from {self.reached} on: an open transaction") if missing > 0 \
            else Hidden()  # fmt: skip

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class Line:
    """Everything about one partition of a stage, or one shard of the bridge."""

    stage: str
    partition: int
    counted: Counted | Forwarded | None
    checks: tuple[Check, ...]
    markers: int = 0
    """Bridge: markers of changed keys, which are no records of the shard."""
    edges: dict[str, int] = field(default_factory=dict)
    """Where later outputs and dead letters stand; for the next audit."""

    @property
    def verdict(self) -> Verdict:
        """The worst of its checks."""
        return worst(check.verdict for check in self.checks)


def no_position(stage: str, partition: int) -> Line:
    """A partition without a committed offset."""
    why = "no committed offset: the stage has not started, or its offsets were lost"
    return Line(stage, partition, None, (Check("position", Verdict.UNKNOWN, reason=why),))


def judge_partition(
    stage: str,
    counted: Counted,
    source: Log,
    inputs: InputTally,
    outputs: tuple[Log, OutputTally],
    letters: tuple[Log, OutputTally],
    gaps: Sequence[tuple[int, int]] = (),
) -> Line:
    """One partition of enrich or publish. `gaps`: (start, end) of the recorded gaps of this partition."""
    checks = [_position(counted, source, gaps), _balanced(counted)]
    found = _agree("input", counted.inputs, inputs.records, _hidden_input(counted, source, gaps), f"{source}")
    if found.verdict is Verdict.BROKEN and counted.since is None:
        found = Check("input", found.verdict, found.counted, found.found,
                      f"{inputs.records - counted.inputs} records of {source} below offset {counted.offset} are in no "
                      f"count: the offset was set by hand")  # fmt: skip
    checks.append(found)
    for name, told, (log, tally) in (("output", counted.out, outputs), ("dead", counted.dead, letters)):
        checks.append(_agree(name, told, tally.records, _hidden_output(counted, log, tally, told, gaps), f"{log}"))
    if stage == "enrich" and OTHER not in counted.counts:
        checks.append(_markers(counted, source, inputs, gaps))
    checks.append(_once(outputs[1].twice + letters[1].twice))
    if counted.skipped or gaps:
        what = f"{counted.skipped} offsets of {source} were deleted before the stage had read them"
        checks.append(Check("gaps", Verdict.UNKNOWN, counted.skipped, reason=f"{what}: nobody knows what was in them"))
    edges = {
        name: max(tally.edge, log.start) for name, (log, tally) in (("out", outputs), ("dead", letters))
    }  # fmt: skip
    return Line(stage, source.partition, counted, tuple(checks), edges=edges)


def judge_shard(told: Forwarded, tally: ShardTally, hidden: Hidden) -> Line:
    """One shard of the bridge; `hidden`: records of raw that cannot be seen."""
    checks = (_agree("output", told.records, tally.records, hidden, "the raw topic"), _once(tally.twice))
    return Line("bridge", told.slot, told, checks, markers=tally.markers)


def stranger(stream: str, shard: str, records: int) -> Line:
    """A shard whose records stand in raw without any checkpoint."""
    told = Forwarded(stream, shard, -1, "", None, None, 0, 0)
    why = f"{records} records of this shard stand in the raw topic, but it has no checkpoint: it was lost"
    return Line("bridge", -1, told, (Check("checkpoint", Verdict.BROKEN, 0, records, why),))


def hidden_of_raw(logs: Iterable[Log], edges: dict[int, int] | None) -> Hidden:
    """What the raw topic does not show of any shard. `edges`: where an earlier audit stood; without them every
    deleted record may have been one of the shard's."""
    hidden, whys = 0, []
    for log in logs:
        gone = log.start - (edges.get(log.partition, 0) if edges is not None else 0)
        for part in (Hidden(gone, f"{log} begins at {log.start}") if gone > 0 else Hidden(), log.unread):
            hidden += part.records
            whys += [part.why] if part.why else []
    return Hidden(hidden, "; ".join(whys[:3]) + ("…" if len(whys) > 3 else ""))


def _position(counted: Counted, source: Log, gaps: Sequence[tuple[int, int]]) -> Check:
    why = ""
    if counted.offset > source.end:
        why = f"offset {counted.offset} lies beyond the end of {source}, {source.end}"
    elif counted.since is not None and counted.offset < counted.since and not _made_anew(gaps):
        why = f"the offset went back from {counted.since} to {counted.offset}"
    return Check("position", Verdict.BROKEN if why else Verdict.OK, counted.offset, source.end, why)


def _balanced(counted: Counted) -> Check:
    ended = counted.out + counted.dead + counted.dropped
    if ended == counted.inputs and min(counted.counts.values(), default=0) >= 0:
        return Check("balanced", Verdict.OK, counted.inputs, ended)
    why = f"of {counted.inputs} inputs {ended} ended: {counted.out} out, {counted.dead} dead, {counted.dropped} dropped"
    if ended == counted.inputs:
        why = "a count went back since the earlier audit"
    return Check("balanced", Verdict.BROKEN, counted.inputs, ended, why)


def _agree(name: str, counted: int, found: int, hidden: Hidden, where: str) -> Check:
    """`found` of what was counted stand there, and at most `hidden` more may have."""
    if hidden.boundless or (hidden.why and found <= counted <= found + hidden.records):
        return Check(name, Verdict.UNKNOWN, counted, found, f"{found} of {counted} seen: {hidden.why}")
    if found == counted:
        return Check(name, Verdict.OK, counted, found)
    difference = f"{abs(counted - found)} {'fewer' if found < counted else 'more'} than counted"
    return Check(name, Verdict.BROKEN, counted, found, f"{where} holds {found} records, {difference}")


def _hidden_input(counted: Counted, source: Log, gaps: Sequence[tuple[int, int]]) -> Hidden:
    if counted.since is None:
        return Hidden(counted.inputs, "the offset was set by hand, nobody knows where counting began")
    if _made_anew(gaps):
        return Hidden(0, f"{source} was made anew under the stage", boundless=True)
    gone = min(source.start, counted.offset) - counted.since
    if gone > 0:
        return Hidden(gone, f"{source} begins at {source.start}, counting began at {counted.since}")
    return source.unread if source.reached < counted.offset else Hidden()


def _hidden_output(
    counted: Counted, log: Log, tally: OutputTally, told: int, gaps: Sequence[tuple[int, int]]
) -> Hidden:
    if counted.since is None:
        return Hidden(counted.inputs, "the offset was set by hand, nobody knows where counting began")
    if _made_anew(gaps):
        return Hidden(0, "its source was made anew under the stage", boundless=True)
    if log.start > tally.log_edge and not tally.seen_below:
        return Hidden(log.start - tally.log_edge + tally.nameless, f"{log} begins at {log.start}")
    if tally.nameless and told > tally.records:
        return Hidden(tally.nameless + log.unread.records, f"{tally.nameless} records of {log} name no input")
    return log.unread


def _made_anew(gaps: Sequence[tuple[int, int]]) -> bool:
    """Beyond the end of a log: its offsets begin again, and mean other records than those that were counted."""
    return any(end < start for start, end in gaps)


def _markers(counted: Counted, source: Log, inputs: InputTally, gaps: Sequence[tuple[int, int]]) -> Check:
    """Of all drops those that show in the record itself."""
    dropped = counted.drops.get("key_moved", 0) + counted.drops.get("tombstone", 0)
    found = inputs.markers + inputs.tombstones
    hidden = _hidden_input(counted, source, gaps)
    if not hidden.why and counted.drops.get("key_moved", 0) != inputs.markers and dropped == found:
        why = f"{inputs.markers} markers of changed keys, {counted.drops.get('key_moved', 0)} counted as key_moved"
        return Check("markers", Verdict.BROKEN, dropped, found, why)
    return _agree("markers", dropped, found, hidden, f"{source}, without a value,")


def _once(twice: int) -> Check:
    if not twice:
        return Check("once", Verdict.OK, 0, 0)
    return Check("once", Verdict.BROKEN, 0, twice, f"{twice} records stand for an input that had ended before")
