"""The verdict of a demo: each promise that is broken makes it fail, and nothing else does."""

import json
from typing import Any

import pytest

from sandbox.generator.ledger import Canaries, Ending, SourceChange
from sandbox.verdict import Checker, percentile, read_event
from workers.cli.demo_screen import Rate, changes_text, event_line

SECRET = "ana.silva.x7q2k1"


@pytest.fixture
def checker() -> Checker:
    canaries = Canaries()
    canaries.plant(SECRET, "users.Email")
    return Checker(canaries)


def change(number: int, **other: Any) -> SourceChange:
    values: dict[str, Any] = {
        "number": number, "kind": "users update", "partition_key": "core.users.7", "data": b"{}",
        "ending": Ending.PUBLISHED, "row": "users:7", "version": number + 1, "transaction": str(900 + number),
        "org_id": "3", "user_id": "7",
    }  # fmt: skip
    return SourceChange(**(values | other))


def event(number: int, *, event_id: str = "", sequence: int | None = None, **other: Any) -> dict[str, Any]:
    detail = {
        "eventId": event_id or f"evt_{number}", "entityType": "users", "entityId": "7", "orgId": "3", "userId": "7",
        "metadata": {
            "shardId": "shard", "sequenceNumber": str(number if sequence is None else sequence),
            "transactionId": str(900 + number), "enrichment": {"source": "record"},
        },
    }  # fmt: skip
    return detail | other


def put(checker: Checker, *changes: SourceChange) -> None:
    for item in changes:
        checker.put(item, "shard", str(item.number), 10.0)


def receive(checker: Checker, *details: dict[str, Any]) -> None:
    for detail in details:
        checker.event(detail, json.dumps(detail), 10.25)


def test_a_run_that_ended_as_it_should_passes(checker: Checker) -> None:
    put(
        checker, change(0), change(1), change(2, ending=Ending.FILTERED, reason="control", row=None),
        change(3, ending=Ending.DEAD, reason="PARSE_ERROR", row=None),
    )  # fmt: skip
    receive(checker, event(0), event(1))
    checker.dead_letter("shard", "3", "PARSE_ERROR", "not acceptable JSON")
    checker.filtered({"control": 1})
    assert checker.complete
    verdict = checker.verdict()
    assert verdict.passed, verdict.problems
    assert verdict.figures() == {
        "sent": 4, "published": 2, "filtered": 1, "dead": 1, "lost": 0, "duplicated": 0, "redelivered": 0,
        "out_of_order": 0, "p50_ms": 250.0, "p99_ms": 250.0,
    }  # fmt: skip


def test_a_run_is_complete_when_every_ending_has_been_seen(checker: Checker) -> None:
    put(checker, change(0), change(1, ending=Ending.DEAD, reason="PARSE_ERROR"))
    seen = [checker.complete]
    receive(checker, event(0))
    seen.append(checker.complete)
    checker.dead_letter("shard", "1", "PARSE_ERROR", "")
    assert [*seen, checker.complete] == [False, False, True]


def test_an_event_may_arrive_before_the_put_call_answers(checker: Checker) -> None:
    receive(checker, event(0), event(1))
    put(checker, change(0), change(1))
    assert checker.verdict().passed


@pytest.mark.parametrize("ending", [Ending.PUBLISHED, Ending.DEAD])
def test_a_lost_record_fails(checker: Checker, ending: Ending) -> None:
    put(checker, change(0, ending=ending))
    verdict = checker.verdict()
    assert (verdict.lost, verdict.passed) == (1, False)
    assert "users:7" in verdict.problems[0]


def test_a_record_that_should_be_filtered_and_is_not_counts_as_lost(checker: Checker) -> None:
    put(checker, change(0, ending=Ending.FILTERED, reason="snapshot"))
    assert checker.verdict().lost == 1
    checker.filtered({"snapshot": 1})
    assert checker.verdict().passed


def test_two_event_ids_for_one_change_fail(checker: Checker) -> None:
    put(checker, change(0))
    receive(checker, event(0), event(0, event_id="evt_other"))
    verdict = checker.verdict()
    assert (verdict.duplicated, verdict.redelivered, verdict.passed) == (1, 0, False)


def test_a_resent_change_under_another_event_id_is_a_duplicate(checker: Checker) -> None:
    put(checker, change(0), change(1, repeats=0, version=1, transaction="900"))
    receive(checker, event(0), event(1, event_id="evt_other"))
    assert checker.verdict().duplicated == 1


