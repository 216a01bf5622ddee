"""A redrive that a worker runs for somebody who looks at the page: begun once the number is agreed upon, then told how
far it is. The same work as `cdc dlq redrive`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.letter_selection import Selection
from workers.dead_letters.marks import sole_writer
from workers.dead_letters.pace import Pace
from workers.dead_letters.reading import KeysOf, look
from workers.dead_letters.redrive import Redrive, Tally
from workers.engine.runner import describe
from workers.failures import CommandError, RefusedError
from workers.kafka.access import kafka_access
from workers.kafka.topics import Topics
from workers.settings.worker import Settings


@dataclass(slots=True)
class RedriveProgress:
    """How far one is. Times in milliseconds since the epoch."""

    total: int
    began_ms: int
    done: int = 0
    ended_ms: int | None = None
    error: str = ""

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "total": self.total, "done": self.done, "beganMs": self.began_ms, "endedMs": self.ended_ms,
            "error": self.error or None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RedriveOrder:
    """What somebody wants redriven, and how many letters he has seen that this is."""

    selection: Selection
    keys_of: KeysOf
    max_replays: int
    expected: int
    rate: float | None = None
    limit: int | None = None


class NumberChanged(RefusedError):
    """Other letters would be redriven than those that were agreed upon."""

    def __init__(self, now: int) -> None:
        super().__init__(f"it would be {now:,} letters now", hint="look at them again, then confirm that number")
        self.now = now


class Redriver:
    """Runs one redrive at a time in this process, and remembers the last one."""

    def __init__(self) -> None:
        self.progress: RedriveProgress | None = None
        self._task: asyncio.Task[None] | None = None

    async def begin(self, settings: Settings, order: RedriveOrder, now_ms: Callable[[], int]) -> RedriveProgress:
        """Returns when letters are being written. Raises RefusedError while another one runs here, NumberChanged,
        CommandError."""
        if self._task is not None and not self._task.done():
            raise RefusedError("a redrive runs on this worker", hint="wait until it has ended")
        begun: asyncio.Future[RedriveProgress] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(settings, order, now_ms, begun), name="redrive")
        return await asyncio.shield(begun)

    async def _run(
        self, settings: Settings, order: RedriveOrder, now_ms: Callable[[], int], begun: asyncio.Future[RedriveProgress]
    ) -> None:
        try:
            await self._redrive(settings, order, now_ms, begun)
            error = ""
        except CommandError as raised:
            error = str(raised)
            if not begun.done():
                begun.set_exception(raised)
        except Exception as raised:  # noqa: BLE001  its text may hold values of a row
            error = f"this is a bug: {describe(raised)}"
            if not begun.done():
                begun.set_exception(CommandError(error))
        if self.progress is not None and self.progress.ended_ms is None:
            self.progress.error, self.progress.ended_ms = error, now_ms()

    async def _redrive(
        self, settings: Settings, order: RedriveOrder, now_ms: Callable[[], int], begun: asyncio.Future[RedriveProgress]
    ) -> None:
        topics = Topics.of(settings)
        async with kafka_access(settings) as kafka:
            await kafka.require(dict.fromkeys(topics.redrive.values(), settings.partitions))
            await self._refuse_others(settings, order)
            async with sole_writer(settings, kafka) as producer:
                found = await look(settings, kafka, order.selection, _quiet, fenced=True)
                work = Redrive(found, order.selection, order.keys_of, order.max_replays, order.limit)
                tally = await work.plan(kafka, _quiet)
                # What was agreed upon is what is done: in between letters may have come, or been redriven.
                if tally.letters != order.expected:
                    raise NumberChanged(tally.letters)
                progress = self.progress = RedriveProgress(tally.letters, now_ms())
                begun.set_result(progress)

                def tell(_doing: str, done: int, _total: int) -> None:
                    progress.done = done

                await work.write(
                    kafka, producer, topics, pace=Pace(order.rate), now_ms=now_ms, tell=tell, total=tally.letters
                )

    async def _refuse_others(self, settings: Settings, order: RedriveOrder) -> None:
        """Look once without the fence: a number that is wrong anyway must not end what another command does."""
        tally = await plan_redrive(settings, order)
        if tally.letters != order.expected or not tally.letters:
            raise NumberChanged(tally.letters)


async def plan_redrive(settings: Settings, order: RedriveOrder) -> Tally:
    """What would be done. Raises CommandError."""
    async with kafka_access(settings) as kafka:
        found = await look(settings, kafka, order.selection, _quiet)
        work = Redrive(found, order.selection, order.keys_of, order.max_replays, order.limit)
        return await work.plan(kafka, _quiet)


def _quiet(_what: str, _done: int, _total: int) -> None:
    """Nobody watches these steps."""
