"""A value of another type that means the same is put right without loss; any other ends the record."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.column_types import CHECKS, EXAMPLES, NATIVE, WRONG
from models.strict_json import wire
from models.tables import ColumnType
from workers.reference.events import column_types_page

NUMBERS = st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=3)
PLAIN = st.booleans() | NUMBERS | st.text(max_size=20)
VALUES = PLAIN | st.lists(PLAIN, max_size=3) | st.dictionaries(st.text(max_size=5), PLAIN, max_size=3)


@pytest.mark.parametrize(
    ("kind", "given_value", "found"),
    [
        (ColumnType.INT, "7", 7),
        (ColumnType.INT, "7.0", 7),
        (ColumnType.INT, Decimal("7.0"), 7),
        (ColumnType.TEXT, 7, "7"),
        (ColumnType.TEXT, Decimal("7.50"), "7.50"),
        (ColumnType.BOOL, 1, True),
        (ColumnType.BOOL, "false", False),
        (ColumnType.DECIMAL, "1e3", "1e3"),
        (ColumnType.TIMESTAMP, 1768473060, 1768473060),
    ],
)
def test_what_means_the_same_is_put_right(kind: ColumnType, given_value: Any, found: Any) -> None:
    checked = CHECKS[kind](given_value)
    assert (type(checked), checked) == (type(found), found)


@pytest.mark.parametrize(
    ("kind", "given_value"),
    [
        (ColumnType.INT, "seven"),
        (ColumnType.INT, Decimal("7.5")),
        (ColumnType.INT, True),
        (ColumnType.TEXT, False),
        (ColumnType.TEXT, ["a"]),
        (ColumnType.BOOL, 2),
        (ColumnType.TIMESTAMP, "yesterday"),
        (ColumnType.TIMESTAMP, ""),
        (ColumnType.DECIMAL, "7,50"),
    ],
)
def test_what_would_lose_something_is_refused(kind: ColumnType, given_value: Any) -> None:
    assert CHECKS[kind](given_value) is WRONG


@settings(deadline=None)
@given(st.sampled_from(ColumnType), VALUES)
def test_a_value_that_was_put_right_is_of_its_type_and_stays_as_it_is(kind: ColumnType, value: Any) -> None:
    checked = CHECKS[kind](value)
    if checked is not WRONG:
        assert CHECKS[kind](checked) == checked
        if kind in (ColumnType.INT, ColumnType.TEXT, ColumnType.BOOL):
            assert type(checked) in NATIVE[kind]


@settings(deadline=None)
@given(NUMBERS)
def test_a_number_in_a_text_column_keeps_every_digit(number: Any) -> None:
    text = CHECKS[ColumnType.TEXT](number)
    assert Decimal(text) == Decimal(number)
    assert text == str(wire(number))


@settings(deadline=None)
@given(st.integers())
def test_an_integer_survives_every_way_of_writing_it(number: int) -> None:
    for written in (number, str(number), f"{number}.0", Decimal(number)):
        assert CHECKS[ColumnType.INT](written) == number


def test_the_documented_table_is_what_the_checks_answer() -> None:
    page = Path("docs/column-types.md").read_text()
    assert page == column_types_page(), "run `python -m workers.reference.events`"
    assert {kind for kind, _ in EXAMPLES} == set(ColumnType)
