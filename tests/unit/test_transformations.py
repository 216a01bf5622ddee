"""Transformations: changes of form that are exact, and the same for every source."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichers.pipeline import PipelineOptions
from enrichers.transform import BadValueError, transformer
from models.outcome import Dead, Failure
from models.short_form import ShortForm, record_of
from models.source_spec import ADAPTERS, Adapter
from models.tables import Transformation
from tests.unit.changes import KEY, Worker, catalogue_of, dms

ZONE = "Europe/Zurich"


def apply(kind: Transformation, value: Any, zone: str = "UTC", *, means_z: bool = False) -> Any:
    return transformer(kind, zone, means_z=means_z)(value)


@pytest.mark.parametrize(
    ("sent", "published"),
    [
        ("2026-07-15 10:30:00", "2026-07-15T08:30:00.000000Z"),
        ("2026-01-15 10:30:00", "2026-01-15T09:30:00.000000Z"),
        ("2026-03-29 01:59:59.999999", "2026-03-29T00:59:59.999999Z"),
        ("2026-03-29 02:30:00", "2026-03-29T01:30:00.000000Z"),  # never was: clocks went from 02:00 to 03:00
        ("2026-03-29 03:00:00", "2026-03-29T01:00:00.000000Z"),
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00.000000Z"),  # was twice: the first of them
        ("2026-10-25 03:00:00", "2026-10-25T02:00:00.000000Z"),
        ("2026-03-29 02:30:00+05:30", "2026-03-28T21:00:00.000000Z"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00.000000Z"),
        ("2026-07-15", "2026-07-14T22:00:00.000000Z"),
        (1768473060, "2026-01-15T10:31:00.000000Z"),
        (Decimal("1768473060.4125"), "2026-01-15T10:31:00.412500Z"),
        (-1, "1969-12-31T23:59:59.000000Z"),
    ],
)
def test_times_of_a_zone_are_the_moments_they_were(sent: Any, published: str) -> None:
    assert apply(Transformation.ISO_DATE, sent, ZONE) == published


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_z_is_a_zone_except_where_dms_appends_it(tmp_path: Path, adapter: Adapter) -> None:
    entry = "  - {table: t, entity: t, key: [ID], unknown_columns: publish, transform: {V: ISO_DATE}}\n"
    worker = Worker(catalogue_of(tmp_path, entry), PipelineOptions(redaction_key=KEY, time_zone=ZONE))
    record = record_of(ShortForm("INSERT", "t", after={"ID": 1, "V": "2026-07-15T10:30:00Z"}), adapter, ("ID",))
    hour = "08" if adapter == "dms" else "10"
    assert worker.event(record)["changes"]["V"]["new"] == f"2026-07-15T{hour}:30:00.000000Z"


@pytest.mark.parametrize(
    "value",
    ["", " ", "soon", "2026-13-01", "2026-02-30", "10:30", "0001-01-01", "9999-12-31T23:59:59-05:00", True, [], {},
     10**30, Decimal("1e300"), "1768473060", "20260115T1030Z extra"],
)  # fmt: skip
def test_what_is_no_time_has_no_form(value: Any) -> None:
    with pytest.raises(BadValueError):
        apply(Transformation.ISO_DATE, value, ZONE)


@pytest.mark.parametrize(
    ("sent", "published"),
    [
        ("0.005", "0.01"), ("-0.005", "-0.01"), ("0.004999999999999999999999", "0.00"), ("-0.001", "0.00"),
        ("1.005", "1.01"), (Decimal("2.675"), "2.68"), ("1e2", "100.00"), (10**40, "1" + "0" * 40 + ".00"),
        ("12345678901234567890123456789.995", "12345678901234567890123456790.00"), (".5", "0.50"), ("+7", "7.00"),
    ],
)  # fmt: skip
def test_decimals_are_exact_and_rounded_half_up(sent: Any, published: str) -> None:
    assert apply(Transformation.DECIMAL, sent) == published


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_a_decimal_is_at_most_half_a_cent_away_and_never_towards_zero(number: Decimal) -> None:
    published = Fraction(apply(Transformation.DECIMAL, number))
    away = abs(published) - abs(Fraction(number))
    assert -Fraction(1, 200) < away <= Fraction(1, 200)
    assert apply(Transformation.DECIMAL, apply(Transformation.DECIMAL, number)) == apply(Transformation.DECIMAL, number)


@pytest.mark.parametrize("value", ["", "1,5", "NaN", "Infinity", "0x10", "1_000", "½", True, [], {"a": 1}])
def test_what_is_no_number_has_no_form(value: Any) -> None:
    with pytest.raises(BadValueError):
        apply(Transformation.DECIMAL, value)


@pytest.mark.parametrize("kind", list(Transformation))
def test_null_stays_null(kind: Transformation) -> None:
    assert apply(kind, None) is None


@pytest.mark.parametrize(("sent", "upper", "lower"), [("Straße", "STRASSE", "straße"), ("", "", ""), ("É", "É", "é")])
def test_letters_change_their_case(sent: str, upper: str, lower: str) -> None:
    assert (apply(Transformation.UPPERCASE, sent), apply(Transformation.LOWERCASE, sent)) == (upper, lower)


SCALARS = st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=30)


@given(
    st.sampled_from(Transformation), SCALARS | st.lists(SCALARS, max_size=2) | st.sampled_from(["2026-01-15", "1.5"])
)
def test_a_value_has_the_form_or_has_none_and_nothing_else_happens(kind: Transformation, value: Any) -> None:
    try:
        found = apply(kind, value, ZONE)
    except BadValueError:
        return
    assert isinstance(found, str | None)


def test_a_bad_value_in_any_image_is_a_dead_letter_that_names_column_and_rule(tmp_path: Path) -> None:
    entry = "{table: t, entity: t, key: [ID], images: [before], transform: {V: DECIMAL}, redact: {V: REMOVE}}"
    worker = Worker(catalogue_of(tmp_path, f"  - {entry}\n"))
    value = dms("update", {"ID": 1, "V": "1"}, table="t", before={"ID": 1, "V": "secret"})
    assert worker.dead(value) == Dead(Failure.TRANSFORMATION_ERROR, "column V has no DECIMAL form")
