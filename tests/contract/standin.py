"""A stand-in on its own thread, under a clock set by hand, and unmodified boto3 clients for it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.aws.control_client import StandInControl
from sandbox.aws.place import Clock
from sandbox.aws.server import StandIn

START = 1_800_000_000.0  # seconds since 1970
# Retries would hide the answer a test asks about.
ONE_TRY = Config(retries={"total_max_attempts": 1}, read_timeout=30)
SESSION = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")


@dataclass(slots=True)
class HandClock:
    """Stands still until a test moves it."""

    now: float = START

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def running(clock: Clock, **settings: Any) -> Iterator[StandIn]:
    """A started stand-in; `settings` as for StandIn."""
    stand_in = StandIn(clock=clock, **settings)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stand-in")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(stand_in.start(), loop).result(10)
        try:
            yield stand_in
        finally:
            asyncio.run_coroutine_threadsafe(stand_in.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def client(service: str, url: str) -> Any:
    """A client as any user has it; only the endpoint is ours."""
    return SESSION.client(service, endpoint_url=url, config=ONE_TRY)


@contextmanager
def refused(code: str, status: int = 400, *, text: str = "") -> Iterator[None]:
    """The call inside must be answered with that error code and HTTP status, and `text` in the message."""
    with pytest.raises(ClientError) as caught:
        yield
    answer = caught.value.response
    assert answer["Error"]["Code"] == code
    assert answer["Error"]["Message"]
    assert text in answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def stand_in(clock: HandClock) -> Iterator[StandIn]:
    with running(clock) as started:
        yield started


@pytest.fixture
def control(stand_in: StandIn) -> StandInControl:
    return StandInControl(stand_in.url)


@pytest.fixture
def kinesis(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield from _service(request, "kinesis")


@pytest.fixture
def events(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield from _service(request, "events")


@pytest.fixture
def eventsv2(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield from _service(request, "eventbridgev2")


@pytest.fixture
def sqs(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield from _service(request, "sqs")


def _service(request: pytest.FixtureRequest, name: str) -> Iterator[Any]:
    """A client for the stand-in, or for the server that a conformance run (tests/conformance) is about."""
    if (url := request.config.getoption("--conformance-url", None)) is None:
        yield client(name, request.getfixturevalue("stand_in").url)
        return
    from tests.conformance.plugin import foreign_client

    yield from foreign_client(name, url)
