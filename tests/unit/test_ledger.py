"""What stands beside a position fits, however many tables there are: a commit that is refused stops a stage."""

from pathlib import Path

import pytest
from aiokafka import errors as kafka_errors
from hypothesis import given
from hypothesis import strategies as st

from workers.app import make_enrich
from workers.checks.configuration import check_tables
from workers.engine.errors import ConfigurationRefused, sort_error
from workers.engine.ledger import MAX_BYTES, MOST, UNFINISHED, Extent, Ledger, most_bytes, too_many
from workers.failures import ConfigurationError
from workers.kafka.topics import tables_of
from workers.settings.worker import Settings

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=30)
OFFSETS = st.integers(0, MOST)
EXTENTS = st.builds(Extent, OFFSETS, st.one_of(OFFSETS, st.just(UNFINISHED)))


@given(st.dictionaries(NAMES, EXTENTS, max_size=150), st.dictionaries(NAMES.map("drop.{}".format), OFFSETS, max_size=9))
def test_a_ledger_is_read_as_it_was_written_and_fits_with_as_many_tables_as_may_be(
    changelogs: dict[str, Extent], drops: dict[str, int]
) -> None:
    ledger = Ledger({"in": MOST, "out": MOST, **drops}, MOST, changelogs)
    text = ledger.encode()
    found = Ledger.decode(text)
    assert found.changelogs == changelogs
    assert found.since == ledger.since
    if not too_many(changelogs):
        assert len(text) <= MAX_BYTES


def many(count: int) -> list[str]:
    return [f"a_lookup_{n:03}" for n in range(count)]


def test_a_ledger_that_fits_stays_readable_to_the_release_before() -> None:
    assert Ledger({"in": 1}, 0, {"users": Extent(0, 7)}).encode() == '{"changelogs":{"users":[0,7]},"in":1,"since":0}'


def test_more_tables_than_fit_as_json_are_written_more_densely() -> None:
    changelogs = {name: Extent(0, 10**9) for name in many(140)}
    text = Ledger({"in": 1, "drop.control": 1}, 0, changelogs).encode()
    assert len(text) <= MAX_BYTES < most_bytes(changelogs)
    assert Ledger.decode(text) == Ledger({"in": 1, "drop.control": 1}, 0, changelogs)


def test_so_many_tables_are_refused_that_a_commit_would_be_one_day() -> None:
    assert too_many(many(106)) == ""
    assert too_many(many(107)) == (
        "107 tables are too many: how far each was written may take 4,131 bytes beside every position, and Kafka takes "
        "4,096"
    )


def test_what_the_broker_finds_too_large_is_for_an_operator_and_nothing_to_be_tried_again() -> None:
    assert isinstance(sort_error(kafka_errors.OffsetMetadataTooLargeError()), ConfigurationRefused)


@pytest.fixture
def crowded(tmp_path: Path) -> Settings:
    """Settings with more lookups than a stage can keep account of."""
    tables = "".join(
        f"  - {{table: {name}, entity: e, key: [id], provides: {{lookup: {name}, key: id, org: org_id}}}}\n"
        for name in many(110)
    )
    (tmp_path / "tables.yaml").write_text(f"version: 1\ntables:\n{tables}", encoding="utf-8")
    return Settings(_env_file=None, environment="LOCAL", tables=tmp_path / "tables.yaml", data_dir=tmp_path)


def test_a_worker_with_too_many_lookups_does_not_start(crowded: Settings) -> None:
    with pytest.raises(ConfigurationError, match="tables are too many") as refused:
        make_enrich(crowded)
    assert "fewer lookups" in refused.value.hint


def test_a_check_finds_too_many_lookups_before_a_worker_does(crowded: Settings) -> None:
    catalogue, (finding,) = check_tables(crowded)
    assert catalogue is not None
    assert (finding.id, finding.severity) == ("tables.lookups", "error")
    assert f"{len(tables_of(catalogue.lookups))} tables are too many" in finding.message
