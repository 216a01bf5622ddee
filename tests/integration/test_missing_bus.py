"""P7: a bus that is deleted is sent nothing from the next look on, and everything once it is there again."""

import json
from pathlib import Path

import pytest

from sandbox.aws.control_client import StandInControl
from sandbox.world import World
from tests.integration.pipeline import Pipeline
from tests.integration.stage import eventually, running
from workers.app import make_publish
from workers.engine.app import StageApp

EACH = 20


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setenv("CDC_PREFLIGHT_INTERVAL", "1")
    return Pipeline(world, tmp_path, monkeypatch)


def events(first: int) -> list[tuple[bytes, bytes]]:
    found = []
    for number in range(first, first + EACH):
        detail = {
            "eventId": f"evt_1_{number}", "eventType": "user.created", "entityType": "users", "entityId": str(number),
            "timestamp": "2026-01-15T10:31:00.000000Z",
        }  # fmt: skip
        found.append((f"users:{number}".encode(), json.dumps(detail).encode()))
    return found


async def test_a_bus_deleted_and_made_again_gets_everything_that_came_meanwhile(pipeline: Pipeline) -> None:
    pipeline.make_bus()
    await pipeline.make_topics()
    bus = pipeline.settings.event_bus_name
    control = StandInControl(pipeline.environment["AWS_ENDPOINT_URL"])
    app = make_publish(pipeline.settings)

    async def taken(count: int) -> bool:
        return len(control.accepted(bus)) >= count

    async with running(app):
        await pipeline.put(pipeline.topics.events, events(0))
        await eventually(lambda: taken(EACH))
        control.lose_bus(bus)
        await eventually(lambda: told(app, "does not exist"))
        assert not app.ready
        await pipeline.put(pipeline.topics.events, events(EACH))
        await eventually(lambda: waiting(app))
        control.bring_back_bus(bus)
        await eventually(lambda: taken(2 * EACH))
        await eventually(lambda: is_ready(app))
    ids = [f"evt_1_{number}" for number in range(2 * EACH)]
    assert control.deliveries(ids, bus).lost == ()
    assert not [entry for entry in control.accepted(bus) if entry.nowhere]
    assert await pipeline.read(pipeline.topics.dead) == []


async def told(app: StageApp, words: str) -> bool:
    return any(words in why for why in app.blockers.values())


async def waiting(app: StageApp) -> bool:
    """Whether the windows hold all the events."""
    windows = [body for slot in app.slots.owned.values() for body in slot.bodies]
    return sum(window.records for window in windows) == EACH


async def is_ready(app: StageApp) -> bool:
    return app.ready
