"""One run of one publisher: rate and CPU per event, or memory while the bus answers nothing."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.bus_server import LEDGER, RESET
from bench.contestants import Contestant, Job, running
from bench.environments import ROOT
from bench.publish_events import CEILING_RECEIPTS, CUSTOM_BUS, entries
from bench.results import Run
from bench.rig import Rig
from bench.throughput import CALM_SECONDS, POLL_SECONDS, QUIET_CORES, PeerFailed, until
from bench.usage import Machine, Usage
from sandbox.child import GuardedChild, last_lines
from sandbox.ports import LOOPBACK, free_ports

OURS = Contestant("ours", "publish")
BOTO3 = Contestant("boto3", "boto3_publish")
BOTO3_THREADS = Contestant("boto3_8_threads", "boto3_publish", ("--threads", "8"))
OURS_CUSTOM = Contestant("ours_v2", "publish", ("--bus", CUSTOM_BUS))
BARE_CUSTOM = Contestant("bare_v2", "bare_publish", ("--bus", CUSTOM_BUS))
WHOLE_CUSTOM = Contestant("whole_v2", "bare_publish", ("--whole", "--bus", CUSTOM_BUS))
BOTO3_CUSTOM = Contestant("boto3_v2", "boto3_publish", ("--service", "eventbridgev2"))

WARM_UP = 2_000
"""Events ours has delivered before it is measured."""
RUN_SECONDS = 300.0


class BusServer:
    """`bench/bus_server.py` as a child process."""

    def __init__(self, log: Path) -> None:
        [port] = free_ports(1)
        self.url = f"http://{LOOPBACK}:{port}/"
        self._child = GuardedChild(
            [sys.executable, "-m", "bench.bus_server", f"--port={port}"],
            log=log, environment=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the server itself."""
        return self._child.pid

    def reset(self, records: int, latency: float, *, stalled: bool = False) -> None:
        """Begin a new ledger for events 0 .. `records` - 1; answers take `latency` seconds, or never come."""
        self._call(RESET, {"records": records, "latency": latency, "stalled": stalled})

    def ledger(self) -> dict[str, Any]:
        """What came since then."""
        return self._call(LEDGER, {})

    def close(self) -> None:
        """End it."""
        self._child.kill()

    def _call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(self.url, json.dumps(body).encode(), {"X-Amz-Target": operation})
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


@contextlib.contextmanager
def bus_server(log: Path) -> Iterator[BusServer]:
    """A server that answers."""
    with contextlib.closing(BusServer(log)) as server:
        deadline = time.monotonic() + 30
        while True:
            try:
                server.ledger()
            except OSError:
                if time.monotonic() > deadline:
                    raise PeerFailed(f"the bus server does not answer\n{last_lines(log)}") from None
                time.sleep(POLL_SECONDS)
            else:
                break
        yield server


