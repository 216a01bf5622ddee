"""What Prometheus scrapes: the counters of all stages of the process, as they are at that moment."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from models.outcome import Failure
from workers import metrics
from workers.engine.app import StageApp
from workers.engine.stages import Stage
from workers.engine.stats import LETTER, RECORD, TXN_BOUNDS, Stats
from workers.web.families import families

ENDS_SECONDS = 1.0
"""A scraper waits ten."""
Measure = Callable[[], Iterable[metrics.Sample]]


class StageMetrics(Collector):
    """Asks the apps that are there when it is asked: a crashed stage's counters begin at 0 again, like those of a
    process that was started again."""

    def __init__(self, stages: Sequence[Stage], measures: Sequence[Measure]) -> None:
        self._stages = stages
        self._measures = measures

    def describe(self) -> Iterator[Family]:
        """Nothing is scraped to learn the names."""
        return families(())

    def collect(self) -> Iterator[Family]:
        """One scrape."""
        return families(self._samples())

    def _samples(self) -> Iterator[metrics.Sample]:
        for fingerprint in sorted({stage.app.fingerprint for stage in self._stages if stage.app is not None}):
            yield metrics.CONFIG_INFO.of(1, metadata.version("cdc-worker"), fingerprint)
        for measure in self._measures:
            yield from measure()
        for stage in self._stages:
            yield from _of_stage(stage)


def registry_of(stages: Sequence[Stage], measures: Sequence[Measure] = ()) -> CollectorRegistry:
    """The registry of one process; the library's global one stays out of use, so that nothing is there twice.
    `measures`: of what the stages share."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(StageMetrics(stages, measures))
    return registry


async def look_at_ends(stages: Iterable[Stage]) -> None:
    """Before a scrape: what no fetch tells of the logs' ends. What does not answer is told as it was known last."""
    looks = [stage.app.lags.refresh() for stage in stages if stage.app is not None]
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*looks, return_exceptions=True), ENDS_SECONDS)


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """(body, content type) for an Accept header."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _of_stage(stage: Stage) -> Iterator[metrics.Sample]:
    app, name = stage.app, stage.name
    yield metrics.STAGE_READY.of(app is not None and app.ready, name)
    yield metrics.STAGE_RESTARTS.of(stage.restarts, name)
    if app is not None:
        yield from _of_app(app, name)
        for measure in app.measures:
            yield from measure()


def _of_app(app: StageApp, name: str) -> Iterator[metrics.Sample]:
    stats = app.slots.stats
    yield metrics.STAGE_SLOTS.of(len(app.slots.owned), name)
    if planned := app.slots.planned:
        yield metrics.STAGE_SLOTS_PLANNED.of(planned, name)
    yield metrics.STAGE_HELD.of(len(app._consumer.held) if app._consumer is not None else 0, name)
    yield metrics.STAGE_DURATION.of(metrics.Distribution(TXN_BOUNDS, stats.unit_times, stats.unit_seconds), name)
    yield from _of_records(stats, name)
    lag = app.lags.of_stage(time.time_ns() // 1_000_000)
    if lag.seconds is not None:
        yield metrics.STAGE_SECONDS_BEHIND.of(lag.seconds, name)
    if lag.records is not None:
        yield metrics.STAGE_RECORDS_BEHIND.of(lag.records, name)
    yield metrics.RECOVERY_REMAINING.of(app.tables.remaining, name)
    for table, held in app.tables.items():
        yield metrics.TABLE_KEYS.of(len(held.data), table)
    yield metrics.TXN_SECONDS.of(metrics.Distribution(TXN_BOUNDS, stats.commit_times, stats.commit_seconds), name)
    yield metrics.TXN_RECORDS.of(stats.inputs, name)
    for reason, count in stats.aborts.items():
        yield metrics.TXN_ABORTS.of(count, name, reason)
    yield metrics.FENCED.of(stats.fenced, name)
    yield metrics.GAPS.of(stats.gaps, name)


def _of_records(stats: Stats, name: str) -> Iterator[metrics.Sample]:
    records: Counter[tuple[str, str]] = Counter()
    # A counter that begins with its first letter never increases for Prometheus, and the alert stays silent.
    letters = Counter(dict.fromkeys(map(str, Failure), 0))
    for (note, *labels), count in stats.notes.items():
        if note == RECORD:
            records[labels[0], labels[1]] += count
        elif note == LETTER:
            letters[labels[0]] += count
    for code, count in letters.items():
        yield metrics.DLQ_RECORDS.of(count, name, code)
    for where, count in (records or {("", outcome): count for outcome, count in stats.outcomes.items()}).items():
        yield metrics.STAGE_RECORDS.of(count, name, *where)
