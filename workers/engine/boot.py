"""The first boot of a stage, explicit: every partition of its sources gets an offset before anybody joins.

What is missing is written in one transaction of `<group>-boot`: the offsets and the configuration record. Only who
fenced all others may write, and looks once more after that, so two workers that boot together cannot set each other
back, however long one of them is frozen in between.
"""

import asyncio
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import Enum, auto
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import OffsetAndMetadata

from workers.engine.configuration import (
    StageConfig,
    merged,
    read_config,
    refuse_conflicts,
    stage_config,
    topics_differ,
)
from workers.engine.errors import BootRefused
from workers.engine.gaps import lost_entries
from workers.engine.ledger import Ledger, last_written
from workers.engine.offsets import log_bounds, offset_fetch
from workers.engine.slot_producer import SlotProducer

PAUSE = 0.3
MOST_PAUSE = 5.0
BOOT_SECONDS = 10.0
GRACE = 3.0
METADATA_SECONDS = 3.0
TRANSACTION_MS = 10_000


class Attempt(Enum):
    """How one look, with the write behind it, has ended."""

    SETTLED = auto()
    AGAIN = auto()
    """Something was written, or has changed meanwhile."""
    LOST = auto()
    """Fenced by another booter, or Kafka did not answer."""


@dataclass(frozen=True, slots=True)
class Look:
    """What there is before anybody joins."""

    sources: list[TopicPartition]
    found: dict[TopicPartition, OffsetAndMetadata]
    written: list[TopicPartition]
    """Partitions with records that only this stage can have written."""
    lost: list[str]
    """Changelogs that do not hold what the stage wrote, in words."""
    record: StageConfig | None
    ours: StageConfig
    wants_record: bool

    @property
    def missing(self) -> list[TopicPartition]:
        """Source partitions without an offset."""
        return [tp for tp in self.sources if tp not in self.found]

    @property
    def settled(self) -> bool:
        """Nothing has to be written."""
        return not self.missing and (not self.wants_record or self.record == merged(self.record, self.ours))


