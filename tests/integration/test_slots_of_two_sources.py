"""Workers that come and go while enrich reads two sources: a slot is one partition of both, and of its changelogs."""

from pathlib import Path

import pytest

from sandbox.world import World
from tests.integration.auditing import audited, failed
from tests.integration.pipeline import PARTITIONS, user
from tests.integration.stage import eventually, running
from tests.integration.two_sources import TwoSources
from workers.app import make_enrich
from workers.audit.verdicts import Verdict
from workers.engine.app import StageApp

USERS = 40


@pytest.fixture
def pipeline(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoSources:
    return TwoSources(world, tmp_path, monkeypatch)


def worker(pipeline: TwoSources, name: str) -> StageApp:
    own = {"worker_name": name, "data_dir": pipeline.settings.data_dir / name}
    changed = pipeline.settings.model_copy(update=own)
    assert changed.sources == pipeline.settings.sources
    return make_enrich(changed)


async def users_come(pipeline: TwoSources, wave: int) -> None:
    """As many of either source."""
    for topic, first in ((pipeline.raw, 0), (pipeline.second, 10_000)):
        await pipeline.put(topic, [user(first + n, UserName=f"w{wave}") for n in range(USERS)])


async def test_every_record_of_both_sources_is_enriched_once_while_workers_come_and_go(pipeline: TwoSources) -> None:
    await pipeline.make_topics()
    await users_come(pipeline, 1)
    async with running(first := worker(pipeline, "first")):
        await users_come(pipeline, 2)
        async with running(second := worker(pipeline, "second")):

            async def shared() -> bool:
                return first.ready and second.ready and len(first.slots.owned) == len(second.slots.owned) == 1

            await eventually(shared)
            assert first.slots.owned.keys() | second.slots.owned.keys() == set(range(PARTITIONS))
            await users_come(pipeline, 3)
            await pipeline.has_read_both(3 * USERS, 3 * USERS)
        await users_come(pipeline, 4)
        await pipeline.has_read_both(4 * USERS, 4 * USERS)
    report = await audited(pipeline, "enrich")
    assert report.verdict is Verdict.OK, failed(report)
    assert len(await pipeline.read(pipeline.topics.events)) == 2 * 4 * USERS
