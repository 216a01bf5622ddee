"""What a stage looks at before it boots, so that a lost position or a wrong account is refused and never guessed."""

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from models.checkpoint import BOOT_SLOT, unfinished_change
from workers.aws.client import Session
from workers.aws.errors import AwsError
from workers.engine.errors import BootRefused
from workers.kinesis.checkpoints import CheckpointBook
from workers.settings import Settings
from workers.topics import Topics

POLL_MS = 500


async def check_account(session: Session, settings: Settings, service: str) -> None:
    """With AWS_ACCOUNT_ID set: the stream or the bus must belong to that account. Raises BootRefused.

    A service that does not answer is no reason to refuse: the stage waits for it anyway."""
    if settings.aws_account_id is None:
        return
    try:
        if service == "kinesis":
            found = await session.cold("kinesis", "describe_stream_summary", StreamName=settings.kinesis_stream_name)
            arn = found["StreamDescriptionSummary"]["StreamARN"]
        else:
            arn = (await session.cold("events", "describe_event_bus", Name=settings.event_bus_name))["Arn"]
    except AwsError:
        return
    account = arn.split(":")[4]
    if account != settings.aws_account_id:
        raise BootRefused(f"{arn} belongs to account {account}, AWS_ACCOUNT_ID is {settings.aws_account_id}")


async def check_checkpoints(settings: Settings, client: dict[str, Any]) -> None:
    """Records in the raw topic without a single checkpoint: the checkpoints were lost, and beginning again at
    TRIM_HORIZON would forward everything twice (P1). Nor may a change of them have been cut off. Raises BootRefused."""
    topics = Topics.of(settings)
    consumer = AIOKafkaConsumer(**client, isolation_level="read_committed", auto_offset_reset="none")
    await consumer.start()
    try:
        await consumer._client.set_topics([topics.checkpoints, topics.raw])
        # Both before `assign`, which narrows the client's metadata to what is assigned.
        checkpoints, raw = _partitions(consumer, topics.checkpoints), _partitions(consumer, topics.raw)
        if not checkpoints or not raw:
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
            if any((await consumer.getmany(timeout_ms=POLL_MS)).values()):
                raise BootRefused(
                    f"{topics.raw} holds records but {topics.checkpoints} is empty: the checkpoints were lost. Restore "
                    f"them, or delete {topics.raw} too if everything in the stream is to be forwarded again"
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
