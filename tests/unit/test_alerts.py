"""Who hears of dead letters and pauses, and how often; under a clock set by hand."""

import pytest

from models.alerts import (
    CALM,
    MAX_SUBJECT,
    MAX_TOPICS,
    RULES,
    SETTLE,
    LetterAlerts,
    Matter,
    Trouble,
    TroubleAlerts,
    letter_rule,
    plain,
)
from models.outcome import ErrorCategory, Failure
from models.taxonomy import TAXONOMY, Alert, DlqAction, handling

HOUR_MS = 3_600_000


def matter(code: Failure | str, table: str = "users") -> Matter:
    return Matter("enrich", str(code), table)


def heard(code: Failure | str, times: list[float]) -> list[tuple[float, int]]:
    """(when, how many letters) of the messages for letters that come at these times."""
    alerts, told = LetterAlerts(), []
    for now in times:
        alerts.note(matter(code), {"id": str(now)}, int(now * 1000), now)
        for due in alerts.due(now):
            told.append((now, due.count))
            alerts.told(due, now)
    return told


@pytest.mark.parametrize(
    ("code", "times", "told"),
    [
        # always: at once, then once a minute for all that came meanwhile
        (Failure.TRANSFORMATION_ERROR, [0, 1, 2, 61], [(0, 1), (61, 3)]),
        (Failure.EVENTBRIDGE_ERROR, [0, 30, 59, 60], [(0, 1), (60, 3)]),
        (Failure.STATE_ERROR, [0], [(0, 1)]),
        # rate-limited: at once, then every 15 minutes
        (Failure.PARSE_ERROR, [0, 61, 899, 900], [(0, 1), (900, 3)]),
        (Failure.VALIDATION_ERROR, [0, 899, 2_000], [(0, 1), (2_000, 2)]),
        # on rate: ten in five minutes, or nobody hears
        (Failure.ENRICHMENT_ERROR, [*range(0, 90, 10)], []),
        (Failure.ENRICHMENT_ERROR, [*range(0, 100, 10)], [(90, 10)]),
        (Failure.ENRICHMENT_ERROR, [*range(0, 10_000, 301)], []),
        ("GAP", [0, 1, 60], [(0, 1), (60, 2)]),
    ],
)  # fmt: skip
def test_a_letter_is_told_as_its_code_says(
    code: Failure | str, times: list[float], told: list[tuple[float, int]]
) -> None:
    assert heard(code, times) == told


def test_every_row_of_the_taxonomy_has_a_rule() -> None:
    for row in TAXONOMY:
        rule = RULES[row.alert]
        if row.action in (DlqAction.STORE, DlqAction.STORE_AND_ALERT):
            assert letter_rule(str(row.failure)) == rule
    throttled = handling(Failure.EVENTBRIDGE_ERROR, ErrorCategory.THROTTLING)
    assert (throttled.alert, RULES[throttled.alert].lasting) == (Alert.AFTER_5_MINUTES, 300.0)


def test_tables_and_codes_are_told_apart() -> None:
    alerts = LetterAlerts()
    for one in (matter(Failure.PARSE_ERROR, "users"), matter(Failure.PARSE_ERROR, "orgs"), matter("GAP")):
        alerts.note(one, {"id": "1"}, 0, 0.0)
    assert len(list(alerts.due(0.0))) == 3


def test_a_message_that_did_not_arrive_is_told_again_with_all_its_letters() -> None:
    alerts = LetterAlerts()
    alerts.note(matter(Failure.PARSE_ERROR), {"id": "1"}, 5, 0.0)
    assert [due.count for due in alerts.due(0.0)] == [1]
    alerts.note(matter(Failure.PARSE_ERROR), {"id": "2"}, HOUR_MS, 1.0)
    (due,) = alerts.due(1.0)
    assert (due.count, due.first_ms, due.last_ms, due.latest["id"]) == (2, 5, HOUR_MS, "2")


