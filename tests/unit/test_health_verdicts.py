"""What checks find, and what that means together: states, exit codes, and the words of the Lambda before."""

from typing import Any

import pytest

from models.bus_health import EventBridgeHC
from models.infrastructure import DatabaseInstanceStatus
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable
from workers.failures import ExitCode
from workers.health.alarms import judge_alarms
from workers.health.databases import SERVING, judge_database, region_of_database
from workers.health.kafka import judge_servers, judge_topics
from workers.health.resources import judge_stream
from workers.health.verdicts import HealthReport, State, Verdict, of_error, ok
from workers.kafka.connection import Answer
from workers.kafka.topics import TopicState


def report(*verdicts: Verdict) -> HealthReport:
    return HealthReport(verdicts, 1_768_473_060_000, 0.5)


def one(state: State, check: Any = "kafka", **more: Any) -> Verdict:
    return Verdict(check, "it", state, "why", **more)


def alarm(state: str) -> list[Verdict]:
    return judge_alarms(["x"], [{"AlarmName": "x", "StateValue": state}])


def topic(**more: Any) -> TopicState:
    return TopicState(**{"error_code": 0, "partitions": 3, "replicas": 3, "in_sync": 3, "leaderless": 0} | more)


@pytest.mark.parametrize(
    ("verdicts", "state", "code"),
    [
        ((), State.OK, ExitCode.OK),
        ((one(State.OK), one(State.OK)), State.OK, ExitCode.OK),
        ((one(State.OK), one(State.UNKNOWN)), State.UNKNOWN, ExitCode.PARTIAL),
        ((one(State.UNKNOWN), one(State.DEGRADED)), State.DEGRADED, ExitCode.PARTIAL),
        ((one(State.DEGRADED), one(State.FAILED)), State.FAILED, ExitCode.UNREACHABLE),
        ((one(State.FAILED), one(State.UNKNOWN, denied=True)), State.FAILED, ExitCode.DENIED),
    ],
)
def test_the_worst_verdict_is_the_state_and_gives_the_exit_code(
    verdicts: tuple[Verdict, ...], state: State, code: ExitCode
) -> None:
    assert (report(*verdicts).state, report(*verdicts).exit_code) == (state, code)


@pytest.mark.parametrize(
    ("verdicts", "health"),
    [
        ((), EventBridgeHC.UNKNOWN),
        ((ok("kafka", "servers", ""),), EventBridgeHC.UNKNOWN),
        ((ok("bus", "a", ""),), EventBridgeHC.OK),
        ((ok("bus", "a", ""), *alarm("OK")), EventBridgeHC.OK),
        ((ok("bus", "a", ""), *alarm("ALARM")), EventBridgeHC.IN_ALARM),
        ((ok("bus", "a", ""), *judge_alarms(["x"], [])), EventBridgeHC.UNKNOWN),
        ((one(State.FAILED, "bus"),), EventBridgeHC.IN_ALARM),
        ((one(State.UNKNOWN, "bus", denied=True),), EventBridgeHC.UNKNOWN),
        ((ok("bus", "a", ""), one(State.FAILED, "kafka")), EventBridgeHC.OK),
    ],
)  # fmt: skip
def test_buses_and_alarms_together_say_what_the_lambda_said(
    verdicts: tuple[Verdict, ...], health: EventBridgeHC
) -> None:
    assert report(*verdicts).event_bridge is health


@pytest.mark.parametrize(
    ("word", "state"),
    [("OK", State.OK), ("ALARM", State.DEGRADED), ("INSUFFICIENT_DATA", State.UNKNOWN), (None, State.UNKNOWN)],
)
def test_an_alarm_that_nobody_knows_is_unknown_and_one_that_rings_is_no_failure(word: str | None, state: State) -> None:
    found = [{"AlarmName": "x", "StateValue": word}] if word else []
    (verdict,) = judge_alarms(["x"], found)
    assert (verdict.state, bool(verdict.action)) == (state, state is not State.OK)


