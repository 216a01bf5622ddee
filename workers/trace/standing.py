"""How far the stages are in one partition, and why one of them has not come to a record yet."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition

from models.pause import Pause, PauseBook
from models.written import stamp
from workers.engine.standstill import read_standstills
from workers.failures import NotFoundError
from workers.kafka.groups import GroupState, committed_offsets
from workers.kafka.topics import group_of
from workers.pauses.writing import read_pauses
from workers.trace.scene import CLIENT, Scene

STAGES = ("enrich", "publish")


@dataclass(frozen=True, slots=True)
class StageStanding:
    """One stage. `offsets`: the next ones it reads; a partition it has never committed is not in there."""

    stage: str
    group: str
    offsets: Mapping[TopicPartition, int]
    state: GroupState
    standstills: Mapping[TopicPartition, str]
    """Why it stands still, where it does."""
    pauses: tuple[Pause, ...] = ()
    """What operators hold back of it now."""

    def passed(self, tp: TopicPartition, offset: int) -> bool:
        """Whether it is done with a record."""
        return tp in self.offsets and self.offsets[tp] > offset

    def why_not(self, tp: TopicPartition, offset: int, waited_ms: int) -> str:
        """Of a record that it has not come to, in words."""
        where = f"{tp.topic}/{tp.partition}"
        if tp not in self.offsets:
            return f"{self.stage} has never read {where}: start a worker of it"
        before = max(0, offset - self.offsets[tp])
        told = f"not through {self.stage} yet: it has waited {max(0, waited_ms) / 1000:,.0f} s, "
        told += f"{before:,} offsets of {where} stand before it" if before else "and is the next one"
        if tp in self.standstills:
            return f"{told}; {self.stage} stands still there: {self.standstills[tp]}"
        for pause in self.pauses:
            if pause.target.table or pause.target.partition in (-1, tp.partition):
                return f"{told}; {pause.target} is paused since {stamp(pause.since_ms)}: `cdc pause list`"
        if not self.state.members:
            return f"{told}; no worker is in group {self.group}: start one"
        if self.state.holders and (tp.topic, tp.partition) not in self.state.holders:
            return f"{told}; no worker of group {self.group} holds the partition"
        return told


async def look(scene: Scene, partition: int) -> dict[str, StageStanding]:
    """By stage. Raises KafkaError."""
    topics = scene.topics
    reads = {"enrich": (*topics.raw.values(), topics.redrive["enrich"]),
             "publish": (topics.events, topics.redrive["publish"])}  # fmt: skip
    connection = scene.kafka.connection
    standstills = await read_standstills(connection.client(CLIENT), topics.config)
    try:
        book = await read_pauses(scene.settings, scene.kafka)
    except NotFoundError:  # of a world that was made before there were any
        book = PauseBook()
    found = {}
    for stage in STAGES:
        group = group_of(scene.settings, stage)
        committed = await committed_offsets(connection, group, scene.tps(*reads[stage], partition=partition))
        offsets = {tp: position.offset for tp, position in committed.items()}
        still = {
            TopicPartition(*tp): one.why
            for (of, tp), one in standstills.items()
            if of == group and offsets.get(TopicPartition(*tp), 0) < one.end
        }
        found[stage] = StageStanding(
            stage, group, offsets, await scene.kafka.group(group), still, book.of(stage, scene.now_ms())
        )
    return found
