"""Faults of the bus: calls and entries that fail, credentials that expire, a bus that is gone; drawn and proven."""

import asyncio
import random
import time
from time import monotonic
from typing import Any

from sandbox.aws.control_client import ControlError, StandInControl
from sandbox.aws.faults import FaultRule
from sandbox.chaos.plan import Action, Kind
from workers.eventbridge.answers import CONFIGURATION_PAUSE

LOST_SECONDS = 7.0
"""Long enough to see that a publisher which has looked sends nothing more."""
PAUSE_SECONDS = CONFIGURATION_PAUSE + 1.0
"""After expired credentials a publisher sends nothing for so long, and nothing else can happen to its calls."""
HELD_SECONDS = 1.0
"""Behind the beginning of slow answers, requests are certainly on their way."""
WEIGHTS: dict[Kind, float] = {
    "bus-slow": 3.0, "bus-cut": 3.0, "bus-entries": 3.0, "bus-throttle": 3.0, "bus-token": 2.0,
}  # fmt: skip
FIRE_SECONDS, WATCH_SECONDS = 10.0, 0.2
"""A fault that met no request, because the publishers were dead or just began, stays for so much longer."""
CUTS = ("cut_before", "cut_after", "truncate", "short", "internal_failure", "unavailable")
ENTRY_CODES = ("ThrottlingException", "InternalFailure")


def draw(kind: Kind, dice: random.Random, *, patient: bool) -> tuple[float, dict[str, Any]]:
    """(how long, fields of FaultRule). `patient`: also for longer than a few seconds."""
    seconds = round(dice.uniform(2.0, 8.0 if patient else 3.0), 2)
    match kind:
        case "bus-throttle":
            return seconds, {"kind": "throttle"}
        case "bus-entries":
            return seconds, {"kind": "entry", "probability": 0.3, "code": dice.choice(ENTRY_CODES)}
        case "bus-slow":
            return seconds, {"kind": "slow", "seconds": round(dice.uniform(2.0, 6.0), 2)}
        case "bus-cut":
            return seconds, {"kind": dice.choice(CUTS), "probability": 0.4}
        case "bus-token":
            return 2.0, {"kind": "expired_token"}
        case _:
            return LOST_SECONDS if patient else LOST_SECONDS / 2, {}


class Bus:
    """The bus of the stand-in in the hands of the nemesis. `custom`: it is a Custom Event Bus (v2)."""

    def __init__(self, control: StandInControl, name: str, *, custom: bool) -> None:
        self.control = control
        self.name = name
        self.custom = custom

    async def do(self, action: Action) -> tuple[bool, dict[str, Any]]:
        """(whether it happened, proof). Raises RuntimeError or OSError if the stand-in refuses or does not answer."""
        try:
            if action.kind == "bus-loss":
                return await self._lose(action.seconds)
            return await self._fault(action)
        except ControlError as error:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    async def heal(self) -> None:
        """No fault stays in force. A lost bus is back already."""
        await asyncio.to_thread(self.control.clear_faults)

    async def _fault(self, action: Action) -> tuple[bool, dict[str, Any]]:
        service = "eventsv2" if self.custom else "events"
        rule = FaultRule(service=service, operation="PutEvents", seed=round(action.at * 100), **action.options)
        report = await asyncio.to_thread(self.control.add_fault, rule)
        await asyncio.sleep(action.seconds)
        deadline = monotonic() + FIRE_SECONDS
        while not (await asyncio.to_thread(self.control.counts, report)).fired and monotonic() < deadline:
            await asyncio.sleep(WATCH_SECONDS)
        last = await asyncio.to_thread(self.control.remove_fault, report)
        return last.fired > 0, {"fired": last.fired, "of": last.matched}

    async def _lose(self, seconds: float) -> tuple[bool, dict[str, Any]]:
        """The proof is a look of the publisher that did not find it."""
        before = await asyncio.to_thread(self._missed)
        lost = time.time()
        await asyncio.to_thread(self.control.lose_bus, self.name)
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(self.control.bring_back_bus, self.name)
        missed = await asyncio.to_thread(self._missed) - before
        return missed > 0, {"lost": lost, "back": time.time(), "missed": missed}

    def _missed(self) -> int:
        errors = self.control.status().errors
        return sum(count for name, count in errors.items() if name.startswith("events.DescribeEventBus:"))
