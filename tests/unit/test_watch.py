"""The watch beside the stages: what counts as trouble, and what the alert topic hears of it."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from models.bus_health import EventBridgeHC
from models.infrastructure import DatabaseInstanceStatus
from workers.archive.notices import AlertTopic, Notice
from workers.archive.watch import CRASH_SECONDS, Watch, troubles_of
from workers.aws.errors import AwsUnavailable
from workers.engine.stages import Stage

REFUSED_TABLE = "NotAuthorizedForSourceException"


class Topic:
    """Keeps what it gets, as long as it is there."""

    def __init__(self) -> None:
        self.there = True
        self.got: list[Notice] = []

    async def publish(self, notice: Notice) -> None:
        if not self.there:
            raise AwsUnavailable("ServiceUnavailable")
        self.got.append(notice)


class Process:
    """One stage under a clock set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.state: dict[str, Any] = {}
        self.topic = Topic()
        self.stage = Stage("publish", cast("Any", None), cast("Any", None))
        self.watch = Watch(
            [self.stage], cast("AlertTopic", self.topic), lambda _: self.state, lambda: self.now, sender="worker-1"
        )

    async def passes(self, seconds: int) -> list[tuple[str, str]]:
        """(kind, subject) of what was told meanwhile."""
        known = len(self.topic.got)
        for _ in range(seconds // 5):
            self.now += 5
            await self.watch.look()
        return [(notice.kind, notice.subject) for notice in self.topic.got[known:]]


@pytest.mark.parametrize(
    ("state", "kind", "name"),
    [
        ({"blocked_by": {"s3": "AccessDenied"}}, "pause", "s3"),
        ({"paused": {3: "cdc.events/3 does not exist"}}, "pause", "slot 3"),
        ({"gaps": {"cdc.events/1": "offsets 5 to 7 were deleted"}}, "gap", "cdc.events/1"),
        ({"bus": {"health": EventBridgeHC.IN_ALARM, "trouble": "InternalFailure"}}, "unreachable", "bus"),
        (
            {"delivery": {"buses": {}, "stalled": [{"reason": REFUSED_TABLE}, {"reason": REFUSED_TABLE}]}},
            "pause", f"rows with {REFUSED_TABLE}",
        ),
        ({"database": {"status": DatabaseInstanceStatus.UNAVAILABLE, "rows_waiting": 3}}, "unreachable", "database"),
        ({"delivery": {"buses": {"a": {"circuit": "OPEN"}, "b": {"circuit": "CLOSED"}}}}, "unreachable", "a"),
    ],
)  # fmt: skip
def test_what_keeps_a_stage_from_its_work_is_trouble(state: Mapping[str, Any], kind: str, name: str) -> None:
    (trouble,) = troubles_of("publish", state)
    assert (trouble.stage, trouble.kind, trouble.name) == ("publish", kind, name)


@pytest.mark.parametrize(
    "state",
    [
        {"ready": False, "restarts": 0},
        {"ready": True, "blocked_by": {}, "paused": {}, "gaps": {}, "tables": {"users": 3}, "stats": {"units": 1}},
        {"bus": {"health": EventBridgeHC.UNKNOWN, "trouble": ""}, "database": {"status": "AVAILABLE"}},
        {"delivery": {"buses": {}, "stalled": [{"reason": "ThrottlingException"}, {"reason": "InternalFailure"}]}},
        {
            "ready": False,
            "held": {"stage": {"stage": "publish", "why": "the bus is moved", "by": "ann", "until": None}},
        },
    ],
)
def test_a_stage_that_works_or_starts_or_that_somebody_paused_is_no_trouble(state: Mapping[str, Any]) -> None:
    assert list(troubles_of("publish", state)) == []


def test_a_sink_that_waits_for_an_operator_is_told_once() -> None:
    state = {"blocked_by": {"s3": "AccessDenied"}, "s3": {"health": EventBridgeHC.IN_ALARM, "trouble": "AccessDenied"}}
    assert [trouble.kind for trouble in troubles_of("archive", state)] == ["pause"]


async def test_a_pause_and_its_end_are_told() -> None:
    process = Process()
    process.state = {"blocked_by": {"bus": "AccessDeniedException"}}
    assert await process.passes(60) == [("pause", "cdc publish: pause bus: AccessDeniedException")]
    process.state = {}
    assert await process.passes(60) == [("recovered", "cdc publish: pause bus: is over")]
    begun, over = process.topic.got
    assert (begun.severity, over.severity, begun.document["run"]) == ("HIGH", "INFO", ["cdc check"])
    assert begun.id != over.id


@pytest.mark.parametrize(("waiting", "words"), [(0, ""), (1, " (1 entity waits)"), (3, " (3 entities wait)")])
async def test_what_is_held_back_by_a_bus_is_told_with_its_trouble(waiting: int, words: str) -> None:
    process = Process()
    buses = {"orders": {"circuit": "OPEN", "trouble": "InternalFailure", "held_back": waiting}, "b": {"held_back": 2}}
    process.state = {"blocked_by": {"bus b": "x"}, "delivery": {"buses": buses}}
    told = await process.passes(60)
    assert told == [
        ("pause", f"cdc publish: pause bus b: x ({waiting + 2} entities wait)"),
        ("unreachable", f"cdc publish: unreachable orders: InternalFailure{words}"),
    ]
    assert [notice.document["heldBack"] for notice in process.topic.got] == [waiting + 2, waiting]
    process.state = {}
    await process.passes(60)
    assert "heldBack" not in process.topic.got[-1].document


async def test_throttling_is_told_after_five_minutes_only() -> None:
    process = Process()
    bus: dict[str, Any] = {"health": EventBridgeHC.OK, "throttles": 7}
    process.state = {"delivery": {"buses": {"orders": bus}}}
    assert await process.passes(600) == []
    for _ in range(9):
        bus["throttles"] += 1
        assert await process.passes(30) == []
    bus["throttles"] += 1
    assert await process.passes(60) == [
        ("throttled", "cdc publish: throttled orders: it refuses calls because there are too many")
    ]
    assert [kind for kind, _ in await process.passes(60)] == ["recovered"]


async def test_an_alert_topic_that_is_away_hears_later_of_what_still_is() -> None:
    process = Process()
    process.topic.there = False
    process.state = {"blocked_by": {"bus": "x"}, "gaps": {"cdc.events/1": "y"}}
    assert await process.passes(60) == []
    process.state = {"gaps": {"cdc.events/1": "y"}}
    await process.passes(60)
    process.topic.there = True
    assert [kind for kind, _ in await process.passes(10)] == ["gap"]


async def test_a_crash_of_a_stage_is_told_and_so_is_its_end() -> None:
    process = Process()
    await process.passes(10)
    process.stage.restarts = 1
    assert [kind for kind, _ in await process.passes(30)] == ["restarts"]
    assert [kind for kind, _ in await process.passes(int(CRASH_SECONDS) + 30)] == ["recovered"]
