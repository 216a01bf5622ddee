"""Pausing and resuming from outside: `cdc.pauses`, read to its end and changed in one transaction.

One transactional id for whoever writes: a command takes it away from the one before it, so each change is made with all
earlier ones known.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from models.catalogue import Catalogue
from models.letter_selection import moment
from models.pause import WHY_CHARACTERS, Pause, PauseBook, Record, Target, pausing, resuming
from workers.dead_letters.marks import transaction
from workers.engine.clock import monotonic
from workers.engine.follower import Follower
from workers.engine.slot_producer import SlotProducer, Unanswered
from workers.failures import CommandError, NotFoundError, RefusedError, UnreachableError, unknown_name
from workers.kafka.access import KafkaAccess
from workers.kafka.logs import ends, read_logs, refuse_unread
from workers.kafka.topics import Topics, group_of
from workers.settings.worker import Settings

CLIENT = "cdc-pause"
TRANSACTION_MS = 30_000
STAGES = ("bridge", "enrich", "publish", "archive")
ARCHIVE = "archive"
BY_TABLE = ("enrich", "publish")
"""Those that know the table of a record."""
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Obedience:
    """Which workers follow a change. `members`: workers in the group of the stage."""

    stage: str
    members: int
    slots: int
    """Slots that are held by workers."""
    missing: frozenset[int]
    """Those whose worker has not said that it follows; all of them while the group changes."""

    @property
    def complete(self) -> bool:
        """Nobody works against the change."""
        return not self.members or (self.slots > 0 and not self.missing)


def target_of(settings: Settings, catalogue: Catalogue, stage: str, table: str | None, partition: int | None) -> Target:
    """What is meant. Raises NotFoundError, RefusedError, CommandError."""
    if stage not in STAGES:
        raise NotFoundError(f"there is no stage {stage}", hint=f"stages: {', '.join(STAGES)}")
    if table and partition is not None:
        raise CommandError("a table or a partition, not both", hint="pause them one after the other")
    if partition is not None:
        wide = settings.source_slots if stage == "bridge" else settings.partitions
        if not 0 <= partition < wide:
            raise NotFoundError(f"{stage} has no partition {partition}", hint=f"it has 0 to {wide - 1}")
        return Target(stage, partition=partition)
    if not table:
        return Target(stage)
    if stage not in BY_TABLE:
        raise RefusedError(
            f"{stage} cannot pause a table: it does not look into the records it passes on",
            hint=f"pause the table at {' or '.join(BY_TABLE)}; or all of {stage}, or one of its partitions",
        )
    spec = catalogue.named(table)
    if spec is None:
        raise unknown_name("table", table, (spec.name for spec in catalogue.specs))
    return Target(stage, table=spec.name)


async def refuse_off(settings: Settings, kafka: KafkaAccess, stage: str) -> None:
    """A pause of a stage that is off would hold nothing back, and be in the way of whoever switches it on one day.
    Raises NotFoundError, CommandError. These settings need not be those of the workers: who runs it counts, too."""
    if stage != ARCHIVE or settings.has_archive or not (await kafka.group(group_of(settings, stage))).idle:
        return
    raise NotFoundError(
        "the stage archive is off: no setting switches it on here, and no worker runs it",
        hint="DLQ_ARCHIVE_BUCKET, ALERT_TOPIC_ARN or CDC_DLQ_QUEUE_URL, set as the workers have it",
    )


def pause_of(target: Target, *, by: str, why: str, lasts: str | None, now_ms: int) -> Pause:
    """`lasts`: 30m, 2h, or a moment. Raises CommandError."""
    why = " ".join(why.split())
    if not why or len(why) > WHY_CHARACTERS or not why.isprintable():
        raise CommandError(
            f"the reason has to be 1 to {WHY_CHARACTERS} printable characters",
            hint="it is all that whoever is called next will know",
        )
    until_ms = 0
    if lasts:
        try:
            told = moment(lasts, now_ms)
        except ValueError as error:
            raise CommandError(f"how long: {lasts}: {error}", hint="30m, 2h, 1d, or 2026-01-15T10:00:00Z") from None
        ago = lasts.strip()[-1] in "smhdw"
        until_ms = 2 * now_ms - told if ago else told  # `moment` looks back
        if until_ms <= now_ms:
            raise CommandError(f"how long: {lasts} is over", hint="30m, 2h, 1d, or a moment that is still to come")
    return Pause(target, now_ms, by, why, until_ms)


def chosen_pauses(book: PauseBook, *, target: Target | None, everything: bool, now_ms: int) -> list[Target]:
    """Which pauses are to end: that of `target`, with `everything` all of its stage, or all that there are. Raises
    NotFoundError if there is none."""
    of_stage = target.stage if target is not None else None
    pauses = [pause.target for pause in book.now(now_ms) if of_stage in (None, pause.target.stage)]
    found = pauses if everything else [one for one in pauses if one == target]
    if found or (everything and of_stage is None):
        return found
    others = f"paused there: {'; '.join(map(str, pauses))}" if pauses else "`cdc pause list` shows all pauses"
    raise NotFoundError(f"{target} is not paused", hint=others)


async def read_pauses(settings: Settings, kafka: KafkaAccess) -> PauseBook:
    """What the topic says now. Raises NotFoundError, CommandError, KafkaError."""
    topic = Topics.of(settings).pauses
    await kafka.require({topic: 1})
    return await _read(kafka, topic)


async def _read(kafka: KafkaAccess, topic: str) -> PauseBook:
    book = PauseBook()
    goals = await ends(kafka.connection, CLIENT, [TopicPartition(topic, 0)], stable=False)
    logs = await read_logs(kafka.connection, CLIENT, goals, lambda record: _apply(book, record), lambda *_: None)
    refuse_unread(logs.values())
    return book


def _apply(book: PauseBook, record: Any) -> None:
    book.apply(record.key, record.value, record.offset, record.timestamp)


async def write_pauses(settings: Settings, kafka: KafkaAccess, pauses: Iterable[Pause]) -> int:
    """Begin them; the offset up to which workers have to follow. Raises CommandError, KafkaError."""
    asked = list(pauses)
    return await _write(settings, kafka, lambda book: pausing(book, asked))


async def write_resumes(
    settings: Settings, kafka: KafkaAccess, chosen: Callable[[PauseBook], Iterable[Target]], *, by: str, why: str,
    now_ms: int,
) -> int:  # fmt: skip
    """End those that `chosen` picks; the offset up to which workers have to follow. Raises CommandError, KafkaError."""
    return await _write(settings, kafka, lambda book: resuming(book, chosen(book), by=by, why=why, now_ms=now_ms))


async def _write(settings: Settings, kafka: KafkaAccess, records_of: Callable[[PauseBook], list[Record]]) -> int:
    topic = Topics.of(settings).pauses
    await kafka.require({topic: 1})
    producer = SlotProducer(
        **kafka.connection.client(CLIENT), transactional_id=f"{settings.app}-pauses",
        transaction_timeout_ms=TRANSACTION_MS,
    )  # fmt: skip
    try:
        await producer.start()  # InitProducerId: whoever writes now is fenced, and what it left open has ended
        book = await _read(kafka, topic)
        changed_at = book.changed_at
        async with transaction(producer):
            sent = []
            for key, value in records_of(book):
                sent.append((key, await producer.send(topic, key=key, value=value, partition=0)))
            for key, delivery in sent:
                offset = (await delivery).offset
                changed_at = offset if not key.startswith((b"audit|", b"obeyed|")) else changed_at
    except ProducerFenced:
        raise RefusedError(
            "another `cdc pause` or `cdc resume` has taken over", hint="see what holds (`cdc pause list`), run it again"
        ) from None
    except Unanswered:
        raise UnreachableError(
            "Kafka did not answer the end of a transaction: the change stands, or it does not",
            hint="`cdc pause list` shows which; running it again does no harm",
        ) from None
    finally:
        await producer.stop()
    return changed_at


async def obedience(settings: Settings, kafka: KafkaAccess, book: PauseBook, stage: str, offset: int) -> Obedience:
    """Who follows the change at `offset`, by the slots that the group's members hold now and what they have said."""
    group = await kafka.group(group_of(settings, stage))
    topics = Topics.of(settings)
    first = {"bridge": topics.slots, "enrich": next(iter(topics.raw.values()), ""), "publish": topics.events}
    source = first.get(stage, topics.dead)
    held = frozenset(partition for topic, partition in group.holders if topic == source)
    return Obedience(stage, len(group.members), len(held), held - book.obeying(stage, offset))


async def wait_until_obeyed(
    settings: Settings, kafka: KafkaAccess, stages: Iterable[str], offset: int, seconds: float,
    tell: Callable[[list[Obedience]], None] = lambda _: None,
) -> list[Obedience]:  # fmt: skip
    """Until every worker of these stages has said that it follows, or the time is over; what is known at the end."""
    book = PauseBook()
    follower = Follower(
        kafka.connection.client(CLIENT), Topics.of(settings).pauses, 1, lambda record: _apply(book, record)
    )
    follower.start()
    deadline, wanted = monotonic() + seconds, list(stages)
    try:
        while True:
            found = [await obedience(settings, kafka, book, stage, offset) for stage in wanted]
            tell(found)
            if (all(one.complete for one in found) and book.changed_at >= offset) or monotonic() >= deadline:
                return found
            follower.moved.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(follower.moved.wait(), LOOK_SECONDS)
    finally:
        await follower.stop()
