"""One world for the whole test session, started by the first test that asks for it."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from sandbox.world import World
from tests.container_broker import ContainerBroker, wanted_image

# A slow machine is no reason to fail: neither a slow example nor slow generation of examples.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Kafka and the AWS stand-in. Tests share it: choose topic, group and queue names nobody else has.

    Kafka is the embedded one, or a container's: see `tests.container_broker.wanted_image`."""
    directory, image = tmp_path_factory.mktemp("world"), wanted_image()
    kafka = ContainerBroker(directory / "kafka", image) if image is not None else None
    with World(directory / "parts", kafka=kafka) as started:
        yield started


def pytest_report_header() -> str:
    """Say over which Kafka the tests run."""
    return f"kafka: {wanted_image() or 'embedded'}"


@pytest.fixture(scope="session")
def kafka_bootstrap(world: World) -> str:
    """`host:port` of the session's Kafka."""
    return world.kafka.bootstrap