@pytest.mark.parametrize(
    ("status", "state", "word"),
    [
        ("available", State.OK, DatabaseInstanceStatus.AVAILABLE),
        *((status, State.DEGRADED, DatabaseInstanceStatus.AVAILABLE) for status in sorted(SERVING)),
        ("stopped", State.FAILED, DatabaseInstanceStatus.UNAVAILABLE),
        ("storage-full", State.FAILED, DatabaseInstanceStatus.UNAVAILABLE),
        ("a-status-of-tomorrow", State.FAILED, DatabaseInstanceStatus.UNAVAILABLE),
    ],
)
def test_a_database_is_available_as_long_as_it_serves(status: str, state: State, word: DatabaseInstanceStatus) -> None:
    verdict = judge_database("core", status)
    assert (verdict.state, verdict.word, report(verdict).database) == (state, word, word)


def test_one_database_that_is_away_makes_the_word_for_all() -> None:
    both = report(judge_database("a", "available"), judge_database("b", "stopped"))
    assert both.database is DatabaseInstanceStatus.UNAVAILABLE
    assert report(ok("kafka", "servers", "")).database is None


def test_the_region_of_an_arn_is_where_rds_is_asked() -> None:
    assert region_of_database("arn:aws:rds:eu-west-1:000000000000:cluster:core") == "eu-west-1"
    assert region_of_database("cluster:core") is None


def test_a_server_that_is_away_is_no_failure_while_another_answers() -> None:
    there, away = Answer("a:9092"), Answer("b:9092", "away", "no route")
    assert [verdict.state for verdict in judge_servers([there, away])] == [State.OK, State.DEGRADED]
    assert [verdict.state for verdict in judge_servers([away])] == [State.FAILED]
    assert report(*judge_servers([Answer("a:9092", "denied", "SaslAuthenticationFailed")])).exit_code == ExitCode.DENIED


def test_a_topic_wants_leaders_and_all_its_replicas() -> None:
    found = judge_topics({
        "good": topic(), "thin": topic(in_sync=2), "headless": topic(leaderless=1, in_sync=0),
        "gone": topic(error_code=3, partitions=0), "hidden": topic(error_code=29, partitions=0),
    })  # fmt: skip
    assert {verdict.subject: verdict.state for verdict in found} == {
        "thin": State.DEGRADED, "headless": State.FAILED, "topics": State.FAILED, "hidden": State.UNKNOWN,
    }  # fmt: skip
    assert [verdict.subject for verdict in judge_topics({"good": topic()})] == ["topics"]


@pytest.mark.parametrize(
    ("status", "state"),
    [("ACTIVE", State.OK), ("UPDATING", State.OK), ("CREATING", State.FAILED), ("DELETING", State.FAILED)],
)
def test_a_stream_serves_while_it_is_resharded(status: str, state: State) -> None:
    assert judge_stream("core", {"StreamStatus": status, "OpenShardCount": 4}).state is state


@pytest.mark.parametrize(
    ("error", "state", "denied"),
    [
        (AwsDenied("AccessDenied"), State.UNKNOWN, True),
        (AwsThrottled("ThrottlingException"), State.UNKNOWN, False),
        (AwsUnavailable("InternalFailure"), State.FAILED, False),
        (AwsError("ResourceNotFoundException"), State.FAILED, False),
    ],
)
def test_a_look_that_is_denied_says_nothing_about_what_was_looked_at(
    error: AwsError, state: State, denied: bool
) -> None:
    verdict = of_error("bus", "cdc-events", error, "events:DescribeEventBus")
    assert (verdict.state, verdict.denied, error.code in verdict.reason) == (state, denied, True)


def test_the_document_has_the_shape_that_is_told() -> None:
    document = report(one(State.DEGRADED, action="do"), ok("bus", "b", "there")).document()
    assert document == {
        "state": "degraded", "at": "2026-01-15T10:31:00.000Z", "seconds": 0.5, "eventBridge": "OK", "database": None,
        "checks": {"kafka": "degraded", "bus": "ok"},
        "verdicts": [
            {"check": "kafka", "subject": "it", "state": "degraded", "reason": "why", "action": "do", "seconds": 0.0},
            {"check": "bus", "subject": "b", "state": "ok", "reason": "there", "action": None, "seconds": 0.0},
        ],
    }  # fmt: skip
