"""Health beside the stages: one worker makes the checks, lost canaries are told, and nothing ends a worker."""

import asyncio
import logging
from typing import Any, cast

import pytest

from models.canary import canary_record, told_by
from models.catalogue import Catalogue
from models.source_spec import SourceSpec
from tests.unit.health_stage import App, publish_stage
from workers.aws.errors import AwsDenied, AwsUnavailable
from workers.health.canary import CanarySender
from workers.health.canary_arrivals import CanaryArrivals
from workers.health.examination import Examination, Examiner
from workers.health.verdicts import HealthReport, State, Verdict, ok
from workers.health.watch import HealthWatch
from workers.role import Role
from workers.settings.worker import Settings

SOURCE = SourceSpec("core", "stream", "us-east-1")


class Clock:
    """Milliseconds, set by hand."""

    def __init__(self) -> None:
        self.ms = 1_768_473_060_000

    def __call__(self) -> int:
        return self.ms

    def pass_by(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


class Checks:
    """Rounds of one check, with the state that is set."""

    def __init__(self) -> None:
        self.rounds = 0
        self.state = State.OK

    async def __call__(self) -> HealthReport:
        self.rounds += 1
        return HealthReport((Verdict("bus", "b", self.state, "why", "do"),), 0, 0.0)


class Stream:
    """Takes canaries, as long as nothing is set that it raises."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.got: list[bytes] = []

    async def put(self, _spec: SourceSpec, _key: str, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.got.append(data)


def watch_of(stage: Any, checks: Checks, clock: Clock) -> HealthWatch:
    return HealthWatch(Role(stage), checks, clock, interval=60)


def test_whoever_holds_the_slot_has_the_role_and_keeps_it_while_nobody_holds_any() -> None:
    stage, app = publish_stage()
    role = Role(stage)
    found = [role.held]

    def after(slots: tuple[int, ...], *, ready: bool, running: bool = True) -> None:
        app.slots.owned, app.ready = {index: object() for index in slots}, ready
        stage.app = cast("Any", app) if running else None
        found.append(role.held)

    after((0, 1), ready=True)
    after((), ready=False)  # Kafka is away
    after((), ready=False, running=False)  # the stage has crashed
    after((), ready=True)  # the others have all slots now
    assert found == [False, True, True, True, False]


async def test_only_the_worker_with_the_role_makes_rounds_one_each_interval() -> None:
    clock, checks = Clock(), Checks()
    stage, app = publish_stage(1)
    watch = watch_of(stage, checks, clock)
    await watch.look()
    assert (checks.rounds, watch.document()) == (0, None)
    app.slots.owned[0] = object()
    for _ in range(59):
        await watch.look()
        clock.pass_by(1)
    assert checks.rounds == 1
    clock.pass_by(1)
    await watch.look()
    assert checks.rounds == 2
    del app.slots.owned[0]
    await watch.look()
    assert watch.document() is None


async def test_a_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock, checks = Clock(), Checks()
    watch = watch_of(publish_stage(0)[0], checks, clock)
    caplog.set_level(logging.INFO, "cdc.health")
    for state in (State.OK, State.FAILED, State.FAILED, State.OK):
        checks.state = state
        await watch.look()
        clock.pass_by(60)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "bus b: failed, why; do"), ("INFO", "bus b: ok again, why"),
    ]  # fmt: skip


async def test_a_new_app_of_a_crashed_stage_shows_what_the_old_one_showed() -> None:
    checks, stage = Checks(), publish_stage(0)[0]
    watch = watch_of(stage, checks, Clock())
    await watch.look()
    after = App()
    after.ready = False
    stage.app = cast("Any", after)
    await watch.look()
    assert after.reports["health"]()["state"] == "ok"
    assert [sample.metric.name for sample in after.measures[0]()] == ["health_check_state", "health_check_age_seconds"]


async def test_what_breaks_or_hangs_in_a_check_is_a_verdict_and_the_others_tell_theirs() -> None:
    async def breaks() -> list[Verdict]:
        raise KeyError("a value nobody may see")

    async def hangs() -> list[Verdict]:
        await asyncio.Event().wait()
        return []

    async def answers() -> list[Verdict]:
        return [ok("kafka", "servers", "there")]

    settings = Settings(_env_file=None)
    examination = Examination(settings, Catalogue(()), now_ms=lambda: 0, monotonic=lambda: 0.0)
    examination._seconds = 0.05
    examination._examiners = [
        Examiner("bus", "b", breaks), Examiner("rds", "r", hangs), Examiner("kafka", "k", answers),
    ]  # fmt: skip
    found = await examination.round()
    assert {verdict.check: verdict.state for verdict in found.verdicts} == {
        "bus": State.UNKNOWN, "rds": State.FAILED, "kafka": State.OK,
    }  # fmt: skip
    assert "nobody may see" not in str(found.document())
    assert [verdict.check for verdict in (await examination.round(["kafka"])).verdicts] == ["kafka"]


class Flight:
    """A sender, its stream, and the publisher that sees what arrives."""

    def __init__(self) -> None:
        self.clock, self.stream = Clock(), Stream()
        stage, self.app = publish_stage(0)
        self.arrivals = CanaryArrivals(self.clock)
        self.app.reports["canary"] = self.arrivals.report
        self.sender = CanarySender(
            Role(stage), [SOURCE], self.stream.put, self.clock, partitions=4, interval=60, limit=30, timeout=5
        )

    def arrive(self) -> None:
        """The event of the canary that was put last has its receipt."""
        row, sent = self._sent()
        value = f'{{"entityId":"{row}","changes":{{"sent_at":{{"new":{sent}}}}}}}'.encode()
        record = type("Record", (), {"key": f"cdc_canary:{row}".encode(), "value": value})()
        assert told_by(value) == (row, sent)
        self.arrivals.note(record)

    def _sent(self) -> tuple[str, int]:
        sent = self.clock.ms - 2_000
        row = next(iter(self.sender._flights.values())).row
        assert self.stream.got[-1] == canary_record(None, row, sent)
        return row, sent

    @property
    def state(self) -> State:
        (verdict,) = self.sender.verdicts()
        return verdict.state

    @property
    def seconds(self) -> float | None:
        return next((s.value for s in self.sender.measure() if s.metric.name == "canary_seconds"), None)  # type: ignore[return-value]


async def test_a_canary_is_well_as_soon_as_it_has_arrived() -> None:
    flight = Flight()
    await flight.sender.look()
    assert flight.state is State.UNKNOWN
    flight.clock.pass_by(2)
    flight.arrive()
    await flight.sender.look()
    assert (flight.state, flight.seconds, len(flight.stream.got)) == (State.OK, 2.0, 1)


async def test_a_canary_that_does_not_arrive_fails_and_its_seconds_grow() -> None:
    flight = Flight()
    await flight.sender.look()
    flight.clock.pass_by(31)
    await flight.sender.look()
    assert (flight.state, flight.seconds) == (State.FAILED, 31.0)
    flight.clock.pass_by(60)
    await flight.sender.look()
    assert (flight.seconds, len(flight.stream.got)) == (91.0, 2)


async def test_a_stream_that_refuses_canaries_is_told_and_its_seconds_grow(caplog: pytest.LogCaptureFixture) -> None:
    flight = Flight()
    flight.stream.error = AwsDenied("AccessDeniedException")
    await flight.sender.look()
    assert (flight.state, flight.sender.verdicts()[0].denied) == (State.UNKNOWN, True)
    flight.stream.error = AwsUnavailable("InternalFailure")
    flight.clock.pass_by(61)
    await flight.sender.look()
    assert (flight.state, flight.seconds) == (State.FAILED, 61.0)
    flight.stream.error = None
    flight.clock.pass_by(60)
    await flight.sender.look()
    flight.clock.pass_by(2)
    flight.arrive()
    await flight.sender.look()
    assert (flight.state, flight.seconds) == (State.OK, 2.0)
    assert len([record for record in caplog.records if record.name == "cdc.health"]) == 2


async def test_whoever_loses_the_role_sends_no_more_and_says_nothing() -> None:
    flight = Flight()
    await flight.sender.look()
    flight.app.slots.owned = {1: object()}
    flight.clock.pass_by(120)
    await flight.sender.look()
    assert (flight.sender.verdicts(), flight.seconds, len(flight.stream.got)) == ([], None, 1)


def test_events_of_other_tables_are_no_canaries_and_repeats_do_not_count() -> None:
    clock = Clock()
    arrivals = CanaryArrivals(clock)
    value = f'{{"entityId":"core-1","changes":{{"sent_at":{{"new":{clock.ms - 500}}}}}}}'.encode()
    for key in (b"users:7", None):
        arrivals.note(type("Record", (), {"key": key, "value": value})())
    assert arrivals.report() == {"sources": {}}
    for _ in range(2):
        arrivals.note(type("Record", (), {"key": b"cdc_canary:core-1", "value": value})())
        clock.pass_by(60)
    assert arrivals.report()["sources"]["core"]["seconds"] == 0.5
