"""What the log says of rows whose next event is refused again and again."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from workers.engine.lanes import Lane
from workers.engine.virtual_time import VirtualTime
from workers.eventbridge.stall_log import ENDED_SECONDS, SECONDS, StallLog


def stalled(*reasons: str) -> list[Lane]:
    lanes = [Lane(f"users:{number}") for number in range(len(reasons))]
    for lane, reason in zip(lanes, reasons, strict=True):
        lane.reason = reason
    return lanes


@pytest.fixture
def lanes() -> list[Lane]:
    return []


@pytest.fixture
def told(lanes: list[Lane], caplog: pytest.LogCaptureFixture) -> StallLog:
    caplog.set_level(logging.INFO)
    app: Any = SimpleNamespace(log=logging.getLogger("cdc.publish"))
    return StallLog(app, lambda: lanes)


def test_a_reason_is_told_once_with_the_rows_that_wait_for_it(
    told: StallLog, lanes: list[Lane], caplog: pytest.LogCaptureFixture
) -> None:
    told.look(0.0)
    lanes += stalled("ThrottlingException", "ThrottlingException", "InternalFailure")
    for now in (10.0, 20.0, 200.0):
        told.look(now)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    first, second = caplog.messages
    assert first.startswith("ThrottlingException: the next event of 2 rows has failed all quick tries")
    assert second.startswith("InternalFailure: the next event of 1 row has")
    assert "users:" not in caplog.text


def test_that_a_reason_is_over_is_told_after_a_while_without_it(
    told: StallLog, lanes: list[Lane], caplog: pytest.LogCaptureFixture
) -> None:
    lanes += stalled("ThrottlingException")
    told.look(0.0)
    lanes.clear()
    told.look(ENDED_SECONDS)
    lanes += stalled("ThrottlingException")
    told.look(ENDED_SECONDS + 1)
    assert len(caplog.messages) == 1, "it comes and goes"
    lanes.clear()
    told.look(2 * ENDED_SECONDS + 2)
    assert caplog.messages[1:] == ["ThrottlingException: no row waits for it any more"]
    lanes += stalled("ThrottlingException")
    told.look(2 * ENDED_SECONDS + 10)
    assert len(caplog.messages) == 3


async def test_it_looks_again_and_again_until_it_is_stopped(
    told: StallLog, lanes: list[Lane], caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualTime()
    clock.install()
    try:
        await told.start()
        lanes += stalled("ThrottlingException")
        await asyncio.sleep(SECONDS)
        assert len(caplog.messages) == 1
        await told.stop()
        lanes += stalled("InternalFailure")
        await asyncio.sleep(10 * SECONDS)
        assert len(caplog.messages) == 1
    finally:
        clock.uninstall()
