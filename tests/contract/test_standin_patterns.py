"""Event patterns, by the rules of the EventBridge user guide."""

import json
from typing import Any

import pytest

from sandbox.aws.patterns import InvalidPattern, compile_pattern

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
]

INVALID: list[str] = [
    "",
    "nonsense",
    "[]",
    "{}",
    '{"source": "cdc"}',
    '{"source": 1}',
    '{"source": null}',
    '{"source": []}',
    '{"source": {}}',
    '{"source": [["cdc"]]}',
    '{"source": [{}]}',
    '{"source": [{"unknown": "x"}]}',
    '{"source": [{"prefix": "a", "exists": true}]}',
    '{"source": [{"prefix": 1}]}',
    '{"source": [{"prefix": null}]}',
    '{"source": [{"exists": "yes"}]}',
    '{"source": [{"anything-but": []}]}',
    '{"source": [{"anything-but": ["a", 1]}]}',
    '{"source": [{"anything-but": null}]}',
    '{"source": [{"anything-but": true}]}',
    '{"source": [{"anything-but": {"prefix": ""}}]}',
    '{"source": [{"anything-but": {"prefix": 1}}]}',
    '{"source": [{"anything-but": {"prefix": "a", "suffix": "b"}}]}',
    '{"source": [{"numeric": []}]}',
    '{"source": [{"numeric": "= 1"}]}',
    '{"source": [{"numeric": [">"]}]}',
    '{"source": [{"numeric": ["!=", 1]}]}',
    '{"source": [{"numeric": [">", "1"]}]}',
    '{"source": [{"numeric": [">", true]}]}',
    '{"source": [{"numeric": ["<", 1, ">", 0]}]}',
    '{"source": [{"numeric": [">", 2, "<", 1]}]}',
    '{"source": [{"numeric": ["=", 5000000001]}]}',
]


@pytest.mark.parametrize("pattern", MATCHING, ids=json.dumps)
def test_a_pattern_matches_the_event(pattern: dict[str, Any]) -> None:
    assert compile_pattern(json.dumps(pattern)).matches(EVENT)


@pytest.mark.parametrize("pattern", NOT_MATCHING, ids=json.dumps)
def test_a_pattern_does_not_match_the_event(pattern: dict[str, Any]) -> None:
    assert not compile_pattern(json.dumps(pattern)).matches(EVENT)


@pytest.mark.parametrize("pattern", INVALID)
def test_a_pattern_that_breaks_the_language_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)
