"""The groups on a real Kafka say who the workers are, whichever assignor a stage has."""

from pathlib import Path

import pytest

from tests.integration.stage import Bench, eventually, running
from workers.cluster.directory import GroupDirectory, KafkaGroups, address_of
from workers.cluster.peers import Peer
from workers.engine.app import StageApp
from workers.engine.unit import Done, UnitOfWork
from workers.settings.worker import load_settings


@pytest.fixture
def bench(kafka_bootstrap: str, tmp_path: Path) -> Bench:
    return Bench(kafka_bootstrap, str(tmp_path))


def stage_of(bench: Bench, stage: str, url: str, name: str) -> StageApp:
    """One stage of the worker at a URL: `bridge` deals its slots out in ranges, the others as Faust does."""
    app = bench.app(stage, contiguous_slots=stage == "bridge", worker_name=name)
    app.conf.canonical_url = address_of(url, name)

    @app.process(bench.topic("in"), bury=lambda *_: None)
    async def body(unit: UnitOfWork) -> Done:
        return Done()

    return app


async def test_the_members_of_all_groups_are_workers_with_addresses_and_stages(bench: Bench) -> None:
    await bench.create("in")
    one, two = "http://127.0.0.1:6066", "https://[fd00::2]:7000"
    apps = [
        stage_of(bench, "bridge", one, "one"),
        stage_of(bench, "enrich", one, "one"),
        stage_of(bench, "bridge", two, "two"),
    ]
    settings = load_settings({"kafka_bootstrap_servers": bench.bootstrap, "app": bench.prefix}, env_file=None)
    groups = KafkaGroups(settings)
    try:
        async with running(*apps):
            expected = (Peer("one", one, ("bridge", "enrich")), Peer("two", two, ("bridge",)))

            async def seen() -> bool:
                return (await GroupDirectory(groups).look()).peers == expected

            await eventually(seen)
            assert {index for app in apps[::2] for index in app.slots.owned} == {0, 1}
        await eventually(lambda: _nobody(groups))
    finally:
        await groups.close()


async def _nobody(groups: KafkaGroups) -> bool:
    return (await GroupDirectory(groups).look()).peers == ()
