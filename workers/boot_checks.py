"""What a stage looks at before it boots, so that a lost position or a wrong account is refused and never guessed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from models.checkpoint import BOOT_SLOT, unfinished_change
from models.event_bus import EventBus
from models.source_spec import SourceSpec
from workers.aws.client import Session
from workers.aws.errors import AwsError
from workers.engine.errors import BootRefused
from workers.kafka.topics import Topics
from workers.kinesis.checkpoints import CheckpointBook
from workers.settings.worker import Settings

POLL_MS = 500
CHECK_SECONDS = 10.0


async def check_all(checks: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Side by side, and for a few seconds only: a service that does not answer is no reason to refuse, the stage waits
    for it anyway. Raises BootRefused."""
    asked = [asyncio.ensure_future(check()) for check in checks]
    if not asked:
        return
    done, late = await asyncio.wait(asked, timeout=CHECK_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for task in done:
        task.result()


async def check_stream_account(session: Session, settings: Settings, source: SourceSpec) -> None:
    """With AWS_ACCOUNT_ID set, what is read without a role must belong to that account. Raises BootRefused."""
    if settings.aws_account_id is None or source.role is not None:
        return
    arn = source.stream
    if source.account is None:
        try:
            found = await session.cold("kinesis", "describe_stream_summary", StreamName=source.stream)
        except AwsError:
            return
        arn = found["StreamDescriptionSummary"]["StreamARN"]
    _compare(arn, settings.aws_account_id)


async def check_bus_account(session: Session, settings: Settings, bus: EventBus) -> None:
    """With AWS_ACCOUNT_ID set, a bus must belong to that account. Raises BootRefused."""
    if settings.aws_account_id is None:
        return
    arn = bus.text
    if bus.account is None:
        try:
            arn = (await session.cold("events", "describe_event_bus", Name=bus.text))["Arn"]
        except AwsError:
            return
    _compare(arn, settings.aws_account_id)


def _compare(arn: str, wanted: str) -> None:
    account = arn.split(":")[4]
    if account != wanted:
        raise BootRefused(f"{arn} belongs to account {account}, AWS_ACCOUNT_ID is {wanted}")


async def check_checkpoints(settings: Settings, client: dict[str, Any]) -> None:
    """Records in a raw topic without a single checkpoint: the checkpoints were lost, and beginning again at
    TRIM_HORIZON would forward everything twice (P1). Nor may a change of them have been cut off. Raises BootRefused."""
    topics = Topics.of(settings)
    consumer = AIOKafkaConsumer(**client, isolation_level="read_committed", auto_offset_reset="none")
    await consumer.start()
    try:
        await consumer._client.set_topics([topics.checkpoints, *topics.raw.values()])
        # All before `assign`, which narrows the client's metadata to what is assigned.
        checkpoints = _partitions(consumer, topics.checkpoints)
        of_topics = [_partitions(consumer, topic) for topic in topics.raw.values()]
        raw = [tp for of_topic in of_topics for tp in of_topic]
        if not checkpoints or not all(of_topics):
            raise KafkaError("the topics were made a moment ago")  # the boot looks again
        consumer.assign(checkpoints)
        if any((await consumer.end_offsets(checkpoints)).values()):
            await _refuse_unfinished(consumer, TopicPartition(topics.checkpoints, BOOT_SLOT))
            return
        consumer.assign(raw)
        # The log end counts records of aborted transactions too: only a committed record proves anything.
        ends = await consumer.end_offsets(raw)
        await consumer.seek_to_beginning(*raw)
        while any([await consumer.position(tp) < ends[tp] for tp in raw]):
            found = [tp.topic for tp, records in (await consumer.getmany(timeout_ms=POLL_MS)).items() if records]
            if found:
                raise BootRefused(
                    f"{found[0]} holds records but {topics.checkpoints} is empty: the checkpoints were lost. Restore "
                    f"them, or delete {found[0]} too if everything in the stream is to be forwarded again"
                )
    finally:
        await consumer.stop()


async def _refuse_unfinished(consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
    """Reads to the last stable offset: behind it a killed worker's transaction may wait for its time-out, but no mark
    of a change, because the change has fenced that worker."""
    book = CheckpointBook()
    consumer.assign([tp])
    ends = await consumer.end_offsets([tp])
    await consumer.seek_to_beginning(tp)
    try:
        while await consumer.position(tp) < ends[tp]:
            for record in (await consumer.getmany(tp, timeout_ms=POLL_MS)).get(tp, ()):
                book.apply(record)
    except ValueError:
        return  # whoever owns the slot says so
    for boot in book.boots.values():
        if boot.unfinished:
            raise BootRefused(unfinished_change(boot))


def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, index) for index in sorted(consumer.partitions_for_topic(topic) or ())]
