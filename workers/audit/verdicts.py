"""Judges: do the counts of a stage agree with what stands in the topics? Pure.

OK is said only of what was seen whole. Where retention has deleted a part, the rest can still contradict the counts
(BROKEN); if it does not, the verdict is UNKNOWN.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from workers.audit.counts import OTHER, Counted, Edge, Forwarded
from workers.audit.tallies import InputTally, OutputTally, ShardTally
from workers.kafka.logs import Log


class Verdict(StrEnum):
    """From best to worst."""

    OK = "OK"
    UNKNOWN = "UNKNOWN"
    BROKEN = "BROKEN"


SEVERITY = tuple(Verdict)
SHOWN = 3
"""Reasons in one text."""


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

    def __add__(self, other: "Hidden") -> "Hidden":
        whys = [why for why in (self.why, other.why) if why]
        return Hidden(self.records + other.records, "; ".join(whys), self.boundless or other.boundless)


@dataclass(frozen=True, slots=True)
class Line:
    """Everything about one partition of a stage, or one shard of the bridge."""

    stage: str
    topic: str | None
    """That the stage reads; of the bridge, the raw topic it writes. None: nobody knows which one."""
    partition: int
    counted: Counted | Forwarded | None
    checks: tuple[Check, ...]
    markers: int = 0
    """Bridge: markers of changed keys, which are no records of the shard."""
    edges: dict[str, Edge] = field(default_factory=dict)
    """Of the outputs (`out`) and the dead letters (`dead`), for the next audit."""

    @property
    def verdict(self) -> Verdict:
        """The worst of its checks."""
        return worst(check.verdict for check in self.checks)


def no_position(stage: str, topic: str, partition: int) -> Line:
    """A partition without a committed offset."""
    why = "no committed offset: the stage has not started, or its offsets were lost"
    return Line(stage, topic, partition, None, (Check("position", Verdict.UNKNOWN, reason=why),))


def judge_partition(
    stage: str,
    counted: Counted,
    source: Log,
    inputs: InputTally,
    outputs: tuple[Log, OutputTally],
    letters: tuple[Log, OutputTally],
) -> Line:
    """One partition of enrich or publish."""
    checks = [_position(counted, source), _balanced(counted)]
    found = _agree("input", counted.inputs, inputs.records, _hidden_input(counted, source), f"{source}")
    if found.verdict is Verdict.BROKEN and counted.since is None:
        found = Check("input", found.verdict, found.counted, found.found,
                      f"{inputs.records - counted.inputs} records of {source} below offset {counted.offset} are in no "
                      f"count: the offset was set by hand")  # fmt: skip
    checks.append(found)
    for name, told, (log, tally) in (("output", counted.out, outputs), ("dead", counted.dead, letters)):
        checks.append(_agree(name, told, tally.records, _hidden_output(counted, log, tally, told), f"{log}"))
    if stage == "enrich" and OTHER not in counted.counts:
        checks.append(_markers(counted, source, inputs))
    checks.append(_once(outputs[1].twice + letters[1].twice, remade=counted.remade))
    if counted.skipped:
        what = f"{counted.skipped} offsets of {source} were deleted before the stage had read them"
        checks.append(Check("gaps", Verdict.UNKNOWN, counted.skipped, reason=f"{what}: nobody knows what was in them"))
    if counted.remade:
        checks.append(Check("gaps", Verdict.UNKNOWN, reason=f"{source} was made anew under the stage"))
    edges = {name: _edge(log, tally) for name, (log, tally) in (("out", outputs), ("dead", letters))}
    return Line(stage, source.topic, source.partition, counted, tuple(checks), edges=edges)


def judge_shard(told: Forwarded, topic: str, tally: ShardTally, hidden: Hidden, doubt: str = "") -> Line:
    """One shard of the bridge; `hidden`: records of raw that cannot be seen. `doubt`: why `tally` may not be that of
    the shard, or not of it alone; then it contradicts nothing."""
    checks = [_agree("output", told.records, tally.records, hidden, topic), _once(tally.twice)]
    if doubt:
        checks = [
            replace(check, verdict=Verdict.UNKNOWN, reason=f"{check.reason}; {doubt}")
            if check.verdict is Verdict.BROKEN else check
            for check in checks
        ]  # fmt: skip
    return Line("bridge", topic, told.slot, told, tuple(checks), markers=tally.markers)


def judge_homeless(told: Forwarded, doubt: str) -> Line:
    """A shard of a stream whose raw topic nobody knows, for which nothing can be said but that it says nothing new."""
    if not told.records:
        return Line("bridge", None, told.slot, told, (Check("output", Verdict.OK, 0, 0),))
    why = f"{told.records} records cannot be looked for: {doubt}"
    return Line("bridge", None, told.slot, told, (Check("output", Verdict.UNKNOWN, told.records, None, why),))


def stranger(topic: str, stream: str, shard: str, records: int) -> Line:
    """A shard whose records stand in raw without any checkpoint."""
    told = Forwarded(stream, shard, -1, "", None, None, 0, 0)
    why = f"{records} records of this shard stand in {topic}, but it has no checkpoint: it was lost"
    return Line("bridge", topic, -1, told, (Check("checkpoint", Verdict.BROKEN, 0, records, why),))


def hidden_of_raw(logs: Iterable[Log], edges: Mapping[int, Edge]) -> Hidden:
    """What the raw topic does not show of any shard. `edges`: where an earlier audit stood; without them every
    deleted record may have been one of the shard's."""
    parts = [
        part for log in logs for part in (_gone(log, edges.get(log.partition, Edge()).later), _unread(log)) if part.why
    ]
    shown = sum(parts[:SHOWN], Hidden())
    return Hidden(sum(part.records for part in parts), shown.why + ("…" if len(parts) > SHOWN else ""))


