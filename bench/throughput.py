"""Throughput, CPU per record and memory of one peer at a time, on a source that was filled before."""

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.contestants import Contestant, Job, running
from bench.results import Run
from bench.rig import Output, Progress, Rig, WrongOutput
from bench.usage import Machine, Usage
from sandbox.child import GuardedChild, last_lines

POLL_SECONDS = 0.1
START_SECONDS = 90.0
STALL_SECONDS = 60.0
QUIET_CORES = 0.15
"""Others may keep so much of the machine busy; above it the figures of a run are marked as noisy."""


class PeerFailed(Exception):
    """A peer ended, stood still or lost its way; the text has the end of its log."""


@dataclass(slots=True)
class Throughput:
    """Runs peers on the topics `source(records)`, which are filled once."""

    rig: Rig
    directory: Path
    rows: int
    say: Callable[[str], None]
    runs: int = 0

    async def source(self, records: int) -> str:
        """A topic with so many records."""
        name = f"source-{records}"
        async with self.rig.admin() as admin:
            there = name in await admin.list_topics()
        if not there:
            self.say(f"filling {name}")
            await self.rig.create(name)
            await self.rig.fill(name, records, self.rows)
        return name

    async def run(self, contestant: Contestant, work: str, records: int) -> Run:
        """One run of one peer. Raises PeerFailed or WrongOutput."""
        records = min(records, contestant.records or records)
        source = await self.source(records)
        self.runs += 1
        group = f"{work}{self.runs}-{contestant.name.replace('_', '-')}"
        job = Job(self.rig.bootstrap, group, source, f"{group}-out", self.directory / group, work, self.rig.partitions)
        await self.rig.create(job.output)
        if work == "table" and contestant.changelog:
            await self.rig.create(f"{group}-tasks-changelog", cleanup_policy="compact")
        log = self.directory / f"{group}.log"
        broker = self.rig.broker.pid or 0
        machine = Machine(broker, psutil.Process().pid)
        with running(contestant, job, log) as child:
            async with Usage(child.pid) as usage:
                await self._finish(contestant, job, records, child, log)
                usage.sample()
                spent, rss, peak = usage.cpu_at(time.time()), usage.resident_mb(), usage.peak_mb()
                others, broker_spent = machine.others(besides=spent), machine.spent(0)
        try:
            output = await self.rig.check(job.output, records)
        except WrongOutput as error:
            raise PeerFailed(f"{contestant.name}: {error}\n{last_lines(log)}") from error
        found = _figures(output, records, usage)
        found |= {
            "rss_mb": round(rss, 1), "rss_peak_mb": round(peak, 1), "others_cores": round(others, 3),
            "broker_cpu_us": round(broker_spent / records * 1e6, 2), "quiet": others <= QUIET_CORES,
        }  # fmt: skip
        await self.rig.remove(group)
        shutil.rmtree(job.directory, ignore_errors=True)
        self.say(
            f"{work:8} {contestant.name:20} {found['rate']:9,.0f} records/s {found['cpu_us']:7.2f} us CPU"
            f" {found['rss_peak_mb']:6.0f} MB{'' if found['quiet'] else f'   noisy: others used {others:.2f} cores'}"
        )
        return found

    async def _finish(self, contestant: Contestant, job: Job, records: int, child: GuardedChild, log: Path) -> None:
        async with self.rig.consumer(group_id=job.group) as consumer:
            progress = Progress(
                self.rig, consumer, job.source, job.output, by_offsets=contestant.commits_in_transactions
            )
            before, deadline = 0, time.monotonic() + START_SECONDS
            while (now := await progress.records()) < records:
                if now > before:
                    before, deadline = now, time.monotonic() + STALL_SECONDS
                if not child.alive or time.monotonic() > deadline:
                    what = "stands still" if child.alive else f"ended with {child.exit_code}"
                    raise PeerFailed(f"{contestant.name} {what} at {now} of {records}\n{last_lines(log, 30)}")
                await asyncio.sleep(POLL_SECONDS)


def _figures(output: Output, records: int, usage: Usage) -> Run:
    """From the first to the last record in the output: the start of the peer is left out."""
    seconds = output.last - output.first
    spent = usage.cpu_at(output.last) - usage.cpu_at(output.first)
    if seconds <= 0 or output.after_first <= 0:
        raise WrongOutput(f"all {records} records came at once: too few to measure")
    return {
        "records": records, "measured": output.after_first, "seconds": round(seconds, 3),
        "rate": round(output.after_first / seconds, 1), "cpu_us": round(spent / output.after_first * 1e6, 3),
    }  # fmt: skip
