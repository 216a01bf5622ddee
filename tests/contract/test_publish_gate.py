"""What the publish stage says of a bus that does not take events: not ready, and why. An outage calls nobody."""

import json
from typing import Any, cast

import pytest

from models.infrastructure import CircuitBreakerConfig
from models.retry import RetryConfig
from tests.unit.test_classic_bus import event
from workers.agents.publish import Publish, add_publish
from workers.archive.watch import troubles_of
from workers.aws.errors import AwsDenied, AwsError, AwsUnavailable
from workers.engine.app import StageApp
from workers.engine.delivery import WindowOptions
from workers.engine.options import EngineOptions
from workers.engine.stages import Stage, StageWorker
from workers.engine.testing import StageKit
from workers.eventbridge.claim_check import trouble_of
from workers.eventbridge.classic import ClassicBus
from workers.eventbridge.entry import MAX_DEPTH, EntryRules
from workers.eventbridge.gate import GateOptions
from workers.eventbridge.sink import EventBridgeSink
from workers.kafka.topics import Topics
from workers.metrics import Sample
from workers.settings.worker import Settings
from workers.web.stage_state import stage_state

TOPICS = Topics.of(Settings(_env_file=None))


class Client:
    """EventBridge: takes everything, or fails as told."""

    def __init__(self) -> None:
        self.fault: Exception | None = None

    async def call(self, operation: str, request: bytes) -> bytes:
        assert operation == "PutEvents"
        if self.fault is not None:
            raise self.fault
        results = [{"EventId": "e"} for _ in json.loads(request)["Entries"]]
        return json.dumps({"FailedEntryCount": 0, "Entries": results}).encode()

    async def close(self) -> None:
        """Nothing is open."""


def publishing(client: Client) -> StageKit:
    def make() -> StageApp:
        app = StageApp("publish", EngineOptions("nowhere:9092", 2))
        sink = EventBridgeSink(ClassicBus(client, "bus", 262_144), EntryRules("cdc-pipeline", 262_144))
        window = WindowOptions(retry=RetryConfig(0.2, 2.0, attempts=3))
        gate = GateOptions(circuit=CircuitBreakerConfig(5, 30.0, 3))
        add_publish(app, Publish(sink, TOPICS, "", lambda: 0, window, gate))
        return app

    return StageKit(make)


def samples(kit: StageKit) -> dict[str, Any]:
    found: list[Sample] = [sample for measure in kit.app.measures for sample in measure()]
    return {sample.metric.name: sample.value for sample in found}


def ready(kit: StageKit) -> bool:
    return kit.app.ready


def shown(kit: StageKit, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """As the web view and the alerts get it; of the consumer, which has neither gaps nor transactions here, nothing."""
    stage = Stage("publish", lambda: kit.app, cast("StageWorker", None))
    stage.app = kit.app
    with monkeypatch.context() as patched:
        patched.setattr(kit.app, "_consumer", None)
        return stage_state(stage)


async def test_a_bus_that_does_not_answer_makes_the_stage_not_ready_and_it_comes_back_by_itself() -> None:
    client = Client()
    async with publishing(client) as kit:
        client.fault = AwsUnavailable("HTTP503")
        assert not await kit.feed(TOPICS.events, [(b"users:1", event(1))], within=25)
        assert not ready(kit)
        assert (list(kit.app.outages), list(kit.app.blockers)) == (["bus bus"], [])
        assert samples(kit)["publish_bus_up"] == 0
        client.fault = None
        assert await kit.settle(within=120)
        assert ready(kit)
        assert samples(kit)["publish_circuit_opened"] == 1
        assert kit.output(TOPICS.dead) == []


async def test_a_bus_that_refuses_everything_calls_for_an_operator_and_makes_no_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client()
    async with publishing(client) as kit:
        client.fault = AwsDenied("AccessDeniedException")
        assert not await kit.feed(TOPICS.events, [(b"users:1", event(1))], within=60)
        assert not ready(kit)
        assert kit.app.blockers == {"bus bus": "the bus refuses everything: AccessDeniedException"}
        assert kit.output(TOPICS.dead) == []
        (trouble,) = [one for one in troubles_of("publish", shown(kit, monkeypatch)) if one.kind == "pause"]
        assert (trouble.name, trouble.why) == ("bus bus", "the bus refuses everything: AccessDeniedException")
        client.fault = None
        assert await kit.settle(within=60)
        assert ready(kit)


@pytest.mark.parametrize("fault", [AwsDenied("AccessDeniedException"), AwsUnavailable("HTTP503")])
async def test_a_worker_that_has_nothing_for_a_bus_any_more_is_ready_whatever_becomes_of_the_bus(
    fault: AwsError,
) -> None:
    client = Client()
    async with publishing(client) as kit:
        client.fault = fault
        assert not await kit.feed(TOPICS.events, [(b"users:1", event(1))], within=25)
        (waiting,) = (slot for slot in kit.app.slots.owned if kit.app.slots.owned[slot].bodies[0].records)
        assert await kit.rebalance([1 - waiting])
        assert ready(kit)
        await kit.rebalance([waiting], within=1)
        assert not ready(kit)


async def test_a_worker_that_has_lost_its_large_events_has_nothing_to_say_of_s3() -> None:
    client = Client()
    async with publishing(client) as kit:
        assert await kit.feed(TOPICS.events, [(b"users:1", event(1))])
        kit.app.blockers[trouble_of("bus")] = "S3 refuses large events"
        await kit.rebalance([1])
        assert kit.app.blockers == {}


async def test_what_waits_is_told_without_its_key() -> None:
    client = Client()
    async with publishing(client) as kit:
        client.fault = AwsUnavailable("HTTP503")
        waiting = [(b"users:1", event(1)), (b"users:1", event(2)), (b"users:2", event(3))]
        await kit.feed(TOPICS.events, waiting, within=20)
        found = samples(kit)
        assert found["publish_waiting"] == 3
        assert found["publish_oldest_seconds"] > 15
        told = kit.app.reports["delivery"]()
        assert told["stalled"][0]["reason"] == "HTTP503"
        assert [bus["held_back"] for bus in told["buses"].values()] == [2]
        assert "users:1" not in json.dumps(told)
        client.fault = None
        await kit.settle(within=120)


async def test_an_event_as_deep_as_a_bus_takes_it_holds_up_nobody() -> None:
    deep = event(1).removesuffix(b"}") + b',"deep":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    async with publishing(Client()) as kit:
        assert await kit.feed(TOPICS.events, [(b"users:1", deep), (b"users:2", event(2))], within=10)
        receipts = {json.loads(value or b"")["eventId"] for _, value in kit.output(TOPICS.receipts)}
        assert receipts == {json.loads(event(number))["eventId"] for number in (1, 2)}
