"""What was done with letters before, and how far replays are: `cdc.dead-handled`, read and written (ADR 41, 49).

One producer writes it, under one transactional id: whoever starts takes it away from the one before, and knows all that
was done. So one command works at a time, and what it does is done once.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, ProducerFenced

from models.handled import Handled, LetterId
from models.replay import KEY_PREFIX, Replay
from workers.engine.slot_producer import SlotProducer, Unanswered
from workers.failures import CommandError, RefusedError, UnreachableError
from workers.kafka.access import KafkaAccess
from workers.kafka.logs import Tell, ends, read_logs, refuse_unread
from workers.kafka.topics import DEAD_MAX_BYTES, Topics
from workers.settings.worker import MEBIBYTE, Settings

CLIENT = "cdc-dlq"
T = TypeVar("T")
TRANSACTION_MS = 30_000
"""How long a killed command can hold back those who read what it wrote."""

UNREADABLE_HINT = (
    "it has the key of a letter or a replay, and not our format: use the release that wrote it. If another program "
    "did, send a record with the same key and no value into that partition"
)

Marks = Mapping[LetterId, Handled]


@dataclass(frozen=True, slots=True)
class Mark:
    """One record of the topic. `value` is None to take an earlier one of this key back."""

    key: bytes
    value: bytes | None
    partition: int = 0

    @classmethod
    def of(cls, handled: Handled, *, forget: bool = False) -> "Mark":
        """In the partition of its letter; `forget` takes an earlier one back."""
        return cls(handled.key, None if forget else handled.encode(), handled.letter.partition)


async def read_marks(
    settings: Settings, kafka: KafkaAccess, tell: Tell, *, fenced: bool = False
) -> dict[LetterId, Handled]:
    """What was done with letters until now. `fenced`: nobody writes any more, so it is everything. Raises CommandError,
    KafkaError."""
    found: dict[LetterId, Handled] = {}

    def apply(record: Any) -> None:
        letter = _letter_of(record)
        if letter is None:
            return
        if record.value is None:
            found.pop(letter, None)
        else:
            found[letter] = _at(record, Handled.decode)

    await _read(settings, kafka, tell, apply, fenced=fenced)
    return found


async def read_replays(
    settings: Settings, kafka: KafkaAccess, tell: Tell, *, fenced: bool = False
) -> dict[str, Replay]:
    """How far replays are, by their ids. As `read_marks`."""
    found: dict[str, Replay] = {}

    def apply(record: Any) -> None:
        if not _of_replay(record):
            return
        if record.value is None:
            found.pop(record.key.removeprefix(KEY_PREFIX).decode("utf-8", "replace"), None)
        else:
            one = _at(record, Replay.decode)
            found[one.id] = one

    await _read(settings, kafka, tell, apply, fenced=fenced)
    return found


def _of_replay(record: Any) -> bool:
    return (record.key or b"").startswith(KEY_PREFIX)


def _letter_of(record: Any) -> LetterId | None:
    """P7: what names no letter says nothing of any, whoever wrote it."""
    try:
        return LetterId.parse((record.key or b"").decode())
    except ValueError:
        return None


def _at(record: Any, decode: Callable[[bytes, bytes], T]) -> T:
    try:
        return decode(record.key, record.value)
    except ValueError as error:
        raise ValueError(f"partition {record.partition}, offset {record.offset}: {error}") from None


async def _read(
    settings: Settings, kafka: KafkaAccess, tell: Tell, apply: Callable[[Any], None], *, fenced: bool
) -> None:  # fmt: skip
    topic = Topics.of(settings).handled
    tps = [TopicPartition(topic, index) for index in range(settings.partitions)]
    try:
        goals = await ends(kafka.connection, CLIENT, tps, stable=not fenced)
        logs = await read_logs(kafka.connection, CLIENT, goals, apply, tell)
    except ValueError as error:
        raise CommandError(f"{topic}: {error}", hint=UNREADABLE_HINT) from None
    refuse_unread(logs.values())


@contextlib.asynccontextmanager
async def sole_writer(settings: Settings, kafka: KafkaAccess) -> AsyncIterator[SlotProducer]:
    """A producer that fences every other command. Raises RefusedError when it is fenced itself, UnreachableError if it
    is not known whether the last transaction stands: the next command will know."""
    producer = SlotProducer(
        **kafka.connection.client(CLIENT), transactional_id=f"{settings.app}-dlq",
        transaction_timeout_ms=TRANSACTION_MS, max_request_size=DEAD_MAX_BYTES + MEBIBYTE,
    )  # fmt: skip
    try:
        await producer.start()  # InitProducerId
        yield producer
    except ProducerFenced:
        raise RefusedError(
            "another `cdc dlq` or `cdc replay` has taken over",
            hint="see what it does; run this one again when it has ended",
        ) from None
    except Unanswered:
        raise UnreachableError(
            "Kafka did not answer the end of a transaction: it stands, or it does not",
            hint="run it again: it goes on with what is left",
        ) from None
    except MessageSizeTooLargeError:
        raise CommandError(
            "Kafka refuses a record for its size", hint="raise max.message.bytes of the redrive topics, run it again"
        ) from None
    finally:
        await producer.stop()


@contextlib.asynccontextmanager
async def transaction(producer: SlotProducer) -> AsyncIterator[None]:
    """One transaction, committed at the end of the block, aborted if the block fails."""
    await producer.begin_transaction()
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            await producer.abort_transaction()
        raise
    await producer.commit_transaction()


async def send_mark(producer: SlotProducer, topic: str, mark: Mark) -> Any:
    """Within a transaction; the result is what its delivery is awaited with."""
    return await producer.send(topic, key=mark.key, value=mark.value, partition=mark.partition)
