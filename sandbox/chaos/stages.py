"""The stages of the workload, built on the engine like a user's: `count` (exactly once) and `deliver` (at least once).

Values are text, so that the checker needs no schema: `in` carries `uid:version`, `out` carries `uid:version:count`,
`receipts` and `dead` carry `uid:attempts`.
"""

import asyncio
import base64
import random
from collections.abc import Sequence
from typing import Any

import aiohttp

from models.retry import RetryConfig
from sandbox.chaos.plan import Plan
from workers.engine.app import StageApp
from workers.engine.delivery import Delivered, Outcome, Retry, Undeliverable, WindowOptions
from workers.engine.options import EngineOptions
from workers.engine.unit import Done, Pause, UnitOfWork

GROUPS = {"count": "chaos-count", "deliver": "chaos-deliver"}
TABLE = "seen"
CHANGELOG = f"{GROUPS['count']}-{TABLE}-changelog"
SOURCES = {"count": "in", "deliver": "out", "publish": "events"}
OUTCOMES: dict[str, Outcome] = {
    "delivered": Delivered(),
    "refused": Undeliverable("REFUSED", "the sink refused it"),
    "retry": Retry("500"),
}


class BodyFailure(Exception):
    """Raised by the workload's own body, in the middle of a batch."""


def make_count(plan: Plan, options: EngineOptions, dice: random.Random) -> StageApp:
    """`in` -> `out`: how often each key came so far, kept in a table that is read, changed and written."""
    app = StageApp(GROUPS["count"], options)
    workload = plan.workload
    make = app.partitioned if workload.table == "table" else app.everywhere
    table = make(TABLE, "records per key")
    app.traces.add("out")

    def bury(unit: UnitOfWork, record: Any, _error: Exception, with_value: bool) -> None:
        unit.send("dead", record.key, record.value if with_value else None)

    @app.process("in", bury=bury)
    async def count(unit: UnitOfWork) -> Done | Pause:
        records = list(unit.batch or ())
        fails = dice.randrange(len(records)) if records and dice.random() < workload.body_failures else -1
        for place, record in enumerate(records):
            if place == fails:
                raise BodyFailure
            if workload.body_pauses and dice.random() < workload.body_pauses:
                return Pause(record.offset, dice.uniform(0.01, 0.3))
            seen = int(table.get(record.key) or b"0") + 1
            table[record.key] = b"%d" % seen
            unit.send("out", record.key, b"%s:%d" % (record.value, seen))
            unit.out()
        return Done()

    @app.page("/dump/")
    async def dump(web: Any, _request: Any) -> Any:
        """Slots and table as they are in memory; keys and values are made up, so they may be shown."""
        content = {
            str(index): {base64.b64encode(key).decode(): value.decode() for key, value in entries.items()}
            for index, entries in table.data.partitions.items()
        }
        return web.json({"slots": sorted(app.slots.owned), "partitions": content})

    return app


class SinkClient:
    """Posts events to the sink; whatever goes wrong on the way is for the window to repeat."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session: aiohttp.ClientSession | None = None

    async def put(self, records: Sequence[Any]) -> list[Outcome]:
        """One request for all records."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        events = [{"key": record.key.decode(), "value": record.value.decode()} for record in records]
        async with self._session.post(self.url, json=events) as response:
            if response.status != 200:
                return [OUTCOMES["retry"]] * len(records)
            return [OUTCOMES[outcome] for outcome in await response.json()]

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)


def make_deliver(plan: Plan, options: EngineOptions, sink_url: str) -> StageApp:
    """`out` -> the sink, with receipts and dead letters."""
    app = StageApp(GROUPS["deliver"], options)
    client = SinkClient(sink_url)
    app.traces.update(("receipts", "dead"))

    def emit(unit: UnitOfWork, record: Any, outcome: Any, attempts: int, _with_value: bool) -> None:
        uid = record.value.split(b":")[0]
        topic = "receipts" if isinstance(outcome, Delivered) else "dead"
        unit.send(topic, record.key, b"%s:%d" % (uid, attempts))

    bounds = WindowOptions(max_records=plan.workload.window_records, call_timeout=5.0, retry=RetryConfig(0.1, 1.0))
    app.deliver("out", emit=emit, options=bounds)(client.put)
    app.on_end.append(client.close)
    return app