def test_the_same_event_again_is_allowed_wherever_it_comes(checker: Checker) -> None:
    put(checker, change(0), change(1))
    receive(checker, event(0), event(1), event(0))
    verdict = checker.verdict()
    assert (verdict.redelivered, verdict.out_of_order, verdict.published, verdict.passed) == (1, 0, 2, True)


def test_a_record_the_client_put_twice_is_a_redelivery(checker: Checker) -> None:
    put(checker, change(0))
    receive(checker, event(0), event(0, sequence=77))
    assert checker.verdict().passed
    assert checker.verdict().figures()["published"] == 1


def test_events_of_a_row_out_of_order_fail(checker: Checker) -> None:
    put(checker, change(0), change(1))
    receive(checker, event(1), event(0))
    verdict = checker.verdict()
    assert (verdict.out_of_order, verdict.lost, verdict.passed) == (1, 0, False)


def test_events_of_different_rows_have_no_order(checker: Checker) -> None:
    put(checker, change(0, row="users:7"), change(1, row="users:8", user_id="8"))
    receive(checker, event(1, entityId="8", userId="8"), event(0))
    assert checker.verdict().passed


def test_a_redacted_value_in_an_event_fails_without_being_quoted(checker: Checker) -> None:
    put(checker, change(0))
    receive(checker, event(0, changes={"Email": {"new": f"{SECRET}@corp.example"}}))
    verdict = checker.verdict()
    assert not verdict.passed
    assert verdict.problems[0].startswith("LEAK: a value of users.Email")
    assert SECRET not in str(verdict)


def test_a_redacted_value_in_the_message_of_a_dead_letter_fails(checker: Checker) -> None:
    put(checker, change(0, ending=Ending.DEAD, reason="PARSE_ERROR", row=None))
    checker.dead_letter("shard", "0", "PARSE_ERROR", f"no JSON: {SECRET}")
    assert not checker.verdict().passed


@pytest.mark.parametrize(
    "wrong",
    [
        {"ending": Ending.FILTERED, "reason": "control"},
        {"ending": Ending.DEAD, "reason": "PARSE_ERROR"},
        {"row": "users:8"},
        {"org_id": "4"},
    ],
)  # fmt: skip
def test_an_event_the_ledger_does_not_expect_fails(checker: Checker, wrong: dict[str, Any]) -> None:
    put(checker, change(0, **wrong))
    receive(checker, event(0))
    verdict = checker.verdict()
    assert (verdict.lost, verdict.passed) == (0, False)


def test_an_event_of_nothing_that_was_sent_fails(checker: Checker) -> None:
    receive(checker, event(5))
    assert not checker.verdict().passed


def test_a_dead_letter_with_the_wrong_code_or_of_a_good_record_fails(checker: Checker) -> None:
    put(checker, change(0, ending=Ending.DEAD, reason="PARSE_ERROR", row=None), change(1))
    checker.dead_letter("shard", "0", "VALIDATION_ERROR", "")
    checker.dead_letter("shard", "1", "EVENTBRIDGE_ERROR", "")
    assert len(checker.verdict().problems) == 2


def test_an_event_without_owner_is_allowed_and_counted(checker: Checker) -> None:
    put(checker, change(0))
    detail = event(0, orgId=None)
    detail["metadata"]["enrichment"]["source"] = "missing"
    receive(checker, detail)
    assert checker.verdict().passed
    assert checker.ownerless == 1


def test_percentiles_are_nearest_rank() -> None:
    assert percentile([], 50) is None
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.0
    assert percentile([float(n) for n in range(1, 101)], 99) == 99.0


def test_a_message_that_is_no_event_is_refused() -> None:
    assert read_event('{"detail":{"eventId":"e"}}') == {"eventId": "e"}
    with pytest.raises(ValueError, match="detail"):
        read_event("[]")


def test_an_event_is_one_line_with_redacted_columns_first() -> None:
    changes = {"CreatedAt": {"new": "2026"}, "Role": {"old": "AGENT", "new": None}, "Zip": {"old": "1**", "new": "2**"}}
    shown = {"eventType": "user.updated", "entityType": "users", "entityId": "7", "operation": "UPDATE",
             "changes": changes, "metadata": {"redactedFields": ["Zip"]}}  # fmt: skip
    assert changes_text(shown) == "Zip 1** → 2**, Role AGENT → null, CreatedAt 2026"
    assert "\n" not in event_line(shown).plain
    assert changes_text({"previousKeys": {"ID": 3}}) == "key was 3"


def test_a_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.per_second == 0
    for second in range(10):
        rate.note(float(second), 100 * min(second, 5))
    assert rate.per_second == 0
    rate.note(10.0, 700)
    assert rate.per_second == 100
