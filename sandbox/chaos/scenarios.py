"""The scenarios, and how a seed becomes a plan. Pure: the same scenario, seed and length give the same plan."""

import random
from dataclasses import replace

from sandbox.chaos import bus, scripted
from sandbox.chaos.drawing import Draw, Scenario
from sandbox.chaos.plan import Kind, Plan, SinkFaults, WorkerPlan, Workload

BOTH = ("count", "deliver")
MEBIBYTE = 1 << 20
PROCESSES: dict[Kind, float] = {"kill": 4.0, "term": 3.0, "stop": 2.0}


COUNT = Workload(body_failures=0.004, body_pauses=0.0005)
TWO, THREE = (("count",),) * 2, (("count",),) * 3
BRIDGE = Workload(stages=("bridge",), rate=120.0, aggregates=0.15)
BRIDGES = (("bridge",),) * 3
PUBLISHERS = (("publish",),) * 2
PUBLISH = Workload(stages=("publish",), keys=80, rate=120.0, transactional=True, window_records=400)
POISON = SinkFaults(refused=0.03)
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
        Scenario(
            "publish", "two publishers send events and poison to a bus that fails, throttles and goes away",
            PUBLISH, PUBLISHERS, PROCESSES | bus.WEIGHTS | {"join": 2.0, "bus-loss": 1.0},
            ("bus-slow", "bus-entries", "bus-loss"), gap=(1.5, 5.0), sink=POISON,
        ),
        Scenario(
            "publish-custom", "the same with a Custom Event Bus (v2), which delivers no repeat",
            replace(PUBLISH, custom_bus=True), PUBLISHERS, PROCESSES | bus.WEIGHTS | {"join": 2.0},
            ("bus-slow", "bus-entries", "bus-throttle", "bus-token"), gap=(1.5, 5.0), sink=POISON,
        ),
        Scenario(
            "publish-throttled", "the bus throttles everything for the whole run while publishers come and go",
            replace(PUBLISH, partitions=8), PUBLISHERS, {}, ("bus-throttle",), limits={"pause": 2.5}, named=0.0,
            sink=POISON,
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
        case "publish-throttled":
            actions = scripted.bus_throttled(dice, seconds)
        case "predecessor":
            actions = scripted.predecessor(dice, seconds)
        case "bridge-stall":
            actions = scripted.bridge_stall(dice, seconds, seed)
        case _:
            actions = Draw(scenario, dice, seconds, [worker.name for worker in workers]).actions()
    return Plan(name, seed, seconds, workload, workers, actions, scenario.sink, dict(scenario.limits))