@dataclass(slots=True)
class PublishRuns:
    """Every run of ours has topics of its own."""

    rig: Rig
    directory: Path
    server: BusServer
    say: Callable[[str], None]
    runs: int = 0

    async def ours(self, contestant: Contestant, section: str, records: int, entities: int, latency: float) -> Run:
        """From the moment the events become visible until the bus has all of them. Raises PeerFailed."""
        self.server.reset(WARM_UP + records, latency)
        async with self._job(section) as job:
            with running(contestant, job, self._log(job), grace=10.0) as child:
                rest = entries(records, entities, self.rig.partitions, WARM_UP)
                async with Usage(child.pid) as usage, self.rig.gate(job.source, rest, hidden=True) as lift:
                    await until(WARM_UP, self._distinct, contestant, child, self._log(job))
                    await asyncio.sleep(CALM_SECONDS)
                    machine = Machine(self.rig.broker.pid or 0, psutil.Process().pid, self.server.pid)
                    opened = await lift()
                    await until(WARM_UP + records, self._distinct, contestant, child, self._log(job))
                    ledger = await asyncio.to_thread(self.server.ledger)
                    await asyncio.sleep(CALM_SECONDS)  # for the last commit to be counted
                    _, spent = usage.sample()
                    peak = usage.peak_mb()
                    spent -= usage.cpu_at(opened)
                    others = machine.others(besides=spent)
        if ledger["reordered"] or ledger["again"]:
            raise PeerFailed(f"{contestant.name}: {ledger['reordered']} reordered, {ledger['again']} sent again")
        found = self._run(records, ledger["last"] - opened, spent, ledger, others) | {"rss_peak_mb": round(peak, 1)}
        self._tell(section, contestant.name, found)
        return found

    async def boto3(self, contestant: Contestant, section: str, records: int, entities: int, latency: float) -> Run:
        """The loop by its own clock. Raises PeerFailed."""
        self.server.reset(records, latency)
        self.runs += 1
        log = self.directory / f"{section}{self.runs}-{contestant.name}.log"
        words = ["--endpoint", self.server.url, "--records", str(records), "--entities", str(entities)]
        machine = Machine(self.rig.broker.pid or 0, psutil.Process().pid, self.server.pid)
        child = GuardedChild(
            [sys.executable, "-m", f"bench.peers.{contestant.module}", *contestant.arguments, *words],
            log=log, environment=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        try:
            deadline = time.monotonic() + RUN_SECONDS
            while child.alive and time.monotonic() < deadline:
                await asyncio.sleep(POLL_SECONDS)
            ledger = await asyncio.to_thread(self.server.ledger)
            if child.exit_code != 0 or ledger["distinct"] != records:
                raise PeerFailed(f"{contestant.name}: {ledger['distinct']} of {records}\n{last_lines(log)}")
        finally:
            child.kill()
        own = json.loads(log.read_text(encoding="utf-8").strip().splitlines()[-1])
        found = self._run(records, own["seconds"], own["cpu"], ledger, machine.others(besides=own["cpu"]))
        self._tell(section, contestant.name, found)
        return found

    async def stalled(self, records: int, entities: int) -> Run:
        """Memory of ours while the bus answers nothing and so many events wait. Raises PeerFailed."""
        self.server.reset(WARM_UP + records, 0.0)
        async with self._job("stalled") as job:
            with running(OURS, job, self._log(job)) as child:
                async with Usage(child.pid) as usage:
                    await until(WARM_UP, self._distinct, OURS, child, self._log(job))
                    before = usage.resident_mb()
                    self.server.reset(WARM_UP + records, 0.0, stalled=True)
                    await self.rig.put(job.source, entries(records, entities, self.rig.partitions, WARM_UP))
                    await asyncio.sleep(30.0)
                    usage.sample()
                    found: Run = {
                        "records": records, "rss_before_mb": round(before, 1),
                        "rss_mb": round(usage.resident_mb(), 1), "rss_peak_mb": round(usage.peak_mb(), 1),
                    }  # fmt: skip
        self.say(f"stalled    {records:,} events wait: {found['rss_before_mb']} MB before, {found['rss_mb']} MB")
        return found

    async def _distinct(self) -> int:
        ledger = await asyncio.to_thread(self.server.ledger)
        return int(ledger["distinct"])

    def _run(self, records: int, seconds: float, spent: float, ledger: dict[str, Any], others: float) -> Run:
        return {
            "records": records, "seconds": round(seconds, 3), "rate": round(records / seconds, 1),
            "cpu_us": round(spent / records * 1e6, 2), "per_request": round(ledger["entries"] / ledger["requests"], 2),
            "reordered": ledger["reordered"], "others_cores": round(others, 3), "quiet": others <= QUIET_CORES,
        }  # fmt: skip

    def _tell(self, section: str, name: str, found: Run) -> None:
        noisy = "" if found["quiet"] else f"   noisy: others used {found['others_cores']:.2f} cores"
        self.say(
            f"{section:10} {name:18} {found['rate']:9,.0f} events/s {found['cpu_us']:7.1f} us CPU"
            f" {found['per_request']:5.1f} to a request, {found['reordered']} reordered{noisy}"
        )

    @asynccontextmanager
    async def _job(self, section: str) -> AsyncIterator[Job]:
        self.runs += 1
        group = f"{section}{self.runs}-ours"
        source = f"{group}.events"
        await self.rig.create(source, f"{group}{CEILING_RECEIPTS}")
        await self.rig.put(source, entries(WARM_UP, WARM_UP, self.rig.partitions))
        yield Job(
            self.rig.bootstrap, group, source, source, self.directory / group, "publish", self.rig.partitions,
            {"endpoint": self.server.url},
        )  # fmt: skip
        await self.rig.remove(group)
        shutil.rmtree(self.directory / group, ignore_errors=True)

    def _log(self, job: Job) -> Path:
        return self.directory / f"{job.group}.log"
