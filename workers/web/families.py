"""Samples of metrics in the form the Prometheus client exposes."""

from collections.abc import Iterable, Iterator
from typing import assert_never

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family

from workers.metrics import METRICS, PREFIX, Distribution, Metric, Sample


def families(samples: Iterable[Sample]) -> Iterator[Family]:
    """For an exposition: samples of one metric together, in the order of `workers/metrics.py`."""
    found: dict[Metric, list[Sample]] = {metric: [] for metric in METRICS}
    for sample in samples:
        found[sample.metric].append(sample)
    for metric, its in found.items():
        if its:
            yield _family(metric, its)


def _family(metric: Metric, samples: Iterable[Sample]) -> Family:
    name, labels = f"{PREFIX}{metric.name}", list(metric.labels)
    match metric.kind:
        case "counter" | "gauge":
            plain = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
                name, metric.help, labels=labels
            )
            for sample in samples:
                if not isinstance(sample.value, Distribution):
                    plain.add_metric(sample.labels, sample.value)
            return plain
        case "histogram":
            spread = HistogramMetricFamily(name, metric.help, labels=labels)
            for sample in samples:
                if isinstance(sample.value, Distribution):
                    spread.add_metric(sample.labels, list(_cumulative(sample.value)), sample.value.total)
            return spread
        case _:
            assert_never(metric.kind)


def _cumulative(found: Distribution) -> Iterator[tuple[str, float]]:
    so_far = 0
    for bound, count in zip([*map(str, found.bounds), "+Inf"], found.counts, strict=True):
        so_far += count
        yield bound, so_far
