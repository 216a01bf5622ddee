"""Personal data in free text: what is found, what is left of it, and how long looking may take."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichers.free_text import find, finder
from enrichers.redact import REMOVED, Secret, redactor
from models.free_text import BUILT_IN, MAX_TEXT, BadExpressionError, RegexRedaction, check_expression
from models.tables import Redaction, RedactionAction
from models.yaml_nodes import InvalidFile
from tests.unit.changes import KEY, Worker, catalogue_of, dms

ALL = tuple(RegexRedaction(name) for name in BUILT_IN)
TICKET = RegexRedaction("ticket", "TCK-[0-9]{6}")


def found(text: str, *names: str) -> list[str]:
    return [text[part.start : part.end] for part in find(text, [finder(RegexRedaction(name)) for name in names])]


def apply(action: RedactionAction, value: Any, *patterns: RegexRedaction, **options: Any) -> Any:
    return redactor(Redaction(action, patterns=patterns or ALL, **options), "t", "Note", Secret(KEY))(value)


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("email", "ask jane.o'brien+x@acme.example, or <a@x.test>.", ["jane.o'brien+x@acme.example", "a@x.test"]),
        ("email", "sip:bob@host:5060 mailto:zoë@exämple.de?x", ["bob@host", "zoë@exämple.de"]),
        ("email", "@ nobody @here, a@ b", []),
        ("phone", "+41 44 668 18 00 or (415) 555-2671, 0041446681800", ["+41 44 668 18 00", "(415) 555-2671",
                                                                       "0041446681800"]),
        ("phone", "tel:+41446681800; 044/668 18 00!", ["+41446681800", "044/668 18 00"]),
        ("phone", "2026-01-15, room 12, 123456, order A12345678, 12345678901234567890", []),
        ("phone", "912345678/934567890 912345678 934567890", ["912345678", "934567890"] * 2),
        ("phone", "at 912345678 10am, 912345678 2nd floor, 912345678 2026-01-15 10:31",
         ["912345678", "912345678", "912345678 2026-01"]),
        ("phone", "06\u00a012\u202f34\u201156\u201378", ["06\u00a012\u202f34\u201156\u201378"]),
        ("email", "a@x.test/b@x.test|c@x.test", ["a@x.test", "b@x.test", "c@x.test"]),
        ("email", "a@x.test\\nb@x.test", ["a@x.test", "nb@x.test"]),
        ("card", "4111\u00a01111\u00a01111\u00a01111", ["4111\u00a01111\u00a01111\u00a01111"]),
        ("card", "4111 1111 1111 1111, 4111-1111-1111-1111; pin 12 4111111111111111",
         ["4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111"]),
        ("card", "4111 1111 1111 1112 and 0000 0000 0000 0000", []),
        ("ip", "from 10.1.2.3 to 2001:db8::1: at 10:31:00 ::ffff:1.2.3.4.", ["10.1.2.3", "2001:db8::1",
                                                                            "::ffff:1.2.3.4"]),
        ("ip", "300.1.1.1, version 1.2.3.4.5, ::, 10:31", []),
    ],
)  # fmt: skip
def test_built_in_patterns_find_what_they_are_named_for(name: str, text: str, parts: list[str]) -> None:
    assert found(text, name) == parts


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (RedactionAction.REMOVE, "call  or , card "),
        (RedactionAction.FULL_MASK, "call ***REDACTED*** or ***REDACTED***, card ***REDACTED***"),
        (RedactionAction.PARTIAL_MASK, "call +********800 or j**@acme.example, card **********1111"),
    ],
)
def test_an_action_is_for_the_parts_that_are_found(action: RedactionAction, expected: str) -> None:
    text = "call +41 44 668 18 00 or jane@acme.example, card 4111 1111 1111 1111"
    assert apply(action, text) == expected


def test_tokens_of_one_address_are_alike_wherever_it_stands() -> None:
    text = apply(RedactionAction.TOKENIZE, "A@x.test wrote to a@x.test", RegexRedaction("email"), link_group="mail")
    whole = redactor(Redaction(RedactionAction.TOKENIZE, link_group="mail"), "users", "Email", Secret(KEY))("a@x.test")
    assert text == f"{whole} wrote to {whole}"


def test_own_expressions_find_what_they_describe() -> None:
    assert apply(RedactionAction.FULL_MASK, "see TCK-123456", TICKET, replacement="[ticket]") == "see [ticket]"


def test_parts_that_overlap_are_redacted_as_one() -> None:
    both = (RegexRedaction("one", "abc"), RegexRedaction("two", "cde"))
    assert apply(RedactionAction.FULL_MASK, "xabcdex", *both, replacement="-") == "x-x"


def test_what_appears_when_a_part_is_removed_is_removed_too() -> None:
    assert apply(RedactionAction.REMOVE, "TCTCK-123456K-654321", TICKET) == ""
    nested = "TCTCK-123456K-654321"
    for _ in range(40):
        nested = f"TC{nested}K-111111"
    assert apply(RedactionAction.REMOVE, nested, TICKET) is REMOVED


def test_patterns_reach_into_nested_values_and_names() -> None:
    value = {"a@x.test": [{"n": 4111111111111111, "t": "b@x.test", "ok": True, "none": None, "id": 7}]}
    assert apply(RedactionAction.FULL_MASK, value, replacement="-") == {
        "-": [{"n": "-", "t": "-", "ok": True, "none": None, "id": 7}]
    }


@pytest.mark.parametrize("action", list(RedactionAction))
def test_a_text_too_long_to_be_searched_is_redacted_whole(action: RedactionAction) -> None:
    text = "x" * MAX_TEXT + "y"
    whole = redactor(Redaction(action), "t", "Note", Secret(KEY))(text)
    assert apply(action, text) == (whole if action is not RedactionAction.PARTIAL_MASK else "***REDACTED***")
    assert apply(action, text[1:]) == text[1:]


TEXTS = st.lists(
    st.sampled_from(
        ["a@x.test", "+41 44 668 18 00", "0446681800", "4111 1111 1111 1111", "10.1.2.3", "2001:db8::1", "Jane", "12"]
    )
    | st.text(st.characters(codec="utf-8"), max_size=8),
    max_size=6,
).flatmap(lambda parts: st.sampled_from([" ", ", ", "", "-", "1"]).map(lambda mark: mark.join(parts)))


@given(st.sampled_from([action for action in RedactionAction if not action.keyed]), TEXTS)
def test_after_redaction_nothing_is_found_and_nothing_changes_any_more(action: RedactionAction, text: str) -> None:
    once = apply(action, text)
    if once is REMOVED:
        return
    if action is not RedactionAction.PARTIAL_MASK:
        assert find(once, [finder(pattern) for pattern in ALL]) == []
    assert apply(action, once) == once


def test_an_expression_that_finds_its_own_replacement_masks_the_text_whole() -> None:
    letters = RegexRedaction("letters", "[a-zA-Z]")
    assert apply(RedactionAction.FULL_MASK, "note 1", letters) == "***REDACTED***"
    assert apply(RedactionAction.FULL_MASK, "12", letters) == "12"


@pytest.mark.parametrize(
    "expression",
    ["TCK-[0-9]{6}", r"\w++-secret", "[A-Z]{2,4}-[0-9]{3,10}", "[]a]x", "(?:ab|cd)e?", "a{,3}b", "{x}", r"\bX\b"],
)
def test_expressions_that_end_soon_are_taken(expression: str) -> None:
    check_expression(expression)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(a+)+b", "have no end"),
        (".*x", "have no end"),
        ("a{1,}", "have no end"),
        ("(?:a|b){1,20}c", "ways to match"),
        ("[a-z]{1,20}-[a-z]{1,20}", "400 ways to match"),
        ("(?:(?:a{1,9}){1,9}){1,9}", "ways to match"),
        ("a{0,9999}b", "ways to match"),
        ("x?", "an empty text"),
        ("a|", "an empty text"),
        (r"\b", "an empty text"),
        ("(?=a)b", "only"),
        ("(?i)b", "only"),
        (r"(a)\1", "not allowed"),
        ("(a", "not closed"),
        ("a)", "too many"),
        ("[a", "not closed"),
        ("*a", "nothing before"),
        ("[[a]]", r"write \\\["),
        ("[a&&b]", "write"),
        ("[z-a]", "no regular expression"),
        ("x" * 501, "longer than"),
    ],
)
def test_expressions_that_may_take_long_or_match_nothing_are_refused(expression: str, reason: str) -> None:
    with pytest.raises(BadExpressionError, match=reason):
        check_expression(expression)


@given(st.text("ab.[](){}|?*+,1239\\dwb^$-:", max_size=30))
def test_whatever_is_taken_is_an_expression(expression: str) -> None:
    try:
        check_expression(expression)
    except BadExpressionError:
        return
    re.compile(expression)


def test_patterns_stand_in_tables_yaml(tmp_path: Path) -> None:
    entry = "redact: {Note: {action: FULL_MASK, patterns: [email, {ticket: 'TCK-[0-9]{6}'}]}}"
    worker = Worker(catalogue_of(tmp_path, f"  - {{table: t, entity: t, key: [ID], {entry}}}\n"))
    detail = worker.event(dms("insert", {"ID": 1, "Note": "TCK-123456 of a@x.test"}, table="t"))
    assert detail["changes"]["Note"] == {"new": "***REDACTED*** of ***REDACTED***"}
    assert "a@x.test" not in json.dumps(detail)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("[emial]", "did you mean email?"),
        ("[]", "patterns is empty"),
        ("[{t: '(a+)+'}]", "patterns.t: `*` and `+` have no end"),
        ("[{t: none}]", "a name and its expression"),
    ],
)
def test_patterns_that_do_not_work_are_told_with_their_line(tmp_path: Path, patterns: str, expected: str) -> None:
    entry = f"redact: {{Note: {{action: REMOVE, patterns: {patterns}}}}}"
    with pytest.raises(InvalidFile) as caught:
        catalogue_of(tmp_path, f"  - table: t\n    entity: t\n    key: [ID]\n    {entry}\n")
    assert [text for text in caught.value.problems if text.startswith("tables.yaml:6: ") and expected in text]


def test_a_key_is_never_redacted_in_part(tmp_path: Path) -> None:
    entry = "{table: t, entity: t, key: [ID], redact: {ID: {action: HASH, patterns: [email]}}}"
    with pytest.raises(InvalidFile, match="one entityId"):
        catalogue_of(tmp_path, f"  - {entry}\n")


def test_there_is_no_built_in_of_another_name() -> None:
    with pytest.raises(BadExpressionError, match="no built-in finder iban"):
        RegexRedaction("iban")
