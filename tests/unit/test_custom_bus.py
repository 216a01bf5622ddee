"""P3, P4 on Custom Event Buses: what an event looks like to them, byte for byte as botocore would send it."""

import json
from types import SimpleNamespace
from typing import Any

import boto3
import cbor2
import msgspec
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from models.event_bus import event_bus
from models.raw import HEADER_REPLAY
from models.redrive import RedriveOrigin
from tests.unit.letters import T0
from tests.unit.test_classic_bus import event
from workers.agents.publish import receipt_of
from workers.aws.client import Session
from workers.aws.wire import CborWire
from workers.eventbridge.bus import Prepared, Receipt
from workers.eventbridge.classic import ClassicBus
from workers.eventbridge.entry import Entry, EntryRules, entry_of, trace_header
from workers.eventbridge.sink import EventBridgeSink
from workers.eventbridge.v2 import MAX_ID, CustomBus, deduplication_id, group_id
from workers.settings.worker import Settings

ARN = "arn:aws:events:eu-west-1:111122223333:event-busv2/cdc-events/" + "a1b2c" * 5
RULES = EntryRules("cdc-pipeline", 262_144)


class Silent:
    """No request goes through it."""

    async def call(self, operation: str, request: bytes) -> bytes:
        raise AssertionError(operation)

    async def close(self) -> None: ...


def record(value: bytes, key: bytes = b"users:1", **headers: bytes | None) -> Any:
    named = tuple((name.replace("_", "-"), header) for name, header in headers.items())
    return SimpleNamespace(key=key, value=value, headers=named, offset=4, timestamp=T0)


def entry(value: bytes, key: bytes = b"users:1") -> Entry:
    found = entry_of(key, value, RULES)
    assert isinstance(found, Entry)
    return found


def custom() -> CustomBus:
    return CustomBus(Silent(), ARN, 262_144)


@pytest.fixture
def sent_by_botocore() -> Any:
    """The body, the URL and the headers of a PutEvents that boto3 would have sent."""
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-west-1")
    client = session.client("eventbridgev2", config=Config(retries={"total_max_attempts": 1}))
    sent = []

    def note(request: Any, **_: Any) -> None:
        sent.append(request)
        raise InterruptedError

    client.meta.events.register("before-send", note)

    def put(**arguments: Any) -> Any:
        with pytest.raises(InterruptedError):
            client.put_events(**arguments)
        return sent[-1]

    return put


@pytest.mark.parametrize("count", [1, 23, 24, 100])
def test_a_request_has_the_bytes_of_botocores_own(sent_by_botocore: Any, count: int) -> None:
    bus = custom()
    values = [event(number, timestamp="2026-01-15T10:31:00.250000Z", note="ä" * 300) for number in range(count)]
    ours = bus.request([bus.prepare(entry(value, b"users:%d" % number)) for number, value in enumerate(values)])
    found = cbor2.loads(ours)
    theirs = sent_by_botocore(EventBusArn=ARN, Entries=found["Entries"])
    assert ours == theirs.body


def test_the_endpoint_is_that_of_the_account_of_the_bus_as_botocore_says(sent_by_botocore: Any) -> None:
    theirs = sent_by_botocore(EventBusArn=ARN, Entries=[{"Source": "s", "DetailType": "t"}])
    session = Session(Settings(_env_file=None, aws_region="eu-west-1"))
    path = "/service/AWSEventsV2/operation/PutEvents"
    assert session.endpoint("111122223333.eventsv2") + path == theirs.url
    wire = CborWire("AWSEventsV2")
    assert wire.path("PutEvents") == path
    told = {name.lower(): value for name, value in theirs.headers.items()}
    for name, value in wire.headers("PutEvents").items():
        assert told[name] in (value, value.encode())


def test_an_event_that_waits_is_in_memory_once() -> None:
    made = entry(event(7), b"users:7")
    assert any(piece is made.detail for piece in custom().prepare(made).wire)


def test_an_event_says_what_it_is_to_its_bus() -> None:
    value = event(7)
    found = cbor2.loads(b"".join(custom().prepare(entry(value, b"users:7")).wire))
    assert found == {
        "Source": "cdc-pipeline.users", "DetailType": "user.updated", "Detail": value.decode(),
        "Time": found["Time"], "SystemMetadata": {"EventGroupId": "users:7", "DeduplicationId": "evt_1_7"},
    }  # fmt: skip
    assert found["Time"].isoformat() == "2026-01-15T10:31:00+00:00"


