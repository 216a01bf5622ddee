"""The row memory is bounded by age: rows that have not changed for 30 days are forgotten, with a tombstone."""

from pathlib import Path

import pytest

from enrichers.state import RowMemory
from tests.integration.stage import Bench, eventually, running
from workers.agents.forget import MAX_AGE_MS, add_forgetting
from workers.engine.unit import Done, UnitOfWork

NOW_MS = 1_800_000_000_000


@pytest.fixture
def bench(kafka_bootstrap: str, tmp_path: Path) -> Bench:
    return Bench(kafka_bootstrap, str(tmp_path))


async def test_rows_that_have_not_changed_for_30_days_are_forgotten(bench: Bench) -> None:
    await bench.create("in")
    await bench.create_changelog("enrich", "owners")
    app = bench.app("enrich")
    owners = app.partitioned("owners", "row memory")
    add_forgetting(app, owners, lambda: NOW_MS, every=0.2)

    @app.process(bench.topic("in"), bury=lambda *_: None)
    async def remember(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            owners[record.key] = RowMemory(org_id="3", updated_ms=int(record.value)).encode()
            unit.drop("remembered")
        return Done()

    fresh, old = NOW_MS - MAX_AGE_MS + 1_000, NOW_MS - MAX_AGE_MS - 1_000
    await bench.put("in", [(b"k%d" % n, b"%d" % (old if n % 2 else fresh)) for n in range(20)])

    async def swept() -> bool:
        written = await bench.read("enrich-owners-changelog")
        return sum(1 for record in written if record.value is None) == 10

    async with running(app):
        await eventually(swept)
        assert sorted(owners.data) == sorted(b"k%d" % n for n in range(0, 20, 2))
        assert app.ready
