"""What a scrape shows: the stages' counters, only of what is there, each name documented."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.checkpoint import UNKNOWN_COVER_MS, Checkpoint, ShardState
from models.shard import Shard
from workers import metrics
from workers.aws.errors import MOST_CODES, OTHER, ErrorCodes
from workers.engine.brake import Brake
from workers.engine.errors import Broken, ConfigurationRefused, DataError, Fenced
from workers.engine.lag import Lag
from workers.engine.stages import Stage
from workers.engine.stats import Stats
from workers.kinesis.budget import Budget
from workers.kinesis.checkpoints import CheckpointBook
from workers.kinesis.forwarding import KPL_FAILURES
from workers.kinesis.measures import measure, waiting
from workers.kinesis.reader import ShardReader
from workers.kinesis.source import Bridge
from workers.web.metrics import exposition, registry_of

PAGE = Path(__file__).parents[2] / "docs/metrics.md"
ARN = "arn:aws:kinesis:us-east-1:0:stream/s"
READ = {
    "state": "READING", "why": "", "age_ms": 2_500, "behind_ms": 0, "records": 7, "calls": 5, "bytes": 900,
    "throttles": 2, "rebuilds": 1, "failures": 1, "gaps": 0,
    "errors": {"ProvisionedThroughputExceededException": 2, "ExpiredIteratorException": 1, "InternalFailure": 1},
}  # fmt: skip

Labels = tuple[tuple[str, str], ...]


class Tables(dict[str, Any]):
    """Of an app."""

    remaining = 0


class Process:
    """One bridge in one process; `shards` is what its slots report."""

    def __init__(self) -> None:
        self.shards: dict[str, dict[str, Any]] = {}
        self.errors = ErrorCodes()
        self.bridge: Any = SimpleNamespace(sources=(self.source("core", ARN),), budget=Budget(1_000), halted={})
        self.stage = Stage("bridge", cast("Any", None), cast("Any", None))
        self.start()
        self.registry = registry_of([self.stage])

    def source(self, name: str, arn: str | None) -> Any:
        directory = SimpleNamespace(listing=object(), failing=False, errors=self.errors)
        return SimpleNamespace(name=name, arn=arn, directory=directory)

    def start(self) -> Stats:
        """A new app, as after a crash."""
        slots = SimpleNamespace(stats=Stats(), owned={0: object(), 1: object()}, planned=48)
        self.consumer = SimpleNamespace(held=set())
        self.lag = Lag(None, None)
        self.tables = Tables()
        measures = [lambda: measure(self.bridge, self.shards, slots.stats)]
        self.stage.app = cast("Any", SimpleNamespace(
            ready=True, slots=slots, measures=measures, fingerprint="f00d", tables=self.tables, _consumer=self.consumer,
            lags=SimpleNamespace(of_stage=lambda _now_ms: self.lag),
        ))  # fmt: skip
        return slots.stats

    def scrape(self, accept: str = "") -> dict[tuple[str, Labels], float]:
        """{(name, labels): value}; a series that is there twice fails."""
        found: dict[tuple[str, Labels], float] = {}
        for family in text_string_to_metric_families(exposition(self.registry, accept)[0].decode()):
            for sample in family.samples:
                series = (sample.name, tuple(sorted(sample.labels.items())))
                assert series not in found
                found[series] = sample.value
        return found


def series(name: str, **labels: str) -> tuple[str, Labels]:
    return name, tuple(sorted(labels.items()))


def of_shards(found: Iterable[tuple[str, Labels]]) -> set[str]:
    return {value for _, labels in found for name, value in labels if name == "shard"}


def test_what_a_shard_reports_becomes_its_series() -> None:
    process = Process()
    process.shards[f"{ARN}|shard-1"] = READ
    found = process.scrape()
    where = {"source": "core", "shard": "shard-1"}
    assert found[series("cdc_source_seconds_behind", **where)] == 2.5
    assert found[series("cdc_source_records_total", **where)] == 7
    assert found[series("cdc_source_bytes_total", **where)] == 900
    assert found[series("cdc_source_throttles_total", **where)] == 2
    assert found[series("cdc_source_iterator_rebuilds_total", **where)] == 1
    assert found[series("cdc_source_errors_total", **where, code="InternalFailure")] == 1
    assert found[series("cdc_source_blocked_on_parents", **where)] == 0
    assert found[series("cdc_source_stopped", **where)] == 0


def test_a_shard_that_waits_says_for_how_many_parents_and_has_no_counters() -> None:
    process = Process()
    process.shards[f"{ARN}|child"] = {"state": "BLOCKED", "parents": ("a", "b")}
    found = process.scrape()
    assert found[series("cdc_source_blocked_on_parents", source="core", shard="child")] == 2
    assert series("cdc_source_records_total", source="core", shard="child") not in found


def test_a_stopped_shard_is_told_from_one_that_is_read() -> None:
    process = Process()
    process.shards[f"{ARN}|gone"] = {"state": "STOPPED", "why": "a gap"}
    assert process.scrape()[series("cdc_source_stopped", source="core", shard="gone")] == 1


def test_a_shard_that_ended_or_left_has_no_series() -> None:
    process = Process()
    process.shards = {f"{ARN}|one": READ, f"{ARN}|two": READ}
    assert of_shards(process.scrape()) == {"one", "two"}
    del process.shards[f"{ARN}|one"]
    assert of_shards(process.scrape()) == {"two"}


def test_a_shard_nobody_has_read_yet_has_no_age() -> None:
    process = Process()
    process.shards[f"{ARN}|new"] = READ | {"age_ms": None}
    assert series("cdc_source_seconds_behind", source="core", shard="new") not in process.scrape()


def test_the_age_of_a_shard_grows_while_nothing_is_read() -> None:
    now = iter([10_000, 70_000])
    cursor = SimpleNamespace(covered_ms=9_000)
    no: Any = None
    reader = ShardReader(no, no, no, cast("Any", cursor), no, no, lambda: next(now), print)
    assert [reader.age_ms, reader.age_ms] == [1_000, 61_000]
    for unknown in (0, UNKNOWN_COVER_MS):
        cursor.covered_ms = unknown
        assert reader.age_ms is None


async def test_transactions_are_spread_over_their_seconds() -> None:
    process = Process()
    stats = process.start()
    unit: Any = SimpleNamespace(output_bytes=0, source_records=3, advances={}, notes={(KPL_FAILURES, "core"): 2})
    for seconds in (0.004, 0.3, 60.0):
        stats.committed(unit, seconds, seconds + 1)
    found = process.scrape()
    buckets = {dict(labels)["le"]: n for (name, labels), n in found.items() if name == "cdc_txn_seconds_bucket"}
    assert (buckets["0.005"], buckets["0.25"], buckets["0.5"], buckets["20.0"], buckets["+Inf"]) == (1, 1, 2, 2, 3)
    assert found[series("cdc_txn_seconds_sum", stage="bridge")] == pytest.approx(60.304)
    assert found[series("cdc_txn_records_total", stage="bridge")] == 9
    assert found[series("cdc_source_kpl_failures_total", source="core")] == 6


def test_aborts_have_one_of_five_reasons() -> None:
    process = Process()
    stats = process.start()
    for error in (DataError("1 byte"), ConfigurationRefused("t/7"), Fenced("x"), Broken("y"), TimeoutError("z")):
        stats.abort(error)
    found = process.scrape()
    reasons = {dict(labels)["reason"]: n for (name, labels), n in found.items() if name == "cdc_txn_aborts_total"}
    assert reasons == {"data": 1, "configuration": 1, "fenced": 1, "unclear": 1, "cancelled": 1}
    assert stats.aborted == 5


def test_a_crashed_stage_is_counted_and_its_successor_begins_at_nought() -> None:
    process = Process()
    process.start().gaps = 3
    assert process.scrape()[series("cdc_gaps_total", stage="bridge")] == 3
    process.stage.app, process.stage.restarts = None, 1
    between = process.scrape()
    assert between[series("cdc_stage_ready", stage="bridge")] == 0
    assert series("cdc_gaps_total", stage="bridge") not in between
    process.start()
    found = process.scrape()
    assert found[series("cdc_stage_ready", stage="bridge")] == 1
    assert found[series("cdc_stage_restarts_total", stage="bridge")] == 1
    assert found[series("cdc_gaps_total", stage="bridge")] == 0


def test_streams_of_one_name_are_told_apart_by_their_source() -> None:
    process = Process()
    other = ARN.replace("us-east-1", "eu-west-1")
    process.bridge.sources += (process.source("billing", other),)
    process.errors.count("AccessDeniedException")
    process.start().notes[KPL_FAILURES, "billing"] = 3
    process.shards = {f"{ARN}|shard-1": READ, f"{other}|shard-1": READ | {"records": 8}}
    found = process.scrape()
    for source, records, failures in (("core", 7, 0), ("billing", 8, 3)):
        assert found[series("cdc_source_records_total", source=source, shard="shard-1")] == records
        assert found[series("cdc_source_kpl_failures_total", source=source)] == failures
        assert found[series("cdc_source_listing_errors_total", source=source, code="AccessDeniedException")] == 1


@pytest.mark.parametrize("arn", [ARN, None])
def test_a_source_that_is_the_stream_of_another_one_or_none_yet_has_no_series_twice(arn: str | None) -> None:
    process = Process()
    process.bridge.sources += (process.source("twin", arn), process.source("third", arn))
    process.shards[f"{ARN}|shard-1"] = READ
    found = process.scrape()
    assert {dict(labels)["source"] for name, labels in found if name == "cdc_source_calls_total"} == {"core"}


def test_two_workers_in_one_process_do_not_share_a_registry() -> None:
    one, other = Process(), Process()
    one.shards[f"{ARN}|one"] = READ
    assert (of_shards(one.scrape()), of_shards(other.scrape())) == ({"one"}, set())


def test_error_codes_come_from_outside_and_are_bounded() -> None:
    errors = ErrorCodes()
    for n in range(MOST_CODES * 2):
        errors.count(f"Code{n}")
    errors.count('<html lang="en">')
    errors.count("Code0")
    assert len(errors) == MOST_CODES + 1
    assert (errors["Code0"], errors[OTHER]) == (2, MOST_CODES + 1)


def test_a_sample_has_the_labels_of_its_metric() -> None:
    with pytest.raises(ValueError, match="labels"):
        metrics.GAPS.of(1)


def test_openmetrics_is_given_to_whoever_asks_for_it() -> None:
    process = Process()
    body, content_type = exposition(process.registry, "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_every_metric_is_documented_as_it_is() -> None:
    rows = re.findall(
        r"^\| `(cdc_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    told = {name: (kind, tuple(re.findall(r"\w+", labels)), text.strip()) for name, kind, labels, text in rows}
    assert told == {found.shown: (found.kind, found.labels, found.help) for found in metrics.METRICS}


def test_every_metric_the_documentation_asks_for_exists() -> None:
    known = {metric.shown for metric in metrics.METRICS}
    known |= {
        f"{metric.shown}{end}"
        for metric in metrics.METRICS
        if metric.kind == "histogram"
        for end in ("_bucket", "_count", "_sum")
    }
    assert (
        set(re.findall(r"\bcdc_(?:source|txn|stage|gaps|fenced|publish)\w*", PAGE.read_text(encoding="utf-8"))) <= known
    )


def test_names_and_labels_say_nothing_of_records() -> None:
    assert {label for metric in metrics.METRICS for label in metric.labels} == {
        "worker",
        "stage",
        "source",
        "shard",
        "code",
        "reason",
        "table",
        "change",
        "lookup",
        "bus",
        "outcome",
        "step",
        "sink",
        "kind",
        "version",
        "fingerprint",
        "result",
        "action",
        "check",
    }


async def test_shards_of_a_slot_that_cannot_commit_wait_and_fall_behind() -> None:
    shards = tuple(Shard(name, 0, 9) for name in ("read", "ended", "new"))
    book = CheckpointBook()
    for name, state in (("read", ShardState.ACTIVE), ("ended", ShardState.SHARD_END)):
        book.checkpoints[ARN, name] = replace(Checkpoint.first(ARN, shards[0], 4_000), shard=name, state=state)
    source = SimpleNamespace(arn=ARN, directory=SimpleNamespace(of_slot=lambda _: shards))
    bridge = cast("Bridge", SimpleNamespace(sources=(source,), now_of=lambda _: 10_000))
    app = SimpleNamespace(brake=Brake())
    slot: Any = SimpleNamespace(usable=False, why="TimeoutError", index=0, app=app)
    found = waiting(bridge, book, slot)
    assert {name.rpartition("|")[2]: shard["age_ms"] for name, shard in found.items()} == {"read": 6_000, "new": None}
    assert {(shard["state"], shard["why"]) for shard in found.values()} == {("WAITING", "TimeoutError")}
    process = Process()
    process.shards = found
    scraped = process.scrape()
    assert scraped[series("cdc_source_seconds_behind", source="core", shard="read")] == 6
    assert series("cdc_source_records_total", source="core", shard="read") not in scraped
    slot.usable = True
    assert waiting(bridge, book, slot) == {}


def test_a_source_that_cannot_be_listed_or_waits_for_an_operator_is_not_up() -> None:
    process = Process()
    (source,) = process.bridge.sources
    up = series("cdc_source_up", source="core")
    assert process.scrape()[up] == 1
    source.directory.failing = True
    assert process.scrape()[up] == 0
    source.directory.failing = False
    process.bridge.halted["core"] = "it was made anew"
    assert process.scrape()[up] == 0
