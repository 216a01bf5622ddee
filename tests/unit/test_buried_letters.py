"""Which dead letters a command is about, and what was done with them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.buried import CODES, GAP, UNREADABLE, Buried
from models.handled import Handled, LetterId
from models.letter_selection import Selection, moment
from models.outcome import ErrorCategory, Failure
from models.redrive import DeadRecord
from models.remedies import remedy
from tests.unit.letters import T0, buried, gap


def holds(selection: Selection, letter: Buried, *keys: str) -> bool:
    return selection.holds(letter, lambda _: keys)


@given(st.integers(0, 999), st.integers(0, 1 << 62))
def test_an_id_is_read_back_as_it_was_written(partition: int, offset: int) -> None:
    assert LetterId.parse(str(LetterId(partition, offset))) == LetterId(partition, offset)


@pytest.mark.parametrize("text", ["", "3", "3:", ":4", "3:-1", "a:b", "3:4:5", "٣:4", f"3:{'9' * 20}"])
def test_what_is_no_id_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="PARTITION:OFFSET"):
        LetterId.parse(text)


def test_a_mark_is_read_back_as_it_was_written() -> None:
    mark = Handled(LetterId(3, 1841), "redriven", T0 + 5, T0)
    assert Handled.decode(mark.key, mark.encode()) == mark


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"action":"eaten","at":1,"letter":1}', b'{"action":"dropped"}'])
def test_a_mark_that_cannot_be_read_is_an_error_and_no_guess(value: bytes) -> None:
    with pytest.raises(ValueError, match="record"):
        Handled.decode(b"3:1841", value)


def test_what_was_done_with_a_letter_does_not_count_for_another_of_the_same_id() -> None:
    mark = Handled(LetterId(0, 5), "dropped", T0 + 5, T0)
    assert buried(5, mark).handled == mark
    assert buried(5, mark, time_ms=T0 + 1).handled is None


def test_every_condition_must_hold_and_any_value_of_it_may() -> None:
    letter = buried(5, partition=3)
    assert holds(Selection(), letter)
    assert holds(Selection(stages=frozenset({"publish", "enrich"}), tables=frozenset({"users"})), letter)
    assert not holds(Selection(stages=frozenset({"enrich"}), tables=frozenset({"orgs"})), letter)
    assert holds(Selection(ids=frozenset({LetterId(3, 5), LetterId(3, 6)})), letter)
    assert not holds(Selection(ids=frozenset({LetterId(0, 5)})), letter)
    assert holds(Selection(codes=frozenset({Failure.VALIDATION_ERROR.value})), letter)
    assert not holds(Selection(categories=frozenset({ErrorCategory.PERMANENT.value})), letter)


def test_a_letter_is_chosen_by_any_name_of_its_key() -> None:
    selection = Selection(keys=frozenset({"users:7"}))
    assert holds(selection, buried(5), "users:7", '["core","users",7]')
    assert not holds(selection, buried(5), "users:8")


def test_since_counts_as_in_and_until_as_out() -> None:
    letter = buried(5)
    assert holds(Selection(since_ms=T0, until_ms=T0 + 1), letter)
    assert not holds(Selection(since_ms=T0 + 1), letter)
    assert not holds(Selection(until_ms=T0), letter)


def test_times_are_moments_or_ages() -> None:
    assert moment("2026-01-15T10:31:00Z", 0) == T0
    assert moment("90s", T0) == T0 - 90_000
    assert moment("2h", T0) == T0 - 7_200_000
    assert moment("0s", T0) == T0
    for text in ("yesterday", "2 hours", "LATEST", "TRIM_HORIZON", ""):
        with pytest.raises(ValueError, match="neither"):
            moment(text, T0)


def test_a_gap_is_told_as_what_it_is() -> None:
    lost = gap(5)
    assert (lost.code, lost.stage, lost.letter) == (GAP, "enrich", None)
    assert lost.message == "lost unread: cdc.raw.core/0, offsets 10 to 20"
    assert lost.document()["gap"]["start"] == 10


def test_what_another_program_wrote_is_unreadable_and_stops_nobody() -> None:
    foreign = Buried.of(DeadRecord(0, 5, T0, b"k", b"v", [("cdc-dead-stage", b"enrich")]))
    assert (foreign.code, foreign.category, foreign.size) == (UNREADABLE, "", 1)
    json.dumps(foreign.document())


def test_where_its_bytes_are_broken_makes_no_kind_of_letter() -> None:
    texts = (
        "not acceptable JSON: malformed at line 1 column 658",
        "not acceptable JSON: malformed at line 29 column 3",
    )
    assert len({buried(5, message=text).kind for text in texts}) == 1


def test_every_code_says_what_to_do() -> None:
    assert all(remedy(code) for code in CODES)
