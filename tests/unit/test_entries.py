"""What a bus would never take is found before it is sent, told without a value, and leaves its neighbours alone."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.event_address import address_mistake
from models.outcome import Failure
from workers.engine.delivery import Undeliverable
from workers.eventbridge.entry import Entry, EntryRules, entry_of

RULES = EntryRules("cdc-pipeline", 262_144)
SOURCE, TYPE = "cdc-pipeline.users", "user.updated"


def event(**changes: Any) -> bytes:
    detail = {
        "eventId": "evt_1_1", "eventType": TYPE, "entityType": "users", "entityId": "1",
        "timestamp": "2026-01-15T10:31:00.000000Z",
    }  # fmt: skip
    return json.dumps(detail | changes, ensure_ascii=False, separators=(",", ":")).encode()


def entry(value: bytes, rules: EntryRules = RULES) -> Entry:
    found = entry_of(b"users:1", value, rules)
    assert isinstance(found, Entry), found.reason
    return found


def refusal(value: bytes, rules: EntryRules = RULES) -> str:
    found = entry_of(b"users:1", value, rules)
    assert isinstance(found, Undeliverable)
    assert found.failure == Failure.EVENTBRIDGE_ERROR
    return found.reason


def nested(levels: int) -> bytes:
    """An event of that many levels, itself the first."""
    return event(deep=0).replace(b'"deep":0', b'"deep":' + b"[" * (levels - 1) + b"]" * (levels - 1))


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
).map(lambda document: json.dumps(document).encode()), st.binary(max_size=20) | st.none())  # fmt: skip
def test_whatever_a_record_holds_is_an_entry_or_a_dead_letter(value: bytes, key: bytes | None) -> None:
    assert isinstance(entry_of(key, value, RULES), Entry | Undeliverable)


@given(st.sampled_from(["eventId", "eventType", "entityType", "timestamp", "detailType", "metadata", "keys"]),
       st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
       | st.datetimes().map(str))  # fmt: skip
def test_a_member_of_another_kind_raises_nothing(member: str, value: Any) -> None:
    assert isinstance(entry_of(b"users:1", json.dumps(json.loads(event()) | {member: value}).encode(), RULES),
                      Entry | Undeliverable)  # fmt: skip


@pytest.mark.parametrize("limit", [262_144, 1_000_000])
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_an_entry_is_measured_in_bytes_of_utf_8(limit: int, over: int) -> None:
    rules = EntryRules("cdc-pipeline", limit)
    room = limit - 14 - len(SOURCE) - len(TYPE) - len(event(text="")) + over
    text = "é漢😀" * (room // 9)
    value = event(text=text + "x" * (room - len(text.encode())))
    if over > 0:
        assert refusal(value, rules).startswith(f"the entry has {limit + 1} bytes, {limit} fit")
    else:
        assert entry(value, rules).size == limit + over


@pytest.mark.parametrize(("length", "taken"), [(1, True), (128, True), (129, False)])
def test_a_detail_type_has_1_to_128_characters(length: int, taken: bool) -> None:
    assert isinstance(entry_of(b"k", event(eventType="ü" * length), RULES), Entry) is taken


@pytest.mark.parametrize(("length", "taken"), [(256, True), (257, False)])
def test_a_source_has_at_most_256_characters(length: int, taken: bool) -> None:
    name = "t" * (length - len("cdc-pipeline."))
    assert isinstance(entry_of(b"k", event(entityType=name), RULES), Entry) is taken


@pytest.mark.parametrize("source", ["aws", "AWS", "aws.partner"])
def test_a_source_of_awss_own_is_refused(source: str) -> None:
    assert "EVENT_SOURCE" in (address_mistake(source, "users", TYPE) or "")


@pytest.mark.parametrize(("levels", "taken"), [(500, True), (999, True), (1_000, True), (1_001, False)])
def test_an_event_has_at_most_1000_levels(levels: int, taken: bool) -> None:
    assert isinstance(entry_of(b"users:1", nested(levels), RULES), Entry) is taken


def test_brackets_in_a_text_are_no_levels() -> None:
    assert entry(event(text='"[{' * 2_000)).event_id == "evt_1_1"


@pytest.mark.parametrize("number", ["9223372036854775807", "-9223372036854775808", "1.2345678901234567890123",
                                    "12345678901234567890123.5", "1e22", "-1.5E-30"])  # fmt: skip
@pytest.mark.parametrize("spelling", ["%s", " %s", "[%s]", "[1, %s]", "[1,%s]"])
def test_numbers_that_fit_are_sent(number: str, spelling: str) -> None:
    entry(event(n=0).replace(b'"n":0', f'"n":{spelling % number}'.encode()))


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "1" * 5_000, "-" + "9" * 20])
@pytest.mark.parametrize("spelling", ["%s", " %s", "[%s]", "[1,\n%s]", "[1,%s]"])
def test_an_integer_beyond_64_bits_is_told(number: str, spelling: str) -> None:
    told = refusal(event(n=0).replace(b'"n":0', f'"n":{spelling % number}'.encode()))
    assert told == "an integer of the event does not fit 64 bits: it must travel as text"


def test_digits_in_a_text_are_no_integer() -> None:
    entry(event(text=":99999999999999999999,[99999999999999999999", quoted='\\":99999999999999999999'))


@pytest.mark.parametrize("value", [None, b"", b"garbage", b"[]", b"{}", b'"text"', event(timestamp="2026-01-15"),
                                   event(timestamp="2026-01-15T10:31:00"),
                                   event(eventType=""), event(text="?").replace(b"?", b"\xff"),
                                   event(deep=0).replace(b'"deep":0}', b'"deep":' + b"[" * 800)])  # fmt: skip
def test_what_is_no_event_is_a_dead_letter(value: bytes | None) -> None:
    found = entry_of(b"users:1", value, RULES)
    assert isinstance(found, Undeliverable)
    assert found.failure == Failure.VALIDATION_ERROR


@given(st.datetimes(timezones=st.just(UTC)))
def test_the_time_of_an_entry_is_that_of_its_event_to_the_microsecond(moment: datetime) -> None:
    assert entry(event(timestamp=moment.isoformat(timespec="microseconds"))).time == moment.timestamp()


def test_a_key_that_is_no_text_is_a_dead_letter() -> None:
    assert isinstance(entry_of(b"\xff", event(), RULES), Undeliverable)


@settings(max_examples=20)
@given(st.text(min_size=4, alphabet=st.characters(min_codepoint=0x3040, max_codepoint=0x9FFF)))
def test_no_refusal_quotes_a_value(secret: str) -> None:
    for value in (
        event(eventType=secret * 200), event(entityType=secret * 200), event(text=secret * 2_000),
        event(timestamp=secret),
    ):  # fmt: skip
        found = entry_of(secret.encode(), value, EntryRules("cdc-pipeline", 4_096))
        assert isinstance(found, Undeliverable)
        assert secret not in found.reason
