"""The worker processes of a run: started, watched, asked for their state, and restarted when they end by themselves."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import psutil

from sandbox.chaos.history import History
from sandbox.chaos.plan import Plan, WorkerPlan
from sandbox.child import GuardedChild
from sandbox.ports import LOOPBACK, free_ports

ROOT = Path(__file__).parents[2]
WATCH_SECONDS = 0.2
STATS_SECONDS = 1.0
ANSWER_SECONDS = 1.5
TERM_SECONDS = 15.0
"""The engine ends itself 10 s after SIGTERM, whatever still waits; the rest is for a busy machine."""
RESTART_PAUSE = 1.0


class Member:
    """One worker of the plan; its process may change."""

    def __init__(self, plan: WorkerPlan, port: int) -> None:
        self.plan = plan
        self.port = port
        self.child: GuardedChild | None = None
        self.pid = 0
        self.wanted = True
        """Restart it if it ends by itself."""
        self.frozen = False
        self.answered = False
        self.was_ready = False
        self.lock = asyncio.Lock()
        self.last: dict[str, Any] = {}

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.child is not None and self.child.alive

    @property
    def stopped(self) -> bool:
        """Whether the kernel says that the process is stopped."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        return False

    @property
    def memory(self) -> int:
        """Bytes the process holds in memory."""
        with contextlib.suppress(psutil.Error):
            return int(psutil.Process(self.pid).memory_info().rss)
        return 0


