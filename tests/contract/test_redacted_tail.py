"""P6 in tail, peek and trace: no value that a rule takes is in what is shown of any record, and no filter sees one."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from enrichers.event_names import EventNames
from enrichers.rerun import rerun
from enrichers.routing import route
from models.catalogue import load_catalogue
from models.raw import Origin, raw_headers
from models.written import Writer, Written
from tests.contract.test_redacted_everywhere import KEYS, TABLES, corpus
from tests.unit.letters import T0
from workers.app import make_enrich
from workers.cli.tail_lines import cells
from workers.contract import enrich_pipeline
from workers.engine.testing import Input, StageKit
from workers.settings.worker import Settings
from workers.tail.view import Sight, open_sight


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "tables.yaml"
    path.write_text(TABLES, encoding="utf-8")
    return Settings(_env_file=None, partitions=2, tables=path, catalogue="none", **KEYS)  # type: ignore[arg-type]


def read_back(topic: str, records: Iterable[Any]) -> list[Any]:
    """As a Kafka client reads them."""
    return [
        SimpleNamespace(
            topic=topic, partition=0, offset=number, timestamp=T0, key=record.key, value=record.value,
            headers=tuple(record.headers),
        )
        for number, record in enumerate(records)
    ]  # fmt: skip


async def everything(settings: Settings) -> dict[Writer, list[Any]]:
    """Raw records, and what the enrich stage makes of them."""
    catalogue = load_catalogue("none", settings.tables)
    raw = []
    async with StageKit(lambda: make_enrich(settings)) as kit:
        for number, value in enumerate(corpus()):
            routed = route(value, f"CANARY{number:04d} of the source", catalogue)
            headers = raw_headers(Origin("stream", "shard", str(number)), adapter=routed.adapter, table=routed.table)
            headers.append((f"foreign-{number}", b"CANARY of a program in front"))
            raw.append(Input(routed.key, value, headers=headers))
            assert await kit.feed("cdc.raw.core", [raw[-1]])
        events, dead = kit.records("cdc.events"), kit.records("cdc.dead")
    strange = [Input(b"CANARY", value, headers=[]) for value in (b"CANARY", b'{"eventId": "CANARY"}', None)]
    return {
        Writer.BRIDGE: read_back("cdc.raw.core", [*raw, *strange]),
        Writer.ENRICH: read_back("cdc.events", [*events, *strange]),
        Writer.DEAD: read_back("cdc.dead", [*dead, *strange]),
        Writer.PUBLISH: read_back("cdc.receipts", strange),
    }


def shown(written: Written) -> str:
    """All that commands and views print of a record, and all that filters are asked of."""
    return json.dumps([written.document(), written.asked(), cells(written)])


async def test_no_canary_is_in_what_is_shown_of_any_record(settings: Settings) -> None:
    records = await everything(settings)
    without = settings.model_copy(update={"redaction_key": None, "redaction_key_other": None})
    sights: list[Sight] = [open_sight(one, say=lambda _: None) for one in (settings, without)]
    for sight in sights:
        for writer, some in records.items():
            for record in some:
                assert "CANARY" not in shown(sight.view.written(record, writer)), (writer, record.offset)
    masked = [sights[0].view.written(record, Writer.BRIDGE) for record in records[Writer.BRIDGE]]
    changes = [written for written in masked if "content" in written.body.get("change", {})]
    assert len(changes) == 9
    assert all("EXTERNAL" in shown(written) for written in changes[:2]), "what no rule takes is shown"


async def test_a_raw_record_has_the_names_of_its_event(settings: Settings) -> None:
    records = await everything(settings)
    view = open_sight(settings, say=lambda _: None).view
    made = [view.written(record, Writer.ENRICH) for record in records[Writer.ENRICH]]
    named = {written.event_id: written for written in (view.written(r, Writer.BRIDGE) for r in records[Writer.BRIDGE])}
    events = [written for written in made if written.event_id]
    assert len(events) == 6
    for event in events:
        assert named[event.event_id].table == event.table == "people"
        assert named[event.event_id].entity == event.entity


async def test_no_canary_is_in_what_a_trace_says_of_the_steps(settings: Settings) -> None:
    records = await everything(settings)
    sight = open_sight(settings, say=lambda _: None)
    pipeline = enrich_pipeline(settings, sight.catalogue)
    names = EventNames.of(sight.catalogue, sight.options)
    outcomes = []
    for record in records[Writer.BRIDGE]:
        raw = sight.view.raw_record(record)
        again, named = rerun(pipeline, raw), names.of_record(raw)
        outcomes.append(again.outcome)
        assert "CANARY" not in repr((again, named.event_id, named.why, named.control))
    assert outcomes[:3] == ["dropped", "event", "event"]
    assert set(outcomes) == {"dropped", "event", "dead"}


def test_what_nobody_can_read_is_shown_as_that(settings: Settings) -> None:
    view = open_sight(settings, say=lambda _: None).view
    record = read_back("?", [Input(b"CANARY", b"\x00CANARY\xff", headers=[])])[0]
    for writer in Writer:
        written = view.written(record, writer)
        assert written.broken
        assert (written.event_id, written.size) == ("", 8)
        assert "CANARY" not in shown(written)
