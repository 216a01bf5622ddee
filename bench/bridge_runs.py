"""One run of one bridge: throughput, CPU per record and memory, or a kill and what came after it."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.bridge_output import bridge_output
from bench.bridge_stream import PageServer, Stream
from bench.contestants import Contestant, Job, running
from bench.results import Run
from bench.rig import Progress, Rig
from bench.throughput import CALM_SECONDS, POLL_SECONDS, QUIET_CORES, PeerFailed, until
from bench.usage import Machine, Usage
from sandbox.child import GuardedChild, last_lines

OURS = Contestant("ours", "bridge")
OURS_PACED = Contestant("ours_paced", "bridge", ("--paced",))
OURS_CONFLUENT = Contestant("ours_confluent", "bridge_confluent", library="confluent")
BOTO3 = Contestant("boto3_loop", "boto3_stream")
AIOKAFKA = Contestant("aiohttp_aiokafka", "aiokafka_stream")
CONFLUENT = Contestant("aiohttp_confluent", "confluent_stream", (), "confluent")
ALL = (OURS, OURS_PACED, OURS_CONFLUENT, BOTO3, AIOKAFKA, CONFLUENT)

WARM_UP = 200
"""Records of each shard that are forwarded before the measurement."""
SETTLED_SECONDS = 1.5
"""The topic has everything if it does not grow for so long: the markers of transactions stand between its records."""
KILL_SHARE = 0.4
"""Of the records are in the topic when the bridge is killed."""
MIDDLE = (0.05, 0.95)
"""Shares of the records that must have been committed before a kill for it to count as one in the middle."""


@dataclass(slots=True)
class BridgeRuns:
    """Every run has topics of its own; the stream stays the same."""

    rig: Rig
    directory: Path
    server: PageServer
    say: Callable[[str], None]
    runs: int = 0

    async def throughput(self, contestant: Contestant, section: str, stream: Stream) -> Run:
        """From the moment the stream becomes visible until all of it stands in the topic. Raises PeerFailed."""
        self.server.show(stream, WARM_UP)
        async with self._job(contestant, section, stream) as job:
            log = self._log(job)
            with running(contestant, job, log) as child:
                async with Usage(child.pid) as usage:
                    await self._settled(stream.shards * WARM_UP, job, contestant, child)
                    machine = Machine(self.rig.broker.pid or 0, psutil.Process().pid, self.server.pid)
                    opened = time.time()
                    self.server.show(stream, stream.records)
                    await self._settled(stream.total, job, contestant, child)
                    now, spent = usage.sample()
                    rss, peak = usage.resident_mb(), usage.peak_mb()
                    others = machine.others(besides=spent - usage.cpu_at(opened))
                    broker, server = machine.spent(0), machine.spent(2)
            output = await bridge_output(self.rig, job.output, stream, warm_up=WARM_UP)
            if output.faults:
                raise PeerFailed(f"{contestant.name}: {output.faults} of {stream.total:,}\n{last_lines(log)}")
        records = stream.total - stream.shards * WARM_UP
        cpu = usage.cpu_at(min(now, output.last + CALM_SECONDS)) - usage.cpu_at(opened)
        found: Run = {
            "records": records, "seconds": round(output.last - output.first, 3), "rate": round(output.rate, 1),
            "rate_visible": round(records / (output.last - opened), 1),
            "first_seconds": round(output.first - opened, 3), "cpu_per_1k": round(cpu / records * 1_000, 5),
            "rss_mb": round(rss, 1), "rss_peak_mb": round(peak, 1),
            "per_marker": round(stream.total / output.markers, 1) if output.markers else 0.0,
            "broker_cpu_per_1k": round(broker / records * 1_000, 5),
            "server_cpu_per_1k": round(server / records * 1_000, 5),
            "others_cores": round(others, 3), "quiet": others <= QUIET_CORES,
        }  # fmt: skip
        self.say(
            f"{section:10} {contestant.name:18} {stream.shards:2} shards {found['rate']:9,.0f} records/s"
            f" {found['cpu_per_1k']:8.4f} s CPU per 1,000 {found['rss_peak_mb']:6.0f} MB"
            f"{'' if found['quiet'] else f'   noisy: others used {others:.2f} cores'}"
        )
        return found

    async def restart(self, contestant: Contestant, stream: Stream) -> Run:
        """SIGKILL while it works, and a new process at once. Raises PeerFailed, also if the kill missed the work."""
        self.server.show(stream, stream.records)
        async with self._job(contestant, "restart", stream) as job:
            with running(contestant, job, self._log(job)) as child:
                async with self._progress(job) as progress:
                    await until(int(stream.total * KILL_SHARE), progress.written, contestant, child, self._log(job))
                killed = time.time()
                child.kill()
            with running(contestant, job, self._log(job)) as child:
                try:
                    await self._settled(stream.total, job, contestant, child)
                except PeerFailed:
                    if not child.alive:
                        raise  # while it lives, what does not come is lost
            output = await bridge_output(self.rig, job.output, stream)
        before = output.until(killed)
        if not MIDDLE[0] < before / stream.total < MIDDLE[1]:
            raise PeerFailed(
                f"{contestant.name} had committed {before:,} of {stream.total:,} records when it was killed"
            )
        if output.disordered:
            raise PeerFailed(f"{contestant.name}: {output.disordered:,} records are out of order after a kill")
        found: Run = {
            "records": stream.total, "before": before, "restart_seconds": round(output.first_after(killed) - killed, 3),
            "duplicates": output.duplicates, "lost": output.lost,
        }  # fmt: skip
        self.say(
            f"restart    {contestant.name:18} killed after {before:,} of {stream.total:,} records; the next one came"
            f" {found['restart_seconds']:.2f} s later; {output.duplicates} repeated, {output.lost} lost"
        )
        return found

    @asynccontextmanager
    async def _job(self, contestant: Contestant, section: str, stream: Stream) -> AsyncIterator[Job]:
        """A run's name and topics; gone afterwards."""
        self.runs += 1
        group = f"{section}{self.runs}-{contestant.name.replace('_', '-')}"
        output, positions = f"{group}.raw.core", f"{group}.positions"
        directory = self.directory / group
        more = {"endpoint": self.server.url, "positions": positions}
        await self.rig.create(output, positions)
        yield Job(
            self.rig.bootstrap, group, stream.name, output, directory, "bridge", self.rig.partitions, more
        )  # fmt: skip
        await self.rig.remove(group)
        shutil.rmtree(directory, ignore_errors=True)

    def _log(self, job: Job) -> Path:
        return self.directory / f"{job.group}.log"

    @asynccontextmanager
    async def _progress(self, job: Job) -> AsyncIterator[Progress]:
        async with self.rig.consumer() as consumer:
            yield Progress(self.rig, consumer, job.output, job.output)

    async def _settled(self, records: int, job: Job, contestant: Contestant, child: GuardedChild) -> None:
        """Wait until the output has so many records and grows no more."""
        async with self._progress(job) as progress:
            await until(records, progress.written, contestant, child, self._log(job))
            before, since = await progress.written(), time.monotonic()
            while time.monotonic() - since < SETTLED_SECONDS:
                await asyncio.sleep(POLL_SECONDS)
                if (now := await progress.written()) > before:
                    before, since = now, time.monotonic()
