"""Where a shard is read on, what of a page is news, and when something is missing."""

from dataclasses import replace

import pytest

from models.checkpoint import Checkpoint, ShardState, Start
from models.position import Position
from models.shard import Shard
from workers.kinesis.cursor import Gap, Part, ShardCursor, advanced
from workers.kinesis.lineage import TRIM_HORIZON, Begin, Resume
from workers.kinesis.pages import Page, Record

SHARD = Shard("s", 0, 9)
HOUR = 3_600_000
NOW = 100 * 24 * HOUR
RETENTION = 24 * HOUR


def at(sequence: int | str, *, sub: int = 0, arrival: int = NOW - HOUR, covered: int = NOW - HOUR) -> Resume:
    return Resume(Checkpoint("arn", "s", ShardState.ACTIVE, str(sequence), sub, arrival, 3, (), covered))


def page(*sequences: int, behind: int = 0, iterator: str | None = "next", arrival: int = NOW - HOUR) -> Page:
    records = [
        Record(sequence_number=str(n), data=b"x", approximate_arrival_timestamp=arrival / 1000) for n in sequences
    ]
    return Page(records=records, millis_behind_latest=behind, next_shard_iterator=iterator)


def read(cursor: ShardCursor, found: Page, now: int = NOW) -> list[Part]:
    assert cursor.gap(found, now, RETENTION) is None
    return cursor.parts(found, now, max_records=100, max_bytes=1 << 20)


def numbers(parts: list[Part]) -> list[str]:
    return [record.sequence_number for part in parts for record in part.records]


def test_a_new_shard_is_read_from_where_it_begins() -> None:
    assert ShardCursor(SHARD, Begin(TRIM_HORIZON)).iterator() == {"ShardIteratorType": "TRIM_HORIZON"}
    assert ShardCursor(SHARD, Begin(Start("AT_TIMESTAMP", 1_500), 1_500)).iterator() == {
        "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1.5,
    }  # fmt: skip


