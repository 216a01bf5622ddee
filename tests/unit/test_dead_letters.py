"""The taxonomy of failures, and dead letters that are read back as they were written."""

import json
from dataclasses import replace

import pytest

from models.dead_letter import DeadLetter, dead_headers, dead_letter
from models.outcome import Dead, ErrorCategory, Failure
from models.raw import Origin, RawRecord
from models.taxonomy import CATEGORY_OF, TAXONOMY, handling

TABLE = """
PARSE_ERROR          | POISON_MESSAGE | 1 | STORE_AND_ALERT | rate-limited
VALIDATION_ERROR     | POISON_MESSAGE | 1 | STORE_AND_ALERT | rate-limited
TRANSFORMATION_ERROR | PERMANENT      | 1 | STORE           | always
ENRICHMENT_ERROR     | TRANSIENT      | 5 | STORE           | on-rate
EVENTBRIDGE_ERROR    | PERMANENT      | 1 | STORE           | always
EVENTBRIDGE_ERROR    | THROTTLING     | 0 | PAUSE           | after-5-minutes
EVENTBRIDGE_ERROR    | TRANSIENT      | 3 | PAUSE           | always
EVENTBRIDGE_ERROR    | CONFIGURATION  | 0 | PAUSE           | always
STATE_ERROR          | TRANSIENT      | 5 | RESTART         | always
"""
RECORD = RawRecord(
    b"{", b"k", Origin("stream", "shard", "49663978758868311932389618382594866003608249", 2), "cdc.raw.core",
    3, 1841, 1768473060412, "core", replay=1,
)  # fmt: skip
LETTER = dead_letter(
    Dead(Failure.PARSE_ERROR, "not acceptable JSON: malformed"), RECORD, stage="enrich", failed_ms=5, fingerprint="ab"
)


def test_the_taxonomy_is_the_published_table() -> None:
    rows = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]
    found = [[row.failure, row.category, str(row.attempts), row.action, row.alert] for row in TAXONOMY]
    assert found == rows


def test_every_failure_has_one_category_and_one_handling_in_dead_letters() -> None:
    assert set(CATEGORY_OF) == set(Failure)
    assert handling(Failure.EVENTBRIDGE_ERROR).category is ErrorCategory.PERMANENT
    assert handling(Failure.EVENTBRIDGE_ERROR, ErrorCategory.THROTTLING).attempts == 0


def test_a_letter_is_read_back_from_its_headers() -> None:
    assert DeadLetter.from_headers([("foreign", b"x"), *LETTER.to_headers()]) == LETTER


def test_a_letter_of_a_release_that_kept_no_timestamp_is_read_all_the_same() -> None:
    headers = [header for header in LETTER.to_headers() if header[0] != "cdc-dead-timestamp-ms"]
    assert DeadLetter.from_headers(headers) == replace(LETTER, timestamp_ms=None)


def test_the_headers_of_the_record_stand_beside_its_letter_and_those_of_an_earlier_one_do_not() -> None:
    own = [("cdc-adapter", b"dms"), ("traceparent", b"00-1"), ("foreign", None)]
    earlier = [("cdc-dead-code", b"PARSE_ERROR"), ("cdc-redrive-offset", b"9")]
    found = dead_headers(LETTER, [*own, *earlier])  # type: ignore[list-item]  # Kafka knows headers without a value
    assert found == [*LETTER.to_headers(), ("cdc-adapter", b"dms"), ("traceparent", b"00-1"), ("foreign", b"")]


def test_headers_that_are_no_letter_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="is missing"):
        DeadLetter.from_headers([])


def test_a_letter_shows_where_the_record_came_from_and_never_its_payload() -> None:
    shown = LETTER.to_json()
    assert json.loads(json.dumps(shown)) == {
        "stage": "enrich", "code": "PARSE_ERROR", "category": "POISON_MESSAGE",
        "message": "not acceptable JSON: malformed", "attempts": 1, "firstFailedMs": 5, "lastFailedMs": 5,
        "stream": "stream", "shard": "shard", "sequence": RECORD.origin.sequence, "subSequence": 2,
        "topic": "cdc.raw.core", "partition": 3, "offset": 1841, "replay": 1, "fingerprint": "ab",
        "timestampMs": 1768473060412,
    }  # fmt: skip
