"""How the actions of a plan are drawn from what its scenario allows. Pure: the same dice give the same actions."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.chaos import bus, kinesis, network
from sandbox.chaos.plan import Action, Kind, SinkFaults, Workload
from sandbox.chaos.scripted import stages_of

FIRST_SECONDS = (1.0, 2.5)
SETTLE = 2.0
"""Seconds a worker is left alone after an action on it: it starts, joins and takes slots."""
BROKER_SECONDS = 8.0
"""About what a broker needs to come back on a busy machine."""
PATIENT_SECONDS = 30.0
"""Runs shorter than this are dense: the musts come first, and nothing waits for a deadline of the engine."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`menu`: actions and how often each is drawn; `musts`: actions that every plan holds; `gap`: seconds between."""

    name: str
    about: str
    workload: Workload
    workers: tuple[tuple[str, ...], ...]
    """The stages of each worker."""
    menu: Mapping[Kind, float]
    musts: tuple[Kind, ...] = ()
    gap: tuple[float, float] = (3.0, 9.0)
    named: float = 0.5
    """Share of plans in which the workers have stable names."""
    sink: SinkFaults = field(default_factory=SinkFaults)
    limits: Mapping[str, float] = field(default_factory=dict)
    seeds: int = 5
    """How many seeds `make chaos` runs."""


