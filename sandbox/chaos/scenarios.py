"""The scenarios, and how a seed becomes a plan. Pure: the same scenario, seed and length give the same plan."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sandbox.chaos import kinesis, network, scripted
from sandbox.chaos.plan import Action, Kind, Plan, SinkFaults, WorkerPlan, Workload
from sandbox.chaos.scripted import stages_of

BOTH = ("count", "deliver")
FIRST_SECONDS = (1.0, 2.5)
SETTLE = 2.0
"""Seconds a worker is left alone after an action on it: it starts, joins and takes slots."""
BROKER_SECONDS = 8.0
"""About what a broker needs to come back on a busy machine."""
PATIENT_SECONDS = 30.0
"""Runs shorter than this are dense: the musts come first, and nothing waits for a deadline of the engine."""
MEBIBYTE = 1 << 20
PROCESSES: dict[Kind, float] = {"kill": 4.0, "term": 3.0, "stop": 2.0}


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


COUNT = Workload(body_failures=0.004, body_pauses=0.0005)
TWO, THREE = (("count",),) * 2, (("count",),) * 3
BRIDGE = Workload(stages=("bridge",), rate=120.0, aggregates=0.15)
BRIDGES = (("bridge",),) * 3
RARE: dict[Kind, float] = dict.fromkeys(("term", "join", "split", "merge"), 1.0)
RESHARDS: dict[Kind, float] = {"kill": 1.0, "term": 2.0, "join": 1.0, "split": 6.0, "merge": 6.0, "reshard-down": 1.0}

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "table", "two workers count records per key in a partitioned table; workers are killed, ended and frozen",
            COUNT, TWO, PROCESSES,
        ),
        Scenario(
            "global-table", "the same with a table that every worker holds whole",
            replace(COUNT, table="global-table"), TWO, PROCESSES,
        ),
        Scenario(
            "three-workers", "eight partitions, three workers, and workers that join and leave",
            replace(COUNT, partitions=8), THREE, PROCESSES | {"join": 3.0}, ("join",),
        ),
        Scenario(
            "mixed-stages", "count and deliver in different mixtures per process; faults in the sink too",
            replace(COUNT, stages=BOTH), (BOTH, ("count",), ("deliver",)),
            PROCESSES | {"join": 2.0, "sink-outage": 1.0}, ("join",),
        ),
        Scenario(
            "broker-restart", "Kafka is killed, restarted in order and frozen, among faults of the workers",
            COUNT, TWO, PROCESSES | {"broker-freeze": 1.0}, ("broker-kill", "broker-restart"),
        ),
        Scenario(
            "transactional-source", "the input comes in transactions, 10 to 40 % of them aborted, some abandoned",
            replace(COUNT, transactional=True, aborted=0.25), TWO, PROCESSES,
        ),
        Scenario(
            "network", "connections are cut, go silent or slow, and single requests and answers of Kafka get lost",
            COUNT, TWO, {"net-cut": 2.0, "net-blackhole": 2.0, "net-latency": 1.0, "net-fault": 6.0, "term": 1.0},
            ("net-cut", "net-blackhole", "net-fault", "net-fault"),
        ),
        Scenario(
            "truncation", "records are deleted: below the position unnoticed, ahead of it as a gap that is reported",
            replace(COUNT, on_gap="continue"), TWO, PROCESSES | {"delete-behind": 4.0},
            ("delete-behind", "delete-ahead"),
        ),
        Scenario(
            "window", "two workers deliver to a sink outside of Kafka that fails, loses answers and goes down",
            Workload(stages=("deliver",), keys=80, window_records=400), (("deliver",),) * 2,
            PROCESSES | {"sink-outage": 2.0}, ("sink-outage",), seeds=20,
        ),
        Scenario(
            "bus-outage", "the sink is down for the whole run while workers come and go: eight slots, five rebalances",
            Workload(stages=("deliver",), partitions=8, keys=80, rate=60.0, window_records=400),
            (("deliver",),) * 2, {}, limits={"pause": 2.5}, named=0.0,
        ),
        Scenario(
            "predecessor", "a worker with a stable name is killed and restarted at once, again and again",
            replace(COUNT, body_failures=0.0, body_pauses=0.0), TWO, {}, named=1.0, limits={"peer_pause": 1.0},
        ),
        Scenario(
            "bridge", "two bridges read a stream; workers are killed, ended and frozen, calls of Kinesis fail",
            BRIDGE, BRIDGES[:2], RARE | PROCESSES | {"kinesis-fault": 8.0}, ("kinesis-fault", "split"), gap=(1.5, 5.0),
        ),
        Scenario(
            "bridge-reshard", "three bridges; shards split and merge, beside kills and while all workers are down",
            BRIDGE, BRIDGES, RESHARDS | {"stop": 2.0, "kinesis-fault": 2.0}, ("reshard-down", "merge", "split"),
            gap=(1.5, 5.0),
        ),
        Scenario(
            "bridge-broker", "two bridges; Kafka is killed, restarted and frozen, and the network to it fails",
            BRIDGE, BRIDGES[:2],
            RARE | {"broker-freeze": 1.0, "net-cut": 2.0, "net-blackhole": 1.0, "net-fault": 4.0},
            ("broker-kill", "broker-restart", "net-fault", "net-fault"), gap=(1.5, 5.0),
        ),
        Scenario(
            "bridge-stall", "two bridges with default time-outs; Kafka stands still for the whole length of the run",
            replace(BRIDGE, session_timeout=10.0, padding=4_000, memory_budget=32 * MEBIBYTE), BRIDGES[:2], {},
            ("broker-freeze",), limits={"stall_bytes": 6 * MEBIBYTE}, seeds=3,
        ),
    )
}  # fmt: skip


def make_plan(name: str, seed: int, seconds: float) -> Plan:
    """The plan of a scenario. Raises KeyError for an unknown one."""
    scenario = SCENARIOS[name]
    dice = random.Random(f"{name}:{seed}")
    named = dice.random() < scenario.named
    workers = tuple(WorkerPlan(f"w{n}", stages, named) for n, stages in enumerate(scenario.workers))
    workload = scenario.workload
    if workload.transactional:
        workload = replace(workload, aborted=round(dice.uniform(0.1, 0.4), 2))
    match name:
        case "bus-outage":
            actions = scripted.bus_outage(dice, seconds)
        case "predecessor":
            actions = scripted.predecessor(dice, seconds)
        case "bridge-stall":
            actions = scripted.bridge_stall(dice, seconds, seed)
        case _:
            actions = _Draw(scenario, dice, seconds, [worker.name for worker in workers]).actions()
    return Plan(name, seed, seconds, workload, workers, actions, scenario.sink, dict(scenario.limits))


class _Draw:
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