async def first_boot(app: Any) -> None:
    """Make sure that offsets and the configuration record are there and fit.

    Raises BootRefused when some offsets, or entries of changelogs, are gone, or when the record says otherwise than
    this worker; KafkaError while the broker is away."""
    consumer = AIOKafkaConsumer(
        **app.options.client(f"{app.conf.id}-boot"),
        group_id=app.conf.id,
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        if app.options.worker_name:
            await evict_predecessor(app, consumer)
        deadline = monotonic() + app.options.session_timeout + BOOT_SECONDS
        lost = 0
        while True:
            began = monotonic()
            attempt = await _boot(app, consumer, last=began > deadline)
            if attempt is Attempt.SETTLED:
                return
            lost += attempt is Attempt.LOST
            took = monotonic() - began
            await asyncio.sleep(pause_after(lost, took, random.random()) if attempt is Attempt.LOST else PAUSE)
    finally:
        await consumer.stop()


def pause_after(lost: int, took: float, chance: float) -> float:
    """Seconds until the next attempt, after so many lost ones, of which the last took `took` seconds. `chance`: 0 to 1.

    Two workers that boot together fence each other for as long as each begins before the other has ended. So one of
    them has to wait, by lot, about as long as an attempt takes here and now."""
    return PAUSE + chance * min(MOST_PAUSE, max(PAUSE, took) * 2.0 ** min(lost, 10))


async def _boot(app: Any, consumer: Any, *, last: bool) -> Attempt:
    """Look, and write what is missing. `last`: waiting does not help any more."""
    first = await _look(app, consumer)
    _refuse(app, first)
    if first.settled:
        app.partition_counts = first.ours.sources | first.ours.changelogs
        return Attempt.SETTLED
    if last:
        raise KafkaError("the first boot did not come through")
    producer = SlotProducer(
        **app.options.client(f"{app.conf.id}-boot"),
        transactional_id=f"{app.conf.id}-boot",
        transaction_timeout_ms=TRANSACTION_MS,
    )
    try:
        await producer.start()  # InitProducerId: every other booter is fenced, and what it wrote has ended
        look = await _look(app, consumer)
        _refuse(app, look)
        problem = _vanished(app, look)
        if problem is not None:
            # A look takes time, and somebody may have booted in the middle of it. What looks the same before our fence,
            # which ends every other boot, and behind it is no boot.
            if _vanished(app, first) is not None:
                raise BootRefused(problem)
            return Attempt.AGAIN
        await _refuse_other_topics(app, consumer, look)
        await _write(app, consumer, producer, look)
    except KafkaError as error:
        app.log.info("first boot of %s: %s, looking again", app.conf.id, type(error).__name__)
        return Attempt.LOST
    finally:
        await producer.stop()
    return Attempt.AGAIN


async def _look(app: Any, consumer: Any) -> Look:
    changelogs = {table.changelog_topic_name: name for name, table in app.tables.items()}
    partitions = await _partitions(consumer, sorted(app.source_topics | app.traces | changelogs.keys()))
    sources = [tp for tp in partitions if tp.topic in app.source_topics]
    consumer.assign(partitions)  # all: aiokafka keeps metadata of assigned topics only
    found = await offset_fetch(consumer, sources)
    bounds = await log_bounds(consumer, [tp for tp in partitions if tp.topic in app.traces | changelogs.keys()])
    counts = Counter(tp.topic for tp in partitions)
    ledgers: dict[int, list[Ledger]] = defaultdict(list)
    for tp, entry in found.items():
        ledgers[tp.partition].append(Ledger.decode(entry.metadata))
    lost = []
    for index, of_slot in sorted(ledgers.items()):
        of_tables = {
            changelogs[tp.topic]: b for tp, b in bounds.items() if tp.partition == index if tp.topic in changelogs
        }
        problem = lost_entries(last_written(of_slot, app.tables), of_tables)
        lost += [f"partition {index}: {problem}"] if problem else []
    return Look(
        sources=sources, found=found, written=[tp for tp, (_, end) in bounds.items() if end], lost=lost,
        record=await read_config(app), ours=stage_config(app, counts),
        wants_record=app.options.config_topic is not None,
    )  # fmt: skip


def _refuse(app: Any, look: Look) -> None:
    """Raises BootRefused for what no first boot explains."""
    refuse_conflicts(app, look.record, look.ours)
    if look.lost:
        more = f" (and {len(look.lost) - 1} more)" if len(look.lost) > 1 else ""
        raise BootRefused(
            f"group {app.conf.id}, {look.lost[0]}{more}. `cdc table rebuild` restores the tables from the raw topic"
        )


def _vanished(app: Any, look: Look) -> str | None:
    """What says that the missing offsets were there once; None if this can be the first boot."""
    known = look.record.sources.keys() if look.record is not None else look.ours.sources.keys()
    gone = [tp for tp in look.missing if tp.topic in known]
    if not gone:
        return None
    traces = [f"{len(look.found)} of {len(look.sources)} offsets are there"] if look.found else []
    traces += ["its configuration record is there"] if look.record is not None else []
    traces += [f"{tp.topic}/{tp.partition} is not empty" for tp in look.written]
    if not traces:
        return None
    names = ", ".join(f"{tp.topic}/{tp.partition}" for tp in gone[:5])
    return (
        f"group {app.conf.id} has no offset for {names}, but {traces[0]}: offsets were lost or deleted. Set them "
        f"with any Kafka tool (kafka-consumer-groups --reset-offsets --group {app.conf.id}), then start again"
    )


async def _refuse_other_topics(app: Any, consumer: Any, look: Look) -> None:
    """A worker that knows other topics than its neighbours would hold halves of slots. Waits for dead ones to be
    noticed; raises BootRefused if somebody is still there after that."""
    differing = topics_differ(look.record, look.ours) if look.record is not None else []
    deadline = monotonic() + app.options.session_timeout + GRACE
    while differing and await _members(app, consumer):
        if monotonic() > deadline:
            raise BootRefused(
                f"workers of group {app.conf.id} are running that differ in {', '.join(differing)}: stop all of them "
                "before the first one with other tables or sources starts"
            )
        await asyncio.sleep(PAUSE)


async def _write(app: Any, consumer: Any, producer: AIOKafkaProducer, look: Look) -> None:
    starts = await consumer.beginning_offsets(look.missing) if look.missing else {}
    await producer.begin_transaction()
    if look.wants_record:
        content = merged(look.record, look.ours).encode()
        await producer.send_and_wait(app.options.config_topic, key=app.conf.id.encode(), value=content, partition=0)
    if starts:
        offsets = {tp: OffsetAndMetadata(start, Ledger(since=start).encode()) for tp, start in starts.items()}
        await producer.send_offsets_to_transaction(offsets, app.conf.id)
    await producer.commit_transaction()
    if starts:
        app.log.info("boot of %s: %s partitions start at the beginning of their logs", app.conf.id, len(starts))


async def _partitions(consumer: Any, topics: list[str]) -> list[TopicPartition]:
    deadline = monotonic() + METADATA_SECONDS
    while True:
        await consumer._client.set_topics(topics)
        found = {topic: consumer.partitions_for_topic(topic) or () for topic in topics}
        absent = [topic for topic, partitions in found.items() if not partitions]
        if not absent:
            return [TopicPartition(topic, index) for topic, known in found.items() for index in sorted(known)]
        if monotonic() > deadline:
            raise BootRefused(
                f"topics do not exist: {', '.join(absent)}. Create them; with ENVIRONMENT=LOCAL the worker does it "
                "itself"
            )
        await asyncio.sleep(PAUSE)  # a broker may not have heard yet of a topic made a moment ago
        await consumer._client.force_metadata_update()


async def _members(app: Any, consumer: Any) -> list[tuple[str, str]]:
    """(member id, client id) of everybody in the group."""
    coordinator = consumer._coordinator
    await coordinator.ensure_coordinator_known()
    described = await coordinator._send_req(DescribeGroupsRequest([app.conf.id]))
    return [(member_id, client_id) for member_id, client_id, *_ in described.groups[0][5]]


async def evict_predecessor(app: Any, consumer: Any) -> None:
    """Remove this worker's own dead self from the group.

    A killed worker that comes back before its session has ended starts a rebalance in which everybody waits, with all
    partitions revoked, for the dead one (measured: 4.1 s against 0.2 s)."""
    for member_id, client_id in await _members(app, consumer):
        if client_id == app.options.worker_name:
            await consumer._coordinator._send_req(LeaveGroupRequest(app.conf.id, member_id))
            app.log.info("removed the dead predecessor of %s from group %s", client_id, app.conf.id)