def test_the_same_record_has_the_same_bytes_and_the_same_deduplication_id_every_time() -> None:
    first, again = (custom().prepare(entry(event())) for _ in range(2))
    assert first.wire == again.wire


def test_the_events_of_an_entity_are_one_group_and_those_of_two_are_two() -> None:
    groups = [
        group_id(entry(event(number), key)) for number, key in ((1, b"users:1"), (2, b"users:1"), (3, b"users:2"))
    ]
    assert groups == ["users:1", "users:1", "users:2"]


@pytest.mark.parametrize("longer", ["x" * MAX_ID, "ä" * 200])
def test_a_key_that_is_too_long_for_a_group_is_hashed(longer: str) -> None:
    short, long_one, other = (
        group_id(entry(event(), key.encode())) for key in ("users:1", f"u:{longer}", f"v:{longer}")
    )
    assert short == "users:1"
    assert len(long_one) <= MAX_ID
    assert long_one != other
    assert long_one == group_id(entry(event(9), f"u:{longer}".encode()))


def test_an_event_without_a_key_is_a_group_by_itself() -> None:
    assert group_id(entry(event(4), b"")) == "evt_1_4"


def test_an_event_that_was_redriven_is_another_one_to_the_bus_under_the_same_event_id() -> None:
    ids = [deduplication_id(entry(event(metadata=metadata))) for metadata in ({}, {"replay": 1}, {"replay": 2})]
    assert ids == ["evt_1_1", "evt_1_1.1", "evt_1_1.2"]


@pytest.mark.parametrize(
    ("header", "wanted"),
    [(b"3", "evt_1_1.p4"), (b"x", "evt_1_1"), (b"9" * 30, "evt_1_1"), (b"", "evt_1_1"), (None, "evt_1_1")],
)
def test_a_record_of_a_redrive_topic_is_another_one_too_and_keeps_its_bytes(header: bytes | None, wanted: str) -> None:
    sink = EventBridgeSink(custom(), RULES)
    found = sink.prepare(record(event(), cdc_replay=header))
    assert isinstance(found, Prepared)
    assert deduplication_id(found.entry) == wanted
    assert found.entry.detail == event()


def test_no_two_ways_to_send_an_event_again_are_one_to_the_bus() -> None:
    """A redrive and a replay of a raw record, the same of an event, and both together; each with the number 1."""
    of_raw = event(metadata={"replay": 1})
    ways = [
        record(event()),
        record(of_raw, cdc_redriven=b"17"),
        record(of_raw, cdc_redriven=b"18"),
        record(event(), cdc_replay=b"1"),
        record(of_raw, cdc_redriven=b"17", cdc_replay=b"1"),
    ]
    sink = EventBridgeSink(custom(), RULES)
    made = [sink.prepare(way) for way in ways]
    ids = [deduplication_id(one.entry) for one in made if isinstance(one, Prepared)]
    assert ids == ["evt_1_1", "evt_1_1.e17", "evt_1_1.e18", "evt_1_1.p4", "evt_1_1.e17.p4"]
    assert {one.entry.event_id for one in made if isinstance(one, Prepared)} == {"evt_1_1"}


def test_an_entry_knows_when_its_event_was_written_also_when_it_comes_again() -> None:
    origin = RedriveOrigin("cdc.events", 0, 7, T0 - 60_000, 0, T0)
    again = SimpleNamespace(
        key=b"users:1", value=event(), offset=4, timestamp=T0, headers=((HEADER_REPLAY, b"1"), *origin.to_headers())
    )
    made = [EventBridgeSink(custom(), RULES).prepare(one) for one in (record(event()), again)]
    assert [one.entry.written_ms for one in made if isinstance(one, Prepared)] == [T0, T0 - 60_000]


def test_a_record_that_is_sent_again_after_a_crash_is_the_same_to_the_bus() -> None:
    sink = EventBridgeSink(custom(), RULES)
    first, second = (
        sink.prepare(record(event(metadata={"replay": 1}), cdc_redriven=b"17", cdc_replay=b"1")) for _ in range(2)
    )
    assert isinstance(first, Prepared)
    assert isinstance(second, Prepared)
    assert first.wire == second.wire


@given(st.text(), st.text(min_size=1), st.integers(0, 10**9), st.integers(0, 10**9))
def test_ids_of_any_event_are_those_the_bus_takes(key: str, event_id: str, replay: int, redriven: int) -> None:
    made = Entry(event_id, key, "s", "t", b"{}", 0.0, 20, replay=replay, redriven=redriven)
    assert all(1 <= len(text) <= MAX_ID for text in (group_id(made), deduplication_id(made)))


