"""`cdc health` on a screen and for scripts, and what the web view makes of the workers' answers."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from tests.unit.health_stage import publish_stage
from workers.cli.health import CHECKS, health, table
from workers.cluster.peers import Answer
from workers.failures import ConfigurationError
from workers.health import verdicts
from workers.health.asked import told
from workers.health.verdicts import HealthReport, State, Verdict, ok
from workers.web.routes import Desk
from workers.web.views.health import everywhere, here

REPORT = HealthReport(
    (
        ok("kafka", "servers", "1 of 1 answer"), ok("bus", "cdc-events", "it is there"),
        Verdict("alarms", "loud", State.DEGRADED, "in alarm", "look", word="IN_ALARM"),
    ),
    1_768_473_060_000, 0.25,
)  # fmt: skip


class Examined:
    """Stands for a round of these settings."""

    checks = frozenset({"kafka", "kinesis", "bus", "alarms"})

    def __init__(self) -> None:
        self.only: tuple[str, ...] | None = None

    async def round(self, only: tuple[str, ...] = ()) -> HealthReport:
        self.only = only
        return REPORT


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Examined:
    found = Examined()
    monkeypatch.setattr("workers.cli.health._examination", lambda _timeout: found)
    monkeypatch.setattr("workers.cli.health._canaries", no_canaries)
    return found


async def no_canaries() -> tuple[Verdict, ...]:
    return ()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(health, arguments)


def test_the_screen_has_a_line_for_each_verdict_and_says_what_to_do(examined: Examined) -> None:
    ended = run()
    assert ended.stdout.splitlines() == [
        "ok       kafka     servers     1 of 1 answer",
        "ok       bus       cdc-events  it is there",
        "degraded alarms    loud        in alarm",
        "                   -> look",
    ]
    assert ended.stderr == "cdc health: degraded in 0.2 s; EventBridge IN_ALARM\n"
    assert ended.exit_code == 7


def test_scripts_get_the_report_or_its_verdicts(examined: Examined) -> None:
    assert json.loads(run("--output", "json").stdout) == REPORT.document()
    lines = run("--output", "jsonl").stdout.splitlines()
    assert [json.loads(line)["subject"] for line in lines] == ["servers", "cdc-events", "loud"]


def test_only_the_checks_that_are_named_are_made(examined: Examined) -> None:
    run("--only", "kafka, bus")
    assert examined.only == ("kafka", "bus")


def test_a_check_with_nothing_to_look_at_is_no_success(examined: Examined) -> None:
    ended = run("--only", "bus,rds")
    assert isinstance(ended.exception, ConfigurationError)
    assert "CDC_HEALTH_RDS" in ended.exception.hint


@pytest.mark.parametrize("arguments", [("--only", "kafak"), ("--only", ","), ("--watch", "--output", "json")])
def test_what_makes_no_sense_is_a_usage_error(examined: Examined, arguments: tuple[str, ...]) -> None:
    assert (run(*arguments).exit_code, examined.only) == (2, None)


def test_the_command_offers_every_check_that_needs_no_worker() -> None:
    assert {*CHECKS, "canary"} == set(verdicts.CHECKS)


def test_a_canary_that_workers_tell_of_stands_with_the_rest(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late() -> tuple[Verdict, ...]:
        return (Verdict("canary", "core", State.FAILED, "none has arrived for 90 s", "cdc status"),)

    monkeypatch.setattr("workers.cli.health._canaries", late)
    ended = run()
    assert "failed   canary    core        none has arrived for 90 s" in ended.stdout
    assert ended.exit_code == 5
    assert "canary" not in run("--only", "kafka").stdout


async def test_the_newest_round_of_a_worker_tells_of_the_canary() -> None:
    sent = ok("canary", "core", "the last one took 0.3 s")
    later = HealthReport((*REPORT.verdicts, sent), REPORT.at_ms + 60_000, 0.1)
    asked = desk(
        Answer("a", {"report": REPORT.document()}), Answer("b", {"report": later.document()}),
        Answer("c", {"report": None}), Answer("d", error="TimeoutError"), Answer("e", []),
    ).cluster  # fmt: skip
    assert await told(asked) == (sent,)


def test_an_empty_report_has_no_lines() -> None:
    assert list(table(HealthReport((), 0, 0.0))) == []


def desk(*answers: Answer, stages: Any = None) -> Desk:
    async def ask(_path: str, *, seconds: float = 0) -> tuple[Answer, ...]:
        return answers

    return cast("Desk", SimpleNamespace(cluster=SimpleNamespace(ask=ask), stages=stages or {}))


def body(response: web.Response) -> Any:
    return json.loads(response.text or "")


async def test_the_newest_report_of_all_workers_is_shown() -> None:
    no = cast("web.Request", None)
    old, new = ({"report": {"at": f"2026-01-15T10:3{minute}:00.000Z"}} for minute in (1, 2))
    found = body(await everywhere(
        desk(Answer("a", {"report": None}), Answer("b", new), Answer("c", old), Answer("d", error="TimeoutError")), no
    ))  # fmt: skip
    assert (found["report"], found["by"], found["silent"]) == (new["report"], "b", {"d": "TimeoutError"})
    assert body(await everywhere(desk(Answer("a", {"report": None})), no))["hint"]


async def test_a_worker_answers_for_itself_and_with_nothing_before_its_first_round() -> None:
    no = cast("web.Request", None)
    stage, app = publish_stage(0)
    assert body(await here(desk(), no)) == {"report": None}
    assert body(await here(desk(stages={"publish": stage}), no)) == {"report": None}
    app.reports["health"] = REPORT.document
    assert body(await here(desk(stages={"publish": stage}), no))["report"]["state"] == "degraded"
