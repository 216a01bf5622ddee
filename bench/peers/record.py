"""The record every peer works on: a change of a row as 660 bytes of JSON, and how to read it."""

import argparse
import os

import msgspec

RECORD_BYTES = 660
KEPT_BYTES = 120
_NUMBER_DIGITS = 10
_HEAD = b'{"number":"'
_SENT_DIGITS = 20
_SENT = b'","sent":"'
_NUMBER = slice(len(_HEAD), len(_HEAD) + _NUMBER_DIGITS)
_SENT_AT = slice(_NUMBER.stop + len(_SENT), _NUMBER.stop + len(_SENT) + _SENT_DIGITS)


class Row(msgspec.Struct):
    """The columns of the row."""

    id: int
    org_id: int
    owner_id: int
    status: str
    name: str
    email: str
    amount: float
    priority: int
    active: bool
    created_at: str
    updated_at: str
    note: str
    closed_at: str | None


class Origin(msgspec.Struct):
    """Where the change came from, as AWS DMS says it."""

    operation: str
    record_type: str
    schema_name: str
    table_name: str
    transaction_id: int
    timestamp: str


class Change(msgspec.Struct):
    """One record. `number` counts the records of the run, `sent` is a monotonic clock in nanoseconds."""

    number: str
    sent: str
    data: Row
    metadata: Origin


_row = Row(
    id=0, org_id=40_017, owner_id=9_120_044, status="IN_PROGRESS", name="Quarterly review of the northern region",
    email="someone.with.a.name@company.example", amount=1234.5, priority=3, active=True,
    created_at="2026-01-15T10:31:00.000000Z", updated_at="2026-02-03T08:00:12.123456Z", note="", closed_at=None,
)  # fmt: skip
_origin = Origin(
    operation="update", record_type="data", schema_name="core", table_name="tasks", transaction_id=77_000_000_123,
    timestamp="2026-02-03T08:00:12.654321Z",
)  # fmt: skip
_encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Change).decode


def encode(number: int, row: int, sent: int = 0) -> bytes:
    """Record `number` of the run, about row `row`: RECORD_BYTES bytes."""
    change = Change(f"{number:0{_NUMBER_DIGITS}}", f"{sent:0{_SENT_DIGITS}}", _row, _origin)
    change.data.id, change.data.note = row, ""
    change.data.note = "n" * (RECORD_BYTES - len(_encode(change)))
    return _encode(change)


def number_of(value: bytes) -> int:
    """The record's number, without decoding it."""
    return int(value[_NUMBER])


def sent_at(value: bytes) -> int:
    """When it was sent, without decoding it."""
    return int(value[_SENT_AT])


def key_of(row: int) -> bytes:
    """The key of a row's records."""
    return b"task-%08d" % row


def kept(value: bytes) -> bytes:
    """What the work `table` remembers of a record: KEPT_BYTES bytes that differ from record to record."""
    return value[:KEPT_BYTES]


def arguments(purpose: str | None) -> argparse.ArgumentParser:
    """The command line all peers share."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--group", required=True, help="consumer group or app id, new for every run")
    parser.add_argument("--source", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--work", choices=("forward", "table", "recovery"), default="forward")
    parser.add_argument("--directory", required=True, help="for state on disk")
    parser.add_argument("--entries", type=int, default=0, help="recovery: table entries to expect")
    parser.add_argument("--report", help="recovery: file for the peer's own times, as JSON")
    return parser


def report(path: str, **found: float) -> None:
    """Leave the peer's own figures for the bench, all at once."""
    temporary = f"{path}.new"
    with open(temporary, "wb") as file:  # noqa: PTH123  nothing but the standard basics in a peer
        file.write(_encode(found))
    os.replace(temporary, path)  # noqa: PTH105