@pytest.mark.parametrize(
    ("correlation", "header"),
    [
        ("1-65a50b24-0123456789abcdef01234567", "Root=1-65a50b24-0123456789abcdef01234567"),
        ("36fe4ed5d04a2c6b5675", None), ("1-65a50b24-0123456789ABCDEF01234567", None), (None, None),
        ("1-65a50b24-0123456789abcdef01234567;Sampled=1", None),
    ],
)  # fmt: skip
def test_only_the_id_of_an_x_ray_trace_becomes_a_trace_header(correlation: str | None, header: str | None) -> None:
    assert trace_header(correlation) == header


def test_a_classic_bus_is_told_the_trace_and_a_custom_bus_has_no_place_for_it() -> None:
    traced = entry(event(metadata={"correlationId": "1-65a50b24-0123456789abcdef01234567"}))
    classic = json.loads(b"".join(ClassicBus(Silent(), "cdc-events", 1_000).prepare(traced).wire))
    assert classic["TraceHeader"] == "Root=1-65a50b24-0123456789abcdef01234567"
    assert "TraceHeader" not in cbor2.loads(b"".join(custom().prepare(traced).wire))


# Several buses


@pytest.fixture
def sink() -> EventBridgeSink:
    """`users` go to a custom bus, `calls` to a classic one of their own, all others to `cdc-events`."""
    return EventBridgeSink(
        ClassicBus(Silent(), "cdc-events", 262_144), RULES,
        {"users": custom(), "calls": ClassicBus(Silent(), "calls", 262_144)},
    )  # fmt: skip


def channels(sink: EventBridgeSink, *tables: str) -> list[Prepared]:
    found = [sink.prepare(record(event(number, entityType=table))) for number, table in enumerate(tables)]
    return [one for one in found if isinstance(one, Prepared)]


def test_events_go_to_the_bus_of_their_table(sink: EventBridgeSink) -> None:
    found = channels(sink, "users", "orders", "calls", "users2")
    assert [one.channel for one in found] == [ARN, "cdc-events", "calls", "cdc-events"]


def test_a_request_holds_as_many_events_as_their_bus_takes(sink: EventBridgeSink) -> None:
    assert sink.max_entries == 100
    assert sink.fit(channels(sink, *["users"] * 100)) == 100
    assert sink.fit(channels(sink, *["orders"] * 12)) == 10


def test_what_is_shown_of_several_buses_is_the_worst_and_each_of_them(sink: EventBridgeSink) -> None:
    assert set(sink.report()["buses"]) == {"cdc-events", "calls", ARN}
    assert "buses" not in EventBridgeSink(sink.bus, RULES).report()


@pytest.mark.parametrize(
    ("text", "custom_one", "region", "account"),
    [
        ("cdc-events", False, None, None),
        ("arn:aws:events:eu-west-1:111122223333:event-bus/cdc-events", False, "eu-west-1", "111122223333"),
        ("arn:aws-cn:events:cn-north-1:111122223333:event-bus/a/b.c", False, "cn-north-1", "111122223333"),
        (ARN, True, "eu-west-1", "111122223333"),
    ],
)
def test_an_address_says_generation_region_and_account(
    text: str, custom_one: bool, region: str | None, account: str | None
) -> None:
    found = event_bus(text)
    assert (found.custom, found.region, found.account) == (custom_one, region, account)


@pytest.mark.parametrize(
    "text", ["", "two words", "arn:aws:events:eu-west-1:111122223333:rule/x", ARN[:-1], ARN + "x", "ä", "x" * 257]
)
def test_what_is_no_address_of_a_bus_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither the name"):
        event_bus(text)


def test_a_receipt_names_the_bus_event_the_outcome_and_the_sequence_number() -> None:
    custom_one = receipt_of(Receipt("evt_1", "b", "007", "DEDUPLICATED"), attempts=2, offset=5, now_ms=9)
    assert json.loads(msgspec.json.encode(custom_one)) == {
        "attempts": 2, "busEventId": "b", "code": "DEDUPLICATED", "eventId": "evt_1", "offset": 5,
        "sequenceNumber": "007", "time": 9,
    }  # fmt: skip
    classic_one = receipt_of(Receipt("e", "b"), attempts=1, offset=0, now_ms=9)
    assert b"sequenceNumber" not in msgspec.json.encode(classic_one)
