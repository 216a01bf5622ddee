"""Our event patterns beside moto's: two readings of one language agree wherever moto's is right."""

import json
from typing import Any

import pytest
from moto.events.models import EventPattern

from models.event_pattern import compile_pattern
from tests.unit.event_pattern_examples import PUBLISHED, Document
from tests.unit.test_event_patterns import EVENT, MATCHING, NOT_MATCHING

DEVIATIONS = {
    "an address is a text": (
        '{"detail": {"sourceIPAddress": [{"cidr": "10.0.0.0/24"}]}}',
        '{"detail": {"id": [{"cidr": "0.0.0.0/0"}]}}',
    ),
    "a list within a list counts by its members": ('{"detail": {"nested": [3]}}',),
    "an empty list is no leaf": (
        '{"detail": {"none": [{"exists": false}]}}',
        '{"detail": {"none": [{"exists": true}]}}',
    ),
    "a list of objects matches if one of them fits": (
        '{"detail": {"orders": {"sku": ["b"]}}}',
        '{"detail": {"orders": {"sku": ["b"], "count": [9]}}}',
        '{"detail": {"orders": {"$or": [{"sku": ["z"]}, {"count": [9]}]}}}',
        '{"detail": {"orders": {"sku": ["b"], "$or": [{"count": [9]}, {"count": [8]}]}}}',
        '{"detail": {"orders": {"sku": [{"exists": false}]}}}',
    ),
    "true is no number": ('{"detail": {"active": [1]}}', '{"detail": {"active": [{"numeric": ["=", 1]}]}}'),
    "numeric reaches 5e9 only": ('{"detail": {"big": [{"numeric": [">", 0]}]}}',),
}
"""What moto does not do, and the patterns it shows in."""
KNOWN = {pattern for patterns in DEVIATIONS.values() for pattern in patterns}
CASES: list[tuple[Document, tuple[Document, ...]]] = [
    *((example.pattern, example.matching + example.others) for example in PUBLISHED),
    *((pattern, (EVENT,)) for pattern in MATCHING + NOT_MATCHING),
]


@pytest.mark.parametrize(("pattern", "events"), CASES, ids=lambda given: json.dumps(given)[:100])
def test_moto_says_the_same_unless_it_is_known_to_be_wrong(pattern: Document, events: tuple[Document, ...]) -> None:
    text = json.dumps(pattern)
    ours = compile_pattern(text)
    theirs: Any = EventPattern.load(text)
    differing = [event for event in events if ours.matches(event) != theirs.matches_event(event)]
    assert bool(differing) == (text in KNOWN), differing


def test_every_known_deviation_is_of_a_pattern_that_is_compared() -> None:
    assert {json.dumps(pattern) for pattern, _ in CASES} >= KNOWN
