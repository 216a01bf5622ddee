"""An event the bus refused is sent again, byte for byte; what it becomes names its place in `cdc.events` (P3, P5)."""

import json
from collections.abc import Sequence
from typing import Any

from models.raw import HEADER_SOURCE
from tests.contract.redriving import DEAD, EVENTS, PARTITIONS, REDRIVE, TOPICS, letters, redrive
from workers.agents.publish import Publish, add_publish
from workers.engine.app import StageApp
from workers.engine.options import EngineOptions
from workers.engine.testing import Input, StageKit
from workers.engine.virtual_time import VirtualTime
from workers.eventbridge.classic import ClassicBus
from workers.eventbridge.entry import EntryRules
from workers.eventbridge.sink import EventBridgeSink

AGAIN = REDRIVE["publish"]


class RefusingBus:
    """Takes every entry but those of the entities it refuses; keeps what it was sent."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.taken: list[str] = []

    async def call(self, operation: str, request: bytes) -> bytes:
        assert operation == "PutEvents"
        answers: list[dict[str, str]] = []
        for entry in json.loads(request)["Entries"]:
            if json.loads(entry["Detail"])["entityId"] in self.refused:
                answers.append({"ErrorCode": "MalformedDetail"})
            else:
                self.taken.append(entry["Detail"])
                answers.append({"EventId": f"bus-{len(self.taken)}"})
        return json.dumps({"FailedEntryCount": 0, "Entries": answers}).encode()

    async def close(self) -> None: ...


def publishing(bus: RefusingBus) -> StageKit:
    clock = VirtualTime()

    def make() -> StageApp:
        app = StageApp("cdc-publish", EngineOptions(bootstrap="nowhere:9092", partitions=PARTITIONS))
        sink = EventBridgeSink(ClassicBus(bus, "cdc-events", 262_144), EntryRules("cdc-pipeline", 262_144))
        add_publish(app, Publish(sink, TOPICS, "ab", clock.now_ms))
        return app

    return StageKit(make, clock=clock)


def event(entity: int, version: int = 1, partition: int = 0) -> Input:
    detail = {
        "eventId": f"evt_{entity}_{version}", "eventType": "user.updated", "entityType": "users",
        "entityId": str(entity), "timestamp": "2026-01-15T10:31:00.000000Z", "metadata": {"sourceTable": "users"},
    }  # fmt: skip
    key = f"users:{entity}".encode()
    return Input(key, json.dumps(detail).encode(), partition, headers=[(HEADER_SOURCE, b"core")])


def receipts(kit: StageKit) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in kit.records(TOPICS.receipts)]


async def fed(kit: StageKit, events: Sequence[Input]) -> None:
    assert await kit.feed(EVENTS, events, within=10)


async def test_it_is_sent_with_the_same_bytes_and_its_receipt_tells_of_both_places() -> None:
    bus = RefusingBus("2")
    async with publishing(bus) as kit:
        events = [event(1), event(2), event(3)]
        await fed(kit, events)
        assert [letter.offset for letter in letters(kit)] == [1]
        bus.refused.clear()
        await redrive(kit)
        assert (events[1].value or b"").decode() == bus.taken[-1]
        receipt = receipts(kit)[-1]
        assert (receipt["eventId"], receipt["offset"]) == ("evt_2_1", 1)
        assert (receipt["redriven"], receipt["replay"]) == (0, 1)
        assert all("redriven" not in other for other in receipts(kit)[:-1])
        assert kit.ledger(AGAIN, 0).counts == {"in": 1, "out": 1}


async def test_what_is_refused_again_keeps_its_place_its_headers_and_counts() -> None:
    async with publishing(RefusingBus("2")) as kit:
        await fed(kit, [event(1), event(2, partition=0)])
        await kit.advance(60)
        await redrive(kit)
        first, again = letters(kit)
        assert (again.topic, again.partition, again.offset) == (EVENTS, 0, 1)
        assert (again.replay, again.attempts, again.redriven) == (1, 2, 0)
        assert (again.first_failed_ms, again.timestamp_ms) == (first.first_failed_ms, first.timestamp_ms)
        assert again.last_failed_ms > first.last_failed_ms
        one, other = kit.records(DEAD)
        assert (one.key, one.value) == (other.key, other.value)
        assert dict(other.headers)[HEADER_SOURCE] == b"core"
        assert kit.ledger(AGAIN, 0).counts == {"in": 1, "dead": 1}


async def test_redriven_events_of_an_entity_keep_their_order_among_themselves() -> None:
    bus = RefusingBus("1", "2")
    async with publishing(bus) as kit:
        await fed(kit, [event(1 + n % 2, n) for n in range(40)])
        bus.refused.clear()
        await redrive(kit)
        for entity in ("1", "2"):
            sent = [json.loads(detail)["eventId"] for detail in bus.taken if json.loads(detail)["entityId"] == entity]
            assert sent == [f"evt_{entity}_{n}" for n in range(40) if str(1 + n % 2) == entity]


async def test_what_somebody_else_wrote_there_is_a_dead_letter_and_its_neighbours_go_on() -> None:
    bus = RefusingBus("2")
    async with publishing(bus) as kit:
        await fed(kit, [event(2)])
        bus.refused.clear()
        await kit.feed(AGAIN, [Input(b"k", b"{", 0), Input(None, None, 0)])
        await redrive(kit, lambda letter: letter.replay == 0)
        assert len(bus.taken) == 1
        assert [(one.topic, one.offset, one.replay) for one in letters(kit)[1:]] == [(AGAIN, 0, 1), (AGAIN, 1, 1)]
