"""Watches the stages of this process, and tells the alert topic when one of them waits, and when it goes on."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import mode

from models.alerts import RULES, Trouble, TroubleAlerts
from models.bus_health import EventBridgeHC
from models.infrastructure import CircuitState, DatabaseInstanceStatus
from models.outcome import ErrorCategory
from models.taxonomy import Alert
from workers.archive.notices import AlertTopic, trouble_notice
from workers.aws.errors import AwsError, category_of
from workers.engine.stages import Stage

log = logging.getLogger("cdc.alerts")

LOOK_SECONDS = 2.0
CRASH_SECONDS = 60.0
"""So long a crash counts as trouble: the new app is there after seconds."""
THROTTLED_SECONDS = 60.0
"""So long a dependency counts as throttling behind the last call that it refused for being one too many."""
IN_ALARM = frozenset({
    EventBridgeHC.IN_ALARM.value, DatabaseInstanceStatus.UNAVAILABLE.value, CircuitState.OPEN.value,
    CircuitState.HALF_OPEN.value,
})  # fmt: skip


def troubles_of(stage: str, state: Mapping[str, Any]) -> Iterator[Trouble]:
    """What is wrong by the state that the web view shows of a stage."""
    waiting = _held_back(state)
    for name, why in state.get("blocked_by", {}).items():
        yield Trouble(stage, "pause", name, str(why), held_back=waiting)
    for index, why in state.get("paused", {}).items():
        yield Trouble(stage, "pause", f"slot {index}", str(why))
    for where, why in state.get("gaps", {}).items():
        yield Trouble(stage, "gap", str(where), str(why))
    if not state.get("blocked_by"):
        yield from _of_rows(stage, state)
    for name, report in _dependencies(state):
        if name not in state.get("blocked_by", {}):
            yield from _of_dependency(stage, name, report)


def _of_rows(stage: str, state: Mapping[str, Any]) -> Iterator[Trouble]:
    """A table that may not be sent stops its own rows only: the bus takes all others, and the stage stays ready."""
    stalled = state.get("delivery", {}).get("stalled", ())
    for code in dict.fromkeys(lane["reason"] for lane in stalled):
        if category_of(code) is ErrorCategory.CONFIGURATION:
            yield Trouble(stage, "pause", f"rows with {code}", "their next events wait until that is mended")


def _dependencies(state: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Reports of the stage, those of several buses one by one."""
    for name, report in state.items():
        if isinstance(report, dict):
            buses = report.get("buses")
            yield from buses.items() if isinstance(buses, dict) else [(name, report)]


def _of_dependency(stage: str, name: str, report: Mapping[str, Any]) -> Iterator[Trouble]:
    """By its report: `health`, `status` or `circuit`, with `trouble`."""
    if any(str(report.get(word)) in IN_ALARM for word in ("health", "status", "circuit")):
        why = str(report.get("trouble") or "it does not answer")
        yield Trouble(stage, "unreachable", name, why, held_back=report.get("held_back"))


def _held_back(state: Mapping[str, Any]) -> int | None:
    """Entities whose events wait for any of the stage's buses; None for a stage without buses."""
    counts = [report["held_back"] for _, report in _dependencies(state) if "held_back" in report]
    return sum(counts) if counts else None


class Watch(mode.Service):
    """Runs beside the stages. `state`: what the web view shows of one; `now`: seconds of a clock that never goes back.

    An alert topic that does not answer costs nothing: what is still so when it does is told then."""

    def __init__(
        self, stages: Sequence[Stage], topic: AlertTopic, state: Callable[[Stage], Mapping[str, Any]],
        now: Callable[[], float], *, sender: str, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.alerts = TroubleAlerts()
        self._stages = stages
        self._topic = topic
        self._state = state
        self._now = now
        self._sender = sender
        self._restarts: dict[str, int] = {}
        self._crashed_at: dict[str, float] = {}
        self._throttles: dict[tuple[str, str], tuple[int, float]] = {}
        """Count of each dependency, and when it grew last."""
        self._failing = ""
        super().__init__(**kwargs)

    @mode.Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """One look at every stage; tells what is to be told. Never raises for the world."""
        now = self._now()
        for change in self.alerts.look(list(self._troubles(now)), now):
            notice = trouble_notice(change, self._sender)
            try:
                await self._topic.publish(notice)
            except AwsError as error:
                if self._failing != error.code:
                    log.warning("the alert topic does not take messages: %s", error.code)
                self._failing = error.code
                return
            self._failing = ""
            self.alerts.told(change)

    def _troubles(self, now: float) -> Iterable[Trouble]:
        for stage in self._stages:
            yield from self._crashes(stage, now)
            state = self._state(stage)
            yield from troubles_of(stage.name, state)
            yield from self._throttled(stage.name, state, now)

    def _throttled(self, stage: str, state: Mapping[str, Any], now: float) -> Iterator[Trouble]:
        """By the count `throttles` of a report: it grows as long as calls are refused."""
        for name, report in _dependencies(state):
            count = report.get("throttles")
            if not isinstance(count, int):
                continue
            known, grew_at = self._throttles.get((stage, name), (count, -math.inf))
            grew_at = now if count > known else grew_at
            self._throttles[stage, name] = count, grew_at
            if now - grew_at < THROTTLED_SECONDS:
                why = "it refuses calls because there are too many"
                yield Trouble(stage, "throttled", name, why, RULES[Alert.AFTER_5_MINUTES], report.get("held_back"))

    def _crashes(self, stage: Stage, now: float) -> Iterator[Trouble]:
        if stage.restarts > self._restarts.get(stage.name, 0):
            self._restarts[stage.name] = stage.restarts
            self._crashed_at[stage.name] = now
        crashed_at = self._crashed_at.get(stage.name)
        if crashed_at is not None and now - crashed_at < CRASH_SECONDS:
            yield Trouble(stage.name, "restarts", "the stage", f"it crashed, {stage.restarts} times in this process")
