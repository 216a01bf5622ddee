"""What becomes of a dead letter that is to be tried again."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from models.dead_letter import DeadLetter, dead_headers, dead_letter
from models.outcome import Dead, Failure
from models.raw import Origin, RawRecord, raw_headers, raw_record
from models.redrive import (
    MAX_REPLAYS,
    DeadRecord,
    NotRedrivable,
    RedriveOrigin,
    RedriveRecord,
    origin_of,
    redrive_of,
    redriven_raw,
)

RAW = "cdc.raw.core"
ORIGIN = Origin("stream", "shard", "49663978758868311932389618382594866003608249", 2, 1768473060400)
HEADERS = raw_headers(ORIGIN, adapter="dms", table="users", trace="9f2c")
ORIGINAL = raw_record(
    topic=RAW, partition=3, offset=1841, timestamp_ms=1768473060412, key=b"k", value=b"{", headers=HEADERS,
    source="core",
)  # fmt: skip


def letter_of(record: RawRecord, **changes: object) -> DeadLetter:
    dead = Dead(Failure.PARSE_ERROR, "not acceptable JSON")
    return replace(
        dead_letter(dead, record, stage="enrich", failed_ms=1768473061000, fingerprint="ab"),
        **changes,  # type: ignore[arg-type]
    )


def dead_record(letter: DeadLetter, value: bytes | None = b"{", headers: object = HEADERS) -> DeadRecord:
    return DeadRecord(3, 7, 1768473061005, b"k", value, dead_headers(letter, headers))  # type: ignore[arg-type]


def redriven(record: DeadRecord) -> RedriveRecord:
    found = redrive_of(record, max_replays=MAX_REPLAYS)
    assert isinstance(found, RedriveRecord)
    return found


def read_back(found: RedriveRecord, offset: int = 0) -> RawRecord:
    kafka_record = SimpleNamespace(
        topic="cdc.redrive.enrich", partition=found.partition, offset=offset, timestamp=1768480000000, key=found.key,
        value=found.value, headers=found.headers,
    )  # fmt: skip
    return redriven_raw(kafka_record, {RAW: "core"})


def test_a_redriven_record_is_read_as_the_original_was_but_for_its_replay_count() -> None:
    found = redriven(dead_record(letter_of(ORIGINAL)))
    assert (found.stage, found.partition) == ("enrich", 3)
    assert read_back(found) == structs.replace(ORIGINAL, replay=1)


def test_what_fails_again_and_again_keeps_its_origin_its_first_failure_and_counts() -> None:
    record = ORIGINAL
    headers: object = HEADERS
    for count in range(1, MAX_REPLAYS + 1):
        origin = origin_of(headers)  # type: ignore[arg-type]
        attempts = 1 + (origin.attempts if origin is not None else 0)
        found = redriven(dead_record(letter_of(record, attempts=attempts), headers=headers))
        record, headers = read_back(found), found.headers
        assert record == structs.replace(ORIGINAL, replay=count)
        assert origin_of(headers) == RedriveOrigin(RAW, 3, 1841, 1768473060412, count, 1768473061000)
    assert len(found.headers) == len(dict(found.headers)), "no header piles up"


@pytest.mark.parametrize("replay", [5, 6, 1_000])
def test_what_was_redriven_as_often_as_is_allowed_stays_dead(replay: int) -> None:
    found = redrive_of(dead_record(letter_of(structs.replace(ORIGINAL, replay=replay))), max_replays=5)
    assert found == NotRedrivable(f"it was redriven or replayed {replay} times; --max-replays allows 5")


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (dead_record(letter_of(ORIGINAL), value=None), "its value was left out"),
        (dead_record(letter_of(ORIGINAL, timestamp_ms=None)), "an earlier release wrote it"),
        (dead_record(letter_of(ORIGINAL, stage="bridge")), "its stage cannot be redriven"),
        (DeadRecord(0, 0, 0, None, None, [("cdc-gap-stage", b"enrich")]), "lost before they were read"),
        (DeadRecord(0, 0, 0, b"k", b"v", []), "no dead letter of this pipeline"),
        (DeadRecord(0, 0, 0, b"k", b"v", [("cdc-dead-stage", b"enrich")]), "no dead letter of this pipeline"),
    ],
)
def test_what_cannot_be_tried_again_says_why(record: DeadRecord, why: str) -> None:
    found = redrive_of(record, max_replays=MAX_REPLAYS)
    assert isinstance(found, NotRedrivable)
    assert why in found.reason


def test_a_record_of_another_source_or_partition_or_of_nobody_has_no_source() -> None:
    other = redriven(dead_record(letter_of(structs.replace(ORIGINAL, topic="cdc.raw.gone"))))
    assert (read_back(other).topic, read_back(other).source) == ("cdc.raw.gone", "")
    elsewhere = replace(redriven(dead_record(letter_of(ORIGINAL))), partition=2)
    assert (read_back(elsewhere).partition, read_back(elsewhere).source) == (3, "")
    strange = RedriveRecord("enrich", 3, b"k", b"{", ())
    assert read_back(strange, offset=9) == RawRecord(
        b"{", b"k", Origin("", "", ""), "cdc.redrive.enrich", 3, 9, 1768480000000, "", replay=1
    )


names = st.sampled_from(["cdc-redrive-topic", "cdc-redrive-offset", "cdc-redrive-attempts", "cdc-replay", "cdc-dead-x"])


@given(st.lists(st.tuples(names, st.one_of(st.none(), st.binary(max_size=30)))))
def test_no_header_makes_a_record_unreadable(headers: list[tuple[str, bytes | None]]) -> None:
    found = read_back(RedriveRecord("enrich", 3, b"k", b"{", tuple(headers)))  # type: ignore[arg-type]
    assert found.replay >= 1
