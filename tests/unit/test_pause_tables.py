"""Which table a record belongs to, as `cdc pause --table` names it; and what a pause may say."""

from types import SimpleNamespace
from typing import Any

import pytest

from models.catalogue import load_catalogue
from models.pause import Target
from models.raw import HEADER_TABLE
from workers.failures import CommandError
from workers.pauses.tables import table_of_event, table_of_raw
from workers.pauses.writing import pause_of

NOW = 1_768_473_060_000
CATALOGUE = load_catalogue("telephony", None)
CHANGE = (
    b'{"data":{"ID":7,"HomeOrgID":3},"metadata":{"timestamp":"2026-01-15T10:31:00Z","record-type":"data",'
    b'"operation":"insert","partition-key-type":"primary-key","schema-name":"core","table-name":"users"}}'
)


def record(value: bytes | None, *headers: tuple[str, bytes]) -> Any:
    return SimpleNamespace(key=b"k", value=value, headers=headers)


@pytest.mark.parametrize(
    ("found", "table"),
    [
        (record(b"not looked at", (HEADER_TABLE, b"orgs")), "orgs"),
        (record(CHANGE), "users"),  # forwarded by a bridge that did not know the table
        (record(b"{"), None),
        (record(None), None),
    ],
)
def test_a_raw_record_is_of_the_table_its_bridge_saw(found: Any, table: str | None) -> None:
    assert table_of_raw(CATALOGUE)(found) == table


@pytest.mark.parametrize(
    ("value", "table"), [(b'{"entityType":"users"}', "users"), (b"{}", None), (b"{", None), (b"[" * 10_000, None)]
)
def test_an_event_is_of_its_entity_type(value: bytes, table: str | None) -> None:
    assert table_of_event(record(value)) == table


@pytest.mark.parametrize(("lasts", "until"), [("30m", NOW + 1_800_000), ("2026-01-15T11:31:00Z", NOW + 3_600_000)])
def test_a_pause_ends_after_a_time_or_at_a_moment(lasts: str, until: int) -> None:
    assert pause_of(Target("enrich"), by="ann", why="x", lasts=lasts, now_ms=NOW).until_ms == until


@pytest.mark.parametrize("lasts", ["0s", "soon", "2026-01-15T10:30:00Z"])
def test_a_pause_that_would_be_over_is_refused(lasts: str) -> None:
    with pytest.raises(CommandError):
        pause_of(Target("enrich"), by="ann", why="x", lasts=lasts, now_ms=NOW)


@pytest.mark.parametrize("why", ["", "  \n ", "x" * 301, "a\x07bell"])
def test_a_reason_is_one_line_that_can_be_read(why: str) -> None:
    with pytest.raises(CommandError):
        pause_of(Target("enrich"), by="ann", why=why, lasts=None, now_ms=NOW)


def test_white_space_of_a_reason_is_folded() -> None:
    assert pause_of(Target("enrich"), by="ann", why=" a\n b ", lasts=None, now_ms=NOW).why == "a b"
