"""A change that failed is tried again: the same event as if it had not failed, and no table is set back (P2 to P5)."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.catalogue import TELEPHONY, Catalogue
from models.raw import HEADER_REDRIVEN
from models.routing import entity_key, partition_of
from tests.contract.redriving import (
    DEAD,
    EVENTS,
    FIRST_MS,
    OTHER,
    PARTITIONS,
    RAW,
    REDRIVE,
    enriching,
    letters,
    raw,
    redrive,
)
from tests.unit.changes import catalogue_of
from workers.engine.testing import Input, StageKit

AGAIN = REDRIVE["enrich"]
TABLES = """
  - table: orders
    entity: order
    key: [ID]
    columns: {ID: int, Total: %s}
    owner: none
"""
ROW = {"Total": "twelve"}


def tables(directory: Path, total: str) -> Catalogue:
    return catalogue_of(directory, TABLES % total, builtin="telephony")


def events(kit: StageKit) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in kit.records(EVENTS)]


async def test_it_becomes_the_event_it_would_have_been_but_for_its_replay_count(tmp_path: Path) -> None:
    changes = [raw("orders", number, ROW, at=number, identity=number % 2 == 0) for number in range(8)]
    _, right = enriching(tables(tmp_path, "text"))
    async with right as kit:
        for topic in (RAW, OTHER):
            await kit.feed(topic, changes)
        expected = {event["eventId"]: event for event in events(kit)}
    wrong, kit_of_wrong = enriching(tables(tmp_path, "int"))
    async with kit_of_wrong as kit:
        for topic in (RAW, OTHER):
            await kit.feed(topic, changes)
        assert (len(letters(kit)), events(kit)) == (16, [])
        wrong.catalogue = tables(tmp_path, "text")
        await kit.restart()
        await redrive(kit)
        found = {event["eventId"]: event for event in events(kit)}
        assert found.keys() == expected.keys()
        assert all(event["metadata"].pop("replay") == 1 for event in found.values())
        assert found == expected
        assert len(found) == 16
        again = {record.partition: record for record in kit.records(EVENTS)}
        assert all(dict(record.headers)[HEADER_REDRIVEN] for record in again.values())
        assert sum(kit.ledger(AGAIN, index).counts["out"] for index in range(PARTITIONS)) == 16


async def test_what_fails_again_keeps_its_place_its_first_failure_and_its_bytes_and_counts(tmp_path: Path) -> None:
    _, stage = enriching(tables(tmp_path, "int"))
    async with stage as kit:
        await kit.feed(OTHER, [raw("orders", 1, ROW, at=3)])
        first = letters(kit)[0]
        for replay in (1, 2, 3):
            await kit.advance(60)
            redriven = await redrive(kit, lambda letter, count=replay: letter.replay == count - 1)  # type: ignore[misc]
            assert len(redriven) == 1
            last = max(letters(kit), key=lambda letter: letter.replay)
            place = (last.topic, last.partition, last.offset, last.timestamp_ms, last.stream, last.shard, last.sequence)
            assert place == (
                OTHER, first.partition, first.offset, FIRST_MS + 3_000, "stream", "shardId-000000000002", "4969"
            )  # fmt: skip
            assert (last.replay, last.attempts, last.redriven) == (replay, replay + 1, replay - 1)
            assert last.first_failed_ms == first.first_failed_ms
            assert last.last_failed_ms >= first.last_failed_ms + 60_000 * replay
        dead = kit.records(DEAD)
        assert len({(record.key, record.value) for record in dead}) == 1
        assert kit.ledger(AGAIN, first.partition).counts == {"in": 3, "dead": 3}
        await redrive(kit)
        await redrive(kit)
        assert max(letter.replay for letter in letters(kit)) == 5, "the loop guard"


async def test_it_comes_although_its_source_has_sent_it_again_meanwhile(tmp_path: Path) -> None:
    """Duplicates are not looked for: who redrives asks for it."""
    wrong, stage = enriching(tables(tmp_path, "int"))
    async with stage as kit:
        await kit.feed(RAW, [raw("orders", 1, ROW)])
        wrong.catalogue = tables(tmp_path, "text")
        await kit.restart()
        await kit.feed(RAW, [raw("orders", 1, ROW, sequence=9)])
        await redrive(kit)
        ids = [event["eventId"] for event in events(kit)]
        assert len(ids) == 2
        assert len(set(ids)) == 1


async def test_records_of_one_key_keep_their_order_among_themselves(tmp_path: Path) -> None:
    wrong, stage = enriching(tables(tmp_path, "int"))
    async with stage as kit:
        await kit.feed(RAW, [raw("orders", n % 3, ROW, at=n, operation="update") for n in range(30)])
        wrong.catalogue = tables(tmp_path, "text")
        await kit.restart()
        await redrive(kit)
        for entity in ("0", "1", "2"):
            places = [e["metadata"]["sequence"] for e in events(kit) if e["entityId"] == entity]
            assert len(places) == 10
            assert places == sorted(places)


@pytest.mark.parametrize("fault", ["abort_next", "lose_answer_of_next_commit", "stall_next_commit"])
async def test_a_commit_that_fails_brings_no_redriven_change_twice(tmp_path: Path, fault: str) -> None:
    wrong, stage = enriching(tables(tmp_path, "int"))
    async with stage as kit:
        await kit.feed(RAW, [raw("orders", n, ROW, at=n) for n in range(6)])
        wrong.catalogue = tables(tmp_path, "text")
        await kit.restart()
        armed = getattr(kit, fault)()
        await redrive(kit, within=60)
        assert armed.fired
        ids = [event["eventId"] for event in events(kit)]
        assert len(ids) == len(set(ids)) == 6
        assert all(kit.ledger(AGAIN, index).balanced for index in range(PARTITIONS))


async def test_what_somebody_else_wrote_there_is_a_dead_letter_and_its_neighbours_go_on(tmp_path: Path) -> None:
    wrong, stage = enriching(tables(tmp_path, "int"))
    async with stage as kit:
        await kit.feed(RAW, [raw("orders", 1, ROW)])
        wrong.catalogue = tables(tmp_path, "text")
        await kit.restart()
        index = letters(kit)[0].partition
        await kit.feed(AGAIN, [Input(b"k", b"{}", index), Input(None, None, index, headers=[("cdc-replay", b"x")])])
        await redrive(kit, lambda letter: letter.replay == 0)
        assert len(events(kit)) == 1
        assert [(one.topic, one.offset) for one in letters(kit) if one.replay] == [(AGAIN, 0), (AGAIN, 1)]


USER = {"HomeOrgID": 3, "UserName": "u", "Status": "ACTIVE"}
USERS_KEY = entity_key("core", "users", (7,))


def lookup(kit: StageKit) -> str | None:
    entry = kit.table("users").get(USERS_KEY)
    return json.loads(entry)["org_id"] if entry is not None else None


async def redriven_users(kit: StageKit, *changes: Input) -> None:
    """The first change has failed, the others have not; then it is redriven."""
    failed, *others = changes
    await kit.feed(RAW, others)
    origin = {
        "topic": RAW, "partition": partition_of(USERS_KEY, PARTITIONS), "offset": 0, "timestamp-ms": FIRST_MS,
        "attempts": 1, "first-failed-ms": FIRST_MS,
    }  # fmt: skip
    headers = [(f"cdc-redrive-{name}", str(value).encode()) for name, value in origin.items()]
    again = Input(failed.key, failed.value, partition_of(USERS_KEY, PARTITIONS), headers=[*failed.headers, *headers])
    await kit.feed(AGAIN, [again])


@pytest.mark.parametrize("identity", [True, False])
async def test_an_old_row_does_not_overwrite_what_a_newer_one_left_for_others(identity: bool) -> None:
    _, stage = enriching(Catalogue(TELEPHONY))
    async with stage as kit:
        await redriven_users(
            kit,
            raw("users", 7, USER | {"HomeOrgID": 9}, operation="update", at=20, identity=identity),
            raw("users", 7, USER, at=10, identity=identity),
            raw("users", 7, USER | {"Status": "AWAY"}, operation="update", at=30, identity=identity),
        )
        assert lookup(kit) == "3"
        assert events(kit)[-1]["orgId"] == "9", "the event itself is published as it was"
        assert json.loads(kit.table("owners")[USERS_KEY])["org_id"] == "3"


async def test_the_last_change_of_a_row_is_remembered_when_it_is_redriven() -> None:
    _, stage = enriching(Catalogue(TELEPHONY))
    async with stage as kit:
        await redriven_users(
            kit, raw("users", 7, USER | {"HomeOrgID": 9}, operation="update", at=20), raw("users", 7, USER, at=10)
        )
        assert lookup(kit) == "9"


async def test_the_first_change_of_a_row_is_remembered_when_it_is_redriven() -> None:
    _, stage = enriching(Catalogue(TELEPHONY))
    async with stage as kit:
        await redriven_users(kit, raw("users", 7, USER))
        assert lookup(kit) == "3"


async def test_a_row_that_was_deleted_meanwhile_does_not_come_back_for_others() -> None:
    _, stage = enriching(Catalogue(TELEPHONY))
    async with stage as kit:
        await redriven_users(
            kit,
            raw("users", 7, USER | {"HomeOrgID": 9}, operation="update", at=20),
            raw("users", 7, USER, at=10),
            raw("users", 7, {}, operation="delete", at=30),
        )
        assert lookup(kit) is None


async def test_a_deletion_does_not_take_a_row_away_that_was_made_again_meanwhile() -> None:
    _, stage = enriching(Catalogue(TELEPHONY))
    async with stage as kit:
        await redriven_users(
            kit,
            raw("users", 7, {}, operation="delete", at=20),
            raw("users", 7, USER, at=10),
            raw("users", 7, USER, at=30),
        )
        assert lookup(kit) == "3"
        assert USERS_KEY in kit.table("owners")


async def test_a_redriven_row_waits_for_the_owner_that_is_redriven_beside_it() -> None:
    """From its own arrival in the redrive topic on: the original may be a week old."""
    _, stage = enriching(Catalogue(TELEPHONY))
    async with stage as kit:
        group_map = raw("group_maps_log", 1, {"GroupID": 5, "UserID": 7, "Action": "ADD"}, at=5)
        group = raw("groups", 5, {"OrgID": 3, "Name": "g", "Type": "t"}, at=1)
        where = {"topic": RAW, "offset": 0, "timestamp-ms": FIRST_MS, "attempts": 1, "first-failed-ms": FIRST_MS}
        for change in (group_map, group):
            index = partition_of(change.key or b"", PARTITIONS)
            origin = [(f"cdc-redrive-{k}", str(v).encode()) for k, v in (where | {"partition": index}).items()]
            again = Input(change.key, change.value, index, headers=[*change.headers, *origin])
            await kit.feed(AGAIN, [again], within=1)
        await kit.settle(10)
        found = {event["entityType"]: event for event in events(kit)}
        assert found["group_maps_log"]["orgId"] == "3"
        assert found["group_maps_log"]["metadata"]["processedAt"] == "2026-01-15T10:31:00.412Z"
