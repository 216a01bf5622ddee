"""Recovery of a table goes on behind what is in memory, also when a rebalance has forgotten how far that is."""

from collections import Counter
from typing import Any

from faust.types import TP

from workers.engine.app import StageApp
from workers.engine.options import EngineOptions
from workers.engine.recovery import Recovery

ONE, OTHER = TP("cdc-enrich-users-changelog", 0), TP("cdc-enrich-users-changelog", 1)


class Consumer:
    """Notes where it is set; the logs begin at `begin`."""

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.sought: dict[TP, int] = {}
        self.asked: list[TP] = []

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        self.asked += tps
        return dict.fromkeys(tps, self.begin)

    async def seek_wait(self, offsets: dict[TP, int]) -> None:
        self.sought = offsets


async def sought(known: dict[TP, int | None], begin: int = 100) -> Consumer:
    consumer = Consumer(begin)
    app = StageApp("count", EngineOptions("nowhere:9092", 2))
    recovery: Any = Recovery(app, app.tables)
    recovery._start_offsets_logtable = lambda *_, **__: ""
    offsets: Any = Counter()
    for tp, offset in known.items():
        offsets[tp] = offset
    await recovery._seek_offsets(consumer, {ONE, OTHER}, offsets, "active")
    return consumer


async def test_it_goes_on_behind_what_is_in_memory() -> None:
    consumer = await sought({ONE: 140, OTHER: -1})
    assert (consumer.sought, consumer.asked) == ({ONE: 141, OTHER: 0}, [])


async def test_what_a_rebalance_has_forgotten_is_looked_for_again() -> None:
    consumer = await sought({ONE: None, OTHER: 140})
    assert (consumer.sought, consumer.asked) == ({ONE: 100, OTHER: 141}, [ONE])


async def test_the_first_entry_of_a_log_that_was_forgotten_altogether_is_read() -> None:
    assert (await sought({OTHER: 140}, begin=0)).sought == {ONE: 0, OTHER: 141}
