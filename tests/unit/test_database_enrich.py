"""The enrich stage with a database behind its lookups: where owners come from, in which order, and through outages."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from enrichers.pipeline import Pipeline, PipelineOptions
from models.catalogue import Catalogue
from models.routing import entity_key
from tests.unit.changes import KEY, TELEPHONY, catalogue_of, dms
from tests.unit.database import FakeDatabase, query
from workers.agents.enrich import Enrich, add_enrich
from workers.database.failures import DatabaseAway
from workers.database.resolver import Resolver, WhenAway
from workers.engine.app import StageApp
from workers.engine.clock import monotonic
from workers.engine.options import EngineOptions
from workers.engine.testing import Fed, Input, StageKit
from workers.engine.virtual_time import VirtualTime
from workers.kafka.topics import Topics

TOPICS = Topics("config", "slots", "checkpoints", {"core": "raw"}, "events", "dead", "receipts")
MAPPED = {"UserID": 7, "Action": "ADD"}
AWAY = DatabaseAway("ConnectionRefusedError")


class Stage:
    """The stage in the test kit; every start has a resolver of its own, as in the product."""

    def __init__(self, catalogue: Catalogue, when_away: WhenAway) -> None:
        self.clock = VirtualTime()
        self.database = FakeDatabase({("groups", "21"): "4", ("users", "7"): "3"})
        self.catalogue = catalogue
        self.when_away: WhenAway = when_away
        self.kit = StageKit(self.make, clock=self.clock)

    def make(self) -> StageApp:
        app = StageApp("enrich", EngineOptions("nowhere:9092", 2))
        resolver = Resolver(self.database, query, now=monotonic, when_away=self.when_away)
        pipeline = Pipeline(self.catalogue, PipelineOptions(redaction_key=KEY))
        add_enrich(app, Enrich(pipeline, TOPICS, 2, "", self.clock.now_ms, resolver))
        app.on_end.append(resolver.close)
        return app

    def events(self) -> list[dict[str, Any]]:
        """Details, partition by partition."""
        return [json.loads(value or b"") for _, value in self.kit.output("events")]

    def owners(self) -> list[tuple[str, Any, str]]:
        """(entity id, organisation, source) of each event."""
        return [
            (event["entityId"], event.get("orgId"), event["metadata"]["enrichment"]["source"])
            for event in self.events()
        ]


@contextlib.asynccontextmanager
async def running(catalogue: Catalogue = TELEPHONY, *, when_away: WhenAway = "pause") -> AsyncIterator[Stage]:
    stage = Stage(catalogue, when_away)
    async with stage.kit:
        yield stage


def record(table: str, number: int, row: dict[str, Any], *, operation: str = "insert", partition: int = 0) -> Fed:
    return Input(
        entity_key("core", table, (number,)), dms(operation, {"ID": number} | row, table=table), partition=partition
    )


def mapped(*numbers: int, group: int = 21, partition: int = 0) -> Iterable[Fed]:
    """Entries of the log that name a group."""
    return [record("group_maps_log", n, MAPPED | {"GroupID": group}, partition=partition) for n in numbers]


async def test_all_that_a_batch_lacks_is_asked_for_in_one_query_per_lookup() -> None:
    channels = [
        record("channels", n, {"Type": "SMS", "Address": "a", "Status": "ON", "OwnerType": kind, "OwnerID": owner})
        for n, kind, owner in [(1, "User", 7), (2, "Group", 21), (3, "User", 8), (4, "Group", 22), (5, "User", 7)]
    ]
    async with running() as stage:
        stage.database.rows |= {("users", "8"): "3", ("groups", "22"): "5"}
        assert await stage.kit.feed("raw", channels)
        assert sorted(stage.database.asked) == [("groups", ("21", "22")), ("users", ("7", "8"))]
        assert [org for _, org, _ in stage.owners()] == ["3", "4", "3", "5", "3"]


async def test_what_the_database_says_is_marked_as_of_now() -> None:
    async with running() as stage:
        await stage.kit.feed("raw", mapped(1))
        assert stage.events()[0]["metadata"]["enrichment"] == {"source": "database", "stale": True}


async def test_the_table_is_asked_before_the_database() -> None:
    async with running() as stage:
        group = record("groups", 21, {"OrgID": 9, "Name": "g", "Type": "QUEUE"})
        await stage.kit.feed("raw", [group, *mapped(1)])
        assert stage.owners()[-1] == ("1", "9", "table")
        assert stage.database.asked == []


async def test_what_is_not_published_asks_for_nothing() -> None:
    channel = {"Type": "SMS", "Address": "a", "Status": "ON", "OwnerType": "User", "OwnerID": 7}
    async with running() as stage:
        await stage.kit.feed("raw", [record("channels", 1, channel, operation="load")])
        assert stage.database.asked == []


async def test_events_leave_in_the_order_of_their_records_whoever_had_to_ask() -> None:
    known = {"Type": "SMS", "Address": "a", "Status": "ON", "OwnerType": None, "OwnerID": None}
    asking = known | {"OwnerType": "User", "OwnerID": 7}
    records = [record("channels", n % 3, asking if n % 2 else known, operation="update") for n in range(12)]
    async with running() as stage:
        await stage.kit.feed("raw", records)
        events = stage.events()
        assert [event["metadata"]["sequence"][-2:] for event in events] == [f"{n:02d}" for n in range(12)]
        assert {event["metadata"]["enrichment"]["source"] for event in events} == {"record", "database"}


async def test_a_row_nobody_has_is_waited_for_and_then_published_without_an_owner() -> None:
    async with running() as stage:
        assert not await stage.kit.feed("raw", mapped(1, group=99), within=4)
        assert stage.database.asked == [("groups", ("99",))]
        assert await stage.kit.settle(3)
        assert stage.owners() == [("1", None, "missing")]


async def test_a_database_that_is_away_pauses_and_loses_nothing() -> None:
    async with running() as stage:
        stage.database.error = AWAY
        assert not await stage.kit.feed("raw", mapped(1, 2, 3), within=600)
        assert stage.kit.committed("raw", 0) == 0
        assert stage.kit.held("raw", 0)
        assert len(stage.database.asked) < 30, "the breaker leaves it alone"
        stage.database.error = None
        assert await stage.kit.settle(60)
        assert stage.owners() == [("1", "4", "database"), ("2", "4", "database"), ("3", "4", "database")]
        assert stage.kit.output("dead") == []


async def test_partitions_that_need_no_database_go_on_without_it() -> None:
    async with running() as stage:
        stage.database.error = AWAY
        await stage.kit.feed("raw", mapped(1), within=1)
        user = {"HomeOrgID": 3, "UserName": "jdoe", "Status": "ACTIVE"}
        await stage.kit.feed("raw", [record("users", 7, user, partition=1)], within=1)
        assert stage.owners() == [("7", "3", "record")]


async def test_a_rebalance_does_not_wait_for_the_database() -> None:
    async with running() as stage:
        stage.database.gate.clear()
        await stage.kit.feed("raw", mapped(1), within=1)
        before = stage.clock.time()
        await stage.kit.rebalance(within=0)
        assert stage.clock.time() - before < 1
        stage.database.gate.set()
        assert await stage.kit.settle()
        assert stage.owners() == [("1", "4", "database")]


async def test_a_restart_in_the_middle_of_a_question_asks_again() -> None:
    async with running() as stage:
        stage.database.gate.clear()
        await stage.kit.feed("raw", mapped(1), within=1)
        await stage.kit.restart(orderly=False, within=1)
        stage.database.gate.set()
        assert await stage.kit.settle()
        assert stage.owners() == [("1", "4", "database")]


async def test_by_policy_changes_go_on_without_a_database() -> None:
    async with running(when_away="policy") as stage:
        stage.database.error = AWAY
        assert await stage.kit.feed("raw", mapped(1, 2), within=20)
        assert stage.owners() == [("1", None, "missing"), ("2", None, "missing")]


async def test_an_outage_makes_no_dead_letter_even_if_the_policy_is_dead(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, "  - {table: group_maps_log, on_missing_owner: dead}\n", builtin="telephony")
    async with running(catalogue, when_away="policy") as stage:
        stage.database.error = AWAY
        assert not await stage.kit.feed("raw", mapped(1), within=120)
        assert stage.kit.output("dead") == []
        stage.database.error = None
        assert await stage.kit.settle(60)
        assert stage.owners() == [("1", "4", "database")]


async def test_a_row_the_database_lacks_is_dead_where_the_policy_says_so(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, "  - {table: group_maps_log, on_missing_owner: dead}\n", builtin="telephony")
    async with running(catalogue) as stage:
        assert await stage.kit.feed("raw", mapped(1, group=99))
        assert len(stage.kit.output("dead")) == 1
        assert stage.database.asked == [("groups", ("99",))]


async def test_a_found_owner_is_remembered_for_the_delete() -> None:
    channel = {"Type": "SMS", "Address": "a", "Status": "ON", "OwnerType": "User", "OwnerID": 7}
    async with running() as stage:
        await stage.kit.feed("raw", [record("channels", 1, channel), record("channels", 1, {}, operation="delete")])
        assert stage.owners() == [("1", "3", "database"), ("1", "3", "memory")]