class Crew:
    """All workers of a run."""

    def __init__(
        self, plan: Plan, directory: Path, history: History, bootstrap: str, sink_url: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """`environment` is added to that of the workers."""
        self.plan = plan
        self.directory = directory
        self.history = history
        self.bootstrap = bootstrap
        self.sink_url = sink_url
        self.environment = dict(environment or {})
        self.members: dict[str, Member] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Start the workers of the plan and begin to watch them."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))
        for plan in self.plan.workers:
            await self.launch(self.enlist(plan))
        self._tasks = [asyncio.ensure_future(self._watch()), asyncio.ensure_future(self._observe())]

    def enlist(self, plan: WorkerPlan) -> Member:
        """Add a worker, without starting it."""
        [port] = free_ports(1)
        member = self.members[plan.name] = Member(plan, port)
        return member

    async def launch(self, member: Member) -> None:
        """Start the member's process."""
        log = self.directory / f"{member.plan.name}.log"
        arguments = {
            "plan": self.directory / "plan.json", "name": member.plan.name, "stages": ",".join(member.plan.stages),
            "bootstrap": self.bootstrap, "sink": self.sink_url, "port": member.port,
            "data": self.directory / "data" / member.plan.name,
        }  # fmt: skip
        command = [sys.executable, "-m", "sandbox.chaos.worker"]
        command += [f"--{name}={value}" for name, value in arguments.items()]
        command += ["--named"] if member.plan.named else []
        path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
        member.child = await asyncio.to_thread(
            GuardedChild, command, log=log, environment={**os.environ, **self.environment, "PYTHONPATH": path}
        )
        member.pid = await asyncio.to_thread(lambda child: child.pid, member.child)
        member.answered = member.was_ready = member.frozen = False
        member.last = {}
        self.history.add(member.plan.name, "start", "ok", pid=member.pid)

    # ends

    async def end(self, member: Member, number: signal.Signals, by: str) -> int | None:
        """Signal the process and wait for its end; returns the exit code, None if there was no process."""
        child = member.child
        if child is None or not child.alive:
            return None
        child.send(number)
        deadline = monotonic() + TERM_SECONDS
        stuck = False
        while child.exit_code is None:
            if monotonic() > deadline and not stuck:
                stuck = True
                child.send(signal.SIGKILL)
            await asyncio.sleep(0.02)
        self._tell_end(member, by, signal=number.name, stuck=stuck)
        await asyncio.to_thread(child.kill)  # closes the pipes of the guard
        return child.exit_code

    def _tell_end(self, member: Member, by: str, **fields: Any) -> None:
        code = member.child.exit_code if member.child is not None else None
        self.history.add(
            member.plan.name, "exit", "info", by=by, code=code, pid=member.pid, answered=member.answered, **fields
        )  # fmt: skip

    async def _watch(self) -> None:
        """What ends without being told to is written down and started again, as an orchestrator would."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for member in list(self.members.values()):
                if member.lock.locked() or not member.wanted or member.child is None or member.alive:
                    continue
                async with member.lock:
                    self._tell_end(member, "itself")
                    await asyncio.to_thread(member.child.kill)
                    await asyncio.sleep(RESTART_PAUSE)
                    await self.launch(member)

    # looks

    async def get(self, member: Member, page: str) -> Any:
        """A page of its web views; None if it does not answer in time."""
        if self._session is None or not member.alive or member.frozen:
            return None
        try:
            async with self._session.get(f"http://{LOOPBACK}:{member.port}/{page}") as response:
                return await response.json() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    async def look(self, member: Member) -> None:
        """Ask for its state and write it down."""
        found = await self.get(member, "")
        if found is None:
            return
        member.answered = True
        member.last = found["stages"]
        ready = self.ready(member)
        if ready and not member.was_ready:
            member.was_ready = True
            self.history.add(member.plan.name, "ready", "ok", pid=member.pid)
        stages = {name: _brief(state) for name, state in member.last.items()}
        self.history.add(member.plan.name, "stats", "info", pid=member.pid, rss=member.memory, stages=stages)

    async def _observe(self) -> None:
        while True:
            await asyncio.gather(*(self.look(member) for member in list(self.members.values())))
            await asyncio.sleep(STATS_SECONDS)

    @staticmethod
    def ready(member: Member) -> bool:
        """Whether all stages of the worker worked when it was last asked."""
        return bool(member.last) and all(state["ready"] for state in member.last.values())

    async def wait_ready(self, seconds: float) -> bool:
        """Wait until every wanted member is ready; whether that came true."""
        deadline = monotonic() + seconds
        while monotonic() < deadline:
            wanted = [member for member in self.members.values() if member.wanted]
            if all(member.alive and self.ready(member) for member in wanted):
                return True
            await asyncio.sleep(0.2)
        return False

    async def tables(self) -> dict[str, Any]:
        """{worker: {"slots", "partitions"}} of every member that runs `count` and answers."""
        found = {}
        for member in self.members.values():
            if "count" in member.plan.stages and member.wanted:
                found[member.plan.name] = await self.get(member, "count/dump/")
        return found

    # the end of the run

    async def stop_all(self) -> None:
        """SIGTERM to all at once."""
        for member in self.members.values():
            member.wanted = False
        await asyncio.gather(*(self._stop(member) for member in self.members.values()))

    async def _stop(self, member: Member) -> None:
        async with member.lock:
            await self.look(member)
            await self.end(member, signal.SIGTERM, "harness")

    async def fresh(self, seconds: float) -> Any:
        """The tables of a worker that has nothing but the changelog; None if it was not ready in time."""
        member = self.enlist(replace(self.plan.workers[0], name="fresh", stages=("count",), named=False))
        async with member.lock:
            await self.launch(member)
        deadline = monotonic() + seconds
        while monotonic() < deadline and not self.ready(member):
            await asyncio.sleep(0.2)
        found = await self.get(member, "count/dump/") if self.ready(member) else None
        member.wanted = False
        await self._stop(member)
        return found

    async def close(self) -> None:
        """Kill whatever is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for member in self.members.values():
            if member.child is not None:
                await asyncio.to_thread(member.child.kill)
        if self._session is not None:
            await self._session.close()


def _brief(state: dict[str, Any]) -> dict[str, Any]:
    """What the checker and the report need of a stage's state."""
    stats = state.get("stats", {})
    return {
        "ready": state["ready"],
        "restarts": state["restarts"],
        "slots": state.get("slots", []),
        "gaps": state.get("gaps", {}),
        "pauses": stats.get("rebalance_pauses", []),
        "engine_pauses": stats.get("engine_pauses", []),
        **{name: stats.get(name, 0) for name in ("inputs", "units", "aborted", "reinits", "rejoins")},
        "gap_count": stats.get("gaps", 0),
        "read": {
            name: [shard["calls"], shard["bytes"]]
            for name, shard in state.get("shards", {}).items()
            if "calls" in shard
        },
    }
