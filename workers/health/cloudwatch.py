"""Metrics for CloudWatch: every worker sends its own, one call an interval. Source: CloudWatch API reference,
PutMetricData."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import mode

from workers import metrics
from workers.aws.errors import AwsError, AwsUnavailable, ErrorCodes
from workers.engine.app import StageApp
from workers.engine.ledger import DEAD
from workers.engine.stages import Stage
from workers.health.figures import Tally
from workers.web.metrics import registry_of

log = logging.getLogger("cdc.health")

LONGEST_PAUSE = 900.0
"""Seconds between two tries while CloudWatch refuses."""

Send = Callable[[list[dict[str, Any]]], Awaitable[Any]]
"""One PutMetricData call. Raises AwsError."""


class CloudWatchReporter(mode.Service):
    """What a failed call did not take goes with the next one; the pause doubles as long as calls fail.

    `interval` and `timeout` in seconds."""

    def __init__(
        self, stages: Sequence[Stage], send: Send, tally: Tally, *, interval: float, timeout: float, **kwargs: Any
    ) -> None:
        self._stages = stages
        self._registry = registry_of(stages)
        self._send = send
        self._tally = tally
        self._interval = interval
        self._timeout = timeout
        self._failures = 0
        self._errors = ErrorCodes()
        self._shown_by: StageApp | None = None
        super().__init__(**kwargs)

    @property
    def pause(self) -> float:
        """Seconds until the next message."""
        return max(self._interval, min(LONGEST_PAUSE, self._interval * 2.0 ** min(self._failures, 10)))

    @mode.Service.task
    async def _report(self) -> None:
        while not self.should_stop:
            await self.sleep(self.pause)
            try:
                await self.tell()
            except Exception as error:  # noqa: BLE001  health must never end a worker
                log.error("CloudWatch: %s", type(error).__name__)

    async def tell(self) -> None:
        """Send one message. Never raises for the world."""
        app = self._stages[0].app
        if app is not None and app is not self._shown_by:
            app.measures.append(self.measure)
            self._shown_by = app
        samples = [sample for family in self._registry.collect() for sample in family.samples]
        dead = {s.name: s.app.slots.stats.outcomes[DEAD] for s in self._stages if s.app is not None}
        self._tally.take(samples, dead)
        try:
            async with asyncio.timeout(self._timeout):
                await self._send(self._tally.message())
        except (AwsError, TimeoutError) as error:
            code = error.code if isinstance(error, AwsError) else AwsUnavailable("TimeoutError").code
            if not self._failures:
                log.warning("CloudWatch does not take metrics (%s); allow cloudwatch:PutMetricData", code)
            self._failures += 1
            self._errors.count(code)
        else:
            if self._failures:
                log.info("CloudWatch takes metrics again")
            self._failures = 0
            self._tally.sent()

    def measure(self) -> Iterator[metrics.Sample]:
        """For `/metrics`."""
        for code, count in self._errors.items():
            yield metrics.CLOUDWATCH_ERRORS.of(count, code)
