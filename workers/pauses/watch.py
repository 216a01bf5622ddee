"""One follower of `cdc.pauses` per process: it sets the brakes of all its stages, and says when they obey.

A stage joins its group only when everything has been read that was written before it asked: a worker that starts, or
starts again after a SIGKILL, obeys before its first record. While Kafka is away what was last known holds.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from models.pause import Obeyed, Pause, PauseBook
from workers.engine.app import StageApp
from workers.engine.brake import Held
from workers.engine.clock import monotonic
from workers.engine.errors import BootRefused
from workers.engine.follower import Follower
from workers.engine.runner import describe
from workers.kafka.connection import kafka_connection
from workers.kafka.topics import Topics
from workers.settings.worker import Settings

CLIENT = "cdc-pauses"
LOOK_SECONDS = 1.0
"""Between two looks at ends that have come, and at slots that were taken over."""
BOOT_SECONDS = 10.0
SAY_SECONDS = 10.0
SAID_MS = 600_000
"""Nobody waits any more for the word about a change that is older than this."""


class PauseWatch:
    """`worker`: name of this process; `now_ms`: time of day."""

    def __init__(self, settings: Settings, worker: str, now_ms: Callable[[], int]) -> None:
        self.book = PauseBook()
        self.worker = worker
        self._topic = Topics.of(settings).pauses
        self._client = kafka_connection(settings).client(CLIENT)
        self._now_ms = now_ms
        self._apps: dict[str, StageApp] = {}
        self._users: set[StageApp] = set()
        """Apps that follow, or are about to: while there is one, nothing of what is known is thrown away."""
        self._said: dict[str, tuple[int, frozenset[int]]] = {}
        self._follower = self._new_follower()
        self._tending: asyncio.Task[None] | None = None
        self._strange = 0
        self._turns = 0

    def govern(self, stage: str, app: StageApp) -> StageApp:
        """Make an app that has not started obey; the same app."""

        async def know() -> None:
            self._users.add(app)
            await self._known()
            self._apps[stage] = app
            self._said.pop(stage, None)
            self._set(stage, app)

        async def leave() -> None:
            if self._apps.get(stage) is app:
                del self._apps[stage]
            self._users.discard(app)
            if not self._users:
                await self._stop()

        app.before_boot.append(know)
        app.in_hand.append(lambda: self._in_hand)
        app.on_end.append(leave)
        return app

    @property
    def _in_hand(self) -> dict[str, int]:
        tending = {f"obeying {self._topic}": self._turns} if self._tending is not None else {}
        return self._follower.in_hand | tending

    async def _known(self) -> None:
        """Everything that was written until now is known. After 10 s raises BootRefused if there is no such topic, else
        KafkaError; the boot tries again."""
        asked = monotonic()
        self._follower.start()
        self._follower.wanted = asked
        if self._tending is None:
            self._tending = asyncio.ensure_future(self._tend())
        while self._follower.complete_as_of < asked:
            if monotonic() - asked > BOOT_SECONDS:
                await self._refuse_without_topic()
                raise KafkaError(f"{self._topic} cannot be read yet")
            self._follower.moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._follower.moved.wait()

    async def _refuse_without_topic(self) -> None:
        """Nobody would make it while a worker waits: say so."""
        consumer = AIOKafkaConsumer(**self._client)
        try:
            await consumer.start()
            known = await consumer.topics()
        finally:
            await consumer.stop()
        if self._topic not in known:
            raise BootRefused(f"topic {self._topic} does not exist, or may not be read. `cdc topics apply` makes it")

    async def _stop(self) -> None:
        # A stage may start again while these end: it has all of it anew, and reads anew.
        tending, self._tending = self._tending, None
        follower, self._follower = self._follower, self._new_follower()
        self.book = PauseBook()
        if tending is not None:
            tending.cancel()
            await asyncio.gather(tending, return_exceptions=True)
        await follower.stop()

    def _new_follower(self) -> Follower:
        return Follower(self._client, self._topic, 1, self._apply)

    def _apply(self, record: Any) -> None:
        self.book.apply(record.key, record.value, record.offset, record.timestamp)
        for stage, app in self._apps.items():
            if self.book.strange > self._strange:
                self._strange = self.book.strange
                app.log.error("%s: offset %s is no record of ours", self._topic, record.offset)
            self._set(stage, app)

    def _set(self, stage: str, app: StageApp) -> None:
        found = self.book.of(stage, self._now_ms())
        told = {pause.target.part: pause.document() for pause in found}
        for part in told.keys() - app.brake.told.keys():
            by = told[part]["by"].replace("@", " on ")  # else the log takes it for an e-mail address
            app.log.warning("PAUSED %s by %s: %s", _of(stage, part), by, told[part]["why"])
        for part in app.brake.told.keys() - told.keys():
            app.log.warning("RESUMED %s", _of(stage, part))
        app.brake.told = told
        app.brake.set(held_by(found))

    async def _tend(self) -> None:
        """Lets go what has come to its end, and says what is obeyed. Nothing that fails here ends a stage."""
        while self._tending is not None:
            self._turns += 1
            for stage, app in list(self._apps.items()):
                try:
                    self._set(stage, app)
                    async with asyncio.timeout(SAY_SECONDS):  # else a slot in trouble would hold up the others
                        await self._say(stage, app)
                except TimeoutError:
                    continue  # not at rest yet
                except (KafkaError, OSError) as error:
                    app.log.warning("%s: cannot be written: %s", self._topic, type(error).__name__)
                except Exception as error:  # noqa: BLE001  a bug: else no pause would ever end by itself again
                    app.log.error("%s: %s: %s", self._topic, stage, describe(error))
            self._follower.moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._follower.moved.wait()

    async def _say(self, stage: str, app: StageApp) -> None:
        """That this worker obeys the last change, once everything has ended that began before it."""
        changed_at = self.book.changed_at
        slots = frozenset(app.slots.owned) | frozenset(app.slots.incomplete)
        word = (changed_at, slots)
        fresh = self._now_ms() - self.book.changed_ms < SAID_MS
        if changed_at < 0 or not fresh or not app.slots.open or self._said.get(stage) == word:
            return
        await app.at_rest()
        obeyed = Obeyed(stage, self.worker, changed_at, slots)
        producer = AIOKafkaProducer(**self._client)
        try:
            await producer.start()
            await producer.send_and_wait(self._topic, obeyed.encode(), key=obeyed.key.encode(), partition=0)
        finally:
            await producer.stop()
        self._said[stage] = word


def held_by(pauses: tuple[Pause, ...]) -> Held:
    """What a stage holds back because of these."""
    targets = [pause.target for pause in pauses]
    return Held(
        whole=any(not target.table and target.partition < 0 for target in targets),
        slots=frozenset(target.partition for target in targets if target.partition >= 0),
        tables=frozenset(target.table for target in targets if target.table),
    )


def _of(stage: str, part: str) -> str:
    return stage if part == "stage" else f"{stage}, {part}"
