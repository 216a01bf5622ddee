"""Faults of the network between workers and Kafka: drawn from a seed, and done by the proxy, with proof."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from sandbox.chaos.plan import Action, Kind
from sandbox.kafka.proxy import Fault, KafkaProxy

FIRE_SECONDS = 20.0
"""A fault has so long to meet its request."""
WATCH_SECONDS = 0.05
COMMIT_SECONDS = 24.0
"""The deadline of a commit and a little more: a cut of the connection before it would clear everything up."""
REBALANCE = ("InitProducerId", "JoinGroup", "SyncGroup", "OffsetFetch")
"""Requests that only a rebalance sends."""

BEFORE: Mapping[str, tuple[int, ...]] = {
    "EndTxn": (14, 15, 16, 51), "AddOffsetsToTxn": (14, 15, 16, 51), "AddPartitionsToTxn": (14, 15, 16, 51),
    "TxnOffsetCommit": (14, 15, 16), "Produce": (6, 19), "InitProducerId": (14, 15, 16, 51),
    "JoinGroup": (14, 15, 16, 25), "SyncGroup": (14, 16, 22, 25, 27), "OffsetFetch": (14, 16),
    "Heartbeat": (16, 22, 25, 27),
}  # fmt: skip
"""Errors with which a broker refuses without having done anything (numbers of Kafka's protocol)."""
AFTER: Mapping[str, tuple[int, ...]] = {"EndTxn": (-1, 16), "Produce": (7, 20), "TxnOffsetCommit": (7,), "Fetch": (6,)}
"""Errors that a broker may give although it has done it, or for a request without effect."""
COMMITS = ("EndTxn", "EndTxn", "EndTxn", "AddPartitionsToTxn", "Produce", "Produce", "Fetch", "Heartbeat")
"""What a stage sends all the time whose positions stand in a topic: it commits no offsets."""
APIS = (
    "EndTxn", "EndTxn", "EndTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "AddPartitionsToTxn", "Produce", "Produce",
    "Fetch", "Heartbeat", *REBALANCE,
)  # fmt: skip


def draw(kind: Kind, dice: random.Random, apis: Sequence[str] = APIS) -> tuple[float, dict[str, Any]]:
    """(seconds, options) of a network action."""
    match kind:
        case "net-blackhole":
            return round(dice.uniform(2.0, 12.0), 2), {"direction": dice.choice(["both", "upstream", "downstream"])}
        case "net-latency":
            return 6.0, {"latency": round(dice.uniform(0.02, 0.15), 3), "jitter": 0.05}
        case "net-fault":
            return 0.0, _draw_fault(dice, apis)
        case _:
            return 0.0, {"refuse": round(dice.choice([0.0, dice.uniform(1.0, 4.0)]), 2)}


def _draw_fault(dice: random.Random, apis: Sequence[str]) -> dict[str, Any]:
    api = dice.choice(apis)
    options: dict[str, Any] = {"api": api, "nth": 1 if api in REBALANCE else dice.randint(1, 5)}
    actions = ["drop_response", "drop_request", "disconnect", "delay", "delay_response"]
    actions += ["error"] * 2 if api in BEFORE or api in AFTER else []
    action = dice.choice(actions)
    match action:
        case "drop_response" | "drop_request":
            return options | {"action": action, "then": dice.choice(["cut", "hold"])}
        case "delay" | "delay_response":
            return options | {"action": action, "seconds": round(dice.uniform(0.5, 8.0), 2)}
        case "error":
            done = api not in BEFORE or (api in AFTER and dice.random() < 0.5)
            code = dice.choice(AFTER[api] if done else BEFORE[api])
            return options | {"action": action, "error_code": code, "reaches_broker": done}
        case _:
            return options | {"action": action}


def unclear(dice: random.Random, *, patient: bool) -> tuple[float, dict[str, Any]]:
    """(seconds that the network has to be left alone, options) of a commit that happens, and of which the worker only
    learns that it may have: what the engine exists for. `patient`: it may also learn nothing until its deadline."""
    options = {"api": "EndTxn", "nth": dice.randint(1, 5)}
    if patient and dice.random() < 0.5:
        return COMMIT_SECONDS, options | {"action": "drop_response", "then": "hold"}
    return 0.0, options | {"action": "error", "error_code": -1, "reaches_broker": True}


def refused(dice: random.Random, apis: Sequence[str] = APIS) -> dict[str, Any]:
    """A commit that fails for good in the middle: everything of it has to be undone, in memory too."""
    api = dice.choice([api for api in ("Produce", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn") if api in apis])
    return {"api": api, "nth": dice.randint(1, 5), "action": "error", "error_code": -1, "reaches_broker": False}


class Network:
    """The proxy in the hands of the nemesis."""

    def __init__(self, proxy: KafkaProxy) -> None:
        self.proxy = proxy

    async def do(self, action: Action) -> tuple[bool, dict[str, Any]]:
        """(whether it happened, proof)."""
        proxy, options = self.proxy, action.options
        deadline = monotonic() + FIRE_SECONDS
        while not proxy.connections and monotonic() < deadline:  # everybody may be dead, or wait for Kafka
            await asyncio.sleep(WATCH_SECONDS)
        open_before, asked_before = proxy.connections, proxy.counts.total()
        match action.kind:
            case "net-cut":
                proxy.refuse(options.get("refuse", 0.0) > 0)
                proxy.cut()
                await asyncio.sleep(options.get("refuse", 0.0))
                proxy.refuse(False)
                return open_before > 0, {"connections": open_before}
            case "net-blackhole":
                proxy.blackhole(action.seconds, options["direction"])
                await asyncio.sleep(action.seconds)
                return open_before > 0, {"connections": open_before}
            case "net-latency":
                proxy.latency(options["latency"], options["jitter"])
                await asyncio.sleep(action.seconds)
                proxy.heal()
                asked = proxy.counts.total() - asked_before
                return asked > 0, {"requests": asked}
            case "net-fault":
                return await self._fault(Fault(**options))
            case _:
                raise ValueError(action.kind)

    async def _fault(self, fault: Fault) -> tuple[bool, dict[str, Any]]:
        before = len(self.proxy.fired)
        self.proxy.fault(fault)
        deadline = monotonic() + FIRE_SECONDS + fault.seconds
        while monotonic() < deadline:
            for fired in self.proxy.fired[before:]:
                if (fired.api, fired.action) == (fault.api, fault.action):
                    return True, {"client": fired.client_id, "correlation_id": fired.correlation_id}
            await asyncio.sleep(WATCH_SECONDS)
        self.proxy.heal()
        return False, {"requests": self.proxy.counts[fault.api]}
