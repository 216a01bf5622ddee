"""The canary's sender: puts a record on every stream, and judges by what arrives (docs/decisions/0056)."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from models.canary import canary_record, row_of
from models.source_spec import SourceSpec
from workers import metrics
from workers.aws.errors import AwsError, AwsUnavailable
from workers.health.verdicts import State, Verdict, failed, of_error, ok
from workers.role import Role, RoleTask

log = logging.getLogger("cdc.health")

MOST_WAITING = 1_000
ACTION = "`cdc status` shows which stage is behind, `cdc health` what does not answer"

Put = Callable[[SourceSpec, str, bytes], Awaitable[Any]]
"""Puts data under a partition key on the stream of a source. Raises AwsError."""


@dataclass(slots=True)
class _Flight:
    """Canaries of one source."""

    row: str
    waiting: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    """When those left that have not arrived, ms since 1970; those the stream did not take are among them."""
    due_ms: int = 0
    arrived: float | None = None
    """Seconds that the last one took."""
    error: AwsError | None = None

    def seconds(self, now_ms: int) -> float | None:
        """Of the last one, or of one under way if that is more."""
        flying = (now_ms - self.waiting[0]) / 1000 if self.waiting else None
        told = [seconds for seconds in (self.arrived, flying) if seconds is not None]
        return max(told, default=None)


class CanarySender(RoleTask):
    """Sends while this worker has the role. A stream that does not take a canary costs nothing else.

    `interval`, `limit` and `timeout` in seconds; `now_ms` since 1970."""

    tick = 0.5
    what = "canary"

    def __init__(
        self, role: Role, sources: Iterable[SourceSpec], put: Put, now_ms: Callable[[], int], *, partitions: int,
        interval: float, limit: float, timeout: float, **kwargs: Any,
    ) -> None:  # fmt: skip
        self._sources = {spec.name: spec for spec in sources if spec.enabled}
        self._rows = {name: row_of(spec, partitions) for name, spec in self._sources.items()}
        self._put = put
        self._now_ms = now_ms
        self._interval = interval
        self._limit = limit
        self._timeout = timeout
        self._flights: dict[str, _Flight] = {}
        self._count: Counter[tuple[str, str]] = Counter()
        super().__init__(role, log, **kwargs)

    async def act(self) -> None:
        """Note what has arrived, and send what is due."""
        if not self._role.held:
            self._flights.clear()  # somebody else sends now
            return
        now = self._now_ms()
        for name, row in self._rows.items():
            self._flights.setdefault(name, _Flight(row))
        self._note_arrivals()
        due = [name for name, flight in self._flights.items() if now >= flight.due_ms]
        await asyncio.gather(*(self._send(name, self._flights[name]) for name in due))

    def _note_arrivals(self) -> None:
        app = self._role.stage.app
        report = app.reports.get("canary") if app is not None else None
        if report is None:
            return
        for name, found in report()["sources"].items():
            flight = self._flights.get(name)
            if flight is None or not flight.waiting or found["sent"] < flight.waiting[0]:
                continue
            flight.arrived = found["seconds"]
            while flight.waiting and flight.waiting[0] <= found["sent"]:
                flight.waiting.popleft()

    async def _send(self, name: str, flight: _Flight) -> None:
        spec, now = self._sources[name], self._now_ms()
        flight.due_ms = now + int(self._interval * 1000)
        flight.waiting.append(now)
        try:
            async with asyncio.timeout(self._timeout):
                await self._put(spec, flight.row, canary_record(spec.adapter, flight.row, now))
        except (AwsError, TimeoutError) as error:
            told = error if isinstance(error, AwsError) else AwsUnavailable("TimeoutError")
            if flight.error is None or flight.error.code != told.code:
                log.warning("canary of %s: the stream does not take it (%s)", name, told.code)
            flight.error = told
            self._count[name, "failed"] += 1
        else:
            flight.error = None
            self._count[name, "put"] += 1

    def verdicts(self) -> list[Verdict]:
        """One for each source; none without the role."""
        now = self._now_ms()
        return [self._judge(name, flight, now) for name, flight in self._flights.items()]

    def _judge(self, name: str, flight: _Flight, now: int) -> Verdict:
        if flight.error is not None:
            return of_error("canary", name, flight.error, "kinesis:PutRecord on the stream")
        seconds = flight.seconds(now)
        if flight.waiting and now - flight.waiting[0] > self._limit * 1000:
            return failed("canary", name, f"none has arrived for {(now - flight.waiting[0]) / 1000:.0f} s", ACTION)
        if flight.arrived is None or seconds is None:
            return Verdict("canary", name, State.UNKNOWN, "the first one is under way", "look again in a minute")
        if flight.arrived > self._limit:
            return Verdict("canary", name, State.DEGRADED, f"the last one took {flight.arrived:.0f} s", ACTION)
        return ok("canary", name, f"the last one took {flight.arrived:.1f} s")

    def measure(self) -> Iterator[metrics.Sample]:
        """For `/metrics`."""
        now = self._now_ms()
        for name, flight in self._flights.items():
            if (seconds := flight.seconds(now)) is not None:
                yield metrics.CANARY_SECONDS.of(seconds, name)
        for (name, outcome), count in self._count.items():
            yield metrics.CANARIES.of(count, name, outcome)
