"""Dead letters as they are told outside of Kafka: the same object every time, and no value in a pointer (P6)."""

import base64
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from models.dead_letter import GAP_PREFIX, DeadLetter
from models.filed_letter import FiledLetter
from models.outcome import ErrorCategory, Failure
from models.raw import Origin, raw_headers

SECRET = "anna.muster@example.test"
ROW = json.dumps({
    "data": {"ID": 7, "Email": SECRET},
    "metadata": {"record-type": "data", "operation": "insert", "schema-name": "core", "table-name": "users",
                 "timestamp": SECRET, "transaction-id": SECRET},
}).encode()  # fmt: skip
EVENT = json.dumps({
    "eventId": "evt_1", "eventType": "user.created", "entityType": "users", "timestamp": "2026-01-15T10:31:00Z",
}, separators=(",", ":")).encode()  # fmt: skip
LETTER = DeadLetter(
    stage="enrich", code=Failure.VALIDATION_ERROR, category=ErrorCategory.POISON_MESSAGE, message="Email: wrong type",
    attempts=2, first_failed_ms=1_768_473_000_000, last_failed_ms=1_768_473_060_000, stream="s", shard="shard-1",
    sequence="49", sub_sequence=0, topic="cdc.raw.core", partition=1, offset=7, replay=0, fingerprint="f",
    table="users",
)  # fmt: skip


def filed(letter: DeadLetter | None = LETTER, value: bytes | None = ROW, **changes: Any) -> FiledLetter:
    headers = [*(letter.to_headers() if letter is not None else ()), *raw_headers(Origin("s", "shard-1", "49"))]
    record = {"topic": "cdc.dead", "partition": 1, "offset": 3, "timestamp": 1_768_473_060_500, "key": b"k"}
    return FiledLetter.of(SimpleNamespace(**(record | {"value": value, "headers": headers} | changes)))


def test_the_object_has_the_day_of_the_failure_and_an_id_that_tells_the_place() -> None:
    folder, day, name = filed().object_key.split("/")
    assert (folder, day) == ("failed-events", "2026-01-15")
    assert name.startswith("1-3-")
    assert name.endswith(".json")


def test_a_letter_is_always_the_same_object() -> None:
    assert (filed().id, filed().object_key, filed().document()) == (filed().id, filed().object_key, filed().document())


@pytest.mark.parametrize(
    "change",
    [{"timestamp": 1}, {"key": b"other"}, {"value": b"{}"}, {"offset": 4}, {"topic": "other.dead"}, {"headers": []}],
)
def test_another_letter_is_another_object(change: dict[str, Any]) -> None:
    assert filed(**change).id != filed().id


def test_the_object_holds_everything_that_is_needed_to_try_again() -> None:
    found = json.loads(filed().document())
    assert found["error"] == {
        "code": "VALIDATION_ERROR", "category": "POISON_MESSAGE", "name": "ValidationError",
        "message": "Email: wrong type",
    }  # fmt: skip
    assert (found["attempts"], found["firstFailedAt"], found["lastAttempt"]) == (
        2, "2026-01-15T10:30:00.000Z", "2026-01-15T10:31:00.000Z",
    )  # fmt: skip
    assert found["source"] == {
        "stream": "s", "shardId": "shard-1", "sequenceNumber": "49", "subSequenceNumber": 0, "topic": "cdc.raw.core",
        "partition": 1, "offset": 7,
    }  # fmt: skip
    assert (found["stage"], found["table"], found["replay"], found["redacted"]) == ("enrich", "users", 0, False)
    assert (base64.b64decode(found["keyB64"]), found["headers"]["cdc-shard"]) == (b"k", "shard-1")
    assert found["letter"] == {"topic": "cdc.dead", "partition": 1, "offset": 3}


@pytest.mark.parametrize("value", [ROW, EVENT, b'{"a": 1.0, "a" : 1e2}', b'{"deep":' * 500 + b"1" + b"}" * 500])
def test_a_json_object_stands_in_the_archive_byte_for_byte(value: bytes) -> None:
    found = msgspec.json.decode(filed(value=value).document(), type=dict[str, msgspec.Raw])
    assert bytes(found["originalEvent"]) == value


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\x00", b"", b" {} ", b"[1]", b"{not json}", b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"Name":"Jos\xe9"}', b'{"\xff":1}',
    ],
)  # fmt: skip
def test_other_bytes_stand_there_in_base64(value: bytes) -> None:
    found = json.loads(filed(value=value).document())
    assert base64.b64decode(found["originalB64"]) == value


def masked(value: bytes) -> dict[str, Any] | None:
    """What may be shown of a record of `cdc.events`."""
    return {"masked": len(value)} if value == EVENT else None


def test_a_letter_whose_value_was_left_out_says_nothing_of_it() -> None:
    assert not {"originalB64", "originalEvent"} & json.loads(filed(value=None).document()).keys()


def test_a_pointer_to_a_row_has_columns_and_kinds_and_no_value() -> None:
    letter = filed()
    told = msgspec.json.encode([letter.pointer("bucket"), letter.view(masked)]).decode()
    assert SECRET not in told
    assert letter.view(masked)["data"] == {"ID": "integer", "Email": "text"}
    assert letter.pointer("bucket")["archive"] == f"s3://bucket/{letter.object_key}"
    assert "archive" not in letter.pointer(None)
    assert "message" not in letter.pointer(None)["error"]


def test_what_cannot_be_decoded_is_told_by_size_and_digest() -> None:
    view = filed(value=SECRET.encode()).view(masked)
    assert view.keys() == {"bytes", "digest"}
    assert view["bytes"] == len(SECRET)


def test_of_an_event_is_told_what_may_be_shown_of_it_and_of_anything_else_of_that_stage_nothing() -> None:
    of_publish = replace(LETTER, stage="publish")
    assert filed(of_publish, EVENT).view(masked) == {"masked": len(EVENT)}
    assert json.loads(filed(of_publish, EVENT).document())["redacted"] is True
    assert filed(of_publish, ROW).view(masked).keys() == {"bytes", "digest"}


def test_a_gap_and_a_record_nobody_can_read_are_filed_as_what_they_are() -> None:
    headers = [(f"{GAP_PREFIX}{name}", b"7") for name in ("stage", "topic", "partition", "start", "end")]
    gap = filed(None, None, headers=headers)
    assert (gap.kind, gap.buried.code, gap.buried.stage) == ("gap", "GAP", "7")
    assert json.loads(gap.document())["gap"]["start"] == "7"
    unreadable = filed(None, b"what", headers=[("cdc-dead-code", b"NOT_A_CODE")])
    assert (unreadable.kind, unreadable.buried.code) == ("unreadable", "UNREADABLE")
    assert base64.b64decode(json.loads(unreadable.document())["originalB64"]) == b"what"


@pytest.mark.parametrize("failed_ms", [10**20, -(10**20), -1])
def test_a_time_that_is_none_is_the_epoch_or_what_it_says(failed_ms: int) -> None:
    assert filed(replace(LETTER, last_failed_ms=failed_ms)).object_key.startswith("failed-events/19")
