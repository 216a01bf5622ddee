"""How long a hop took is told in the unit that fits, so that the columns of a trail stay where they are."""

import pytest

from workers.trace.durations import duration


@pytest.mark.parametrize(("milliseconds", "told"), [
    (0, "0 ms"), (863, "863 ms"), (3_424, "3.4 s"), (150_000, "2.5 min"), (26_000_000, "7.2 h"),
    (26_857_232_000, "311 d"), (-21, "21 ms"),
])  # fmt: skip
def test_a_duration_is_told_in_the_unit_that_fits(milliseconds: int, told: str) -> None:
    assert duration(milliseconds) == told
