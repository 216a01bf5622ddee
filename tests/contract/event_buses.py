"""Both generations of bus behind one face, with a stand-in behind them and every hot client before it."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import cbor2
import pytest

from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import HandClock, running
from workers.aws.client import IRequester, Session, custom_bus_client, hot_client
from workers.engine.delivery import Undeliverable
from workers.eventbridge.bus import IBus, Prepared
from workers.eventbridge.classic import ClassicBus
from workers.eventbridge.entry import EntryRules, entry_of
from workers.eventbridge.v2 import CustomBus
from workers.settings.worker import Settings

Generation = Literal["classic", "custom"]
MAX_BYTES = 262_144
RULES = EntryRules("cdc-pipeline", MAX_BYTES)
GONE = "arn:aws:events:us-east-1:000000000000:event-busv2/gone/" + "a" * 25


def event(number: int = 1, *, entity: str | None = None, **changes: Any) -> Any:
    """A record of cdc.events."""
    name = entity or str(number)
    detail = {
        "eventId": f"evt_1_{number}", "eventType": "user.updated", "entityType": "users", "entityId": name,
        "timestamp": "2026-01-15T10:31:00.250000Z",
    }  # fmt: skip
    value = json.dumps(detail | changes, separators=(",", ":")).encode()
    return SimpleNamespace(key=f"users:{name}".encode(), value=value, headers=(), timestamp=1)


class Requests:
    """The client, and every body that went through it."""

    def __init__(self, client: IRequester) -> None:
        self._client = client
        self.bodies: list[bytes] = []

    async def call(self, operation: str, request: bytes) -> bytes:
        self.bodies.append(request)
        return await self._client.call(operation, request)

    async def close(self) -> None:
        await self._client.close()


@dataclass
class Side:
    """One generation of bus, and what can be done to it and asked of it."""

    generation: Generation
    service: str
    bus: IBus
    requests: Requests
    control: StandInControl
    stand_in: StandIn
    clock: HandClock

    def ready(self, *records: Any) -> list[Prepared]:
        """Records prepared for the bus."""
        found = []
        for record in records:
            entry = entry_of(record.key, record.value, RULES)
            assert not isinstance(entry, Undeliverable)
            prepared = self.bus.prepare(entry)
            assert isinstance(prepared, Prepared)
            found.append(prepared)
        return found

    async def put(self, *records: Any) -> list[Any]:
        return await self.bus.put(self.ready(*records))

    def fault(self, kind: str, **more: Any) -> None:
        self.control.fault(kind, "PutEvents", service=self.service, **more)

    @property
    def taken(self) -> int:
        """Events that the bus has, repeats of a custom bus not counted."""
        if self.generation == "classic":
            return sum(bus.tally.accepted for bus in self.stand_in.events.buses.by_name.values())
        return sum(bus.tally.published for bus in self.stand_in.eventsv2.buses.values())


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def stand_in(clock: HandClock) -> Iterator[StandIn]:
    with running(clock) as started:
        yield started


@pytest.fixture
def hot() -> str:
    """The client of the hot calls; tests may say `boto3`."""
    return "aiohttp"


@pytest.fixture
def settings(hot: str, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return Settings(_env_file=None, aws_endpoint_url=stand_in.url, aws_client=hot)


@pytest.fixture(params=["classic", "custom"])
async def side(request: Any, stand_in: StandIn, settings: Settings, clock: HandClock) -> AsyncIterator[Side]:
    session = Session(settings)
    bus: IBus
    if request.param == "classic":
        requests = Requests(hot_client(session, "events", "AWSEvents"))
        await requests.call("CreateEventBus", b'{"Name":"cdc-events"}')
        bus = ClassicBus(requests, "cdc-events", MAX_BYTES)
    else:
        requests = Requests(custom_bus_client(session, "000000000000"))
        made = await requests.call("CreateEventBus", cbor2.dumps({"Name": "cdc-events"}))
        bus = CustomBus(requests, cbor2.loads(made)["EventBusArn"], MAX_BYTES)
    requests.bodies.clear()
    service = "events" if request.param == "classic" else "eventsv2"
    yield Side(request.param, service, bus, requests, StandInControl(stand_in.url), stand_in, clock)
    await requests.close()
