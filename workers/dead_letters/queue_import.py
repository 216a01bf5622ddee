"""Records out of a queue of a Lambda pipeline -> `cdc.dead`: each message once, however often the command is killed.

A message is deleted behind the commit of its letters. Each letter carries the id of its message, so that the next
command knows what the one before has written and could not delete; that holds as long as `cdc.dead` keeps its letters,
which is longer than SQS keeps a message.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from enrichers.routing import Router
from models.dead_letter import IMPORT, DeadLetter, dead_headers, import_of
from models.outcome import ErrorCategory
from models.queued_letter import NotImportable, QueuedLetter, queued_letters
from models.raw import raw_headers
from models.routing import partition_of
from models.source_spec import SourceSpec
from models.taxonomy import CATEGORY_OF
from workers.dead_letters.marks import CLIENT, transaction
from workers.dead_letters.queue import LetterQueue, Message, without_repeats
from workers.engine.slot_producer import SlotProducer
from workers.failures import CommandError
from workers.kafka.access import KafkaAccess
from workers.kafka.logs import Tell, ends, read_logs, refuse_unread
from workers.kafka.topics import Topics
from workers.settings.worker import Settings

STAGE = "enrich"
MESSAGE = "imported from a queue"
MESSAGES_AT_ONCE = 100
"""Of one transaction."""
DOING = "messages"


@dataclass(slots=True)
class ImportTally:
    """What an import does, or did."""

    messages: int = 0
    """That were read."""
    letters: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By code and table."""
    known: int = 0
    """Messages whose letters stand in `cdc.dead` already: only to be deleted."""
    refused: Counter[str] = field(default_factory=Counter)
    """Messages that stay in the queue, by reason."""
    undeleted: int = 0
    """Messages whose letters are written, and that SQS did not delete: the next import does."""
    hidden: int | None = 0
    """Of a queue that shows nothing, about how many messages others have read; None: it may not be asked."""


@dataclass(frozen=True, slots=True)
class QueueImport:
    """From which queue, and as records of which source."""

    settings: Settings
    queue: LetterQueue
    source: SourceSpec
    router: Router
    limit: int | None = None
    """At most so many messages."""

    async def run(self, kafka: KafkaAccess, producer: SlotProducer | None, tell: Tell) -> ImportTally:
        """Look, or with a producer, which has fenced every other command, write and delete. Raises CommandError,
        KafkaError, what `sole_writer` translates."""
        known = await self._imported(kafka, tell, fenced=producer is not None)
        tally, seen, held = ImportTally(), set[str](), dict[str, Message]()
        try:
            while (most := self._most(tally)) > 0:
                taken = await self.queue.take(most)
                messages = without_repeats(taken, seen)
                if not messages:
                    break  # empty, or only what stays comes round again
                held |= {message.id: message for message in messages}
                for message in await self._work(messages, known, producer, tally):
                    del held[message.id]
                tell(DOING, tally.messages, max(tally.messages, self.limit or 0))
                if len(taken) < most:
                    break
        finally:
            with contextlib.suppress(CommandError):  # they come back by themselves, later
                await self.queue.release(list(held.values()))
        if not tally.messages:
            try:
                tally.hidden = await self.queue.hidden()
            except CommandError:
                tally.hidden = None
        return tally

    def _most(self, tally: ImportTally) -> int:
        return MESSAGES_AT_ONCE if self.limit is None else min(MESSAGES_AT_ONCE, self.limit - tally.messages)

    async def _imported(self, kafka: KafkaAccess, tell: Tell, *, fenced: bool) -> set[str]:
        """Ids of messages whose letters are written."""
        topic = Topics.of(self.settings).dead
        found: set[str] = set()

        def apply(record: Any) -> None:
            if imported := import_of(record.headers):
                found.add(imported.decode("utf-8", "replace").rpartition(":")[0])

        tps = [TopicPartition(topic, index) for index in range(self.settings.partitions)]
        goals = await ends(kafka.connection, CLIENT, tps, stable=not fenced)
        logs = await read_logs(kafka.connection, CLIENT, goals, apply, tell)
        refuse_unread(logs.values())
        return found

    async def _work(
        self, messages: Sequence[Message], known: set[str], producer: SlotProducer | None, tally: ImportTally
    ) -> list[Message]:
        """Returns those that are out of the queue."""
        tally.messages += len(messages)
        done: list[Message] = []
        letters: list[tuple[QueuedLetter, str]] = []
        for message in messages:
            if message.id in known:
                tally.known += 1
                done.append(message)
                continue
            found = queued_letters(message.body, message.id, message.sent_ms, message.received)
            if isinstance(found, NotImportable):
                tally.refused[found.reason] += 1
                continue
            done.append(message)
            letters += [(letter, f"{message.id}:{number}") for number, letter in enumerate(found)]
        letters.sort(key=lambda pair: _place(pair[0]))
        records = [self._record(letter, message_id) for letter, message_id in letters]
        tally.letters.update((str(letter.code), letter.table or "") for letter, _ in records)
        if producer is None:
            return []
        if records:
            async with transaction(producer):
                await asyncio.gather(*[await producer.send(**arguments) for _, arguments in records])
        tally.undeleted += len(done) - await self.queue.delete(done)  # P8: behind the commit, never before it
        return done

    def _record(self, letter: QueuedLetter, message_id: str) -> tuple[DeadLetter, dict[str, Any]]:
        """The letter, and what is to be sent. Its record never stood in Kafka: it counts as older than all that did."""
        topics, route = Topics.of(self.settings), self.router.route(letter.content, letter.partition_key)
        origin, partition = letter.origin, partition_of(route.key, self.settings.partitions)
        dead = DeadLetter(
            stage=STAGE, code=letter.code, category=CATEGORY_OF.get(letter.code, ErrorCategory.TRANSIENT),
            message=MESSAGE, attempts=letter.attempts, first_failed_ms=letter.first_failed_ms,
            last_failed_ms=letter.last_failed_ms, stream=origin.stream, shard=origin.shard, sequence=origin.sequence,
            sub_sequence=origin.sub_sequence, topic=topics.raw[self.source.name], partition=partition, offset=0,
            replay=0, fingerprint="", table=route.table, timestamp_ms=origin.arrival_ms or letter.first_failed_ms,
        )  # fmt: skip
        own = [*raw_headers(origin, adapter=route.adapter, table=route.table), (IMPORT, message_id.encode())]
        headers = dead_headers(dead, own)
        return dead, {
            "topic": topics.dead, "key": route.key, "value": letter.content, "partition": partition, "headers": headers,
        }  # fmt: skip


def _place(letter: QueuedLetter) -> tuple[str, str, int, int]:
    """Records of one shard in their order, as far as they come together; the others as they come."""
    origin = letter.origin
    number = int(origin.sequence) if origin.sequence.isdecimal() and len(origin.sequence) <= 129 else 0
    return (origin.stream, origin.shard, number, origin.sub_sequence)
