"""Event patterns, by the rules of the EventBridge user guide and the examples in it."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.event_pattern import Finding, compile_pattern
from models.pattern_operators import InvalidPattern
from tests.unit.event_pattern_examples import PUBLISHED, Document, Example

EVENT = {
    "source": "cdc-pipeline.users",
    "detail-type": "user.updated",
    "resources": ["arn:one", "arn:two"],
    "detail": {
        "id": 7,
        "ratio": 2.5,
        "active": True,
        "note": None,
        "empty": "",
        "none": [],
        "tags": ["vip", 3, None],
        "big": 6e9,
        "changes": {"email": {"old": "a", "new": "b"}},
        "orders": [{"sku": "a", "count": 1}, {"sku": "b", "count": 9}],
        "nested": [[1, 2], [3]],
        "address": "2001:db8::7",
        "path": "a*b\\c",
    },
}


def detail(**fields: Any) -> dict[str, Any]:
    return {"detail": fields}


MATCHING: list[dict[str, Any]] = [
    {"source": ["cdc-pipeline.users"]},
    {"source": ["other", "cdc-pipeline.users"]},
    {"source": ["cdc-pipeline.users"], "detail-type": ["user.updated"]},
    {"resources": ["arn:two"]},
    {"source": [{"prefix": "cdc-"}]},
    {"source": [{"prefix": ""}]},
    {"resources": [{"prefix": "arn:t"}]},
    detail(id=[7]),
    detail(id=[7.0]),
    detail(active=[True]),
    detail(note=[None]),
    detail(empty=[""]),
    detail(tags=["vip"]),
    detail(tags=[3]),
    detail(tags=[None]),
    detail(nested=[3]),
    detail(id=[{"exists": True}]),
    detail(note=[{"exists": True}]),
    detail(missing=[{"exists": False}]),
    detail(none=[{"exists": False}]),
    detail(missing={"deeper": [{"exists": False}]}),
    detail(id={"deeper": [{"exists": False}]}),
    detail(changes={"email": [{"exists": False}]}),
    detail(missing=["x", {"exists": False}]),
    detail(id=[{"anything-but": 8}]),
    detail(id=[{"anything-but": [8, 9]}]),
    detail(id=[{"anything-but": "7"}]),
    detail(tags=[{"anything-but": "vip"}]),
    detail(note=[{"anything-but": "x"}]),
    {"source": [{"anything-but": {"prefix": "aws."}}]},
    {"source": [{"anything-but": {"prefix": ["aws.", "x"]}}]},
    detail(id=[{"anything-but": {"prefix": "7"}}]),
    detail(id=[{"numeric": ["=", 7]}]),
    detail(id=[{"numeric": [">", 6]}]),
    detail(id=[{"numeric": [">=", 7]}]),
    detail(id=[{"numeric": ["<", 8]}]),
    detail(id=[{"numeric": ["<=", 7]}]),
    detail(id=[{"numeric": [">", 0, "<=", 7]}]),
    detail(ratio=[{"numeric": ["=", 2.5]}]),
    detail(tags=[{"numeric": [">", 2]}]),
    detail(orders={"sku": ["b"]}),
    detail(orders={"sku": ["b"], "count": [9]}),
    detail(orders={"discount": [{"exists": False}]}),
    detail(orders={"$or": [{"sku": ["z"]}, {"count": [9]}]}),
    detail(orders={"sku": ["b"], "$or": [{"count": [9]}, {"count": [8]}]}),
    {"$or": [{"source": ["x"]}, {"detail": {"$or": [{"id": [8]}, {"id": [7]}]}}]},
    {"source": [{"prefix": "cdc"}], "$or": [{"account": ["1"]}, {"account": [{"exists": False}]}]},
    detail(address=[{"cidr": "2001:db8::/32"}]),
    detail(address=[{"cidr": "::/0"}]),
    detail(path=[{"wildcard": "a\\*b\\\\c"}]),
    detail(path=[{"wildcard": "*"}]),
    detail(path=[{"wildcard": "a*"}]),
    detail(path=[{"wildcard": "*c"}]),
    detail(empty=[{"wildcard": "*"}]),
    detail(empty=[{"wildcard": ""}]),
    {"source": [{"wildcard": "c*-*.*s"}]},
    {"source": [{"suffix": "users"}]},
    {"source": ["a", 7, {"suffix": "users"}]},
    {"source": [{"equals-ignore-case": "CDC-Pipeline.Users"}]},
    detail(id=[{"anything-but": {"wildcard": "7"}}]),
]

NOT_MATCHING: list[dict[str, Any]] = [
    {"source": ["CDC-pipeline.users"]},
    {"source": ["cdc-pipeline.users"], "detail-type": ["user.created"]},
    {"account": ["1"]},
    {"source": [{"prefix": "users"}]},
    detail(id=["7"]),
    detail(id=[True]),
    detail(active=[1]),
    detail(active=["true"]),
    detail(note=["null"]),
    detail(note=[""]),
    detail(empty=[None]),
    detail(missing=[None]),
    detail(id=[{"prefix": "7"}]),
    detail(id=[{"exists": False}]),
    detail(note=[{"exists": False}]),
    detail(missing=[{"exists": True}]),
    detail(none=[{"exists": True}]),
    detail(changes=[{"exists": True}]),
    detail(changes={"email": [{"exists": True}]}),
    detail(changes={"email": {"old": [{"exists": False}]}}),
    detail(id=[{"anything-but": 7}]),
    detail(id=[{"anything-but": [7, 8]}]),
    detail(missing=[{"anything-but": "x"}]),
    detail(changes=[{"anything-but": "x"}]),
    {"source": [{"anything-but": {"prefix": "cdc-"}}]},
    {"source": [{"anything-but": {"prefix": ["aws.", "cdc-"]}}]},
    detail(missing=[{"anything-but": {"prefix": "x"}}]),
    detail(id=[{"numeric": ["=", 8]}]),
    detail(id=[{"numeric": [">", 7]}]),
    detail(id=[{"numeric": ["<", 7]}]),
    detail(id=[{"numeric": [">", 7, "<", 9]}]),
    detail(active=[{"numeric": ["=", 1]}]),
    detail(empty=[{"numeric": ["<", 5]}]),
    detail(big=[{"numeric": [">", 0]}]),
    detail(orders={"sku": ["a"], "count": [9]}),
    detail(orders={"sku": [{"exists": False}]}),
    detail(orders={"sku": ["a"], "$or": [{"count": [9]}, {"count": [8]}]}),
    {"source": ["x"], "$or": [{"detail": {"id": [7]}}, {"detail": {"id": [8]}}]},
    {"$or": [{"source": ["x"], "detail-type": ["user.updated"]}, {"detail": {"id": [8]}}]},
    detail(address=[{"cidr": "0.0.0.0/0"}]),
    detail(id=[{"cidr": "0.0.0.0/0"}]),
    detail(path=[{"wildcard": "a\\*c"}]),
    detail(path=[{"wildcard": "a*b"}]),
    detail(path=[{"wildcard": "*b*b*"}]),
    detail(empty=[{"wildcard": "a*"}]),
    {"source": [{"wildcard": "cdc-*-pipeline.users"}]},
    detail(id=[{"wildcard": "*"}]),
    detail(id=[{"suffix": "7"}]),
    detail(note=[{"equals-ignore-case": "null"}]),
    {"source": [{"anything-but": {"wildcard": ["x*", "*.users"]}}]},
]

INVALID: list[tuple[str, str]] = [
    ("", "The pattern is not JSON"),
    ("nonsense", "The pattern is not JSON"),
    ("[]", "Filter is not an object"),
    ('{"a":' * 5_000 + '["b"]' + "}" * 5_000, "The pattern is nested too deeply"),
    ("{}", "Empty objects are not allowed"),
    ('{"source": "cdc"}', '"source" must be an object or an array'),
    ('{"source": 1}', '"source" must be an object or an array'),
    ('{"detail": {"x": null}}', '"x" must be an object or an array (at detail)'),
    ('{"source": []}', "Empty arrays are not allowed (at source)"),
    ('{"source": {}}', "Empty objects are not allowed (at source)"),
    ('{"source": [["cdc"]]}', "Match value must be String, number, true, false, or null"),
    ('{"source": [{}]}', "Match expression name not found"),
    ('{"detail": {"id": [{"unknown": "x"}]}}', "Unrecognized match type unknown (at detail.id)"),
    ('{"source": [{"prefix": "a", "exists": true}]}', "Only one key allowed in match expression"),
    ('{"source": [{"prefix": 1}]}', "prefix match pattern must be a string"),
    ('{"source": [{"prefix": null}]}', "prefix match pattern must be a string"),
    ('{"source": [{"prefix": ["a"]}]}', "prefix match pattern must be a string"),
    ('{"source": [{"prefix": {"suffix": "a"}}]}', "Unsupported prefix pattern: suffix"),
    ('{"source": [{"prefix": {}}]}', "Prefix expression name not found"),
    ('{"source": [{"prefix": {"equals-ignore-case": "a", "b": 1}}]}', "Only one key allowed in match expression"),
    ('{"source": [{"suffix": 1}]}', "suffix match pattern must be a string"),
    ('{"source": [{"suffix": {"equals-ignore-case": ["a"]}}]}', "equals-ignore-case match pattern must be a string"),
    ('{"source": [{"equals-ignore-case": ["a"]}]}', "equals-ignore-case match pattern must be a string"),
    ('{"source": [{"wildcard": 1}]}', "wildcard match pattern must be a string"),
    ('{"source": [{"wildcard": "a**b"}]}', "Consecutive wildcard characters at pos 2"),
    ('{"source": [{"wildcard": "a\\\\b"}]}', "Invalid escape character at pos 2"),
    ('{"source": [{"wildcard": "a\\\\"}]}', "Invalid escape character at pos 2"),
    ('{"source": [{"exists": "yes"}]}', "exists match pattern must be either true or false."),
    ('{"source": [{"cidr": 10}]}', "prefix match pattern must be a string"),
    ('{"source": [{"cidr": "10.0.0.0"}]}', "Malformed CIDR, one '/' required"),
    ('{"source": [{"cidr": "10.0.0.0/8/8"}]}', "Malformed CIDR, one '/' required"),
    ('{"source": [{"cidr": "10.0.0.0/x"}]}', "Malformed CIDR, mask bits must be an integer"),
    ('{"source": [{"cidr": "10.0.0.0/-1"}]}', "Malformed CIDR, mask bits must not be negative"),
    ('{"source": [{"cidr": "10.0.0.0/32"}]}', "IPv4 mask bits must be < 32"),
    ('{"source": [{"cidr": "::1/128"}]}', "IPv6 mask bits must be < 128"),
    ('{"source": [{"cidr": "host/8"}]}', "Nonstandard IP address: host"),
    ('{"source": [{"anything-but": []}]}', "Inside anything but list, either all values are number or string"),
    ('{"source": [{"anything-but": ["a", 1]}]}', "Inside anything but list, either all values are number or string"),
    ('{"source": [{"anything-but": ["a", null]}]}', "Inside anything but list, start|null|boolean is not supported."),
    ('{"source": [{"anything-but": null}]}', "Value of anything-but must be an array or single string/number value."),
    ('{"source": [{"anything-but": true}]}', "Value of anything-but must be an array or single string/number value."),
    ('{"source": [{"anything-but": {}}]}', "Anything-But expression name not found"),
    ('{"source": [{"anything-but": {"prefix": ""}}]}', "Null prefix/suffix not allowed"),
    ('{"source": [{"anything-but": {"suffix": ["a", ""]}}]}', "Null prefix/suffix not allowed"),
    ('{"source": [{"anything-but": {"prefix": 1}}]}', "prefix/suffix match pattern must be a string"),
    ('{"source": [{"anything-but": {"prefix": []}}]}', "Empty arrays are not allowed"),
    ('{"source": [{"anything-but": {"prefix": null}}]}', "Value of anything-but must be an array"),
    ('{"source": [{"anything-but": {"prefix": "a", "suffix": "b"}}]}', "Too many elements"),
    ('{"source": [{"anything-but": {"equals-ignore-case": [1]}}]}', "Inside anything-but/equals-ignore-case list"),
    ('{"source": [{"anything-but": {"wildcard": [1]}}]}', "wildcard match pattern must be a string"),
    ('{"source": [{"anything-but": {"wildcard": "**"}}]}', "Consecutive wildcard characters"),
    ('{"source": [{"anything-but": {"numeric": ["=", 1]}}]}', "Unsupported anything-but pattern: numeric"),
    ('{"source": [{"anything-but": {"cidr": "10.0.0.0/8"}}]}', "Unsupported anything-but pattern: cidr"),
    ('{"source": [{"numeric": []}]}', "Invalid member in numeric match"),
    ('{"source": [{"numeric": "= 1"}]}', "Value of numeric must be an array."),
    ('{"source": [{"numeric": [5]}]}', "Invalid member in numeric match: 5"),
    ('{"source": [{"numeric": [">"]}]}', "Value of > must be numeric"),
    ('{"source": [{"numeric": ["="]}]}', "Value of equals must be numeric"),
    ('{"source": [{"numeric": ["=", 1, 2]}]}', "Too many elements in numeric expression"),
    ('{"source": [{"numeric": ["!=", 1]}]}', "Unrecognized numeric range operator: !="),
    ('{"source": [{"numeric": [">", "1"]}]}', "Value of > must be numeric"),
    ('{"source": [{"numeric": [">", true]}]}', "Value of > must be numeric"),
    ('{"source": [{"numeric": [">", 1, "<"]}]}', "Value of < must be numeric"),
    ('{"source": [{"numeric": [">", 1, 2]}]}', "Bad value in numeric range: 2"),
    ('{"source": [{"numeric": [">", 1, ">", 2]}]}', "Bad numeric range operator: >"),
    ('{"source": [{"numeric": [">", 1, "<", 2, 3]}]}', "Too many terms in numeric range expression"),
    ('{"source": [{"numeric": ["<", 1, ">", 0]}]}', "Too many elements in numeric expression"),
    ('{"source": [{"numeric": [">", 2, "<", 1]}]}', "Bottom must be less than top"),
    ('{"source": [{"numeric": ["=", 5000000001]}]}', "Value must be between -5.0e+09 and 5.0e+09, inclusive"),
    ('{"$or": {"source": ["a"]}}', "It must be an Array followed with $or."),
    ('{"$or": [{"source": ["a"]}, "b"]}', "Only JSON object is allowed in array of $or relationship."),
    ('{"$or": [{"source": ["a"]}]}', "There must have at least 2 Objects in $or relationship."),
    ('{"$or": [{"source": ["a"]}, {}]}', "Empty objects are not allowed"),
    ('{"detail": {"$or": [{"prefix": ["a"]}, {"b": ["c"]}]}}', "prefix is Ruler reserved fieldName"),
]


@pytest.mark.parametrize("pattern", MATCHING, ids=json.dumps)
def test_a_pattern_matches_the_event(pattern: dict[str, Any]) -> None:
    assert compile_pattern(json.dumps(pattern)).matches(EVENT)


@pytest.mark.parametrize("pattern", NOT_MATCHING, ids=json.dumps)
def test_a_pattern_does_not_match_the_event(pattern: dict[str, Any]) -> None:
    assert not compile_pattern(json.dumps(pattern)).matches(EVENT)


@pytest.mark.parametrize(("pattern", "reason"), INVALID, ids=lambda given: given[:60])
def test_a_pattern_that_breaks_the_language_is_refused_in_the_words_of_aws(pattern: str, reason: str) -> None:
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(pattern)
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("example", PUBLISHED, ids=lambda example: json.dumps(example.pattern))
def test_the_examples_of_the_user_guide_hold(example: Example) -> None:
    pattern = compile_pattern(json.dumps(example.pattern))
    assert [event for event in example.matching if not pattern.matches(event)] == []
    assert [event for event in example.others if pattern.matches(event)] == []


@given(st.lists(st.text("ab*\\", max_size=4), min_size=1, max_size=5), st.text("ab*\\", max_size=12))
def test_a_wildcard_means_the_same_as_its_regular_expression(parts: list[str], text: str) -> None:
    parts = [part for place, part in enumerate(parts) if part or place in (0, len(parts) - 1)]
    wildcard = "*".join(part.replace("\\", "\\\\").replace("*", r"\*") for part in parts)
    expression = ".*".join(re.escape(part) for part in parts)
    matches = compile_pattern(json.dumps(detail(text=[{"wildcard": wildcard}]))).matches(detail(text=text))
    assert matches == (re.fullmatch(expression, text) is not None)


def test_a_wildcard_takes_time_linear_to_the_text() -> None:
    pattern = compile_pattern(json.dumps(detail(text=[{"wildcard": "*a" * 30 + "b"}])))
    assert not pattern.matches(detail(text="a" * 100_000))


# Why not


def told(pattern: Document, event: Document = EVENT) -> list[tuple[str, bool]]:
    return [(finding.path, finding.matched) for finding in compile_pattern(json.dumps(pattern)).explain(event)]


@pytest.mark.parametrize("pattern", [*MATCHING, *NOT_MATCHING], ids=json.dumps)
def test_an_explanation_agrees_with_the_match(pattern: dict[str, Any]) -> None:
    compiled = compile_pattern(json.dumps(pattern))
    findings = compiled.explain(EVENT)
    # What stands within an $or may fail: the line of the $or itself says whether enough of it holds.
    deciding = [finding for finding in findings if "$or[" not in finding.path]
    assert compiled.matches(EVENT) == all(finding.matched for finding in deciding)


def test_every_rule_is_told_with_what_was_expected_and_found() -> None:
    pattern = {"source": ["cdc-pipeline.groups"], "detail": {"id": [{"numeric": [">", 9]}], "tags": ["vip"], "x": [1]}}
    assert compile_pattern(json.dumps(pattern)).explain(EVENT) == (
        Finding("source", '["cdc-pipeline.groups"]', ("cdc-pipeline.users",), matched=False),
        Finding("detail.id", '[{"numeric":[">",9]}]', (7,), matched=False),
        Finding("detail.tags", '["vip"]', ("vip", 3, None), matched=True),
        Finding("detail.x", "[1]", (), matched=False),
    )


def test_of_a_list_of_objects_the_one_that_comes_nearest_is_told() -> None:
    assert told(detail(orders={"sku": ["b"], "count": [9], "x": [1]})) == [
        ("detail.orders[1].sku", True), ("detail.orders[1].count", True), ("detail.orders[1].x", False),
    ]  # fmt: skip
    assert told(detail(orders={"sku": ["a"], "count": [9]})) == [
        ("detail.orders[0].sku", True), ("detail.orders[0].count", False),
    ]  # fmt: skip


def test_the_alternatives_of_an_or_are_told_one_by_one() -> None:
    assert told(detail(**{"$or": [{"id": [8]}, {"id": [7], "active": [True]}]})) == [
        ("detail.$or", True), ("detail.$or[0].id", False), ("detail.$or[1].id", True), ("detail.$or[1].active", True),
    ]  # fmt: skip
    assert told({"$or": [{"source": ["a"]}, {"source": ["b"]}]}) == [
        ("$or", False), ("$or[0].source", False), ("$or[1].source", False),
    ]  # fmt: skip


def test_what_is_missing_as_a_whole_is_told_field_by_field() -> None:
    assert told({"detail": {"a": {"b": ["c"], "d": [{"exists": False}]}}}, {"detail": "text"}) == [
        ("detail.a.b", False), ("detail.a.d", True),
    ]  # fmt: skip
