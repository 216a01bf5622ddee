"""The checks beside the stages: a round every interval, on the worker that has the role."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

from workers import metrics
from workers.engine.app import StageApp
from workers.health.canary import CanarySender
from workers.health.verdicts import HealthReport, State
from workers.role import Role, RoleTask

log = logging.getLogger("cdc.health")

REPORT = "health"
"""Name of the report among those of the stage `publish`."""


class HealthWatch(RoleTask):
    """What it finds stands in the web view and in metrics; no stage waits for it, and none is less ready for it.

    `interval` in seconds, 0: no rounds; `now_ms` since 1970. The canary is shown with the rest, if there is one."""

    what = "health"

    def __init__(
        self, role: Role, look: Callable[[], Awaitable[HealthReport]], now_ms: Callable[[], int], *, interval: float,
        canary: CanarySender | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.report: HealthReport | None = None
        self._look = look
        self._now_ms = now_ms
        self._interval = interval
        self._canary = canary
        self._due_ms = 0
        super().__init__(role, log, **kwargs)

    async def act(self) -> None:
        """Make a round if one is due."""
        if not self._role.held:
            self.report, self._due_ms = None, 0
            return
        if not self._interval or self._now_ms() < self._due_ms:
            return
        self._due_ms = self._now_ms() + int(self._interval * 1000)
        found = await self._look()
        if self._canary is not None:
            found = replace(found, verdicts=(*found.verdicts, *self._canary.verdicts()))
        self._tell(found)
        self.report = found

    def show_in(self, app: StageApp) -> None:
        """The last round, and the canary's figures."""
        app.reports[REPORT] = self.document
        app.measures += [self.measure] if self._canary is None else [self.measure, self._canary.measure]

    def _tell(self, found: HealthReport) -> None:
        """Log what has changed, once."""
        before = {} if self.report is None else {(v.check, v.subject): v.state for v in self.report.verdicts}
        for verdict in found.verdicts:
            known = before.get((verdict.check, verdict.subject), State.OK)
            if verdict.state is State.OK and known is not State.OK:
                log.info("%s %s: ok again, %s", verdict.check, verdict.subject, verdict.reason)
            elif verdict.state is not known:
                level = logging.WARNING if verdict.state.severity > State.UNKNOWN.severity else logging.INFO
                hint = f"; {verdict.action}" if verdict.action else ""
                log.log(level, "%s %s: %s, %s%s", verdict.check, verdict.subject, verdict.state, verdict.reason, hint)

    def document(self) -> dict[str, Any] | None:
        """The last round, for the web view; None before the first one, and without the role."""
        return self.report.document() if self.report is not None else None

    def measure(self) -> Iterator[metrics.Sample]:
        """For `/metrics`."""
        if self.report is not None:
            for check, state in self.report.by_check.items():
                yield metrics.HEALTH_STATE.of(state.severity, check)
            yield metrics.HEALTH_AGE.of(max(0, self._now_ms() - self.report.at_ms) / 1000)
