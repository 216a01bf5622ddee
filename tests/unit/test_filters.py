"""Filters of commands and of the page: JMESPath with limits."""

from typing import Any

import pytest

from workers.filters import MAX_TEXT, TOO_LARGE, TOO_LONG, WRONG_TYPE, Filter, InvalidFilter

EVENT = {
    "eventType": "user.updated", "orgId": "3", "userId": None, "changedFields": ["Email", "Status"],
    "keys": {"ID": 7}, "total": 0.1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orgId == '3'", True),
        ("orgId == '4'", False),
        ("keys.ID > `5` && contains(changedFields, 'Email')", True),
        ("userId", False),
        ("nobody.knows.this", False),
        ("total == `0.1`", True),
        ("contains([orgId, userId], '3')", True),
    ],
)
def test_a_document_matches_if_the_expression_gives_something(text: str, expected: bool) -> None:
    found = Filter(text)
    assert found.matches(EVENT) is expected
    assert not found.troubles


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("orgId ==", "no JMESPath"),
        ("", "no JMESPath"),
        ("start_with(orgId, '3')", "there is no function start_with()"),
        ("a" * (MAX_TEXT + 1), "at most 1,000 characters"),
    ],
)
def test_what_is_no_filter_is_refused_before_the_first_document(text: str, reason: str) -> None:
    with pytest.raises(InvalidFilter, match=reason.replace("(", r"\(").replace(")", r"\)")):
        Filter(text)


def test_a_document_of_other_types_does_not_match_and_is_counted() -> None:
    found = Filter("starts_with(userId, '3')")
    assert not found.matches(EVENT)
    assert found.troubles == {WRONG_TYPE: 1}
    assert list(found.told()) == [f"1 was not decided and left out: {WRONG_TYPE}"]


@pytest.mark.parametrize(
    "text",
    [
        " | ".join(["[@, @][]"] * 80),  # a list twice as long with each step
        " | ".join(["[@, @]"] * 60) + " | to_string(@)",  # the same things, told twice as often with each step
        f"({' | '.join(['[@, @]'] * 50)}) == ({' | '.join(['[@, @]'] * 50)})",
        "join(long, many)",
        f"map(&contains(@, 'x'), many[].[{', '.join('@' * 22)}])",
    ],
    ids=["flatten", "text", "comparison", "join", "search"],
)
def test_an_expression_that_grows_with_each_step_ends(text: str) -> None:
    document: dict[str, Any] = {"long": "x" * 100_000, "many": ["y"] * 5_000}
    found = Filter(text)
    assert not found.matches(document)
    assert found.troubles == {TOO_LONG: 1}


def test_a_document_beyond_the_limit_is_not_looked_at() -> None:
    found = Filter("a")
    assert not found.matches({"a": "x" * (1 << 20)})
    assert found.troubles == {TOO_LARGE: 1}
