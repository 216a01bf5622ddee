"""The canary: whatever writes the source, it is an ordinary record, and its event tells when it was sent."""

import pytest

from enrichers.routing import Router
from models.canary import (
    EVENT_TYPE,
    NAMES,
    PARTITION,
    canary_record,
    canary_specs,
    is_canary,
    row_of,
    source_of_row,
    told_by,
)
from models.catalogue import TELEPHONY, Catalogue
from models.outcome import Ok
from models.routing import partition_of
from models.source_spec import ADAPTERS, Adapter, SourceSpec
from tests.unit.changes import Worker

SENT = 1_768_473_060_000
PARTITIONS = (1, 4, 12, 1000)
WRITERS: tuple[Adapter | None, ...] = (None, *ADAPTERS)


def source(adapter: Adapter | None, name: str = "core") -> SourceSpec:
    return SourceSpec(name, "stream", "us-east-1", adapter=adapter)


def catalogue(adapter: Adapter | None, bus: str | None = None) -> Catalogue:
    return Catalogue((*TELEPHONY, *canary_specs([source(adapter)], bus)))


@pytest.mark.parametrize("adapter", WRITERS)
def test_its_event_tells_which_row_it_is_and_when_it_was_sent(adapter: Adapter | None) -> None:
    worker = Worker(catalogue(adapter))
    key = row_of(source(adapter), 4)
    for sent in (SENT, SENT + 60_000):
        outcome = worker.feed(canary_record(adapter, key, sent)).outcome
        assert isinstance(outcome, Ok)
        assert (outcome.value.event_type, outcome.value.entity_type in NAMES) == (EVENT_TYPE, True)
        assert told_by(outcome.value.value) == (key, sent)


@pytest.mark.parametrize("adapter", WRITERS)
@pytest.mark.parametrize("partitions", PARTITIONS)
def test_every_source_has_a_row_in_the_partition_of_its_sender(adapter: Adapter | None, partitions: int) -> None:
    its = source(adapter, "billing.eu-west")
    key = row_of(its, partitions)
    route = Router(catalogue(adapter), adapter).route(canary_record(adapter, key, SENT), "k")
    assert partition_of(route.key, partitions) == PARTITION
    assert route.table in NAMES
    assert source_of_row(key) == "billing.eu-west"


def test_sources_with_and_without_schemas_have_a_table_each() -> None:
    specs = canary_specs([source(None), source("dynamodb", "items")], None)
    assert {spec.name for spec in specs} == NAMES
    assert all(is_canary(spec) for spec in specs)
    assert [spec.name for spec in canary_specs([source("dsql")], None)] == ["cdc_canary"]


def test_it_may_have_a_bus_of_its_own() -> None:
    assert [spec.bus for spec in canary_specs([source(None)], "probes")] == ["probes"]


def test_an_event_of_another_table_is_no_canary() -> None:
    assert told_by(b'{"entityId":"7","changes":{"Email":{"new":"x"}}}') is None
    assert told_by(b"\xff") is None