def _gone(log: Log, since: int) -> Hidden:
    """What retention has deleted behind `since`."""
    return Hidden(log.start - since, f"{log} begins at {log.start}") if log.start > since else Hidden()


def _unread(log: Log) -> Hidden:
    why = f"{log} could not be read from {log.reached} on (an open transaction, or no leader)"
    return Hidden(log.missing, why) if log.missing else Hidden()


def _edge(log: Log, tally: OutputTally) -> Edge:
    if log.missing:
        return Edge(max(tally.edge, log.start), log.end)
    # Without a later output the trailing control records belong to what was read.
    return Edge(max(tally.edge if tally.later else log.reached, log.start), log.end)


def _position(counted: Counted, source: Log) -> Check:
    why = ""
    if counted.offset > source.end:
        why = f"offset {counted.offset} lies beyond the end of {source}, {source.end}"
    elif counted.since is not None and counted.offset < counted.since and not counted.remade:
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


def _hidden_input(counted: Counted, source: Log) -> Hidden:
    if counted.since is None:
        return Hidden(counted.inputs, "the offset was set by hand, nobody knows where counting began")
    if counted.remade:
        return Hidden(0, f"{source} was made anew under the stage", boundless=True)
    gone = min(source.start, counted.offset) - counted.since
    why = f"{source} begins at {source.start}, counting began at {counted.since}"
    hidden = Hidden(gone, why) if gone > 0 else Hidden()
    return hidden + _unread(source) if source.reached < counted.offset else hidden


def _hidden_output(counted: Counted, log: Log, tally: OutputTally, told: int) -> Hidden:
    if counted.since is None:
        return Hidden(counted.inputs, "the offset was set by hand, nobody knows where counting began")
    if counted.remade:
        return Hidden(0, "its source was made anew under the stage", boundless=True)
    # An output from before is still there, hence all later ones are; unless retention opened a hole while we read.
    hidden = Hidden() if tally.seen_below and not log.holed else _gone(log, tally.before.later)
    if tally.nameless and told > tally.records:
        hidden += Hidden(tally.nameless, f"{tally.nameless} records of {log} name no input")
    return hidden + _unread(log)


def _markers(counted: Counted, source: Log, inputs: InputTally) -> Check:
    """Of all drops those that show in the record itself."""
    dropped = counted.drops.get("key_moved", 0) + counted.drops.get("tombstone", 0)
    found = inputs.markers + inputs.tombstones
    hidden = _hidden_input(counted, source)
    if not hidden.why and counted.drops.get("key_moved", 0) != inputs.markers and dropped == found:
        why = f"{inputs.markers} markers of changed keys, {counted.drops.get('key_moved', 0)} counted as key_moved"
        return Check("markers", Verdict.BROKEN, dropped, found, why)
    return _agree("markers", dropped, found, hidden, f"{source}, without a value,")


def _once(twice: int, *, remade: bool = False) -> Check:
    if not twice:
        return Check("once", Verdict.OK, 0, 0)
    if remade:
        return Check("once", Verdict.UNKNOWN, 0, twice, "the source was made anew: two inputs may have one offset")
    return Check("once", Verdict.BROKEN, 0, twice, f"{twice} records stand for an input that had ended before")
