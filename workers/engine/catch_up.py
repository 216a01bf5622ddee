"""Reading a compacted partition to its high watermark: changelogs of a repaired slot, checkpoints of a source slot."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP


async def read_to_end(client: dict[str, Any], starts: dict[Any, int], apply: Callable[[Any], object]) -> None:
    """Call `apply` for every committed record from `starts` (offsets) to the high watermark of each partition.

    The end is taken read_uncommitted: the last stable offset may hide a committed record behind another producer's
    open transaction. Call it after InitProducerId, so that no transaction of our own is open."""
    if not starts:
        return
    consumer = AIOKafkaConsumer(
        **client, isolation_level="read_committed", auto_offset_reset="none", enable_auto_commit=False,
        max_partition_fetch_bytes=4 << 20, fetch_max_wait_ms=50,
    )  # fmt: skip
    await consumer.start()
    try:
        tps = [TopicPartition(*tp) for tp in starts]
        consumer.assign(tps)
        consumer._fetcher._isolation_level = 0
        ends = await consumer.end_offsets(tps)
        consumer._fetcher._isolation_level = 1
        begins = await consumer.beginning_offsets(tps)
        for tp in tps:
            consumer.seek(tp, max(begins[tp], starts[TP(*tp)]))
        for tp in tps:
            while await consumer.position(tp) < ends[tp]:
                for record in (await consumer.getmany(tp, timeout_ms=100)).get(tp, ()):
                    apply(record)
                await asyncio.sleep(0)
    finally:
        await consumer.stop()


async def catch_up(app: Any, index: int) -> None:
    """Bring the slot's own tables to the end of their changelogs: an unclear EndTxn may have committed writes that
    memory does not have yet."""
    tables = {TP(table.changelog_topic_name, index): table for table in _tables(app)}

    def apply(record: Any) -> None:
        tp = TP(record.topic, record.partition)
        tables[tp].apply(tp, record)

    starts = {tp: table.applied.get(tp, -1) + 1 for tp, table in tables.items()}
    await read_to_end(app.options.client(f"{app.conf.id}-catch-up"), starts, apply)


def _tables(app: Any) -> Iterable[Any]:
    return app.tables.values()