class Draw:
    """Draws actions one after the other; a target that is still busy with one is left alone."""

    def __init__(self, scenario: Scenario, dice: random.Random, seconds: float, workers: list[str]) -> None:
        self.scenario = scenario
        self.dice = dice
        self.seconds = seconds
        self.workers = workers
        self.joined = 0
        self.shards = scenario.workload.shards
        """Open ones, as they will be."""
        self.faults = 0
        """Faults of single requests. The first is a commit of unclear outcome, the second one that fails for good."""
        self.busy: dict[str, float] = {}

    def actions(self) -> tuple[Action, ...]:
        """The whole list, in order of time."""
        found: list[Action] = []
        musts = list(self.scenario.musts)
        self.dice.shuffle(musts)
        at = self.dice.uniform(*FIRST_SECONDS)
        short = self.seconds < PATIENT_SECONDS
        while at < self.seconds or musts:
            must = bool(musts) and (short or len(found) % 2 == 1 or at >= self.seconds)
            kind = musts[-1] if must else self._draw()
            drawn = self._make(kind, round(at, 2))
            if must and drawn:
                musts.pop()
            found += drawn
            at += self.dice.uniform(*self.scenario.gap) * (0.5 if short else 1.0)
        return tuple(sorted(found, key=lambda action: action.at))

    def _draw(self) -> Kind:
        return self.dice.choices(list(self.scenario.menu), list(self.scenario.menu.values()))[0]

    def _free(self, at: float) -> list[str]:
        return [name for name in self.workers if self.busy.get(name, 0.0) <= at]

    def _take(self, target: str, until: float) -> None:
        self.busy[target] = until

    def _make(self, kind: Kind, at: float) -> list[Action]:
        dice = self.dice
        match kind:
            case "kill" | "term" | "stop":
                free = self._free(at)
                if not free:
                    return []
                target = dice.choice(free)
                session = self.scenario.workload.session_timeout
                pause = session + dice.uniform(2.0, 4.0) if kind == "stop" else dice.choice([0.0, 0.0, 1.0, 3.0])
                self._take(target, at + pause + SETTLE)
                return [Action(at, kind, target, round(pause, 2))]
            case "join":
                if self.busy.get("all", 0.0) > at:
                    return []
                name, stay = f"j{self.joined}", dice.uniform(6.0, 14.0)
                self.joined += 1
                self._take("joined", at + stay + SETTLE)
                stages = dice.choice(self.scenario.workers)
                return [
                    Action(at, "join", name, 0.0, stages_of(*stages)), Action(round(at + stay, 2), "leave", name),
                ]  # fmt: skip
            case "broker-kill" | "broker-restart" | "broker-freeze":
                if self.busy.get("broker", 0.0) > at:
                    return []
                pause = round(dice.uniform(1.0, 6.0), 2)
                self.busy["broker"] = self.busy["net"] = at + pause + BROKER_SECONDS
                return [Action(at, kind, "broker", pause)]
            case "sink-outage":
                if self.busy.get("sink", 0.0) > at:
                    return []
                pause = round(min(dice.uniform(4.0, 20.0), max(4.0, self.seconds / 3)), 2)
                self._take("sink", at + pause + 4.0)
                return [Action(at, kind, "sink", pause, {"mode": dice.choice(["refuse", "hang"])})]
            case "net-cut" | "net-blackhole" | "net-latency" | "net-fault":
                return self._network(kind, at)
            case "split" | "merge":
                return self._reshard(kind, at)
            case "reshard-down":
                return self._reshard_down(at)
            case "kinesis-fault":
                patient = self.seconds >= PATIENT_SECONDS
                return [Action(at, kind, "kinesis", 0.0, kinesis.draw_fault(dice, patient=patient))]
            case "bus-slow" | "bus-cut" | "bus-entries" | "bus-throttle" | "bus-token" | "bus-loss":
                return self._bus(kind, at)
            case "delete-behind":
                return [Action(at, kind, "records")]
            case "delete-ahead":
                pause = round(dice.uniform(2.0, 4.0), 2)
                for target in self.workers:
                    self._take(target, at + pause + 8.0)  # long enough to be asked about the gap
                return [Action(at, kind, "records", pause)]
            case _:
                return []

    def _reshard(self, wanted: Kind, at: float) -> list[Action]:
        """Every second one has a kill right before or after it."""
        kind, place, self.shards = kinesis.draw_step(self.dice, wanted, self.shards)
        found = [Action(at, "split" if kind == "split" else "merge", "stream", 0.0, {"place": place})]
        if (free := self._free(at)) and self.dice.random() < 0.5:
            target, pause = self.dice.choice(free), self.dice.choice([0.0, 1.0, 3.0])
            self._take(target, at + pause + SETTLE)
            found.append(Action(round(max(0.0, at + self.dice.uniform(-0.4, 0.4)), 2), "kill", target, pause))
        return found

    def _reshard_down(self, at: float) -> list[Action]:
        if len(self._free(at)) < len(self.workers) or self.busy.get("joined", 0.0) > at:
            return []
        steps, self.shards = kinesis.draw_steps(self.dice, self.shards)
        pause = round(self.dice.uniform(0.5, 2.0), 2)
        for target in (*self.workers, "all"):
            self._take(target, at + pause + kinesis.STEP_SECONDS * len(steps) + SETTLE)
        return [Action(at, "reshard-down", "stream", pause, {"steps": steps})]

    def _bus(self, kind: Kind, at: float) -> list[Action]:
        """Slow answers come with a kill between acceptance and commit. A worker that wakes up knows nothing of a bus
        that was lost meanwhile: none is frozen then."""
        free = self._free(at)
        alone = kind != "bus-loss" or len(free) == len(self.workers)
        if self.busy.get("bus", 0.0) > at or not alone:
            return []
        seconds, options = bus.draw(kind, self.dice, patient=self.seconds >= PATIENT_SECONDS)
        self._take("bus", at + seconds + (bus.PAUSE_SECONDS if kind == "bus-token" else SETTLE / 2))
        found = [Action(at, kind, "bus", seconds, options)]
        if kind == "bus-loss":
            for target in self.workers:
                self._take(target, at + seconds + SETTLE / 2)
        elif kind == "bus-slow" and free:
            target, pause = self.dice.choice(free), self.dice.choice([0.0, 1.0])
            self._take(target, at + bus.HELD_SECONDS + pause + SETTLE)
            found.append(Action(round(at + bus.HELD_SECONDS, 2), "kill", target, pause))
        return found

    def _network(self, kind: Kind, at: float) -> list[Action]:
        """A request that only a rebalance sends gets a rebalance right after its fault. With Kafka down there is no
        network to break: such faults wait for those of the broker."""
        if self.busy.get("net", 0.0) > at:
            return []
        apis = network.COMMITS if self.scenario.workload.bridges else network.APIS
        seconds, options = network.draw(kind, self.dice, apis)
        quiet = seconds
        if kind == "net-fault":
            self.faults += 1
            if self.faults == 1:
                quiet, options = network.unclear(self.dice, patient=self.seconds >= PATIENT_SECONDS)
            elif self.faults == 2:
                options = network.refused(self.dice, apis)
        self._take("net", at + quiet + 3.0)
        where = "broker" if "broker-kill" in self.scenario.musts else "net"
        found = [Action(at, kind, where, seconds, options)]
        if options.get("api") in network.REBALANCE:
            target = self.dice.choice(self._free(at) or self.workers)
            self._take(target, at + 1.0 + SETTLE)
            found.append(Action(round(at + 0.5, 2), "term", target))
        return found