def test_an_iterator_that_expires_before_the_first_record_is_not_built_at_latest() -> None:
    cursor = ShardCursor(SHARD, Begin(Start("AT_TIMESTAMP", NOW), NOW))
    read(cursor, page())
    cursor.rebuild()
    assert cursor.iterator() == {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": NOW / 1000}


def test_a_known_shard_is_read_from_its_last_record_which_is_no_news() -> None:
    cursor = ShardCursor(SHARD, at(9))
    assert cursor.iterator() == {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "9"}
    parts = read(cursor, page(9, 10, 11))
    assert parts[0].after == Position(9)  # what stands there is left out when it is unpacked
    assert numbers(read(cursor, page(12))) == ["12"]


def test_numbers_of_different_length_are_compared_as_numbers() -> None:
    parts = read(ShardCursor(SHARD, at(9)), page(9, 10))
    assert numbers(parts) == ["9", "10"]
    parts = read(ShardCursor(SHARD, at(10)), page(9, 10, 11))
    assert numbers(parts) == ["10", "11"]


def test_a_rebuilt_iterator_hands_on_nothing_twice() -> None:
    cursor = ShardCursor(SHARD, Begin(TRIM_HORIZON))
    read(cursor, page(1, 2, 3))
    cursor.rebuild()
    (part,) = read(cursor, page(3, 4))
    assert part.after is not None
    assert Position(3, 10_000) <= part.after < Position(4)


def test_half_an_aggregate_is_gone_on_with_behind_its_sub_sequence() -> None:
    (part,) = read(ShardCursor(SHARD, at(9, sub=2)), page(9))
    assert part.after == Position(9, 2)


def test_our_last_record_at_the_front_proves_that_nothing_is_missing() -> None:
    cursor = ShardCursor(SHARD, at(9, covered=NOW - 30 * HOUR, arrival=NOW - 30 * HOUR))
    assert cursor.gap(page(9, 10), NOW, RETENTION) is None


def test_a_position_beyond_the_retention_is_a_gap() -> None:
    cursor = ShardCursor(SHARD, at(9, covered=NOW - 25 * HOUR, arrival=NOW - 25 * HOUR))
    assert cursor.gap(page(12), NOW, RETENTION) == Gap(
        SHARD, NOW - 25 * HOUR, "its position is older than the retention of the stream"
    )


def test_a_position_beyond_the_retention_is_a_gap_also_if_nothing_comes_after_it() -> None:
    cursor = ShardCursor(SHARD, at(9, covered=NOW - 25 * HOUR, arrival=NOW - 25 * HOUR))
    assert isinstance(cursor.gap(page(), NOW, RETENTION), Gap)


def test_empty_pages_in_the_middle_of_the_log_do_not_hide_a_gap() -> None:
    cursor = ShardCursor(SHARD, at(9, covered=NOW - 25 * HOUR, arrival=NOW - 25 * HOUR))
    assert read(cursor, page(behind=HOUR)) == []
    assert isinstance(cursor.gap(page(12), NOW, RETENTION), Gap)


def test_an_idle_shard_whose_last_record_was_trimmed_is_no_gap() -> None:
    cursor = ShardCursor(SHARD, at(9, arrival=NOW - 30 * HOUR, covered=NOW - HOUR))
    assert cursor.gap(page(12), NOW, RETENTION) is None


def test_an_idle_shard_whose_last_record_was_trimmed_goes_on_covering_while_it_stays_idle() -> None:
    cursor = ShardCursor(SHARD, at(9, arrival=NOW - 30 * HOUR, covered=NOW - HOUR))
    for hours in range(60):
        assert read(cursor, page(), NOW + hours * HOUR) == []
        assert cursor.covered_ms == NOW + hours * HOUR
    assert numbers(read(cursor, page(12), NOW + 60 * HOUR)) == ["12"]


def test_a_young_record_that_is_missing_at_the_tip_is_not_covered_over() -> None:
    cursor = ShardCursor(SHARD, at(9))
    read(cursor, page())
    assert cursor.covered_ms == NOW - HOUR
    assert isinstance(cursor.gap(page(12), NOW, RETENTION), Gap)


def test_a_gap_on_record_is_not_found_again_by_another_iterator() -> None:
    cursor = ShardCursor(SHARD, at(9, covered=NOW - 25 * HOUR, arrival=NOW - 25 * HOUR))
    assert cursor.gap(page(12), NOW, RETENTION) is not None
    cursor.forgive()
    cursor.rebuild()
    assert numbers(read(cursor, page(12))) == ["12"]


def test_a_gap_on_record_is_not_found_again_by_another_iterator_after_an_empty_page() -> None:
    cursor = ShardCursor(SHARD, at(9))
    assert cursor.gap(page(12), NOW, RETENTION) is not None
    cursor.forgive()
    read(cursor, page(behind=HOUR))
    cursor.rebuild()
    assert numbers(read(cursor, page(12))) == ["12"]


@pytest.mark.parametrize("age", [HOUR, 30 * HOUR])
def test_a_gap_on_record_is_not_found_again_by_whoever_goes_on_there(age: int) -> None:
    lost = at(9, arrival=NOW - age, covered=NOW - age)
    assert isinstance(ShardCursor(SHARD, lost).gap(page(12), NOW, RETENTION), Gap)
    recorded = Resume(replace(lost.checkpoint, gap_ms=NOW))
    cursor = ShardCursor(SHARD, recorded)
    assert read(cursor, page(), NOW + HOUR) == []
    assert cursor.covered_ms == NOW + HOUR
    assert numbers(read(ShardCursor(SHARD, recorded), page(12), NOW + HOUR)) == ["12"]


def test_what_is_lost_later_than_a_gap_on_record_is_another_gap() -> None:
    recorded = Resume(replace(at(9).checkpoint, gap_ms=NOW))
    found = ShardCursor(SHARD, recorded).gap(page(12), NOW + 25 * HOUR, RETENTION)
    assert found is not None
    assert found.since_ms == NOW


def test_a_checkpoint_forgets_the_gap_with_the_first_record_behind_it() -> None:
    recorded = replace(at(9).checkpoint, gaps=1, gap_ms=NOW)
    assert Checkpoint.decode(recorded.encode()) == recorded
    (part,) = read(ShardCursor(SHARD, Resume(recorded)), page(12))
    moved = advanced(recorded, "arn", part, Position(12), 1)
    assert (moved.gaps, moved.gap_ms) == (1, 0)
    assert recorded.covering(NOW).gap_ms == NOW


def test_a_gap_behind_the_one_on_record_is_another_one() -> None:
    cursor = ShardCursor(SHARD, at(9, covered=NOW - 25 * HOUR, arrival=NOW - 25 * HOUR))
    assert cursor.gap(page(12), NOW, RETENTION) is not None
    cursor.forgive()
    read(cursor, page(12))
    cursor.rebuild()
    assert isinstance(cursor.gap(page(14), NOW, RETENTION), Gap)


def test_a_record_that_is_gone_before_its_time_is_a_gap() -> None:
    found = ShardCursor(SHARD, at(9)).gap(page(12), NOW, RETENTION)
    assert found is not None
    assert "not old enough" in found.why


def test_a_child_that_nobody_read_for_longer_than_the_retention_is_a_gap() -> None:
    cursor = ShardCursor(SHARD, Begin(TRIM_HORIZON, NOW - 25 * HOUR, NOW - 25 * HOUR))
    assert isinstance(cursor.gap(page(1), NOW, RETENTION), Gap)
    assert ShardCursor(SHARD, Begin(TRIM_HORIZON, NOW - HOUR, NOW - HOUR)).gap(page(1), NOW, RETENTION) is None


def test_a_reader_that_falls_behind_the_retention_is_a_gap() -> None:
    cursor = ShardCursor(SHARD, at(9))
    read(cursor, page(9, 10, behind=HOUR))
    assert cursor.gap(page(11), NOW + HOUR, RETENTION) is None
    found = cursor.gap(page(11), NOW + 24 * HOUR, RETENTION)
    assert found is not None
    assert "fell behind" in found.why


def test_a_reader_that_slept_for_a_retention_behind_its_first_page_is_a_gap() -> None:
    cursor = ShardCursor(SHARD, Begin(TRIM_HORIZON, since_ms=NOW))
    assert read(cursor, page()) == []
    assert isinstance(cursor.gap(page(12), NOW + 25 * HOUR, RETENTION), Gap)


def test_a_shard_that_ends_without_a_record_covers_from_where_it_was_promised() -> None:
    (part,) = read(ShardCursor(SHARD, Begin(TRIM_HORIZON, since_ms=NOW - HOUR)), page(iterator=None))
    assert part.covered_ms == NOW - HOUR


def test_a_reader_that_begins_at_the_horizon_is_not_told_of_what_it_never_promised() -> None:
    cursor = ShardCursor(SHARD, Begin(TRIM_HORIZON))
    read(cursor, page(1, behind=RETENTION, arrival=NOW - RETENTION))
    assert cursor.gap(page(2), NOW + 1_000, RETENTION) is None


def test_behind_a_gap_on_record_it_goes_on() -> None:
    cursor = ShardCursor(SHARD, at(9, covered=NOW - 25 * HOUR, arrival=NOW - 25 * HOUR))
    assert cursor.gap(page(12), NOW, RETENTION) is not None
    cursor.forgive()
    assert numbers(read(cursor, page(12))) == ["12"]


@pytest.mark.parametrize("ended", [False, True])
def test_a_closed_shard_covers_no_more_than_it_could_know(ended: bool) -> None:
    cursor = ShardCursor(SHARD, at(9, covered=NOW - HOUR))
    read(cursor, page(9))
    (part,) = read(cursor, page(iterator=None), NOW + HOUR) if ended else read(cursor, page(10), NOW + HOUR)
    assert part.covered_ms == (NOW if ended else NOW + HOUR)


def test_a_checkpoint_moves_behind_the_last_user_record_and_counts_them() -> None:
    (part,) = read(ShardCursor(SHARD, Begin(TRIM_HORIZON)), page(4, 5))
    first = advanced(None, "arn", part, Position(5, 3), 6)
    assert (first.position, first.records, first.state) == (Position(5, 3), 6, ShardState.ACTIVE)
    (end,) = read(ShardCursor(SHARD, Begin(TRIM_HORIZON)), page(iterator=None))
    last = advanced(first, "arn", end, None, 0)
    assert (last.position, last.records, last.ended) == (Position(5, 3), 6, True)
