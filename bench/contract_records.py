"""The records of the contract bench: DMS updates of four tables with before image, 700 B to 1.6 KB, always the same.

Each way to an owner is there: columns of the row (users, pool, call_status), and a lookup that an earlier record fed
(channels of users).
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from models.catalogue import load_catalogue
from models.raw import Origin, RawRecord
from models.routing import entity_key

SCHEMA = "core"
SOURCE = "core"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/bench"
SMALLEST, LARGEST = 700, 1_650
"""Bytes of a record."""
ROWS = 500
"""Of each table; each row changes many times, as rows do."""

Row = dict[str, Any]
TELEPHONY = load_catalogue("telephony", None)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run is fed."""

    loads: list[RawRecord]
    """The users, so that their channels find an owner."""
    updates: list[RawRecord]


def prepared(count: int, seed: int = 1) -> Prepared:
    """`count` updates in the order of their stream, and the loads before them."""
    rng = random.Random(seed)
    rows = {name: [make(rng, number) for number in range(1, ROWS + 1)] for name, make in _TABLES.items()}
    loads = [_record(number, "users", "load", row, None) for number, row in enumerate(rows["users"])]
    return Prepared(loads, list(_updates(rng, rows, count, len(loads))))


def _updates(rng: random.Random, rows: dict[str, list[Row]], count: int, first: int) -> Iterator[RawRecord]:
    names = list(_TABLES)
    for number in range(first, first + count):
        table = names[number % len(names)]
        place = rng.randrange(ROWS)
        before = rows[table][place]
        after = {**before, **_changed(rng, table), "UpdatedAt": _time(rng)}
        rows[table][place] = after
        record = _record(number, table, "update", after, before)
        if not SMALLEST <= len(record.value or b"") <= LARGEST:
            raise AssertionError(f"a record of {table} has {len(record.value or b'')} bytes")
        yield record


def _record(number: int, table: str, operation: str, row: Row, before: Row | None) -> RawRecord:
    key = next(iter(row.values()))
    metadata: dict[str, Any] = {
        "timestamp": "2026-01-15T10:31:00.500000Z", "record-type": "data", "operation": operation,
        "partition-key-type": "primary-key", "partition-key-value": f"{SCHEMA}.{table}.{key}", "schema-name": SCHEMA,
        "table-name": table,
    }  # fmt: skip
    if operation != "load":
        metadata |= {
            "transaction-id": 87_978_110_000_000 + number, "transaction-record-id": 1,
            "commit-timestamp": f"2026-01-15T10:31:{number % 60:02d}.000000Z",
            "stream-position": f"mysql-bin-changelog.000042.{number}.17.0.{number}",
        }  # fmt: skip
    document: dict[str, Any] = {"data": row, "metadata": metadata}
    if before is not None:
        document = {"data": row, "before-image": before, "metadata": metadata}
    return RawRecord(
        value=json.dumps(document, separators=(",", ":")).encode(), key=entity_key(SCHEMA, table, (key,)),
        origin=Origin(STREAM, "shardId-000000000000", str(49_663_978_758_868_311_932 + number), 0, 1_768_473_060_000),
        topic=f"cdc.raw.{SOURCE}", partition=0, offset=number, timestamp_ms=1_768_473_060_412, source=SOURCE,
        adapter="dms", table=table,
    )  # fmt: skip


def _user(rng: random.Random, number: int) -> Row:
    return {
        "ID": number, "HomeOrgID": rng.randint(1, 40), "UserName": f"user{number}", "FirstName": "Ana",
        "LastName": "Silva", "DisplayName": "Ana Silva", "Email": _email(rng), "Phone": _phone(rng),
        "Extension": str(rng.randint(100, 999)), "PasswordHash": f"$2b$12${rng.getrandbits(180):045x}", "PIN": "4711",
        "Status": "ACTIVE", "Role": "AGENT", "Locale": "en-US", "TimeZone": "Europe/Lisbon", "MFAEnabled": True,
        "LastLoginAt": _time(rng), "CreatedAt": _time(rng), "UpdatedAt": _time(rng),
    }  # fmt: skip


def _channel(rng: random.Random, number: int) -> Row:
    return {
        "ID": number, "Type": "SMS", "Address": _phone(rng), "Carrier": "Delta Freight", "ChannelGroupID": None,
        "OwnerType": "User", "OwnerID": rng.randint(1, ROWS), "Name": f"Line {number}", "Status": "ACTIVE",
        "Config": json.dumps({"retries": 3, "language": "en"}), "Secret": f"{rng.getrandbits(96):024x}",
        "CreatedAt": _time(rng), "UpdatedAt": _time(rng),
    }  # fmt: skip


def _number(rng: random.Random, number: int) -> Row:
    return {
        "ID": number, "Number": _phone(rng), "OrgID": rng.randint(1, 40), "UserID": rng.randint(1, ROWS),
        "Country": "PT", "NumberType": "GEOGRAPHIC", "Status": "ASSIGNED", "Provider": "Blue Harbor",
        "BillingPlan": "MONTHLY", "MonthlyCost": 4.75, "SetupCost": "12.50", "Currency": "EUR",
        "BilledFrom": _time(rng), "AssignedAt": _time(rng), "ReleasedAt": None, "CreatedAt": _time(rng),
        "UpdatedAt": _time(rng),
    }  # fmt: skip


def _call(rng: random.Random, number: int) -> Row:
    return {
        "CallID": f"{rng.getrandbits(128):032x}", "OrgID": rng.randint(1, 40), "UserID": rng.randint(1, ROWS),
        "SIPCallID": f"{rng.getrandbits(64):016x}@sip.example", "FromURI": f"sip:{_phone(rng)}@sip.example",
        "ToURI": f"sip:{number}@sip.example", "FromTag": "as5d", "ToTag": None, "Direction": "INBOUND",
        "State": "RINGING", "CallerNumber": _phone(rng), "CalleeNumber": _phone(rng), "QueueID": 7, "AgentID": None,
        "SIPStatus": 180, "Codec": "opus", "StartedAt": _time(rng), "AnsweredAt": None, "EndedAt": None,
        "CreatedAt": _time(rng), "UpdatedAt": _time(rng),
    }  # fmt: skip


_TABLES = {"users": _user, "channels": _channel, "pool": _number, "call_status": _call}


def _changed(rng: random.Random, table: str) -> Row:
    match table:
        case "users":
            return {"Email": _email(rng), "LastLoginAt": _time(rng)}
        case "channels":
            return {"Address": _phone(rng), "Secret": f"{rng.getrandbits(96):024x}"}
        case "pool":
            return {"MonthlyCost": rng.randint(100, 900) / 100, "Status": rng.choice(("ASSIGNED", "RESERVED"))}
        case _:
            return {"State": rng.choice(("ANSWERED", "ENDED", "HELD")), "SIPStatus": 200, "AnsweredAt": _time(rng)}


def _email(rng: random.Random) -> str:
    return f"u{rng.getrandbits(40):010x}@example.test"


def _phone(rng: random.Random) -> str:
    return f"+3512{rng.randint(10_000_000, 99_999_999)}"


def _time(rng: random.Random) -> str:
    return f"2026-01-{rng.randint(10, 28)}T{rng.randint(10, 23)}:{rng.randint(10, 59)}:00.000000Z"
