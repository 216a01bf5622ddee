"""Buses as settings and tables name them: generation, region, role, account, and the way through a global endpoint."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from models.tables import TableSpec
from models.yaml_nodes import InvalidFile
from sandbox.aws.server import StandIn
from tests.contract.event_buses import event
from tests.contract.standin import client, running
from tests.unit.changes import catalogue_of
from workers.aws import client as hot
from workers.boot_checks import check_all
from workers.engine.delivery import Delivered
from workers.engine.errors import BootRefused
from workers.eventbridge.bus import Prepared
from workers.eventbridge.buses import Buses
from workers.eventbridge.classic import ClassicBus
from workers.eventbridge.entry import EntryRules
from workers.eventbridge.sink import EventBridgeSink
from workers.eventbridge.v2 import CustomBus
from workers.failures import ConfigurationError
from workers.settings.worker import Settings

ROLE = "arn:aws:iam::222222222222:role/cdc-publisher"
ELSEWHERE = "arn:aws:events:eu-west-1:222222222222:event-bus/calls"
CUSTOM_ELSEWHERE = "arn:aws:events:eu-west-1:222222222222:event-busv2/calls/" + "a" * 25
TABLES = "  - {table: users, bus: BUS}\n"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with running(time.time) as started:
        yield started


def prepared(sink: EventBridgeSink, record: Any) -> Prepared:
    found = sink.prepare(record)
    assert isinstance(found, Prepared)
    return found


def settings(**fields: Any) -> Settings:
    return Settings(_env_file=None, **fields)


def tables(directory: Path, bus: str) -> tuple[TableSpec, ...]:
    return catalogue_of(directory, TABLES.replace("BUS", bus), builtin="telephony").specs


async def test_events_of_a_table_with_a_bus_go_there_and_all_others_to_the_one_of_the_settings(
    stand_in: StandIn, tmp_path: Path
) -> None:
    arn = client("eventbridgev2", stand_in.url).create_event_bus(Name="users")["EventBusArn"]
    client("events", stand_in.url).create_event_bus(Name="cdc-events")
    wanted = settings(aws_endpoint_url=stand_in.url)
    buses = Buses(wanted, tables(tmp_path, arn))
    sink = EventBridgeSink(buses.default, EntryRules("cdc-pipeline", 10_000), buses.of_table)
    for record in (event(1), event(2, entityType="orgs")):
        assert [type(outcome) for outcome in await sink.put([prepared(sink, record)])] == [Delivered]
    await buses.close()
    assert stand_in.eventsv2.buses[arn].tally.published == 1
    assert stand_in.events.buses.by_name["cdc-events"].tally.accepted == 1


def test_a_bus_is_called_where_its_arn_says_and_each_region_has_one_session(tmp_path: Path) -> None:
    buses = Buses(settings(aws_region="us-east-1"), tables(tmp_path, ELSEWHERE))
    assert {access.address.name: access.session.region for access in buses.by_address.values()} == {
        "cdc-events": "us-east-1", "calls": "eu-west-1",
    }  # fmt: skip
    assert isinstance(buses.of_table["users"], ClassicBus)
    custom = Buses(settings(event_bus_name=CUSTOM_ELSEWHERE), ())
    assert isinstance(custom.default, CustomBus)
    assert custom.by_address[CUSTOM_ELSEWHERE].session.endpoint("222222222222.eventsv2") == (
        "https://222222222222.eventsv2.eu-west-1.amazonaws.com"
    )


def test_a_bus_that_is_named_by_its_arn_too_is_one_bus(tmp_path: Path) -> None:
    arn = "arn:aws:events:us-east-1:000000000000:event-bus/cdc-events"
    ours = {"aws_region": "us-east-1", "aws_account_id": "000000000000"}
    both = Buses(settings(**ours), tables(tmp_path, arn))
    assert list(both.by_address) == ["cdc-events"]
    assert both.of_table["users"] is both.default
    assert "users" in {spec.name for spec in both.by_address["cdc-events"].specs}
    for other in ({"aws_account_id": None}, {"aws_account_id": "999999999999"}, {"aws_region": "eu-west-1"}):
        assert len(Buses(settings(**ours | other), tables(tmp_path, arn)).by_address) == 2, other


@pytest.mark.parametrize("kind", ["aiohttp", "boto3"])
async def test_every_bus_is_called_with_the_keys_of_the_role(stand_in: StandIn, kind: str) -> None:
    arn = client("eventbridgev2", stand_in.url).create_event_bus(Name="users")["EventBusArn"]
    wanted = settings(
        aws_endpoint_url=stand_in.url, aws_client=kind, event_bus_name=arn, event_bus_role=ROLE,
        event_bus_external_id="ours",
    )  # fmt: skip
    buses = Buses(wanted, ())
    sink = EventBridgeSink(buses.default, EntryRules("cdc-pipeline", 10_000))
    await sink.put([prepared(sink, event(1))])
    await buses.close()
    assert stand_in.sts.ledger()[ROLE] == {"sessions": 1, "externalIds": ["ours"], "calls": {"eventsv2.PutEvents": 1}}


async def test_a_bus_of_another_account_is_refused_at_the_start(stand_in: StandIn, tmp_path: Path) -> None:
    client("events", stand_in.url).create_event_bus(Name="cdc-events")
    ours = {"aws_endpoint_url": stand_in.url, "aws_account_id": "000000000000"}
    await check_all(Buses(settings(**ours), ()).account_checks)
    for address in (ELSEWHERE, CUSTOM_ELSEWHERE):
        with pytest.raises(BootRefused, match="belongs to account 222222222222, AWS_ACCOUNT_ID is 000000000000"):
            await check_all(Buses(settings(**ours), tables(tmp_path, address)).account_checks)
    with pytest.raises(BootRefused, match="belongs to account 000000000000"):
        await check_all(Buses(settings(**ours | {"aws_account_id": "999999999999"}), ()).account_checks)


def test_a_role_says_whose_the_buses_are(tmp_path: Path) -> None:
    wanted = settings(aws_account_id="000000000000", event_bus_role=ROLE)
    assert Buses(wanted, tables(tmp_path, ELSEWHERE)).account_checks == []


# Global endpoints


def test_a_global_endpoint_without_its_extra_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="awscrt is not installed") as caught:
        Buses(settings(event_bus_endpoint_id="abcde.veo"), ())
    assert caught.value.hint == "pip install 'cdc-worker[global-endpoints]'"


async def test_a_global_endpoint_is_named_in_the_request_which_is_signed_for_all_regions() -> None:
    requests: list[Any] = []

    async def take(request: web.BaseRequest) -> web.Response:
        requests.append(SimpleNamespace(headers=request.headers, body=json.loads(await request.read())))
        return web.json_response({"FailedEntryCount": 0, "Entries": [{"EventId": "one"}]})

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    buses = Buses(settings(aws_endpoint_url=url, event_bus_endpoint_id="abcde.veo"), ())
    sink = EventBridgeSink(buses.default, EntryRules("cdc-pipeline", 10_000))
    assert [type(outcome) for outcome in await sink.put([prepared(sink, event(1))])] == [Delivered]
    await buses.close()
    await asyncio.shield(runner.cleanup())
    (request,) = requests
    assert request.body["EndpointId"] == "abcde.veo"
    assert request.body["Entries"][0]["EventBusName"] == "cdc-events"
    assert request.headers["X-Amz-Region-Set"] == "*"
    assert request.headers["Authorization"].startswith("AWS4-ECDSA-P256-SHA256 Credential=test/")


# Settings that do not fit


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"event_bus_name": "two words"}, "neither the name of an event bus nor its ARN"),
        ({"event_bus_role": "admin"}, "CDC_EVENT_BUS_ROLE: not the ARN of a role"),
        ({"event_bus_external_id": "ours"}, "CDC_EVENT_BUS_EXTERNAL_ID needs CDC_EVENT_BUS_ROLE"),
        ({"event_bus_role": ROLE, "event_bus_external_id": "!"}, "CDC_EVENT_BUS_EXTERNAL_ID: 2 to 1224"),
        ({"event_bus_endpoint_id": "https://x"}, "CDC_EVENT_BUS_ENDPOINT_ID: not the id of a global endpoint"),
        ({"event_bus_endpoint_id": "a.veo", "event_bus_name": CUSTOM_ELSEWHERE}, "have no global endpoints"),
    ],
)
def test_settings_of_the_bus_that_are_wrong_are_told(fields: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings(**fields)


def test_a_bus_that_is_none_is_a_mistake_of_the_tables_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match=r"tables.yaml:3: bus: neither the name of an event bus") as caught:
        tables(tmp_path, '"two words"')
    assert "two words" not in str(caught.value)
