"""A window comes to rest though the tables that are not paused keep it busy."""

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP

from workers.engine.delivery import Delivered, FunctionSink, OpenGate, WindowOptions
from workers.engine.lanes import Item
from workers.engine.window import Window

EVENTS = TP("cdc.events", 0)


class Busy(Window):
    """Each time it is looked at, the oldest event has been committed and another one was delivered."""

    def __init__(self) -> None:
        slot = SimpleNamespace(app=SimpleNamespace(options=SimpleNamespace(linger=0.0)), usable=True)
        super().__init__(
            cast("Any", slot), FunctionSink(cast("Any", None)), lambda *_: None, WindowOptions(), lambda _: OpenGate()
        )
        self._moments = itertools.count()

    def _prefix(self, limit: int) -> list[Item]:
        first = next(self._moments)
        found = [Item(None, EVENTS, offset, offset + 1, 0.0) for offset in range(first, first + 3)]
        for item in found:
            item.outcome = Delivered()
        return found[:limit]


async def test_what_is_delivered_later_is_not_waited_for() -> None:
    async with asyncio.timeout(10):
        await Busy().at_rest()
