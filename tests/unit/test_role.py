"""What one worker does for all goes on whatever fails there."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from workers.role import RoleTask


class Failing(RoleTask):
    what = "the count"
    tick = 0.001

    def __init__(self) -> None:
        self.looks = 0
        role: Any = SimpleNamespace(stage=SimpleNamespace(app=None))
        super().__init__(role, logging.getLogger("cdc.test"))

    async def act(self) -> None:
        self.looks += 1
        raise ValueError("a value")


async def test_a_look_that_fails_is_said_without_its_text_and_the_next_one_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Failing()
    await service.start()
    try:
        async with asyncio.timeout(30):
            while service.looks < 3:
                await asyncio.sleep(0.001)
    finally:
        await service.stop()
    assert {record.getMessage() for record in caplog.records if record.name == "cdc.test"} == {"the count: ValueError"}
