"""Does what the plan says, and writes down for every fault the proof that it happened."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any, TypeVar, assert_never

import psutil

from sandbox.chaos.bus import Bus
from sandbox.chaos.crew import Crew, Member
from sandbox.chaos.history import History
from sandbox.chaos.kinesis import Kinesis
from sandbox.chaos.network import Network
from sandbox.chaos.plan import Action, Plan, WorkerPlan
from sandbox.chaos.records import Deleter
from sandbox.chaos.sink import Sink
from sandbox.kafka.broker import KafkaBroker
from workers.failures import CommandError

KILLED = 128 + signal.SIGKILL
JOIN_SECONDS = 40.0

Proof = Mapping[str, Any]
T = TypeVar("T")


class Nemesis:
    """Runs the actions of a plan, each at its time; actions on one target never overlap."""

    def __init__(
        self,
        plan: Plan,
        history: History,
        *,
        crew: Crew,
        broker: KafkaBroker,
        network: Network | None,
        sink: Sink | None = None,
        deleter: Deleter | None = None,
        kinesis: Kinesis | None = None,
        bus: Bus | None = None,
    ) -> None:
        """What a run does not have is None: an action on it does not fire."""
        self.plan = plan
        self.history = history
        self.crew = crew
        self.broker = broker
        self.sink = sink
        self.deleter = deleter
        self.network = network
        self.kinesis = kinesis
        self.bus = bus
        self._locks: dict[str, asyncio.Lock] = {}

    async def run(self) -> None:
        """Return when every action has ended and healed itself."""
        begun = monotonic()
        await asyncio.gather(*(self._at(begun, number, action) for number, action in enumerate(self.plan.actions)))

    async def _at(self, begun: float, number: int, action: Action) -> None:
        await asyncio.sleep(max(0.0, begun + action.at - monotonic()))
        async with self._locks.setdefault(action.target, asyncio.Lock()):
            self.history.add("nemesis", action.kind, "invoke", action=number, target=action.target)
            proof: Proof
            try:
                fired, proof = await self._do(action)
            except (CommandError, OSError, TimeoutError, psutil.Error, RuntimeError) as error:
                fired, proof = False, {"error": type(error).__name__, "text": str(error)[:200]}
            self.history.add(
                "nemesis", action.kind, "ok" if fired else "info",
                action=number, target=action.target, fired=fired, proof=proof,
            )  # fmt: skip

    async def _do(self, action: Action) -> tuple[bool, Proof]:
        match action.kind:
            case "kill" | "term" | "stop" | "leave":
                member = self.crew.members[action.target]
                async with member.lock:
                    return await self._worker(action, member)
            case "join":
                return await self._join(action)
            case "broker-kill" | "broker-restart" | "broker-freeze":
                return await self._broker(action)
            case "net-cut" | "net-blackhole" | "net-latency" | "net-fault":
                return await _there(self.network).do(action)
            case "delete-behind":
                return await _there(self.deleter).behind()
            case "delete-ahead":
                return await self._while_all_are_dead(action.seconds, _there(self.deleter).ahead)
            case "split" | "merge" | "kinesis-fault":
                return await _there(self.kinesis).do(action)
            case "bus-slow" | "bus-cut" | "bus-entries" | "bus-throttle" | "bus-token" | "bus-loss":
                return await _there(self.bus).do(action)
            case "reshard-down":
                kinesis = _there(self.kinesis)
                return await self._while_all_are_dead(action.seconds, lambda: kinesis.do(action))
            case "sink-outage":
                return await self._outage(action)
            case unknown:
                assert_never(unknown)

    # workers

    async def _worker(self, action: Action, member: Member) -> tuple[bool, Proof]:
        match action.kind:
            case "kill":
                pid, code = member.pid, await self.crew.end(member, signal.SIGKILL, "nemesis")
                await asyncio.sleep(action.seconds)
                await self.crew.launch(member)
                return code == KILLED, {"pid": pid, "code": code}
            case "term":
                pid, code = member.pid, await self.crew.end(member, signal.SIGTERM, "nemesis")
                await asyncio.sleep(action.seconds)
                await self.crew.launch(member)
                return code is not None, {"pid": pid, "code": code}
            case "leave":
                member.wanted = False
                code = await self.crew.end(member, signal.SIGTERM, "nemesis")
                return code is not None, {"pid": member.pid, "code": code}
            case _:
                return await self._freeze(action, member)

    async def _freeze(self, action: Action, member: Member) -> tuple[bool, Proof]:
        if member.child is None or not member.alive:
            return False, {}
        member.frozen = True
        begun = monotonic()
        try:
            member.child.send(signal.SIGSTOP)
            await asyncio.sleep(0.1)
            first = member.stopped
            await asyncio.sleep(max(0.0, action.seconds - 0.1))
            last = member.stopped
        finally:
            member.last = {}  # what it said before says nothing about now
            member.child.send(signal.SIGCONT)
            member.frozen = False
        seconds = round(monotonic() - begun, 2)
        return first and last and seconds > self.plan.workload.session_timeout, {"pid": member.pid, "seconds": seconds}

    async def _join(self, action: Action) -> tuple[bool, Proof]:
        member = self.crew.enlist(WorkerPlan(action.target, tuple(action.options["stages"])))
        async with member.lock:
            await self.crew.launch(member)
        deadline = monotonic() + JOIN_SECONDS
        while monotonic() < deadline and not member.was_ready:
            await asyncio.sleep(0.1)
        slots = {name: state.get("slots", []) for name, state in member.last.items()}
        return member.was_ready, {"pid": member.pid, "slots": slots}

    # Kafka

    async def _while_all_are_dead(
        self, seconds: float, do: Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]
    ) -> tuple[bool, Proof]:
        """Kill all workers, let input pile up, do something to it, and start them again."""
        members = [member for member in self.crew.members.values() if member.wanted]
        async with contextlib.AsyncExitStack() as held:
            for member in members:
                await held.enter_async_context(member.lock)
            for member in members:
                await self.crew.end(member, signal.SIGKILL, "nemesis")
            await asyncio.sleep(seconds)  # also for a commit that was on its way
            try:
                fired, proof = await do()
                dead = not any(member.alive for member in self.crew.members.values())
            finally:
                for member in members:
                    await self.crew.launch(member)
        return fired and dead, proof

    async def _broker(self, action: Action) -> tuple[bool, Proof]:
        before = self.broker.pid
        if action.kind == "broker-freeze":
            return await self._freeze_broker(action, before)
        await asyncio.to_thread(self.broker.kill if action.kind == "broker-kill" else self.broker.stop)
        gone = before is not None and not psutil.pid_exists(before)
        await asyncio.sleep(action.seconds)
        for attempt in range(3):
            try:
                await asyncio.to_thread(self.broker.start)
                break
            except CommandError:
                if attempt == 2:
                    raise
        return gone and self.broker.pid not in (None, before), {"before": before, "after": self.broker.pid}

    async def _freeze_broker(self, action: Action, pid: int | None) -> tuple[bool, Proof]:
        begun = monotonic()
        self.broker.pause()
        try:
            await asyncio.sleep(0.1)
            first = _is_stopped(pid)
            await asyncio.sleep(max(0.0, action.seconds - 0.1))
            last = _is_stopped(pid)
        finally:
            self.broker.resume()
        return first and last, {"pid": pid, "seconds": round(monotonic() - begun, 2)}

    # sink

    async def _outage(self, action: Action) -> tuple[bool, Proof]:
        sink = _there(self.sink)
        before = sink.counts["down"]
        sink.fail(action.options.get("mode", "refuse"))
        try:
            await asyncio.sleep(action.seconds)
        finally:
            sink.heal()
        met = sink.counts["down"] - before
        return met > 0, {"requests": met}

    async def heal(self) -> None:
        """Whatever was left broken by an action that failed is mended: nothing of the nemesis stays."""
        if self.sink is not None:
            self.sink.heal()
        if self.network is not None:
            self.network.proxy.heal()
        if self.kinesis is not None:
            await self.kinesis.heal()
        if self.bus is not None:
            await self.bus.heal()
        if self.broker.pid is None:
            await asyncio.to_thread(self.broker.start)
        with contextlib.suppress(RuntimeError):
            self.broker.resume()
        for member in self.crew.members.values():
            if member.child is not None and member.alive:
                member.child.send(signal.SIGCONT)
            if member.wanted and not member.alive:
                async with member.lock:
                    if not member.alive:
                        await self.crew.launch(member)


def _is_stopped(pid: int | None) -> bool:
    return pid is not None and bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def _there(part: T | None) -> T:
    if part is None:
        raise RuntimeError("the run has no such part")
    return part
