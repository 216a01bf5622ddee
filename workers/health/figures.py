"""What CloudWatch hears: a dozen figures, folded from the metrics that `/metrics` shows. Names of checks and of the
app, never a key or a value (P6)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client.samples import Sample

from models.outcome import ErrorCategory
from workers import metrics
from workers.aws.errors import category_of


@dataclass(frozen=True, slots=True)
class Figure:
    """One CloudWatch metric. Of a Sum workers send what has come since their last message, of a Maximum what is."""

    name: str
    statistic: Literal["Sum", "Maximum"]
    unit: Literal["Count", "Seconds", "None"]
    by_check: bool
    """Whether there is a series for each check beside the one for all."""
    says: str


ERRORS = Figure("Errors", "Sum", "Count", False, "Failures of calls, transactions and stages; throttles are none.")
DEAD_LETTERS = Figure("DeadLetters", "Sum", "Count", False, "Dead letters that were written.")
SECONDS_BEHIND = Figure(
    "SecondsBehind", "Maximum", "Seconds", False, "How far the slowest shard is behind the tip of its stream."
)
SECONDS_WAITING = Figure(
    "SecondsWaiting", "Maximum", "Seconds", False, "How long the oldest event has waited to be published."
)
NOT_READY = Figure("NotReady", "Maximum", "Count", False, "Stages of a worker that are not ready.")
HEALTH_STATE = Figure(
    "HealthState", "Maximum", "None", True, "What checks of dependencies found: 0 ok, 1 unknown, 2 degraded, 3 failed."
)
CANARY_SECONDS = Figure("CanarySeconds", "Maximum", "Seconds", False, "How long the slowest canary takes.")
FIGURES = (ERRORS, DEAD_LETTERS, SECONDS_BEHIND, SECONDS_WAITING, NOT_READY, HEALTH_STATE, CANARY_SECONDS)

COUNTED_AS_ERRORS = frozenset(
    metric.shown
    for metric in (
        metrics.TXN_ABORTS, metrics.STAGE_RESTARTS, metrics.SOURCE_ERRORS, metrics.SOURCE_LISTING_ERRORS,
        metrics.PUBLISH_ERRORS, metrics.ARCHIVE_ERRORS, metrics.DATABASE_QUERIES,
    )
)  # fmt: skip
HARMLESS = frozenset({"fenced", "cancelled", "answered", "ExpiredIteratorException"})
"""Values of labels: what a rebalance does, a query that succeeded, an iterator that is made anew."""
HIGHEST = {
    metrics.SOURCE_SECONDS_BEHIND.shown: SECONDS_BEHIND, metrics.PUBLISH_OLDEST_SECONDS.shown: SECONDS_WAITING,
    metrics.CANARY_SECONDS.shown: CANARY_SECONDS,
}  # fmt: skip


class Tally:
    """What has come together since the last message that CloudWatch took."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._counters: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._dead: dict[str, int] = {}
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._highs: dict[tuple[str, str], float] = {}

    def take(self, readings: Iterable[Sample], dead: dict[str, int]) -> None:
        """`readings`: of one scrape; `dead`: dead letters of each stage since its app began."""
        self._sums[ERRORS.name] += 0
        self._sums[DEAD_LETTERS.name] += 0
        not_ready = 0
        for found in readings:
            if found.name in COUNTED_AS_ERRORS:
                self._sums[ERRORS.name] += self._grown(found)
            elif found.name == metrics.STAGE_READY.shown:
                not_ready += not found.value
            elif found.name == metrics.HEALTH_STATE.shown:
                self._high(HEALTH_STATE, found.value, found.labels["check"])
                self._high(HEALTH_STATE, found.value)
            elif (figure := HIGHEST.get(found.name)) is not None:
                self._high(figure, found.value)
        self._high(NOT_READY, not_ready)
        for stage, count in dead.items():
            before = self._dead.get(stage, 0)
            self._sums[DEAD_LETTERS.name] += count - before if count >= before else count
            self._dead[stage] = count

    def _grown(self, found: Sample) -> float:
        """Since the scrape before. A counter that is lower began anew, with its stage or its shard."""
        series = found.name, tuple(sorted(found.labels.items()))
        before = self._counters.get(series, 0.0)
        self._counters[series] = found.value
        if not HARMLESS.isdisjoint(found.labels.values()):
            return 0.0
        if category_of(found.labels.get("code", "")) is ErrorCategory.THROTTLING:
            return 0.0
        return found.value - before if found.value >= before else found.value

    def _high(self, figure: Figure, value: float, check: str = "") -> None:
        self._highs[figure.name, check] = max(value, self._highs.get((figure.name, check), value))

    def message(self) -> list[dict[str, Any]]:
        """MetricData of PutMetricData; some dozen at most, of 1,000 that one call takes."""
        app = {"Name": "App", "Value": self._app}
        units = {figure.name: figure.unit for figure in FIGURES}
        sums = [
            {"MetricName": name, "Dimensions": [app], "Value": float(value), "Unit": units[name]}
            for name, value in self._sums.items()
        ]
        return sums + [
            {
                "MetricName": name, "Dimensions": [app, {"Name": "Check", "Value": check}] if check else [app],
                "Value": float(value), "Unit": units[name],
            }
            for (name, check), value in self._highs.items()
        ]  # fmt: skip

    def sent(self) -> None:
        """CloudWatch has taken the message."""
        self._sums.clear()
        self._highs.clear()
