"""What the stages count of records: by tables of the catalogue, never by anything a record brings (P6)."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from enrichers.pipeline import Pipeline, PipelineOptions
from models.outcome import Dead, Failure
from models.routing import entity_key
from tests.unit.changes import KEY, TELEPHONY, dms
from tests.unit.test_metrics import Process, series
from workers.agents.enrich import Enrich, add_enrich
from workers.agents.enrich_counts import EnrichCounts
from workers.engine.app import StageApp
from workers.engine.delivery import Delivered, Outcome, Retry
from workers.engine.lag import Lag
from workers.engine.options import EngineOptions
from workers.engine.stats import LETTER, RECORD
from workers.engine.testing import Input, StageKit
from workers.eventbridge.entry import EntryRules
from workers.eventbridge.sink import EventBridgeSink
from workers.eventbridge.tally import EventAges
from workers.kafka.topics import Topics
from workers.web.loop_lag import LoopLag
from workers.web.metrics import registry_of

TOPICS = Topics("config", "slots", "checkpoints", {"core": "raw"}, "events", "dead", "receipts")


def make() -> StageApp:
    app = StageApp("enrich", EngineOptions("nowhere:9092", 2))
    add_enrich(app, Enrich(Pipeline(TELEPHONY, PipelineOptions(redaction_key=KEY)), TOPICS, 2, "", lambda: 0))
    return app


def record(table: str, number: int, row: dict[str, Any], operation: str = "insert") -> Input:
    return Input(entity_key("core", table, (number,)), dms(operation, {"ID": number} | row, table=table), partition=0)


@pytest.fixture
async def notes() -> Counter[tuple[str, ...]]:
    """Of a stage that has seen an event, a load, an unknown table, and two records that are none."""
    async with StageKit(make) as kit:
        await kit.feed(
            "raw",
            [
                record("groups", 7, {"OrgID": 3, "Name": "jane@acme.test", "Type": "QUEUE", "Secret": "jane"}),
                record("groups", 8, {"OrgID": 3, "Name": "g", "Type": "QUEUE"}, "load"),
                record("jane@acme.test", 9, {}),
                Input(b"k", b"no JSON", partition=0),
                Input(b"k", b"{}", partition=0),
            ],
        )
        return Counter(kit.app.slots.stats.notes)


def test_records_are_counted_by_table_and_outcome(notes: Counter[tuple[str, ...]]) -> None:
    assert {labels[1:3]: count for labels, count in notes.items() if labels[0] == RECORD} == {
        ("groups", "out"): 1, ("groups", "drop.snapshot"): 1, ("other", "drop.unknown_table"): 1, ("other", "dead"): 2,
    }  # fmt: skip


def test_dead_letters_are_counted_by_code(notes: Counter[tuple[str, ...]]) -> None:
    assert {labels[1:]: count for labels, count in notes.items() if labels[0] == LETTER} == {("PARSE_ERROR",): 2}


def test_owners_and_redacted_columns_are_counted_by_what_was_done(notes: Counter[tuple[str, ...]]) -> None:
    samples = {(sample.metric.name, *sample.labels): sample.value for sample in EnrichCounts.measure(notes)}
    assert samples == {("lookup", "groups", "record"): 1, ("redactions", "unknown_column"): 1}


def test_no_name_that_came_with_a_record_is_a_label(notes: Counter[tuple[str, ...]]) -> None:
    assert "jane" not in str(notes)


def test_stages_that_see_no_tables_tell_their_outcomes_all_the_same() -> None:
    process = Process()
    stats = process.start()
    stats.outcomes.update({"out": 5, "dead": 2})
    stats.notes[LETTER, "EVENTBRIDGE_ERROR"] += 2
    found = process.scrape()
    assert found[series("cdc_stage_records_total", stage="bridge", table="", outcome="out")] == 5
    assert found[series("cdc_stage_records_total", stage="bridge", table="", outcome="dead")] == 2
    assert found[series("cdc_dlq_records_total", stage="bridge", code="EVENTBRIDGE_ERROR")] == 2


def test_every_code_of_a_dead_letter_begins_at_zero_so_that_the_first_one_is_an_increase() -> None:
    process = Process()
    process.start()
    found = process.scrape()
    assert [found[series("cdc_dlq_records_total", stage="bridge", code=code)] for code in Failure] == [0] * len(Failure)


def test_stages_that_see_tables_tell_each_record_once() -> None:
    process = Process()
    stats = process.start()
    stats.outcomes.update({"out": 5})
    stats.notes[RECORD, "users", "out", "record"] += 3
    stats.notes[RECORD, "users", "out", "table"] += 2
    found = process.scrape()
    records = [value for (name, _), value in found.items() if name == "cdc_stage_records_total"]
    assert records == [5]


def test_a_scrape_tells_release_tables_recovery_and_what_is_held() -> None:
    process = Process()
    process.consumer.held = {("raw", 0), ("raw", 1)}
    process.tables.remaining = 12
    process.tables["users"] = SimpleNamespace(data={b"a": b"", b"b": b""})
    found = process.scrape()
    (info,) = ([dict(labels), value] for (name, labels), value in found.items() if name == "cdc_config_info")
    assert info == [{"version": "0.1.0", "fingerprint": "f00d"}, 1]
    assert found[series("cdc_stage_held_partitions", stage="bridge")] == 2
    assert found[series("cdc_recovery_remaining", stage="bridge")] == 12
    assert found[series("cdc_table_keys", table="users")] == 2


def test_a_stage_tells_how_far_it_is_behind_once_that_is_known() -> None:
    process = Process()
    behind = series("cdc_stage_seconds_behind", stage="bridge")
    assert behind not in process.scrape()
    process.lag = Lag(7, 12.5)
    found = process.scrape()
    assert (found[behind], found[series("cdc_stage_records_behind", stage="bridge")]) == (12.5, 7)


def test_the_loop_is_as_late_as_its_tasks_are() -> None:
    lag = LoopLag()
    for late in (-0.1, 0.02, 3.0):
        lag.woken(late)
    process = Process()
    process.registry = registry_of([process.stage], [lag.measure])
    found = process.scrape()
    buckets = {dict(labels)["le"]: n for (name, labels), n in found.items() if name == "cdc_loop_lag_seconds_bucket"}
    assert (buckets["0.005"], buckets["0.025"], buckets["2.5"], buckets["5.0"]) == (1, 2, 2, 3)


class Answering:
    """A bus whose answers are given."""

    name, max_entries = "bus", 10

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)

    async def put(self, prepared: Any) -> list[Outcome]:
        return self.outcomes


def sent(time: float, *, replay: int = 0, redriven: int = 0) -> Any:
    return SimpleNamespace(channel="bus", entry=SimpleNamespace(time=time, replay=replay, redriven=redriven))


async def test_an_event_is_as_old_as_its_commit_when_the_bus_takes_it() -> None:
    bus: Any = Answering(Delivered(), Retry("Throttled"), Delivered(), Delivered(), Delivered())
    sink = EventBridgeSink(bus, EntryRules("cdc", 1_000), now=lambda: 100.0)
    await sink.put([sent(98.0), sent(1.0), sent(100.5), sent(1.0, replay=1), sent(1.0, redriven=1)])
    ages = sink.ages.seconds
    spread = dict(zip([*EventAges.BOUNDS, None], ages.counts, strict=True))
    assert (spread[2.5], spread[0.1], sum(ages.counts), ages.total) == (1, 1, 2, 2.0)


def test_every_failure_is_a_code_of_dead_letters() -> None:
    notes: Counter[tuple[str, ...]] = Counter()
    for failure in Failure:
        EnrichCounts.letter(notes, "users", Dead(failure, "why"))
    assert {labels[1] for labels in notes if labels[0] == LETTER} == set(map(str, Failure))
