"""What a run left behind, parsed once: the history, the final dumps, and what they say about each record."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from sandbox.chaos.history import Event
from sandbox.chaos.plan import Kind, Plan
from sandbox.chaos.sink import refused


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One committed record of a topic."""

    partition: int
    offset: int
    key: str
    uid: int
    number: int = 0
    """Version of the key (`in`, `out`), or attempts (`receipts`, `dead`)."""
    count: int = 0
    """The counter of the key (`out`)."""

    @property
    def where(self) -> str:
        """For a witness."""
        return f"{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken invariant: how often, and the smallest case of it."""

    invariant: str
    count: int
    text: str
    witness: Mapping[str, Any]


class Evidence:
    """The input of every check. `final` is the content of `final.json` (see `run.Run.final`)."""

    def __init__(self, plan: Plan, history: Iterable[Event], final: Mapping[str, Any]) -> None:
        self.plan = plan
        self.history = list(history)
        self.final = final

    def rows(self, topic: str) -> list[Row]:
        """Committed records, by partition and offset."""
        found = []
        for partition, offset, key, value, *_ in self.final["topics"].get(topic, {}).get("rows", ()):
            numbers = [int(part) for part in value.split(":")]
            found.append(Row(partition, offset, key, *numbers))
        return sorted(found)

    def complete(self, topic: str) -> bool:
        """Whether the reader of the topic reached its end."""
        return bool(self.final["topics"].get(topic, {}).get("complete"))

    @cached_property
    def put_in(self) -> list[Row]:
        """What was put in and committed."""
        return self.rows(self.plan.workload.source)

    @cached_property
    def source(self) -> list[Row]:
        """The same without what was deleted before a worker could see it: the truth everything is compared with."""
        skipped = self.final.get("skipped", {})
        return [row for row in self.put_in if not is_skipped(skipped, row.partition, row.offset)]

    @cached_property
    def out(self) -> list[Row]:
        """What `count` or a bridge wrote, or what `deliver` reads."""
        match self.plan.workload.source:
            case "in":
                return self.rows("out")
            case "stream":
                return self.rows("raw")
            case _:
                return self.source

    @cached_property
    def puts(self) -> dict[int, Event]:
        """{uid: last line about it}."""
        return {event["uid"]: event for event in self.history if event["op"] == "put"}

    @cached_property
    def deliveries(self) -> dict[int, list[Event]]:
        """{uid: what the sink took}, in the order of arrival."""
        found: dict[int, list[Event]] = defaultdict(list)
        for event in self.history:
            if event["op"] == "deliver":
                found[event["uid"]].append(event)
        return found

    @cached_property
    def refusals(self) -> dict[int, float]:
        """{uid: when the sink refused it first}."""
        found: dict[int, float] = {}
        for event in self.history:
            if event["op"] == "refuse":
                found.setdefault(event["uid"], event["t"])
        return found

    def is_refused(self, uid: int) -> bool:
        """Whether the sink refuses this event for good."""
        return refused(self.plan.seed, uid, self.plan.sink.refused)

    @cached_property
    def exits(self) -> list[Event]:
        """Every end of a worker process."""
        return [event for event in self.history if event["op"] == "exit"]

    @cached_property
    def faults(self) -> dict[int, Event]:
        """{number of the action: its last line}; an action without an end has only its `invoke`."""
        return {event["action"]: event for event in self.history if event["process"] == "nemesis" and "action" in event}

    def pauses(self, whose: Literal["pauses", "engine_pauses"]) -> dict[tuple[str, int, str, int], list[float]]:
        """{(worker, pid, stage, crashes of the stage): pauses of rebalances in seconds}, as far as they were seen:
        whole ones, which wait for the other members too, or the engine's part of each."""
        found: dict[tuple[str, int, str, int], list[float]] = {}
        for event in self.history:
            if event["op"] == "stats":
                for stage, state in event["stages"].items():
                    found[event["process"], event["pid"], stage, state["restarts"]] = state[whose]
        return found

    def awake(self, whose: Literal["pauses", "engine_pauses"]) -> list[float]:
        """The same, all together, without the time in which the nemesis had a worker frozen: its clock goes on while
        it stands still."""
        found: list[float] = []
        seen: dict[tuple[str, int, str, int], int] = {}
        looked: dict[str, float] = {}
        for event in self.history:
            if event["op"] != "stats":
                continue
            worker, at = event["process"], event["t"]
            since, looked[worker] = looked.get(worker, 0.0), at
            for stage, state in event["stages"].items():
                where = (worker, event["pid"], stage, state["restarts"])
                news = state[whose][seen.get(where, 0) :]
                seen[where] = len(state[whose])
                found += [round(seconds - self._frozen(worker, seconds, since, at), 3) for seconds in news]
        return found

    def _frozen(self, worker: str, pause: float, since: float, at: float) -> float:
        """How much of a pause, which ended between two looks, the worker certainly stood still."""
        freezes = [(begun, ended) for target, begun, ended in self._freezes if target == worker and ended <= at]
        last = max([since, *(ended for _, ended in freezes)])  # what stands still comes to no end
        return sum(max(0.0, min(ended, last) - max(begun, at - pause)) for begun, ended in freezes)

    @cached_property
    def _freezes(self) -> list[tuple[str, float, float]]:
        return self.spans("stop")

    def spans(self, kind: Kind) -> list[tuple[str, float, float]]:
        """(target, begin, end) of every fault of this kind that has an end."""
        begun: dict[int, float] = {}
        found = []
        for event in self.history:
            if event["process"] == "nemesis" and event["op"] == kind:
                begin = begun.setdefault(event["action"], event["t"])
                if event["type"] != "invoke":
                    found.append((event["target"], begin, event["t"]))
        return found

    def _repairs(self) -> dict[str, int]:
        """How often the engine aborted, re-initialised a slot and rejoined, as far as it was seen."""
        last: dict[tuple[str, int, str, int], Mapping[str, Any]] = {}
        for event in self.history:
            if event["op"] == "stats":
                for stage, state in event["stages"].items():
                    last[event["process"], event["pid"], stage, state["restarts"]] = state
        names = ("aborted", "reinits", "rejoins")
        crashes = sum(key[3] > 0 for key in last)
        return {name: sum(state.get(name, 0) for state in last.values()) for name in names} | {"crashes": crashes}

    def figures(self) -> dict[str, Any]:
        """Counts for the report."""
        done = Counter(event["op"] for event in self.faults.values() if event.get("fired"))
        pauses = sorted(self.awake("pauses"))
        ours = self.awake("engine_pauses")
        return {
            "produced": len(self.source),
            "out": len(self.out),
            "aborted": sum(1 for event in self.puts.values() if event["type"] == "fail"),
            "delivered": len(self.deliveries),
            "resent": sum(len(events) - 1 for events in self.deliveries.values()),
            "dead": len(self.rows("dead")),
            "faults": dict(sorted(done.items())),
            "kills": sum(done[kind] for kind in ("kill", "term", "stop", "leave")),
            "rebalances": len(pauses),
            "pause_median": pauses[len(pauses) // 2] if pauses else None,
            "pause_max": pauses[-1] if pauses else None,
            "engine_pause_max": max(ours, default=None),
            **self._repairs(),
            "self_exits": sum(1 for event in self.exits if event["by"] == "itself"),
        }


def is_skipped(skipped: Mapping[str, Any], partition: int, offset: int) -> bool:
    """Whether the nemesis deleted this record ahead of the workers."""
    return any(first <= offset < end for first, end in skipped.get(str(partition), ()))
