"""The strict decoder: exact, bounded, and never an exception of another kind."""

import contextlib
import gzip
import json
import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.strict_json import MAX_VALUES, JsonError, decode, encode, lenient, wire

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('ab:"\\ {', max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_document_or_a_json_error(data: bytes) -> None:
    with contextlib.suppress(JsonError):
        encode(wire(decode(data)))


@given(JSON_VALUES, st.sampled_from([None, 1]), st.booleans())
def test_every_document_is_read_as_python_reads_it(value: object, indent: int | None, ascii_only: bool) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only, separators=(" , ", " : ") if indent else None)
    assert decode(data.encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":1,"a" :2}',
        '{"a":"\\":","b":1,"b":1}',
        '{"x":[{"b":1,"b":2}]}',
        '{"a":1,"\\u0061":2}',
        '{"a" : 1, "a"\t: 2}',
    ],
)
def test_a_duplicate_key_is_refused_wherever_it_hides(text: str) -> None:
    with pytest.raises(JsonError, match="duplicate key"):
        decode(text.encode())


@given(
    st.lists(st.tuples(st.text('a:"\\ {', max_size=3), st.text('":\\ ,', max_size=4)), max_size=6),
    st.sampled_from([": ", ":", " : "]),
)
def test_an_object_is_refused_exactly_if_a_key_stands_there_twice(pairs: list[tuple[str, str]], colon: str) -> None:
    text = "{" + ",".join(json.dumps(key) + colon + json.dumps(value) for key, value in pairs) + "}"
    if len(dict(pairs)) == len(pairs):
        assert decode(text.encode()) == dict(pairs)
        return
    with pytest.raises(JsonError, match="duplicate key"):
        decode(text.encode())


@pytest.mark.parametrize(
    "data",
    [b"NaN", b"[Infinity]", b"-Infinity", b'"\\ud800"', b'"\xed\xa0\x80"', b"\xff", b"", b" ", b"{}{}", b"1e999999999",
     b"0e999999999", b"1" * 5000, b"0." + b"1" * 5000, b"[" * 5000, b'{"a":' * 5000, b"\xef\xbb\xbf{}", b"01",
     b"{'a':1}"],
)  # fmt: skip
def test_what_is_not_acceptable_is_refused(data: bytes) -> None:
    with pytest.raises(JsonError):
        decode(data)


def test_nesting_is_bounded_outside_of_texts_only() -> None:
    assert decode(b"[" * 64 + b"]" * 64) is not None
    with pytest.raises(JsonError, match="nested"):
        decode(b"[" * 65 + b"]" * 65)
    assert decode(b'"\\"' + b"[" * 500 + b'"') == '"' + "[" * 500
    with pytest.raises(JsonError, match="nested"):
        lenient(b"[" * 65 + b"]" * 65)


def test_the_number_of_values_is_bounded_outside_of_texts_only() -> None:
    many = MAX_VALUES // 2
    assert len(decode(b"[" + b"1," * (many - 1) + b"1]")) == many
    for bomb in (b"[" + b"{}," * many + b"{}]", b"[" + b"1," * MAX_VALUES + b"1]"):
        with pytest.raises(JsonError, match="more than 500000 values"):
            decode(bomb)
    assert decode(b'["' + b"," * 2 * MAX_VALUES + b'"]') == ["," * 2 * MAX_VALUES]


def test_a_packed_document_is_unpacked() -> None:
    assert decode(gzip.compress(b'{"a":[1]}')) == lenient(gzip.compress(b'{"a":[1]}')) == {"a": [1]}


def test_a_packed_document_that_unpacks_to_too_much_is_refused_before_it_is_whole() -> None:
    bomb = gzip.compress(b'"' + b"x" * (64 << 20) + b'"', 1)
    tracemalloc.start()
    for read in (decode, lenient):
        with pytest.raises(JsonError, match="when unpacked"):
            read(bomb)
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [b"\x1f\x8b", gzip.compress(b"{}")[:-3], gzip.compress(b"{}") + b"{}", gzip.compress(b"{}") * 2,
     gzip.compress(gzip.compress(b"{}")), gzip.compress(b"{} {}"), b"\x1f\x8bno gzip at all"],
    ids=["head alone", "cut off", "more behind", "two members", "packed twice", "two documents", "only the magic"],
)  # fmt: skip
def test_what_is_packed_badly_is_refused(data: bytes) -> None:
    with pytest.raises(JsonError):
        decode(data)


def test_a_document_larger_than_the_raw_topic_takes_is_refused() -> None:
    with pytest.raises(JsonError, match="larger"):
        decode(b'"' + b"x" * (12 << 20) + b'"')


@given(st.integers())
def test_integers_are_exact_and_travel_as_text_beyond_int64(number: int) -> None:
    read = decode(str(number).encode())
    assert read == number
    assert wire(read) == (number if -(2**63) <= number < 2**63 else str(number))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_fractions_are_exact_and_travel_as_text(number: Decimal) -> None:
    read = wire(decode(format(number, "f").encode()))
    assert Decimal(read) == number


def test_reasons_never_quote_the_input() -> None:
    for data in (b'{"SECRET":SECRET}', b'{"SECRET":1,"SECRET":2}', b'"SECRET\\ud800"', b'["SECRET"'):
        with pytest.raises(JsonError) as caught:
            decode(data)
        assert "SECRET" not in str(caught.value)


def test_the_encoder_sorts_keys_at_every_level_and_keeps_utf8() -> None:
    assert encode({"b": {"ü": 1, "a": 2}, "a": None}) == '{"a":null,"b":{"a":2,"ü":1}}'.encode()
