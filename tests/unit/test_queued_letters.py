"""What is read out of the queue of a Lambda pipeline: the records byte for byte, or a reason without a value."""

import base64
import json
from typing import Any

import pytest

from models.outcome import Failure
from models.queued_letter import NotImportable, QueuedLetter, queued_letters

SENT_MS = 1_768_473_060_000
CHANGE = b'{"data": {"ID": 7, "Note": "a\\u00e9"}, "metadata": {"operation": "insert", "table-name": "users"}}'
ARN = "arn:aws:kinesis:us-east-1:111122223333:stream/core"


def kinesis(content: bytes = CHANGE, number: int = 1) -> dict[str, Any]:
    """A record as Lambda gets it."""
    return {
        "kinesis": {
            "data": base64.b64encode(content).decode(), "partitionKey": "pk", "sequenceNumber": f"4966{number}",
            "approximateArrivalTimestamp": 1_768_473_000.5,
        },
        "eventID": f"shardId-000000000002:4966{number}", "eventSource": "aws:kinesis", "eventSourceARN": ARN,
    }  # fmt: skip


def read(message: Any, received: int = 1) -> list[QueuedLetter]:
    body = message if isinstance(message, str) else json.dumps(message)
    found = queued_letters(body, "m-1", SENT_MS, received)
    assert not isinstance(found, NotImportable), found.reason
    return found


def refused(message: Any) -> str:
    body = message if isinstance(message, str) else json.dumps(message)
    found = queued_letters(body, "m-1", SENT_MS)
    assert isinstance(found, NotImportable)
    return found.reason


def test_a_lambda_event_gives_its_records_with_their_places() -> None:
    first, second = read({"Records": [kinesis(number=1), kinesis(b"\xff\x00", number=2)]})
    assert (first.content, second.content) == (CHANGE, b"\xff\x00")
    assert (first.origin.stream, first.origin.shard, first.origin.sequence, first.origin.arrival_ms) == (
        "core", "shardId-000000000002", "49661", 1_768_473_000_500,
    )  # fmt: skip
    assert first.partition_key == "pk"


@pytest.mark.parametrize(
    "record",
    [
        kinesis(),
        kinesis()["kinesis"],
        {"Data": base64.b64encode(CHANGE).decode(), "SequenceNumber": "49661", "PartitionKey": "pk"},
    ],
    ids=["of Lambda", "its inside", "of GetRecords"],
)
def test_a_single_record_of_kinesis_is_unpacked(record: dict[str, Any]) -> None:
    (letter,) = read(record)
    assert (letter.content, letter.origin.sequence, letter.partition_key) == (CHANGE, "49661", "pk")


def test_a_change_by_itself_is_taken_as_it_stands() -> None:
    (letter,) = read(CHANGE.decode())
    assert (letter.content, letter.origin.sequence) == (CHANGE, "sqs.m-1")
    assert (letter.code, letter.attempts, letter.last_failed_ms) == (Failure.ENRICHMENT_ERROR, 1, SENT_MS)


def test_the_message_of_the_lambda_pipeline_keeps_code_attempts_and_time() -> None:
    error = '"error": {"message": "x", "code": "TRANSFORMATION_ERROR", "stack": "y"}'
    tail = '"attempts": 3, "lastAttempt": "2024-01-15T10:35:00Z"}'
    (letter,) = read(f'{{"originalEvent": {CHANGE.decode()}, {error}, {tail}')
    assert letter.content == CHANGE
    assert (letter.code, letter.attempts, letter.last_failed_ms) == (
        Failure.TRANSFORMATION_ERROR, 3, 1_705_314_900_000,
    )  # fmt: skip


def test_the_message_of_its_dead_letter_processor_does_so_too() -> None:
    (letter,) = read({
        "originalEvent": kinesis(), "error": {"name": "SchemaError", "message": "x"},
        "metadata": {"failedAt": "2024-01-15T10:30:00.000Z", "retryCount": 2, "lastRetryAt": "2024-01-15T10:35:00.000Z",
                     "sourceArn": ARN},
    })  # fmt: skip
    assert (letter.content, letter.origin.shard) == (CHANGE, "shardId-000000000002")
    assert (letter.code, letter.attempts) == (Failure.VALIDATION_ERROR, 3)
    assert (letter.first_failed_ms, letter.last_failed_ms) == (1_705_314_600_000, 1_705_314_900_000)


