"""The audit as a whole: which evidence is read in which order."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import TopicPartition

from workers.audit.counts import Baseline, Counted, Edge, Forwarded, Mark
from workers.audit.evidence import CLIENT, read_shards
from workers.audit.report import Audit, Where
from workers.audit.tallies import (
    NOWHERE,
    InputTally,
    OutputTally,
    RawTally,
    ShardTally,
    input_of_event,
    input_of_letter,
    input_of_receipt,
    is_gap,
)
from workers.audit.verdicts import (
    Line,
    hidden_of_raw,
    judge_partition,
    judge_shard,
    no_position,
    stranger,
)
from workers.groups import committed_offsets
from workers.kafka_connection import KafkaConnection
from workers.kafka_logs import PATIENCE, Log, Tell, ends, read_logs
from workers.settings import Settings
from workers.topics import Topics, group_of

Tallies = dict[Where, OutputTally]
Logs = dict[TopicPartition, Log]


async def audit(
    settings: Settings, connection: KafkaConnection, stages: Collection[str], baseline: Baseline | None, tell: Tell,
    *, patience: float = PATIENCE,
) -> Audit:  # fmt: skip
    """Read everything the stages speak of, and judge. Raises KafkaError, CommandError."""
    return await _Audit(settings, connection, stages, baseline, tell, patience).run()


class _Audit:
    def __init__(
        self, settings: Settings, connection: KafkaConnection, stages: Collection[str], baseline: Baseline | None,
        tell: Tell, patience: float,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.connection = connection
        self.stages = tuple(stages)
        self.baseline = baseline
        self.tell = tell
        self.patience = patience
        self.topics = Topics.of(settings)
        self.sources = {
            stage: source for stage, source in (("enrich", self.topics.raw), ("publish", self.topics.events))
            if stage in stages
        }  # fmt: skip
        self.foreign: dict[str, int] = defaultdict(int)
        self.logs: Logs = {}
        self.totals: dict[Where, Counted] = {}

    async def run(self) -> Audit:
        counted = await self._positions()
        raw_starts: dict[TopicPartition, int] = {}
        shards: dict[tuple[str, str], Forwarded] = {}
        if "bridge" in self.stages:
            # Before the checkpoints: what a checkpoint does not know yet stands above these.
            raw_starts = await ends(self.connection, CLIENT, self._tps(self.topics.raw), stable=True)
            shards = await self._checkpoints()
        goals = await self._goals()
        raw_edges = {tp.partition: Edge(start, goals[tp]) for tp, start in raw_starts.items()}
        letters = {where: self._tally(where, told, "dead", keep=True) for where, told in counted.items()}
        await self._read_dead(goals, letters)
        outputs = {
            where: self._tally(where, told, "out", elsewhere=letters[where].offsets) for where, told in counted.items()
        }
        inputs = {where: InputTally(told.since or 0, told.offset) for where, told in counted.items()}
        edges = self.baseline.raw_edges if self.baseline is not None else {}
        seen = {partition: edge.end for partition, edge in edges.items()}
        forwarded = self._since(shards)
        raw = RawTally({key: ShardTally(told.since, told.place, seen) for key, told in forwarded.items()})
        await self._read_raw(goals, inputs, raw)
        await self._read_events(goals, inputs, outputs)
        await self._read_receipts(goals, outputs)
        lines = [*await self._judge_shards(forwarded, raw, edges), *self._judge(counted, inputs, outputs, letters)]
        foreign = {topic: n for topic, n in ((self.topics.raw, raw.foreign), *self.foreign.items()) if n}
        return Audit(self.stages, tuple(lines), raw_edges, foreign, self.totals, shards)

    # what the stages say

    async def _positions(self) -> dict[Where, Counted]:
        found = {}
        for stage, topic in self.sources.items():
            offsets = await committed_offsets(self.connection, group_of(self.settings, stage), self._tps(topic))
            for tp, entry in offsets.items():
                told = Counted.of(entry.offset, entry.metadata)
                mark = self._mark(stage, tp.partition)
                self.totals[stage, tp.partition] = told
                found[stage, tp.partition] = told.after(mark.counted) if mark is not None else told
        return found

    async def _checkpoints(self) -> dict[tuple[str, str], Forwarded]:
        return await read_shards(
            self.connection, self.topics.checkpoints, self.settings.source_slots, self.tell, self.patience
        )  # fmt: skip

    def _since(self, shards: dict[tuple[str, str], Forwarded]) -> dict[tuple[str, str], Forwarded]:
        if self.baseline is None:
            return shards
        earlier = self.baseline.shards
        return {key: told.after(earlier[key]) if key in earlier else told for key, told in shards.items()}

    def _mark(self, stage: str, partition: int) -> Mark | None:
        return self.baseline.marks.get((stage, partition)) if self.baseline is not None else None

    def _tally(
        self, where: Where, told: Counted, kind: str, *, keep: bool = False, elsewhere: Any = ()
    ) -> OutputTally:  # fmt: skip
        mark = self._mark(*where)
        before = None if mark is None else mark.dead if kind == "dead" else mark.out
        return OutputTally(told.since or 0, told.offset, before=before, keep=keep, elsewhere=elsewhere)

    # what stands in the topics

    def _tps(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, index) for index in range(self.settings.partitions)]

    async def _goals(self) -> dict[TopicPartition, int]:
        topics = self.topics
        needed = {
            topics.dead: bool(self.sources),
            topics.raw: "bridge" in self.stages or "enrich" in self.stages,
            topics.events: bool(self.sources),
            topics.receipts: "publish" in self.stages,
        }
        tps = [tp for topic, wanted in needed.items() if wanted for tp in self._tps(topic)]
        return await ends(self.connection, CLIENT, tps, stable=False)

    async def _read(self, topic: str, goals: dict[TopicPartition, int], apply: Any) -> None:
        of_topic = {tp: goal for tp, goal in goals.items() if tp.topic == topic}
        if of_topic:
            self.logs |= await read_logs(self.connection, CLIENT, of_topic, apply, self.tell, self.patience)

    async def _read_dead(self, goals: dict[TopicPartition, int], letters: Tallies) -> None:
        def apply(record: Any) -> None:
            letter = input_of_letter(record.headers)
            if letter is not None:
                stage, topic, partition, offset = letter
                if self.sources.get(stage) == topic and (stage, partition) in letters:
                    letters[stage, partition].note(offset, record.offset)
                return
            if not is_gap(record.headers):
                self.foreign[self.topics.dead] += 1

        await self._read(self.topics.dead, goals, apply)

    async def _read_raw(self, goals: dict[TopicPartition, int], inputs: dict[Where, InputTally], raw: RawTally) -> None:
        shards, enrich = "bridge" in self.stages, [inputs.get(("enrich", p)) for p in range(self.settings.partitions)]

        def apply(record: Any) -> None:
            tally = enrich[record.partition]
            if tally is not None:
                tally.note(record)
            if shards:
                raw.note(record)

        await self._read(self.topics.raw, goals, apply)

    async def _read_events(
        self, goals: dict[TopicPartition, int], inputs: dict[Where, InputTally], outputs: Tallies
    ) -> None:  # fmt: skip
        enrich = [outputs.get(("enrich", p)) for p in range(self.settings.partitions)]
        publish = [inputs.get(("publish", p)) for p in range(self.settings.partitions)]

        def apply(record: Any) -> None:
            read_by, made_by = publish[record.partition], enrich[record.partition]
            if read_by is not None:
                read_by.note(record)
            if made_by is not None:
                self._note(made_by, input_of_event(record.value), record)

        await self._read(self.topics.events, goals, apply)

    async def _read_receipts(self, goals: dict[TopicPartition, int], outputs: Tallies) -> None:
        def apply(record: Any) -> None:
            tally = outputs.get(("publish", record.partition))
            if tally is not None:
                self._note(tally, input_of_receipt(record.value), record)

        await self._read(self.topics.receipts, goals, apply)

    def _note(self, tally: OutputTally, source_offset: int | None, record: Any) -> None:
        if source_offset is None:
            self.foreign[record.topic] += 1
        elif source_offset == NOWHERE:
            tally.nameless += 1
        else:
            tally.note(source_offset, record.offset)

    # verdicts

    def _judge(
        self, counted: dict[Where, Counted], inputs: dict[Where, InputTally], outputs: Tallies, letters: Tallies
    ) -> list[Line]:  # fmt: skip
        sinks = {"enrich": self.topics.events, "publish": self.topics.receipts}
        lines = []
        for stage, source in self.sources.items():
            for tp in self._tps(source):
                where = (stage, tp.partition)
                if where not in counted:
                    lines.append(no_position(*where))
                    continue
                out, dead = (self.logs[TopicPartition(t, tp.partition)] for t in (sinks[stage], self.topics.dead))
                lines.append(
                    judge_partition(
                        stage, counted[where], self.logs[tp], inputs[where], (out, outputs[where]),
                        (dead, letters[where]),
                    )
                )  # fmt: skip
        return lines

    async def _judge_shards(
        self, shards: dict[tuple[str, str], Forwarded], raw: RawTally, edges: Mapping[int, Edge]
    ) -> list[Line]:  # fmt: skip
        if "bridge" not in self.stages:
            return []
        hidden = hidden_of_raw((self.logs[tp] for tp in self._tps(self.topics.raw)), edges)
        lines = [
            judge_shard(told, raw.shards[key], hidden)
            for key, told in sorted(shards.items(), key=lambda item: (item[1].slot, item[0]))
        ]
        if raw.strangers:  # a shard that began a moment ago has its checkpoint by now
            known = await self._checkpoints()
            lines += [stranger(*key, n) for key, n in sorted(raw.strangers.items()) if key not in known]
        return lines