def test_what_was_held_back_is_told_when_its_time_has_come_without_another_letter() -> None:
    alerts = LetterAlerts()
    for now in (0.0, 1.0, 2.0):
        alerts.note(matter(Failure.PARSE_ERROR), {"id": str(now)}, 0, now)
        for due in alerts.due(now):
            alerts.told(due, now)
    assert (alerts.held_back, list(alerts.due(899.0))) == (2, [])
    assert [due.count for due in alerts.due(900.0)] == [2]


def test_foreign_tables_do_not_fill_the_memory() -> None:
    alerts = LetterAlerts()
    for number in range(MAX_TOPICS + 50):
        alerts.note(matter(Failure.PARSE_ERROR, f"t{number}"), {"id": "1"}, 0, 0.0)
    assert len(list(alerts.due(0.0))) == MAX_TOPICS + 1


PAUSED = Trouble("publish", "pause", "bus", "AccessDeniedException")
THROTTLED = Trouble("publish", "throttled", "bus", "too many calls", RULES[Alert.AFTER_5_MINUTES])


def told(alerts: TroubleAlerts, troubles: list[Trouble], now: float, *, arrives: bool = True) -> list[tuple[str, bool]]:
    changes = alerts.look(troubles, now)
    if arrives:
        for change in changes:
            alerts.told(change)
    return [(change.trouble.kind, change.over) for change in changes]


def test_a_pause_is_told_once_and_its_end_is_told() -> None:
    alerts = TroubleAlerts()
    assert told(alerts, [PAUSED], 0.0) == []
    assert told(alerts, [PAUSED], SETTLE) == [("pause", False)]
    assert told(alerts, [PAUSED], 1_000.0) == []
    assert told(alerts, [], 1_001.0) == []
    assert told(alerts, [], 1_000.0 + CALM) == [("pause", True)]
    assert told(alerts, [], 2_000.0) == []


def test_a_pause_that_ends_by_itself_at_once_is_not_told() -> None:
    alerts = TroubleAlerts()
    assert told(alerts, [PAUSED], 0.0) == []
    assert told(alerts, [], 2.0) == []
    assert told(alerts, [], 100.0) == []


def test_what_comes_and_goes_is_one_trouble() -> None:
    alerts = TroubleAlerts()
    found = [told(alerts, [PAUSED] if now % 20 else [], float(now)) for now in range(1, 500)]
    assert [change for changes in found for change in changes] == [("pause", False)]


def test_throttling_is_told_after_five_minutes() -> None:
    alerts = TroubleAlerts()
    assert told(alerts, [THROTTLED], 0.0) == []
    assert told(alerts, [THROTTLED], 299.0) == []
    assert told(alerts, [THROTTLED], 300.0) == [("throttled", False)]


def test_a_trouble_is_told_until_the_topic_has_it() -> None:
    alerts = TroubleAlerts()
    alerts.look([PAUSED], 0.0)
    assert told(alerts, [PAUSED], 60.0, arrives=False) == [("pause", False)]
    assert told(alerts, [PAUSED], 61.0) == [("pause", False)]
    assert told(alerts, [], 100.0, arrives=False) == [("pause", True)]
    assert told(alerts, [], 101.0) == [("pause", True)]


def test_a_trouble_nobody_heard_of_is_forgotten_when_it_is_over() -> None:
    alerts = TroubleAlerts()
    alerts.look([PAUSED], 0.0)
    assert told(alerts, [PAUSED], 60.0, arrives=False) == [("pause", False)]
    assert told(alerts, [], 100.0) == []


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("plain", "plain"),
        ("two\nlines\tand \x00 more", "two lines and more"),
        ("Zürich", "Z?rich"),
        ("x" * 200, "x" * (MAX_SUBJECT - 3) + "..."),
        ("  \n ", ""),
    ],
)
def test_a_subject_is_one_line_of_ascii(text: str, sent: str) -> None:
    assert plain(text) == sent
    assert len(plain(text)) < 100
