"""Redriven letters: once each, in order, at their pace, whenever the command is killed."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import TopicPartition

from models.buried import Buried
from models.handled import Handled, LetterId
from models.redrive import RedriveRecord, redrive_of
from tests.unit.clock import Clock
from tests.unit.letters import T0, buried
from workers.dead_letters.drop import write_drop
from workers.dead_letters.pace import MAX_RECORDS, Pace
from workers.dead_letters.reading import DeadLetters
from workers.dead_letters.redrive import Chosen, obsolete, write_letters
from workers.kafka.topics import Topics

TOPICS = Topics(
    config="c", slots="s", checkpoints="k", raw={"core": "cdc.raw.core"}, events="cdc.events", dead="cdc.dead",
    receipts="cdc.receipts", redrive={"enrich": "cdc.redrive.enrich", "publish": "cdc.redrive.publish"},
)  # fmt: skip


class Killed(BaseException):
    """SIGKILL: nothing of the process runs any more."""


@dataclass
class Log:
    """What stands in Kafka."""

    records: list[tuple[str, int, bytes | None, bytes | None]] = field(default_factory=list)
    commits: int = 0

    @property
    def marks(self) -> dict[LetterId, Handled]:
        found: dict[LetterId, Handled] = {}
        for topic, _, key, value in self.records:
            if topic == TOPICS.handled:
                name = LetterId.parse((key or b"").decode())
                found.pop(name, None)
                if value is not None:
                    found[name] = Handled.decode(key, value)
        return found

    def redriven(self, stage: str = "enrich") -> list[tuple[int, bytes | None, bytes | None]]:
        return [(index, key, value) for topic, index, key, value in self.records if topic == TOPICS.redrive[stage]]


class Producer:
    """A transactional producer that is killed at one of its calls, if it is to be."""

    def __init__(self, log: Log, killed_at: int | None = None) -> None:
        self._log, self._killed_at, self._calls = log, killed_at, 0
        self._open: list[tuple[str, int, bytes | None, bytes | None]] | None = None

    def _step(self) -> None:
        self._calls += 1
        if self._calls == self._killed_at:
            raise Killed

    async def begin_transaction(self) -> None:
        self._step()
        assert self._open is None
        self._open = []

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, partition: int, headers: Any = ()
    ) -> asyncio.Future[None]:
        self._step()
        assert self._open is not None, "outside of a transaction"
        self._open.append((topic, partition, key, value))
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def commit_transaction(self) -> None:
        self._step()
        assert self._open is not None
        self._log.records += self._open
        self._log.commits += 1
        self._open = None
        self._step()

    async def abort_transaction(self) -> None:
        self._open = None


def letters(count: int, keys: int = 5) -> list[Buried]:
    return [
        buried(n, partition=n % 2, key=b'["core","users",%d]' % (n % keys), value=b"%d" % n, time_ms=T0 + n)
        for n in range(count)
    ]


async def chosen(found: Iterable[Buried], log: Log) -> AsyncIterator[Chosen]:
    """Those that nothing was done with, as the log stands when the command begins."""
    marks = log.marks
    for letter in found:
        record = redrive_of(letter.record)
        if letter.id not in marks:
            assert isinstance(record, RedriveRecord)
            yield letter, record


async def run(found: Iterable[Buried], log: Log, killed_at: int | None = None, **options: Any) -> None:
    known: dict[str, Any] = {"pace": Pace(), "now_ms": lambda: T0, "tell": lambda _: None, "forget": iter(())}
    await write_letters(Producer(log, killed_at), TOPICS, chosen(found, log), **(known | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [None, 3.0])
async def test_whenever_it_is_killed_every_letter_is_redriven_exactly_once_in_the_order_of_its_row(
    rate: float | None,
) -> None:
    found = letters(14)
    clock = Clock()
    options: dict[str, Any] = {"pace": Pace(rate), "clock": clock, "sleep": slept(clock)}
    whole = Log()
    await run(found, whole, **options)
    kills, killed_at = 0, 1
    while True:
        log = Log()
        try:
            await run(found, log, killed_at, **options)
        except Killed:
            kills += 1
        else:
            break
        await run(found, log, **options)
        assert sorted(log.redriven()) == sorted(whole.redriven()), f"killed at call {killed_at}"
        assert log.marks.keys() == {letter.id for letter in found}
        assert by_row(log) == by_row(whole) == {letter.record.key: rows(found, letter) for letter in found}
        killed_at += 1
    assert kills > 2 * len(found)


def by_row(log: Log) -> dict[bytes | None, list[bytes | None]]:
    found = defaultdict[bytes | None, list[bytes | None]](list)
    for _, key, value in log.redriven():
        found[key].append(value)
    return found


def rows(found: Iterable[Buried], of: Buried) -> list[bytes | None]:
    return [letter.record.value for letter in found if letter.record.key == of.record.key]


async def test_a_letter_goes_to_its_stage_and_to_the_partition_of_its_original() -> None:
    log = Log()
    await run([buried(1, partition=1, stage="publish", topic="cdc.events"), buried(2, partition=0)], log)
    assert [(index, value) for index, _, value in log.redriven("publish")] == [(1, b"{}")]
    assert [(index, value) for index, _, value in log.redriven("enrich")] == [(0, b"{}")]


async def test_a_transaction_is_bounded_in_letters_and_in_bytes() -> None:
    log = Log()
    await run(letters(MAX_RECORDS + 1), log)
    assert log.commits == 2
    log = Log()
    await run([buried(n, value=b"x" * (3 << 20)) for n in range(5)], log)
    assert log.commits == 3


def slept(clock: Clock) -> Callable[[float], Any]:
    async def sleep(seconds: float) -> None:
        clock.now += seconds

    return sleep


async def test_letters_come_no_faster_than_the_rate_and_lost_time_is_not_made_up_for() -> None:
    clock, written = Clock(), list[tuple[float, int]]()

    def tell(done: int) -> None:
        written.append((clock.now - 1_000.0, done))
        if done == 200:
            clock.now += 60  # Kafka was away

    await run(letters(500), Log(), pace=Pace(100), clock=clock, sleep=slept(clock), tell=tell)
    assert written == [(0, 100), (1, 200), (61, 300), (62, 400), (63, 500)]


async def test_less_than_one_letter_per_second_is_a_rate_too() -> None:
    clock, written = Clock(), list[float]()
    await run(
        letters(3), Log(), pace=Pace(0.1), clock=clock, sleep=slept(clock),
        tell=lambda _: written.append(clock.now - 1_000.0),
    )  # fmt: skip
    assert written == [0, 10, 20]


async def test_marks_of_letters_that_kafka_has_deleted_go_with_the_next_redrive() -> None:
    log = Log()
    gone = [Handled(LetterId(0, n), "redriven", T0, T0) for n in range(3)]
    kept = Handled(LetterId(0, 3), "dropped", T0, T0)
    await write_drop(Producer(log), TOPICS, [*gone, kept], undo=False, now_ms=lambda: T0, tell=lambda *_: None)  # type: ignore[arg-type]
    stands = DeadLetters({}, log.marks, starts={TopicPartition("cdc.dead", 0): 3})
    await run([buried(9)], log, forget=obsolete(stands))
    assert log.marks.keys() == {LetterId(0, 3), LetterId(0, 9)}


async def test_what_was_dropped_can_be_shown_again() -> None:
    log = Log()
    marks = [Handled(LetterId(1, n), "dropped", 0, T0) for n in range(3)]
    await write_drop(Producer(log), TOPICS, marks, undo=False, now_ms=lambda: T0 + 7, tell=lambda *_: None)  # type: ignore[arg-type]
    assert {mark.at_ms for mark in log.marks.values()} == {T0 + 7}
    await write_drop(Producer(log), TOPICS, marks[:1], undo=True, now_ms=lambda: T0, tell=lambda *_: None)  # type: ignore[arg-type]
    assert log.marks.keys() == {LetterId(1, 1), LetterId(1, 2)}
