"""How many bytes and quotes plain objects take: a document that is longer may hold a key twice."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from models.sources.plain_objects import Members

VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text("az09 .:/", max_size=30) | st.just(UNSET)
)
VALUES = VALUES | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=8)
EDGES = (0, 9, 10, 99, 10**6 - 1, 10**6, 10**12, 2**60 - 1, 2**60, -1)


@given(st.lists(VALUES | st.sampled_from(EDGES), min_size=1, max_size=8))
def test_plain_values_take_as_many_bytes_as_their_compact_json(values: list[Any]) -> None:
    names = [f"c{place}" for place in range(len(values))]
    row = {name: value for name, value in zip(names, values, strict=True) if value is not UNSET}
    numbers = {name: str(value) if type(value) is Decimal else value for name, value in row.items()}
    text = json.dumps(numbers, separators=(",", ":"))
    bare = 2 * sum(type(value) is Decimal for value in values)  # quotes that a number has not
    assert Members(names).written(tuple(values)) == (text.count('"') - bare, len(text) - bare - (not row))


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_a_name_that_takes_an_escape_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="escape"):
        Members([name])
