"""The audit as a whole: which evidence is read in which order."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import TopicPartition

from workers.audit.attribution import Attribution
from workers.audit.counts import Baseline, Counted, Edge, Forwarded, Mark, ShardKey, Where
from workers.audit.evidence import CLIENT, read_shards
from workers.audit.homes import Home, homes_of
from workers.audit.report import Audit
from workers.audit.tallies import NOWHERE, InputTally, OutputTally, RawTally, ShardTally, is_gap, is_imported
from workers.audit.verdicts import (
    Line,
    hidden_of_raw,
    judge_homeless,
    judge_partition,
    judge_shard,
    no_position,
    stranger,
)
from workers.kafka.connection import KafkaConnection
from workers.kafka.groups import committed_offsets
from workers.kafka.logs import PATIENCE, Log, Tell, ends, read_logs
from workers.kafka.topics import Topics, group_of
from workers.settings.worker import Settings

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
        self.raw = tuple(self.topics.raw.values())
        self.attribution = Attribution(self.topics)
        reads = {"enrich": self.raw, "publish": (self.topics.events,)}
        self.reads = {
            stage: (*topics, self.topics.redrive[stage]) for stage, topics in reads.items() if stage in stages
        }
        self.foreign: dict[str, int] = defaultdict(int)
        self.logs: Logs = {}
        self.totals: dict[Where, Counted] = {}

    async def run(self) -> Audit:
        counted = await self._positions()
        raw_starts: dict[TopicPartition, int] = {}
        shards: dict[ShardKey, Forwarded] = {}
        if "bridge" in self.stages:
            # Before the checkpoints: what a checkpoint does not know yet stands above these.
            raw_starts = await ends(self.connection, CLIENT, self._tps(*self.raw), stable=True)
            shards = await self._checkpoints()
        goals = await self._goals()
        raw_edges = {(tp.topic, tp.partition): Edge(start, goals[tp]) for tp, start in raw_starts.items()}
        letters = {where: self._tally(where, told, "dead", keep=True) for where, told in counted.items()}
        await self._read_dead(goals, letters)
        outputs = {
            where: self._tally(where, told, "out", elsewhere=letters[where].offsets) for where, told in counted.items()
        }
        inputs = {where: InputTally(told.since or 0, told.offset) for where, told in counted.items()}
        forwarded = self._since(shards)
        homes = homes_of(forwarded, self.settings.sources, self.topics.raw)
        tallies = {key: self._shard_tally(forwarded[key], home) for key, home in homes.items() if home.origin}
        raw = RawTally(
            {home.origin: [tallies[key] for key, other in homes.items() if other.origin == home.origin]
             for home in homes.values() if home.origin}
        )  # fmt: skip
        await self._read_raw(goals, inputs, raw)
        await self._read_events(goals, inputs, outputs)
        await self._read_receipts(goals, outputs)
        await self._read_redriven(goals, inputs)
        lines = [
            *self._judge_shards(forwarded, homes, tallies), *await self._judge_strangers(raw),
            *self._judge(counted, inputs, outputs, letters),
        ]  # fmt: skip
        foreign = {topic: n for topic, n in (*raw.foreign.items(), *self.foreign.items()) if n}
        return Audit(self.stages, self.topics.raw, tuple(lines), raw_edges, foreign, self.totals, shards,
                     tuple(self.topics.redrive.values()))  # fmt: skip

    # what the stages say

    async def _positions(self) -> dict[Where, Counted]:
        found = {}
        for stage, topics in self.reads.items():
            offsets = await committed_offsets(self.connection, group_of(self.settings, stage), self._tps(*topics))
            for tp, entry in offsets.items():
                told, where = Counted.of(entry.offset, entry.metadata), (stage, tp.topic, tp.partition)
                mark = self._mark(where)
                self.totals[where] = told
                found[where] = told.after(mark.counted) if mark is not None else told
        return found

    async def _checkpoints(self) -> dict[ShardKey, Forwarded]:
        return await read_shards(
            self.connection, self.topics.checkpoints, self.settings.source_slots, self.tell, self.patience
        )  # fmt: skip

    def _since(self, shards: dict[ShardKey, Forwarded]) -> dict[ShardKey, Forwarded]:
        found = dict(shards)
        for key, told in shards.items():
            earlier = self.baseline.forwarded(told) if self.baseline is not None else None
            if earlier is not None:
                found[key] = told.after(earlier)
        return found

    @property
    def _raw_edges(self) -> Mapping[tuple[str, int], Edge]:
        return self.baseline.raw_edges if self.baseline is not None else {}

    def _edges_of(self, topic: str) -> dict[int, Edge]:
        return {partition: edge for (of, partition), edge in self._raw_edges.items() if of == topic}

    def _shard_tally(self, told: Forwarded, home: Home) -> ShardTally:
        seen = {partition: edge.end for partition, edge in self._edges_of(home.topic or "").items()}
        return ShardTally(told.since, told.place, seen)

    def _mark(self, where: Where) -> Mark | None:
        return self.baseline.marks.get(where) if self.baseline is not None else None

    def _tally(
        self, where: Where, told: Counted, kind: str, *, keep: bool = False, elsewhere: Any = ()
    ) -> OutputTally:  # fmt: skip
        mark = self._mark(where)
        before = None if mark is None else mark.dead if kind == "dead" else mark.out
        return OutputTally(told.since or 0, told.offset, before=before, keep=keep, elsewhere=elsewhere)

    # what stands in the topics

    def _tps(self, *topics: str) -> list[TopicPartition]:
        return [TopicPartition(topic, index) for topic in topics for index in range(self.settings.partitions)]

    async def _goals(self) -> dict[TopicPartition, int]:
        topics = self.topics
        needed = {
            (topics.dead, topics.events): bool(self.reads),
            self.raw: "bridge" in self.stages or "enrich" in self.stages,
            (topics.receipts,): "publish" in self.stages,
            tuple(topics.redrive[stage] for stage in self.reads): True,
        }
        tps = [tp for group, wanted in needed.items() if wanted for tp in self._tps(*group)]
        return await ends(self.connection, CLIENT, tps, stable=False)

    async def _read(self, topics: Collection[str], goals: dict[TopicPartition, int], apply: Any) -> None:
        of_topics = {tp: goal for tp, goal in goals.items() if tp.topic in topics}
        if of_topics:
            self.logs |= await read_logs(self.connection, CLIENT, of_topics, apply, self.tell, self.patience)

    async def _read_dead(self, goals: dict[TopicPartition, int], letters: Tallies) -> None:
        def apply(record: Any) -> None:
            found = self.attribution.of_letter(record)
            if found is not None:
                where, offset = found
                if where in letters:
                    letters[where].note(offset, record.offset)
            elif not (is_gap(record.headers) or is_imported(record.headers)):
                self.foreign[self.topics.dead] += 1

        await self._read((self.topics.dead,), goals, apply)

    async def _read_raw(self, goals: dict[TopicPartition, int], inputs: dict[Where, InputTally], raw: RawTally) -> None:
        shards = "bridge" in self.stages

        def apply(record: Any) -> None:
            tally = inputs.get(("enrich", record.topic, record.partition))
            if tally is not None:
                tally.note(record)
            if shards:
                raw.note(record)

        await self._read(self.raw, goals, apply)

    async def _read_events(
        self, goals: dict[TopicPartition, int], inputs: dict[Where, InputTally], outputs: Tallies
    ) -> None:  # fmt: skip
        def apply(record: Any) -> None:
            read_by = inputs.get(("publish", record.topic, record.partition))
            if read_by is not None:
                read_by.note(record)
            if "enrich" in self.reads:
                places, offset = self.attribution.of_event(record) or ((), None)
                self._note(places, offset, outputs, record)

        await self._read((self.topics.events,), goals, apply)

    async def _read_receipts(self, goals: dict[TopicPartition, int], outputs: Tallies) -> None:
        def apply(record: Any) -> None:
            where, offset = self.attribution.of_receipt(record) or (None, None)
            self._note((where,) if where is not None else (), offset, outputs, record)

        await self._read((self.topics.receipts,), goals, apply)

    async def _read_redriven(self, goals: dict[TopicPartition, int], inputs: dict[Where, InputTally]) -> None:
        of_topics = {self.topics.redrive[stage]: stage for stage in self.reads}

        def apply(record: Any) -> None:
            tally = inputs.get((of_topics[record.topic], record.topic, record.partition))
            if tally is not None:
                tally.note(record)

        await self._read(of_topics, goals, apply)

    def _note(self, places: Collection[Where], offset: int | None, outputs: Tallies, record: Any) -> None:
        if offset is None:
            self.foreign[record.topic] += 1
        for where in places:
            tally = outputs.get(where)
            if tally is not None and offset == NOWHERE:
                tally.nameless += 1
            elif tally is not None and offset is not None:
                tally.note(offset, record.offset)

    # verdicts

    def _judge(
        self, counted: dict[Where, Counted], inputs: dict[Where, InputTally], outputs: Tallies, letters: Tallies
    ) -> list[Line]:  # fmt: skip
        sinks = {"enrich": self.topics.events, "publish": self.topics.receipts}
        lines = []
        for stage, topics in self.reads.items():
            for tp in self._tps(*topics):
                where = (stage, tp.topic, tp.partition)
                if tp.topic == self.topics.redrive[stage] and self._nothing_redriven(where, counted):
                    continue
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

    def _nothing_redriven(self, where: Where, counted: Mapping[Where, Counted]) -> bool:
        told, log = counted.get(where), self.logs[TopicPartition(where[1], where[2])]
        return not log.end and (told is None or not (told.offset or told.inputs))

    def _judge_shards(
        self, shards: Mapping[ShardKey, Forwarded], homes: Mapping[ShardKey, Home],
        tallies: Mapping[ShardKey, ShardTally],
    ) -> list[Line]:  # fmt: skip
        if not shards:
            return []
        hidden = {
            topic: hidden_of_raw((self.logs[tp] for tp in self._tps(topic)), self._edges_of(topic))
            for topic in self.raw
        }  # fmt: skip
        lines = []
        for key, told in sorted(shards.items(), key=lambda item: (item[1].slot, item[0])):
            home = homes[key]
            if home.topic is None:
                lines.append(judge_homeless(told, home.doubt))
            else:
                lines.append(judge_shard(told, home.topic, tallies[key], hidden[home.topic], home.doubt))
        return lines

    async def _judge_strangers(self, raw: RawTally) -> list[Line]:
        if not raw.strangers:
            return []
        known = await self._checkpoints()  # a shard that began a moment ago has its checkpoint by now
        homes = homes_of(known, self.settings.sources, self.topics.raw)
        owned = {home.origin for home in homes.values()}
        homeless = {(known[key].name, known[key].shard) for key, home in homes.items() if home.topic is None}
        return [
            stranger(*origin, n) for origin, n in sorted(raw.strangers.items())
            if origin not in owned and origin[1:] not in homeless
        ]  # fmt: skip
