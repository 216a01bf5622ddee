"""P3: what is made of an event that is too large depends on it and the settings alone, and tells what it lacks."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichers.oversize import NO_LADDER, Fitted, Ladder, Step, fitted
from models.strict_json import encode
from workers.engine.delivery import Undeliverable
from workers.eventbridge.entry import Entry, EntryRules, entry_of

EVERY = Ladder(frozenset(Step), "claims", "cdc/")
TEXTS = Ladder(frozenset({Step.TRUNCATE}))
CLAIM = Ladder(frozenset({Step.CLAIM_CHECK}), "claims", "cdc/")


def event(changes: dict[str, Any], **more: Any) -> bytes:
    return encode({
        "eventId": "evt_1_00000000000000000000", "eventType": "user.updated", "entityType": "users", "entityId": "7",
        "operation": "UPDATE", "timestamp": "2026-01-15T10:31:00.000000Z", "orgId": "3", "keys": {"ID": 7},
        "changes": changes, "changedFields": sorted(changes), "metadata": {"version": "1.0", "sequence": "0001-1"},
        **more,
    })  # fmt: skip


def made(value: bytes, limit: int, ladder: Ladder = EVERY) -> Fitted:
    found = fitted(value, limit, ladder)
    assert found is not None
    assert len(found.detail) <= limit
    return found


def detail(found: Fitted) -> Any:
    return json.loads(found.detail)


def test_images_go_first_and_are_named() -> None:
    value = event({"Name": {"new": "n"}}, before={"Name": "o" * 900}, after={"Name": "n" * 900})
    found = made(value, 1_000)
    assert found.step is Step.IMAGES
    assert detail(found)["metadata"]["omittedFields"] == ["after", "before"]
    assert detail(found)["changes"] == {"Name": {"new": "n"}}


def test_the_longest_texts_are_cut_to_one_length_as_long_as_fits() -> None:
    value = event({"Long": {"old": "a" * 9_000, "new": "b" * 5_000}, "Short": {"new": "c" * 300}})
    found = made(value, 4_000)
    sides = detail(found)["changes"]
    assert len(sides["Long"]["old"]) == len(sides["Long"]["new"]) > 1_000
    assert sides["Short"]["new"] == "c" * 300
    assert detail(found)["metadata"]["truncatedFields"] == ["Long"]
    assert len(found.detail) > 3_980


def test_columns_whose_texts_came_cut_stay_named() -> None:
    metadata = {"truncatedFields": ["Document"]}
    found = made(event({"Long": {"new": "a" * 9_000}}, metadata=metadata), 4_000)
    assert detail(found)["metadata"]["truncatedFields"] == ["Document", "Long"]


def test_texts_in_documents_are_cut_too() -> None:
    found = made(event({"Document": {"new": {"lines": ["x" * 5_000, 1.50, "short"]}}}), 2_000)
    lines = detail(found)["changes"]["Document"]["new"]["lines"]
    assert len(lines[0]) < 2_000
    assert lines[1:] == [1.5, "short"]


@pytest.mark.parametrize(
    "column",
    [{"ID": {"new": "k" * 5_000}}, {"Number": {"new": "1" * 5_000}}, {"Bytes": {"new": {"$binary": "QUJD" * 1_250}}}],
)
def test_keys_numbers_and_bytes_are_never_cut(column: dict[str, Any]) -> None:
    assert fitted(event(column), 4_000, TEXTS) is None


def test_what_is_not_cut_keeps_its_bytes() -> None:
    value = event({"Long": {"new": "a" * 9_000}, "Exact": {"new": 0}}, orgId="3")
    value = value.replace(b'{"new":0}', b'{"new":1.50e+01}').replace(b'"orgId":"3"', b'"orgId":"\\u0033"')
    cut = made(value, 4_000).detail
    assert b'{"new":1.50e+01}' in cut
    assert b'"orgId":"\\u0033"' in cut


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=4_000), max_size=5), st.integers(600, 6_000))
def test_cut_events_fit_and_cut_texts_are_beginnings(columns: dict[str, str], limit: int) -> None:
    value = event({name: {"new": text} for name, text in columns.items()})
    found = fitted(value, limit, TEXTS) if len(value) > limit else None
    if found is None:
        return
    assert len(found.detail) <= limit
    named = detail(found)["metadata"]["truncatedFields"]
    for name, text in columns.items():
        kept = detail(found)["changes"][name]["new"]
        assert kept == text if name not in named else text.startswith(kept)


def test_the_claim_check_refers_to_the_exact_bytes_of_the_whole_event() -> None:
    value = event({"Numbers": {"new": [1.50] * 2_000}}, before={"x": 1})
    found = made(value, 1_000)
    assert found.claim is not None
    assert found.claim.content is value
    small = detail(found)
    assert small["payloadRef"] == found.claim.ref
    assert (small["changes"], small["changedFields"]) == ({}, ["Numbers"])
    assert small["keys"] == {"ID": 7}
    assert small["metadata"] == {"version": "1.0", "sequence": "0001-1", "omittedFields": ["before", "changes"]}


def test_an_object_is_named_by_the_day_the_event_and_its_bytes() -> None:
    value = event({"Numbers": {"new": [1] * 2_000}}, metadata={"replay": 2})
    claim = made(value, 1_000, CLAIM).claim
    assert claim is not None
    head, _, tail = claim.key.rpartition("-")
    assert head == "cdc/2026/01/15/evt_1_00000000000000000000.2"
    assert len(tail) == len("0123456789abcdef.json")


def test_events_of_one_id_that_differ_have_objects_of_their_own() -> None:
    one, other = (made(event({"N": {"new": [n] * 2_000}}), 1_000, CLAIM).claim for n in (1, 2))
    assert one is not None
    assert other is not None
    assert one.key != other.key


def test_thousands_of_columns_are_left_to_the_object() -> None:
    small = detail(made(event({f"column_{n}": {"new": n} for n in range(5_000)}), 2_000))
    assert small["changedFields"] == []
    assert small["metadata"]["omittedFields"] == ["changedFields", "changes"]


@pytest.mark.parametrize("ladder", [NO_LADDER, Ladder(frozenset({Step.CLAIM_CHECK}))])
def test_without_a_step_that_helps_nothing_is_made(ladder: Ladder) -> None:
    assert fitted(event({"Long": {"new": "a" * 9_000}}), 4_000, ladder) is None


@pytest.mark.parametrize(("limit", "step"), [(30_000, Step.TRUNCATE), (10_000, Step.CLAIM_CHECK)])
def test_the_same_record_is_the_same_bytes_on_every_try(limit: int, step: Step) -> None:
    value = event({f"c{n}": {"new": "é" * (n * 100)} for n in range(40)})
    rules = EntryRules("cdc-pipeline", limit, EVERY)
    entries = [entry for _ in range(3) if isinstance(entry := entry_of(b"users:7", value, rules), Entry)]
    assert {entry.step for entry in entries} == {step}
    assert len({entry.detail for entry in entries}) == 1


@pytest.mark.parametrize("limit", [262_144, 1_000_000])
@pytest.mark.parametrize("over", [0, 1])
def test_the_ladder_begins_one_byte_above_the_limit(limit: int, over: int) -> None:
    room = limit - 14 - len("cdc-pipeline.users") - len("user.updated") - len(event({"T": {"new": ""}})) + over
    value = event({"T": {"new": "漢" * (room // 3) + "x" * (room % 3)}})
    entry = entry_of(b"users:7", value, EntryRules("cdc-pipeline", limit, EVERY))
    assert isinstance(entry, Entry)
    assert entry.step == (Step.TRUNCATE if over else None)
    assert limit - 50 < entry.size <= limit


@given(st.binary(max_size=100) | st.builds(
    lambda member, value: encode(json.loads(event({"T": {"new": "a" * 3_000}})) | {member: value}),
    st.sampled_from(["changes", "metadata", "keys", "before", "eventId", "previousKeys"]),
    st.none() | st.text() | st.lists(st.integers()) | st.dictionaries(st.text(), st.text() | st.integers()),
))  # fmt: skip
def test_whatever_an_event_holds_it_fits_or_is_a_dead_letter(value: bytes) -> None:
    found = entry_of(b"users:7", value, EntryRules("cdc-pipeline", 1_500, EVERY))
    assert isinstance(found, Undeliverable) or found.size <= 1_500
