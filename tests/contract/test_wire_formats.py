"""Every encoder of the generator against the decoder of its adapter: what was told is read back."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from enrichers.routing import row_keys
from models.catalogue import TELEPHONY
from models.change import Control, Operation, SourceRow
from models.source_spec import ADAPTERS, Adapter
from models.sources import adapters
from models.strict_json import decode
from sandbox.generator.encoders import ENCODERS
from sandbox.generator.invented import Invented
from sandbox.generator.ledger import Canaries
from sandbox.generator.population import Population, Table
from sandbox.generator.tables import TABLES
from sandbox.generator.wire import Encoder, Row, RowChange

AT = datetime(2026, 1, 15, 10, 31, 0, 123456, tzinfo=UTC)
TELLS_BEFORE = {"dms", "dynamodb", "debezium"}
"""Adapters whose updates may say what the row was."""


def told(seed: int) -> Iterator[tuple[Table, RowChange]]:
    """A row of each table that comes, changes and goes."""
    rng = random.Random(seed)
    make, people = Invented(rng, Canaries()), Population(rng)
    people.orgs.append(11)
    for name in ("users", "groups"):
        people.rows[name][5] = TABLES[name].new(make, people, 5, AT)
        people.settled[name].append(5)
    for number, table in enumerate(TABLES.values()):
        row = table.new(make, people, 900 + number, AT)
        key = str(row[table.key])
        after = row | (table.change(make, people, row, AT) if table.change is not None else {})
        for place, (operation, was, now) in enumerate(
            [(Operation.CREATE, None, row), (Operation.UPDATE, row, after), (Operation.DELETE, after, None)]
        ):
            at = AT + timedelta(microseconds=place)
            yield table, RowChange(3 * number + place, table.name, table.key, operation, was, now, at, stream_key=key)


def read(encoder: Encoder, data: bytes) -> SourceRow:
    document = decode(data)
    assert adapters.adapter_of(document) == encoder.adapter  # it says of itself whose it is
    found = adapters.decode(document)
    assert isinstance(found, SourceRow), found
    return found


def plain(row: Any) -> dict[str, Any]:
    """Without what formats write differently: numbers, zones of times, columns that are null."""
    return {name: _plain(value) for name, value in row.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return Decimal(str(value))
    try:
        return datetime.fromisoformat(value).replace(tzinfo=None)
    except ValueError:
        return value


@pytest.fixture(params=ADAPTERS)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    adapter: Adapter = request.param
    return ENCODERS[adapter](random.Random(7))


@pytest.mark.parametrize("seed", range(5))
def test_operation_rows_and_time_are_read_back(encoder: Encoder, seed: int) -> None:
    befores = 0
    for table, change in told(seed):
        found = read(encoder, encoder.change(change))
        where = f"{table.name} {change.operation}"
        assert (found.operation, found.schema, found.table) == (change.operation, encoder.schema, table.name), where
        assert datetime.fromisoformat(found.committed_at or "").replace(tzinfo=UTC) == change.at, where
        if change.after is not None:
            assert plain(found.row) == plain(change.after), where
        if found.before:
            befores += 1
            assert change.before is not None, where
            assert plain(found.before).items() <= plain(change.before).items(), where
    assert (befores > 0) == (encoder.adapter in TELLS_BEFORE | {"dsql"})


@pytest.mark.parametrize("seed", range(5))
def test_keys_are_found_in_whatever_a_delete_tells(encoder: Encoder, seed: int) -> None:
    specs = {spec.name: spec for spec in TELEPHONY}
    for table, change in told(seed):
        image: Row = change.after or change.before or {}
        key, retired = row_keys(specs[table.name], read(encoder, encoder.change(change)))
        assert key == specs[table.name].row_key(encoder.schema, (image[table.key],))
        assert retired is None


def test_a_moved_key_is_an_update_of_dms() -> None:
    encoder = ENCODERS["dms"](random.Random(7))
    assert [adapter for adapter in ADAPTERS if ENCODERS[adapter](random.Random(7)).moves_keys] == ["dms"]
    spec = next(spec for spec in TELEPHONY if spec.name == "users")
    table, change = next((table, change) for table, change in told(1) if change.operation is Operation.UPDATE)
    assert table.name == "users"
    moved = RowChange(
        change.number, change.table, change.key, change.operation, change.before,
        (change.after or {}) | {"ID": 77}, change.at, stream_key="900",
    )  # fmt: skip
    key, retired = row_keys(spec, read(encoder, encoder.change(moved)))
    assert key == spec.row_key(encoder.schema, (77,))
    assert retired == spec.row_key(encoder.schema, (900,))


def test_every_change_has_a_name_of_its_own_if_any(encoder: Encoder) -> None:
    names = [read(encoder, encoder.change(change)).identity for _, change in told(1)]
    if None not in names:
        assert len(set(names)) == len(names)
    assert (None in names) <= (encoder.adapter == "dsql")


def test_what_was_there_before_is_a_snapshot_where_sources_say_so(encoder: Encoder) -> None:
    row = {"ID": 1, "HomeOrgID": 3}
    load = RowChange(0, "users", "ID", Operation.CREATE, None, row, AT, snapshot=True, stream_key="1")
    found = read(encoder, encoder.change(load))
    assert found.snapshot == encoder.has_loads
    assert not (found.snapshot and found.identity)


def test_records_about_tables_are_control_records(encoder: Encoder) -> None:
    for number in range(20):
        data = encoder.control(number, "users", AT)
        assert (data is None) == (encoder.adapter in ("dynamodb", "debezium-flat", "dsql"))
        if data is not None:
            assert isinstance(adapters.decode(decode(data)), Control)


def test_a_definition_of_a_table_names_every_column_its_rows_have(encoder: Encoder) -> None:
    row = {"ID": 1, "HomeOrgID": 3, "RecoveryCode": "x"}
    encoder.change(RowChange(0, "users", "ID", Operation.CREATE, None, row, AT, stream_key="1"))
    data = encoder.control(1, "users", AT)
    told = adapters.decode(decode(data)) if data is not None else None
    if isinstance(told, Control) and told.whole:
        assert set(row) <= set(told.columns or ())


def test_the_transaction_of_an_event_is_that_of_the_generator(encoder: Encoder) -> None:
    for _, change in told(2):
        found = read(encoder, encoder.change(change))
        assert (found.transaction_id or "") == encoder.transaction(change.number)
