"""Kinesis -> `cdc.raw.<source>`, exactly once (P1): records and positions stand in one transaction.

A source slot owns the shards whose hash range has its midpoint in it. Whoever holds the slot fences its predecessor,
reads the slot's checkpoints to the high watermark, and goes on behind them.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from workers import metrics
from workers.engine.app import StageApp
from workers.engine.lag import Lag
from workers.engine.slot import Slot
from workers.kinesis.checkpoints import CheckpointWatch
from workers.kinesis.measures import measure, waiting
from workers.kinesis.slot_work import SlotWork
from workers.kinesis.source import Bridge
from workers.kinesis.sources_view import sources

IDLE_SECONDS = 1.0
"""Between two looks of a slot that has no shards."""


def add_bridge(app: StageApp, bridge: Bridge) -> None:
    """Register the stage's work: one task per source slot."""
    watch = CheckpointWatch(
        app.options.client(f"{app.conf.id}-watch"), bridge.topics.checkpoints, bridge.slots,
        lambda text: app.log.critical("%s: unreadable, %s", bridge.topics.checkpoints, text),
    )  # fmt: skip
    works: dict[int, SlotWork] = {}

    @app.slot_task(bridge.topics.slots)
    async def bridge_shards(slot: Slot, stopping: asyncio.Event) -> None:
        """Kinesis shards to raw records, exactly once."""
        watch.follower.start()
        work = works[slot.index] = SlotWork(app, bridge, watch, slot, stopping)
        try:
            while not stopping.is_set() and slot.current:
                await bridge.first_listing(app.log, IDLE_SECONDS)
                if work.needed:
                    await work.run()
                    return
                await app.slots.wait_stopping(IDLE_SECONDS)
        finally:
            works.pop(slot.index, None)
            work.leave()

    def shards() -> dict[str, Any]:
        return {
            name: found
            for _, work in sorted(works.items())
            for name, found in (waiting(bridge, watch.book, work.slot) | work.report()).items()
        }

    def measures() -> Iterable[metrics.Sample]:
        return measure(bridge, shards(), app.slots.stats)

    def behind() -> Lag:
        ages = [found["age_ms"] for found in shards().values() if found.get("age_ms") is not None]
        return Lag(None, max(ages) / 1000 if ages else None)

    app.lags.outside = behind
    app.in_hand.append(lambda: {name: turn for work in works.values() for name, turn in work.in_hand().items()})
    app.in_hand.append(lambda: watch.follower.in_hand)
    app.reports["shards"] = shards
    app.views["sources"] = lambda: sources(bridge, watch.book, shards())
    app.measures.append(measures)
    app.on_end += [watch.follower.stop, bridge.close]
