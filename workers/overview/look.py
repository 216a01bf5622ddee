"""Where the figures of the screen come from: Kafka, and one look at the bus."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from models.dead_letter import GAP_PREFIX
from models.handled import LetterId
from models.pause import PauseBook
from workers.audit.counts import Counted
from workers.audit.evidence import read_shards
from workers.dead_letters.marks import read_marks
from workers.engine.clock import monotonic
from workers.failures import UnreachableError
from workers.kafka.access import KafkaAccess
from workers.kafka.groups import committed_offsets
from workers.kafka.topics import Topics, group_of
from workers.overview.figures import Figures, Gap, Stop
from workers.overview.hearsay import Hearsay, hearsay
from workers.overview.judgement import SHARD_RETENTION_MS, DeadLetters, Overview, judge
from workers.overview.patience import SECONDS, answered
from workers.pauses.writing import read_pauses
from workers.settings.worker import Settings
from workers.status import PartitionStatus, StageStatus, Standstills, stage_status, standstills

CLIENT = "cdc-status"
PATIENCE = 3.0
"""Seconds for anything that reads records."""
POLL_MS = 200
LETTERS = 20_000
"""More of them are not counted."""
HOUR_MS = 3_600_000


async def look_in_time(
    settings: Settings, kafka: KafkaAccess, stages: Sequence[str], unseen: list[str], seconds: float = SECONDS
) -> list[StageStatus]:
    """One look at every stage, side by side, without those that do not answer: `unseen` says which. Raises
    UnreachableError if none does."""
    known: Standstills = {}
    told = await answered("standstills", standstills(settings, kafka, stages), known, unseen, seconds)
    looks = [answered(stage, stage_status(settings, kafka, stage, told), None, unseen, seconds) for stage in stages]
    found = [stage for stage in await asyncio.gather(*looks) if stage is not None]
    if not found:
        raise UnreachableError(f"Kafka: {'; '.join(unseen)}", hint="try `cdc check`")
    return found


async def overview(
    settings: Settings, kafka: KafkaAccess, found: Sequence[StageStatus], now_ms: int, sample: float,
    unseen: Sequence[str] = (),
) -> Overview:  # fmt: skip
    """The screen, of stages that were looked at just now; `sample`: seconds over which rates are measured, 0: not at
    all. `unseen`: what did not answer so far. Sections are asked side by side; one that does not answer is left out."""
    missed = list(unseen)
    nothing: dict[str, float] = {}
    (begins, firsts, kept), book, letters, rates, told = await asyncio.gather(
        answered("age of what waits", _waiting(kafka, found), ({}, {}, {}), missed),
        answered("pauses", read_pauses(settings, kafka), PauseBook(), missed),
        answered("dead letters", _dead_letters(settings, kafka, now_ms), None, missed),
        answered("rates", _rates(settings, kafka, found, sample), nothing, missed, SECONDS + sample),
        answered("workers", hearsay(settings), Hearsay(), missed),
    )
    stages = []
    for stage in found:
        figures = _figures(stage, book, begins, firsts, kept, now_ms)
        figures = replace(figures, rate=rates.get(stage.stage), notices=told.of(stage.stage))
        stages.append(judge(figures, now_ms))
    return Overview(
        now_ms, tuple(stages), letters, book.now(now_ms), settings.topic_prefix, settings.app,
        (*missed, *told.unheard),
    )  # fmt: skip


async def _waiting(
    kafka: KafkaAccess, found: Sequence[StageStatus]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int], dict[str, int]]:
    """Where the logs begin, since when their first unread records wait, and how long topics keep them."""
    waiting = {
        TopicPartition(row.topic, row.partition): row.counted.offset
        for stage in found for row in stage.partitions if row.lag and row.counted is not None
    }  # fmt: skip
    begins = await _begins(kafka, [TopicPartition(row.topic, row.partition) for s in found for row in s.partitions])
    firsts = await _first_moments(kafka, {tp: max(offset, begins[tp]) for tp, offset in waiting.items()})
    kept = await _retentions(kafka, sorted({tp.topic for tp in waiting}))
    return begins, firsts, kept


def _figures(
    stage: StageStatus, book: PauseBook, begins: Mapping[TopicPartition, int], firsts: Mapping[TopicPartition, int],
    kept: Mapping[str, int], now_ms: int,
) -> Figures:  # fmt: skip
    moments: dict[str, tuple[int, int]] = {}
    for row in stage.partitions:
        moment = firsts.get(TopicPartition(row.topic, row.partition), 0)
        if moment:
            moments[f"{row.topic}/{row.partition}"] = (moment, kept.get(row.topic, 0))
    for shard in stage.shards:
        if shard.told.state == "ACTIVE" and shard.told.covered_ms:
            moments[shard.told.shard] = (shard.told.covered_ms, SHARD_RETENTION_MS)
    shares = {at: (now_ms - moment) / keeps for at, (moment, keeps) in moments.items() if keeps > 0}
    worst = max(shares, key=lambda at: shares[at], default="")
    own = [row for row in stage.partitions if not row.redriven]
    return Figures(
        stage.stage, stage.group.state, len(stage.group.members),
        sum(row.lag or 0 for row in own) if stage.partitions else None,
        oldest_ms=min((moment for moment, _ in moments.values() if moment), default=0),
        danger=max(0.0, shares.get(worst, 0.0)), danger_at=worst,
        redriven=sum(row.lag or 0 for row in stage.partitions if row.redriven),
        stops=tuple(Stop(f"{one.topic}/{one.partition}", one.since_ms, one.why) for one in stage.standstills),
        gaps=tuple(_gaps(stage.partitions, begins)), pauses=book.of(stage.stage, now_ms),
        bus=stage.bus.told if stage.bus is not None else "", bus_name=stage.bus.name if stage.bus is not None else "",
    )  # fmt: skip


def _gaps(rows: Sequence[PartitionStatus], begins: Mapping[TopicPartition, int]) -> list[Gap]:
    found = []
    for row in rows:
        start = begins.get(TopicPartition(row.topic, row.partition), 0)
        if row.counted is not None and not start <= row.counted.offset <= row.end:
            found.append(Gap(f"{row.topic}/{row.partition}", row.counted.offset, start, row.end))
    return found


async def _begins(kafka: KafkaAccess, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(**kafka.connection.client(CLIENT))
    await consumer.start()
    try:
        found: dict[TopicPartition, int] = await consumer.beginning_offsets(list(tps)) if tps else {}
        return found
    finally:
        await consumer.stop()


async def _first_moments(kafka: KafkaAccess, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """Kafka timestamp of the first record at or behind each offset; without those behind which nothing but markers of
    transactions stands, and those that do not answer in time."""
    if not offsets:
        return {}
    found: dict[TopicPartition, int] = {}
    consumer = AIOKafkaConsumer(
        **kafka.connection.client(CLIENT), isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest", max_partition_fetch_bytes=1 << 16,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        goals = await consumer.end_offsets(list(offsets))
        for tp, offset in offsets.items():
            consumer.seek(tp, offset)
        left, deadline = set(offsets), monotonic() + PATIENCE
        while left and monotonic() < deadline:
            batches = await consumer.getmany(*left, timeout_ms=POLL_MS, max_records=len(left))
            for tp, records in batches.items():
                found.setdefault(tp, records[0].timestamp)
            for tp in list(left):
                if tp in found or await consumer.position(tp) >= goals[tp]:
                    left.discard(tp)
                    consumer.pause(tp)
    finally:
        await consumer.stop()
    return found


async def _retentions(kafka: KafkaAccess, topics: Sequence[str]) -> dict[str, int]:
    """Milliseconds by topic, of those that delete by time."""
    if not topics:
        return {}
    try:
        answers = await kafka.admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
        )
    except KafkaError:
        return {}
    found = {}
    for answer in answers:
        for code, _, _, name, entries in answer.resources:
            kept = {entry[0]: entry[1] for entry in entries} if not code else {}
            if "delete" in (kept.get("cleanup.policy") or "") and int(kept.get("retention.ms") or 0) > 0:
                found[name] = int(kept["retention.ms"] or 0)
    return found


async def _dead_letters(settings: Settings, kafka: KafkaAccess, now_ms: int) -> DeadLetters:
    topics = Topics.of(settings)
    await kafka.require({topics.dead: settings.partitions, topics.handled: settings.partitions})
    marks = await read_marks(settings, kafka, lambda *_: None)
    tps = [TopicPartition(topics.dead, index) for index in range(settings.partitions)]
    consumer = AIOKafkaConsumer(
        **kafka.connection.client(CLIENT), isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    await consumer.start()
    last_hour = waiting = 0
    try:
        consumer.assign(tps)
        goals = await consumer.end_offsets(tps)
        await consumer.seek_to_beginning(*tps)
        left, deadline, seen = {tp for tp in tps if goals[tp]}, monotonic() + PATIENCE, 0
        while left and monotonic() < deadline and seen < LETTERS:
            for tp, records in (await consumer.getmany(*left, timeout_ms=POLL_MS)).items():
                for record in records:
                    if any(name.startswith(GAP_PREFIX) for name, _ in record.headers):
                        continue
                    seen += 1
                    mark = marks.get(LetterId(tp.partition, record.offset))
                    waiting += mark is None or mark.letter_ms != record.timestamp
                    last_hour += record.timestamp >= now_ms - HOUR_MS
            for tp in list(left):
                if await consumer.position(tp) >= goals[tp]:
                    left.discard(tp)
    finally:
        await consumer.stop()
    return DeadLetters(last_hour, waiting, whole=not left)


async def _rates(
    settings: Settings, kafka: KafkaAccess, found: Sequence[StageStatus], sample: float
) -> dict[str, float]:  # fmt: skip
    """Records a second by stage, out of two looks at what each has counted."""
    if not sample:
        return {}
    before, began = await _counts(settings, kafka, found), monotonic()
    await asyncio.sleep(sample)
    after, seconds = await _counts(settings, kafka, found), monotonic() - began
    return {stage: max(0.0, (after[stage] - count) / seconds) for stage, count in before.items()}


async def _counts(settings: Settings, kafka: KafkaAccess, found: Sequence[StageStatus]) -> dict[str, int]:
    counts = {}
    for stage in found:
        if stage.stage == "bridge":
            shards = await read_shards(kafka.connection, Topics.of(settings).checkpoints, settings.source_slots)
            counts[stage.stage] = sum(shard.records for shard in shards.values())
            continue
        tps = [TopicPartition(row.topic, row.partition) for row in stage.partitions]
        offsets = await committed_offsets(kafka.connection, group_of(settings, stage.stage), tps)
        counts[stage.stage] = sum(Counted.of(one.offset, one.metadata).inputs for one in offsets.values())
    return counts
