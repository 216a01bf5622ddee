"""`CDC_VALIDATE`: pydantic beside the compiled checks."""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import pytest

from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.second_opinion import SAMPLE, SecondOpinion
from models.normalized_record import NormalizedRecord
from models.outcome import Dead, Failure, Ok
from models.record_type import refusal_of
from tests.unit.changes import KEY, TELEPHONY, USER, Worker, catalogue_of, dms
from workers.contract import pipeline_options
from workers.engine.testing import MockedRecordType
from workers.settings.worker import Settings


def worker(mode: Literal["all", "sample", "off"], model: MockedRecordType) -> Worker:
    found = Worker()
    found.pipeline = Pipeline(TELEPHONY, PipelineOptions(redaction_key=KEY, validate=mode), {"users": model})
    return found


def event() -> dict[str, Any]:
    return Worker().event(dms("update", USER, before={**USER, "Email": "b@x.test"}, transaction=5))


def test_what_the_row_model_refuses_is_a_dead_letter_although_the_compiled_checks_let_it_through() -> None:
    model = MockedRecordType("Email: string_type")
    dead = worker("all", model).dead(dms("insert", USER))
    assert dead == Dead(Failure.VALIDATION_ERROR, "the row model refuses Email: string_type")


def test_a_row_that_is_refused_leaves_no_trace_in_lookups_and_memory() -> None:
    refusing = worker("all", MockedRecordType("ID: missing"))
    refusing.feed(dms("insert", USER))
    assert (refusing.state.lookups, refusing.state.memories) == ({}, {})


def test_off_asks_nobody_and_all_asks_for_every_row() -> None:
    asked = {}
    for mode in ("off", "all"):
        model = MockedRecordType()
        for number in range(5):
            worker(mode, model).event(dms("insert", {**USER, "ID": number}))
        asked[mode] = len(model.asked)
    assert asked == {"off": 0, "all": 5}


def test_a_sample_is_one_in_a_hundred_and_the_same_ones_each_time() -> None:
    opinion = SecondOpinion("sample")
    digests = [blake2b(b"%d" % number, digest_size=10).hexdigest() for number in range(10_000)]
    wanted = [digest for digest in digests if opinion.wanted(digest)]
    assert 60 <= len(wanted) <= 140
    assert wanted == [digest for digest in digests if SecondOpinion("sample").wanted(digest)]
    assert SAMPLE == 100


def test_an_event_that_is_not_in_the_contract_is_a_dead_letter() -> None:
    strict = Worker(options=PipelineOptions(redaction_key=KEY, validate="all", environment=""))
    reason = "the event contract refuses metadata.environment: string_too_short"
    assert strict.dead(dms("insert", USER)).reason == reason
    assert isinstance(Worker().feed(dms("insert", USER)).outcome, Ok)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("eventId",), "evt_1_x"),
        (("operation",), "CREATE"),
        (("timestamp",), "2026-01-15"),
        (("orgId",), 3),
        (("changedFields",), ["Email", "ID"]),
        (("keys", "ID"), 2**63),
        (("changes", "Email"), {}),
        (("changes", "Email", "was"), 1),
        (("metadata", "sequence"), "1"),
        (("metadata", "source"), "mysql"),
        (("metadata", "enrichment", "source"), "guess"),
        (("unknown",), 1),
    ],
)
def test_the_contract_refuses_an_event_with(path: tuple[str, ...], value: Any) -> None:
    detail = event()
    assert refusal_of(NormalizedRecord, json.dumps(detail).encode()) is None
    place = detail
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    refused = refusal_of(NormalizedRecord, json.dumps(detail).encode())
    assert refused is not None
    assert "x.test" not in refused


def test_an_event_under_the_detail_type_of_table_changes_is_in_the_contract_too(tmp_path: Path) -> None:
    table = (
        "  - {table: users, detail_type_style: table-change, images: [before, after], transform: {Role: UPPERCASE}}\n"
    )
    options = PipelineOptions(redaction_key=KEY, validate="all")
    styled = Worker(catalogue_of(tmp_path, table, builtin="telephony"), options)
    assert styled.event(dms("update", USER, before=USER))["detailType"] == "CDC.TableChange"


def test_an_event_with_the_tokens_of_two_keys_is_in_the_contract_too() -> None:
    options = PipelineOptions(
        redaction_key=KEY, other_redaction_key=b"another key for tests", other_redaction_key_version=2, validate="all"
    )
    org = {"ID": 3, "Name": "Acme", "AccountNumber": "12-34", "Status": "ACTIVE"}
    assert len(Worker(options=options).event(dms("insert", org, table="orgs"))["metadata"]["aliases"]) == 1


def test_a_row_whose_key_is_an_empty_text_is_in_the_contract_too(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, "  - {table: t, entity: t, key: [k]}\n")
    strict = Worker(catalogue, PipelineOptions(redaction_key=KEY, validate="all"))
    assert strict.event(dms("insert", {"k": ""}, table="t"))["entityId"] == ""


def test_the_setting_reaches_the_pipeline() -> None:
    settings = Settings(_env_file=None, CDC_VALIDATE="sample")
    assert pipeline_options(settings, None).validate == "sample"
    assert pipeline_options(Settings(_env_file=None), None).validate == "off"