@pytest.mark.parametrize("original", [CHANGE.decode(), base64.b64encode(CHANGE).decode()])
def test_an_original_event_may_be_a_text(original: str) -> None:
    assert [letter.content for letter in read({"originalEvent": original, "error": {}})] == [CHANGE]


def test_an_original_event_of_no_known_form_is_taken_at_its_word() -> None:
    (letter,) = read('{"originalEvent": {"some":  1}, "error": {"code": "PARSE_ERROR"}}')
    assert (letter.content, letter.code) == (b'{"some":  1}', Failure.PARSE_ERROR)


def test_an_object_of_the_archive_gives_the_record_and_its_place() -> None:
    (letter,) = read({
        "schemaVersion": 1, "kind": "letter", "letter": {}, "redacted": False, "error": {"code": "PARSE_ERROR"},
        "originalB64": base64.b64encode(b"\xff").decode(), "attempts": 1,
        "source": {"stream": "core", "shardId": "s-1", "sequenceNumber": "49", "subSequenceNumber": 3},
    })  # fmt: skip
    assert letter.content == b"\xff"
    assert (letter.origin.shard, letter.origin.sequence, letter.origin.sub_sequence) == ("s-1", "49", 3)


def test_a_lambda_destination_says_what_failed_and_why() -> None:
    (letter,) = read({"requestPayload": {"Records": [kinesis()]}, "responsePayload": {"errorType": "ValidationError"}})
    assert (letter.content, letter.code) == (CHANGE, Failure.VALIDATION_ERROR)


@pytest.mark.parametrize(
    "outer",
    [
        lambda inner: {"Type": "Notification", "Message": inner},
        lambda inner: {"Records": [{"body": inner, "eventSource": "aws:sqs"}]},
        lambda inner: {"Type": "Notification", "Message": json.dumps({"Records": [{"body": inner}]})},
    ],
)
def test_messages_of_sns_and_sqs_are_opened(outer: Any) -> None:
    assert [letter.content for letter in read(outer(json.dumps(kinesis())))] == [CHANGE]


def test_how_often_a_message_was_received_counts_as_attempts() -> None:
    assert read(CHANGE.decode(), received=4)[0].attempts == 4


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("secret", "no JSON object"),
        ("[]", "no JSON object"),
        ({"secret": 1}, "no message of a pipeline"),
        ({"Records": []}, "no record"),
        ({"Records": [{"kinesis": {"data": "secret!"}}]}, "not base64"),
        ({"Records": [kinesis(), {"kinesis": {}}]}, "has no data"),
        ({"KinesisBatchInfo": {"shardId": "s"}}, "names a batch"),
        ({"kind": "letter", "letter": {"topic": "cdc.dead"}}, "points to a letter"),
        ({"originalEvent": {"eventId": "evt_1"}, "redacted": True}, "redacted"),
        ({"originalB64": "secret!"}, "not base64"),
        ({"originalEvent": "secret"}, "neither JSON nor a record"),
        ({"originalEvent": 7}, "no JSON object"),
        ('{"Records": [{"kinesis": {"data": "", "data": ""}}]}', "not clear"),
        ({"Type": "Notification", "Message": 7}, "no text"),
        ('{"Type": "Notification", "Message": "secret \ud800"}', "no text"),
    ],
)
def test_what_is_no_record_says_why_and_quotes_nothing(message: Any, reason: str) -> None:
    told = refused(message)
    assert reason in told
    assert "secret" not in told


def test_messages_in_messages_come_to_an_end() -> None:
    inner = json.dumps(kinesis())
    for _ in range(20):
        inner = json.dumps({"Type": "Notification", "Message": inner})
    assert refused(inner) == "messages in messages in messages"


@pytest.mark.parametrize(
    "times", [{"lastAttempt": "soon"}, {"lastAttempt": 7}, {"metadata": {"failedAt": "0001-01-01"}}]
)
def test_a_time_that_is_none_is_that_of_the_message(times: dict[str, Any]) -> None:
    (letter,) = read({"originalEvent": json.loads(CHANGE), "error": {}, **times})
    assert letter.last_failed_ms == SENT_MS
