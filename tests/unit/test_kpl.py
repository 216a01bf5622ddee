"""Aggregates of the Kinesis Producer Library: whole, broken, hostile and none at all."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sources import kpl
from models.sources.kpl import (
    DIGEST_BYTES,
    MAGIC,
    MAX_FIELDS,
    MAX_GROUP_DEPTH,
    MAX_KEY_CHARACTERS,
    MAX_RECORDS,
    Corrupt,
    UserRecord,
    aggregate,
)
from sandbox.generator.aggregates import Put, aggregated, delimited, numbered, sealed, varint

LAST_HASH = 2**128 - 1
FIXTURE = bytes.fromhex(
    "f3899ac20a026b310a026b321201301a0b08001a077b2261223a317d1a0d080110001a077b2261223a327dfa3a81b59dd9cb07f52aad4c52063bac"
)
"""Two records, the second one with the explicit hash key 0, as other implementations read it."""
TABLE = delimited(1, b"k0") + delimited(1, b"k1") + delimited(2, b"7") + delimited(2, b"8")
GOOD = delimited(3, numbered(1, 0) + delimited(3, b"good"))

PUTS = st.lists(
    st.tuples(st.text(min_size=1, max_size=8), st.binary(max_size=20), st.none() | st.integers(0, LAST_HASH)),
    max_size=12,
)


def record(*fields: bytes) -> bytes:
    """An aggregate of a good record and one with these fields."""
    return sealed(TABLE + GOOD + delimited(3, b"".join(fields)))


def second(data: bytes) -> UserRecord:
    """The record behind the good one."""
    found = aggregate(data)
    assert isinstance(found, tuple), found
    return found[1]


def test_the_records_of_an_aggregate_come_out_in_order() -> None:
    assert aggregate(FIXTURE) == (UserRecord("k1", b'{"a":1}'), UserRecord("k2", b'{"a":2}', 0))


@given(PUTS)
def test_what_was_aggregated_comes_out_again(puts: list[Put]) -> None:
    assert aggregate(aggregated(puts)) == tuple(UserRecord(*put) for put in puts)


def test_an_aggregate_of_nothing_has_no_records() -> None:
    assert aggregate(sealed(b"")) == aggregate(sealed(TABLE)) == ()


def test_an_aggregate_as_large_as_a_kinesis_record_can_be_is_read() -> None:
    puts: list[Put] = [(f"k{number % 50}", number.to_bytes(4, "big") * 250, None) for number in range(10_380)]
    data = aggregated(puts)
    assert 10 << 20 > len(data) > 9.9 * 2**20
    found = aggregate(data)
    assert isinstance(found, tuple)
    assert [(one.partition_key, one.data) for one in found] == [(key, value) for key, value, _ in puts]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"data":{}}',
        MAGIC,
        MAGIC[:3],
        (MAGIC + hashlib.md5(b"").digest())[:-1],
        MAGIC + TABLE + bytes(DIGEST_BYTES),
        FIXTURE + b"\n",
        FIXTURE[:-1],
        FIXTURE[1:],
    ],
)  # fmt: skip
def test_a_record_without_magic_or_with_another_checksum_is_plain(data: bytes) -> None:
    assert aggregate(data) is None


@given(st.binary(max_size=64))
def test_a_message_of_any_bytes_is_an_aggregate_or_corrupt(message: bytes) -> None:
    assert isinstance(aggregate(sealed(message)), tuple | Corrupt)


@given(PUTS, st.data())
def test_a_changed_byte_makes_an_aggregate_plain(puts: list[Put], draw: st.DataObject) -> None:
    data = bytearray(aggregated(puts))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    assert aggregate(bytes(data)) is None


@given(PUTS, st.data())
def test_a_changed_byte_under_a_good_checksum_gives_whole_records_or_none(puts: list[Put], draw: st.DataObject) -> None:
    message = bytearray(aggregated(puts)[len(MAGIC) : -DIGEST_BYTES] or TABLE)
    message[draw.draw(st.integers(0, len(message) - 1))] ^= draw.draw(st.integers(1, 255))
    found = aggregate(sealed(bytes(message)))
    assert isinstance(found, Corrupt) or all(0 <= one.hash_key <= LAST_HASH for one in found or ())


@given(PUTS.filter(bool), st.data())
def test_a_message_that_is_cut_never_gives_other_records(puts: list[Put], draw: st.DataObject) -> None:
    message = aggregated(puts)[len(MAGIC) : -DIGEST_BYTES]
    found = aggregate(sealed(message[: draw.draw(st.integers(0, len(message) - 1))]))
    whole = tuple(UserRecord(*put) for put in puts)
    assert isinstance(found, Corrupt) or (found is not None and found == whole[: len(found)])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (record(numbered(1, 2), delimited(3, b"x")), "partition key that is not in the table"),
        (record(numbered(1, 2**64 - 1), delimited(3, b"x")), "partition key that is not in the table"),
        (record(numbered(1, 0), numbered(2, 2), delimited(3, b"x")), "explicit hash key that is not in the table"),
        (record(delimited(3, b"x")), "without partition key"),
        (record(numbered(1, 0)), "without partition key or data"),
        (record(), "without partition key or data"),
        (record(delimited(1, b"\0"), delimited(3, b"x")), "field 1 with wire type 2"),
        (record(numbered(1, 0), numbered(3, 5)), "field 3 with wire type 0"),
        (record(numbered(1, 0), delimited(2, b"\0"), delimited(3, b"x")), "field 2 with wire type 2"),
        (record(numbered(1, 0), delimited(3, b"x"), numbered(4, 0)), "field 4 with wire type 0"),
        (record(numbered(1, 0), delimited(3, b"x"), delimited(4, b"")), "tag without key"),
        (record(numbered(1, 0), delimited(3, b"x"), delimited(4, delimited(2, b"v"))), "tag without key"),
        (record(numbered(1, 0), delimited(3, b"x"), delimited(4, numbered(1, 5))), "field 1 with wire type 0"),
        (sealed(GOOD + numbered(1, 5)), "field 1 with wire type 0"),
        (sealed(TABLE + GOOD + varint(2 << 3 | 5) + bytes(4)), "field 2 with wire type 5"),
        (sealed(TABLE + GOOD + varint(3 << 3 | 3) + varint(3 << 3 | 4)), "field 3 with wire type 3"),
    ],
)  # fmt: skip
def test_a_message_that_is_no_aggregated_record_is_corrupt(data: bytes, reason: str) -> None:
    found = aggregate(data)
    assert isinstance(found, Corrupt)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b"\x1a", "truncated"),
        (b"\x1a\x80", "truncated"),
        (b"\x1a\x05abc", "truncated"),
        (b"\x1a" + varint(2**63), "truncated"),
        (b"\x49\0\0\0\0\0\0\0", "truncated"),
        (b"\x4d\0\0\0", "truncated"),
        (b"\x48" + b"\xff" * 10 + b"\1", "more than 64 bits"),
        (b"\x48" + b"\x80" * 10 + b"\0", "more than 64 bits"),
        (b"\x48" + b"\xff" * 9 + b"\2", "more than 64 bits"),
        (b"\0\0", "field number"),
        (b"\x07", "field number"),
        (varint(1 << 32) + b"\0", "field number"),
        (b"\x4e", "wire type 6"),
        (b"\x4f", "wire type 7"),
        (b"\x4b", "truncated"),
        (b"\x4c", "group"),
        (b"\x4b\x54", "group"),
        (b"\x4b" * 200 + b"\x4c" * 200, "nested"),
        (b"\x0a\x01\xff", "UTF-8"),
        (b"\x12\x02\xc3\x28", "UTF-8"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_protobuf_make_the_aggregate_corrupt(tail: bytes, reason: str) -> None:
    found = aggregate(sealed(TABLE + GOOD + tail))
    assert isinstance(found, Corrupt)
    assert reason in found.reason


def test_a_number_that_runs_beyond_its_record_is_corrupt() -> None:
    # With the tag of the field behind it, the cut number would be an index of the table.
    cut, behind = delimited(3, delimited(3, b"x") + b"\x08\x80"), numbered(9, 0)
    table = delimited(1, b"k") * (1 + (behind[0] << 7))
    assert isinstance(aggregate(sealed(table + GOOD + behind)), tuple)
    found = aggregate(sealed(table + cut + behind))
    assert isinstance(found, Corrupt)
    assert "truncated" in found.reason


@pytest.mark.parametrize(
    "unknown",
    [
        numbered(9, 2**64 - 1),
        delimited(9, b"something"),
        b"\x49" + bytes(8),
        b"\x4d" + bytes(4),
        b"\x4b" + numbered(1, 5) + delimited(2, b"x") + b"\x53\x54" + b"\x4c",
        b"\x4b" * MAX_GROUP_DEPTH + b"\x4c" * MAX_GROUP_DEPTH,
        varint((2**29 - 1) << 3) + b"\0",
    ],
)  # fmt: skip
def test_fields_nobody_knows_are_skipped_everywhere(unknown: bytes) -> None:
    tag = delimited(4, unknown + delimited(1, b"t") + unknown)
    data = record(unknown, numbered(1, 1), unknown, delimited(3, b"x"), tag, unknown)
    found = aggregate(sealed(unknown + data[len(MAGIC) : -DIGEST_BYTES] + unknown))
    assert found == (UserRecord("k0", b"good"), UserRecord("k1", b"x"))


def test_of_a_field_that_comes_again_the_last_one_counts() -> None:
    fields = [
        numbered(1, 9),
        numbered(2, 9),
        delimited(3, b"old"),
        delimited(3, b"new"),
        numbered(2, 1),
        numbered(1, 1),
    ]
    assert second(record(*fields)) == UserRecord("k1", b"new", 8)


def test_the_fields_of_a_record_may_come_in_any_order() -> None:
    assert second(record(delimited(3, b"x"), numbered(2, 0), numbered(1, 1))) == UserRecord("k1", b"x", 7)


def test_tables_may_stand_behind_the_records_that_refer_to_them() -> None:
    assert aggregate(sealed(GOOD + TABLE)) == (UserRecord("k0", b"good"),)


def test_a_number_may_be_written_longer_than_it_has_to_be() -> None:
    assert second(record(b"\x88\x80\x00\x81\x80\x00", delimited(3, b"x"))) == UserRecord("k1", b"x")


def test_tags_change_nothing() -> None:
    tagged = delimited(4, delimited(1, b"name") + delimited(2, b"value"))
    assert second(record(numbered(1, 1), delimited(3, b"x"), tagged, tagged)) == UserRecord("k1", b"x")


def test_a_record_without_explicit_hash_key_gets_none_from_its_neighbours() -> None:
    found = aggregate(aggregated([("a", b"1", 5), ("b", b"2", None)]))
    assert found == (UserRecord("a", b"1", 5), UserRecord("b", b"2", None))


def test_the_hash_key_of_a_record_is_the_md5_of_its_partition_key() -> None:
    assert UserRecord("k1", b"").hash_key == int(hashlib.md5(b"k1").hexdigest(), 16)
    assert UserRecord("schl\u00fcssel", b"").hash_key == int(hashlib.md5("schl\u00fcssel".encode()).hexdigest(), 16)


def test_an_explicit_hash_key_wins_even_if_it_is_zero() -> None:
    assert UserRecord("k1", b"", 0).hash_key == 0


@pytest.mark.parametrize(
    ("first", "last", "inside"),
    [(0, LAST_HASH, True), (70, 70, True), (70, 80, True), (60, 70, True), (71, 80, False), (60, 69, False)],
)
def test_both_ends_of_a_hash_range_belong_to_it(first: int, last: int, inside: bool) -> None:
    assert UserRecord("k", b"", 70).within(first, last) is inside


@pytest.mark.parametrize(
    "text", [b"", b"-1", b"007", b"0x1", b" 1", b"1\n", "\u0663".encode(), b"%d" % 2**128, b"9" * 39]
)
def test_an_explicit_hash_key_that_is_no_128_bit_number_is_corrupt(text: bytes) -> None:
    message = (
        delimited(1, b"k") + delimited(2, text) + delimited(3, numbered(1, 0) + numbered(2, 0) + delimited(3, b""))
    )
    found = aggregate(sealed(message))
    assert isinstance(found, Corrupt)
    assert "128-bit" in found.reason


def test_a_key_in_the_table_that_nobody_refers_to_may_be_anything() -> None:
    assert aggregate(sealed(TABLE + delimited(2, b"none") + GOOD)) == (UserRecord("k0", b"good"),)


def test_a_partition_key_that_kinesis_would_refuse_is_corrupt() -> None:
    longest = "\u00fc" * MAX_KEY_CHARACTERS
    assert isinstance(aggregate(aggregated([(longest, b"x", None)])), tuple)
    assert isinstance(aggregate(aggregated([(longest + "k", b"x", None)])), Corrupt)


def test_an_aggregate_unpacks_to_a_bounded_number_of_records() -> None:
    tiny = delimited(3, numbered(1, 0) + delimited(3, b""))
    assert aggregate(sealed(TABLE + tiny * MAX_RECORDS)) == (UserRecord("k0", b""),) * MAX_RECORDS
    assert isinstance(aggregate(sealed(TABLE + tiny * (MAX_RECORDS + 1))), Corrupt)


@pytest.mark.parametrize("table", [1, 2])
def test_a_key_table_is_bounded_too(table: int) -> None:
    assert aggregate(sealed(delimited(table, b"12") * 3), max_records=3) == ()
    assert isinstance(aggregate(sealed(delimited(table, b"12") * 4), max_records=3), Corrupt)


NUMBER, EMPTY, GROUP = numbered(9, 1), delimited(9, b""), b"\x4b\x4c"
"""Fields that say nothing, in two bytes each."""


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (NUMBER * 50, 50), (EMPTY * 50, 50), (GROUP * 50, 100), (b"\x4b" + NUMBER * 50 + b"\x4c", 52),
        (delimited(3, numbered(1, 0) + delimited(3, b"") + NUMBER * 50), 53),
        (delimited(3, numbered(1, 0) * 50 + delimited(3, b"")), 52),
        (delimited(3, numbered(1, 0) + delimited(3, b"") + delimited(4, delimited(1, b"")) * 50), 103),
        (delimited(3, numbered(1, 0) + delimited(3, b"") + delimited(4, delimited(1, b"") * 50)), 54),
    ],
    ids=["numbers", "texts", "groups", "in a group", "in a record", "an index again and again", "tags", "in a tag"],
)  # fmt: skip
def test_fields_are_bounded_wherever_they_stand(message: bytes, fields: int) -> None:
    data = sealed(TABLE + message)
    assert isinstance(aggregate(data, max_fields=4 + fields), tuple)
    assert aggregate(data, max_fields=4 + fields - 1) == Corrupt(f"more than {4 + fields - 1} fields")


def test_ten_mebibytes_of_fields_that_say_nothing_are_given_up_after_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, field = Counter[str](), kpl._field

    def counted(body: bytes, at: int, stop: int) -> kpl.Field:
        steps["fields"] += 1
        return field(body, at, stop)

    monkeypatch.setattr(kpl, "_field", counted)
    found = aggregate(sealed(b"\x20\x01" * (5 << 20)), max_fields=10_000)
    assert (found, steps["fields"]) == (Corrupt("more than 10000 fields"), 10_000)


def test_the_bound_leaves_room_for_every_record_that_may_be_there() -> None:
    full = delimited(3, numbered(1, 0) + numbered(2, 0) + delimited(3, b"") + delimited(4, delimited(1, b"") * 2))
    assert 8 * MAX_RECORDS == MAX_FIELDS
    found = aggregate(sealed(TABLE + full * 1_000), max_records=1_000, max_fields=8_000)
    assert found == (UserRecord("k0", b"", 7),) * 1_000


def test_a_key_that_is_shared_counts_with_every_record_that_uses_it() -> None:
    data = aggregated([("k" * 100, b"d" * 10, None)] * 50)
    assert len(data) < 50 * 110 / 4
    assert isinstance(aggregate(data, max_bytes=50 * 110), tuple)
    assert isinstance(aggregate(data, max_bytes=50 * 110 - 1), Corrupt)


def test_the_reason_of_a_corrupt_aggregate_shows_nothing_of_it() -> None:
    found = aggregate(sealed(delimited(1, b"jane@acme.example") + delimited(3, numbered(1, 4711) + delimited(3, b"x"))))
    assert isinstance(found, Corrupt)
    assert not any(part in found.reason for part in ("jane", "4711"))


def test_the_data_of_a_record_is_never_taken_for_an_aggregate() -> None:
    assert aggregate(aggregated([("k", FIXTURE, None)])) == (UserRecord("k", FIXTURE),)
