"""Replays of archives: events come back to their bus minute by minute, and within a minute in no order.

Source: EventBridge user guide, "Replaying archived events": by the time in the event, in one-minute intervals, not
necessarily in the order of arrival, with `replay-name`, only to the bus they came from.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sandbox.aws.bus import Buses, Deliver
from sandbox.aws.errors import AwsError, not_found, validation
from sandbox.aws.event import Event
from sandbox.aws.event_archives import NAME, Archive, Archives, one_filter, wanted
from sandbox.aws.fields import Body, moment, named, optional_text, structure, text, texts
from sandbox.aws.pages import Pages
from sandbox.aws.protocol import Operations
from sandbox.aws.streams import Behaviour

MINUTE = 60.0
MOST_ACTIVE = 10
ACTIVE = frozenset({"STARTING", "RUNNING"})


@dataclass(slots=True)
class Replay:
    """Times in seconds since 1970. `rules` are ARNs; none means all rules of the bus."""

    name: str
    arn: str
    archive: str
    bus: str
    begin: float
    end: float
    started_at: float
    rules: tuple[str, ...] = ()
    description: str | None = None
    state: str = "STARTING"
    reason: str | None = None
    last: float | None = None
    ended_at: float | None = None
    task: asyncio.Task[None] | None = None


class Replays:
    """All replays, by name."""

    def __init__(
        self, buses: Buses, archives: Archives, pages: Pages, deliver: Deliver, behaviour: Callable[[], Behaviour]
    ) -> None:
        self._buses = buses
        self._archives = archives
        self._pages = pages
        self._deliver = deliver
        self._behaviour = behaviour
        self._by_name: dict[str, Replay] = {}

    def operations(self) -> Operations:
        return {
            "StartReplay": self._start_replay,
            "DescribeReplay": self._describe_replay,
            "ListReplays": self._list_replays,
            "CancelReplay": self._cancel_replay,
        }

    def reset(self) -> None:
        """Stop and forget all of them."""
        for replay in self._by_name.values():
            if replay.task is not None:
                replay.task.cancel()
        self._by_name.clear()

    async def _start_replay(self, body: Body) -> dict[str, Any]:
        name = named(body, "ReplayName", NAME, longest=64)
        source = text(body, "EventSourceArn", longest=1600)
        destination = structure(body, "Destination") or {}
        target = text(destination, "Arn", longest=1600)
        begin, end = moment(body, "EventStartTime"), moment(body, "EventEndTime")
        if begin is None or end is None:
            raise validation("EventStartTime and EventEndTime must not be null.")
        archive = self._checked(source, target, begin, end)
        if name in self._by_name:
            raise AwsError("ResourceAlreadyExistsException", f"Replay {name} already exists.")
        if sum(replay.state in ACTIVE for replay in self._by_name.values()) >= MOST_ACTIVE:
            raise AwsError("LimitExceededException", f"There are {MOST_ACTIVE} active replays.")
        arn, now = self._buses.place.arn("events", f"replay/{name}"), self._buses.clock()
        replay = Replay(name, arn, source, target, begin, end, now, self._filter(destination, target))
        replay.description = optional_text(body, "Description", shortest=0, longest=512)
        self._by_name[name] = replay
        events = [event for event in archive.events(now) if begin <= event.time <= end]
        replay.task = asyncio.get_running_loop().create_task(self._run(replay, events))
        return {"ReplayArn": arn, "State": "STARTING", "ReplayStartTime": now}

    def _checked(self, source: str, target: str, begin: float, end: float) -> Archive:
        """The archive of a replay that may begin."""
        if ":event-bus/" not in target:
            raise _invalid("Destination.Arn", "Must contain an event bus ARN.")
        if self._buses.find(target) is None:
            raise not_found(f"Event bus {target.partition(':event-bus/')[2]} does not exist.")
        name = source.partition(":archive/")[2]
        archive = self._archives.by_name.get(name)
        if archive is None or archive.arn != source:
            raise _invalid("EventSourceArn", f"Archive {name or source} does not exist.")
        if archive.bus != target:
            raise _invalid("Destination.Arn", "Cross event bus replay is not permitted.")
        if begin >= end:
            raise _invalid("EventEndTime", "EventStartTime must be before EventEndTime.")
        return archive

    def _filter(self, destination: Body, target: str) -> tuple[str, ...]:
        bus = self._buses.find(target)
        known = {rule.arn for rule in bus.rules.values()} if bus is not None else set()
        asked = tuple(texts(destination, "FilterArns"))
        if unknown := [arn for arn in asked if arn not in known]:
            raise _invalid("Destination.FilterArns", f"Rule {unknown[0]} does not exist on the event bus.")
        return asked

    async def _run(self, replay: Replay, events: Sequence[Event]) -> None:
        behaviour = self._behaviour()
        dice = random.Random(behaviour.replay_seed)
        replay.state = "RUNNING"
        for minute in _minutes(events, replay.begin):
            bus = self._buses.find(replay.bus)
            if bus is None:
                self._end(replay, "FAILED", "The event bus does not exist.")
                return
            dice.shuffle(minute)
            for event in minute:
                again = event.replayed(replay.name)
                bus.tally.replayed += 1
                bus.route(again.fields, again.text, self._deliver, replay.rules)
                replay.last = event.time
            await asyncio.sleep(behaviour.replay_seconds)
        self._end(replay, "COMPLETED")

    def _end(self, replay: Replay, state: str, reason: str | None = None) -> None:
        replay.state, replay.reason, replay.ended_at = state, reason, self._buses.clock()

    async def _describe_replay(self, body: Body) -> dict[str, Any]:
        replay = self._replay(body)
        destination: dict[str, Any] = {"Arn": replay.bus}
        if replay.rules:
            destination["FilterArns"] = list(replay.rules)
        described = _listed(replay) | {"ReplayArn": replay.arn, "Destination": destination}
        if replay.description is not None:
            described["Description"] = replay.description
        return described

    async def _list_replays(self, body: Body) -> dict[str, Any]:
        one_filter(body, "ListReplays")
        listed = [_listed(replay) for _, replay in sorted(self._by_name.items())]
        return self._pages.of("Replays", [one for one in listed if wanted(body, one, one["ReplayName"])], body)

    async def _cancel_replay(self, body: Body) -> dict[str, Any]:
        replay = self._replay(body)
        if replay.state not in ACTIVE or replay.task is None:
            raise AwsError(
                "IllegalStatusException", f"Replay {replay.name} is not in a valid state for this operation."
            )
        replay.task.cancel()
        self._end(replay, "CANCELLED")
        return {"ReplayArn": replay.arn, "State": "CANCELLING"}

    def _replay(self, body: Body) -> Replay:
        name = named(body, "ReplayName", NAME, longest=64)
        if (replay := self._by_name.get(name)) is None:
            raise not_found(f"Replay {name} does not exist.")
        return replay


def _minutes(events: Sequence[Event], begin: float) -> Iterator[list[Event]]:
    """Events by the minute since `begin` that they happened in, in the order of minutes."""

    def minute(event: Event) -> int:
        return int((event.time - begin) // MINUTE)

    for _, group in groupby(sorted(events, key=minute), minute):
        yield list(group)


def _listed(replay: Replay) -> dict[str, Any]:
    described = {
        "ReplayName": replay.name,
        "EventSourceArn": replay.archive,
        "State": replay.state,
        "StateReason": replay.reason,
        "EventStartTime": replay.begin,
        "EventEndTime": replay.end,
        "EventLastReplayedTime": replay.last,
        "ReplayStartTime": replay.started_at,
        "ReplayEndTime": replay.ended_at,
    }
    return {name: value for name, value in described.items() if value is not None}


def _invalid(parameter: str, reason: str) -> AwsError:
    return validation(f"Parameter {parameter} is not valid. Reason: {reason}")
