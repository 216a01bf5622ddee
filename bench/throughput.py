"""Throughput, CPU per record and memory of one peer at a time, from the moment its input becomes visible."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.contestants import Contestant, Job, running
from bench.results import Run
from bench.rig import Entry, Progress, Rig, WrongOutput
from bench.usage import Machine, Usage
from sandbox.child import GuardedChild, last_lines

POLL_SECONDS = 0.1
START_SECONDS = 90.0
STALL_SECONDS = 60.0
WARM_UP = 2_000
"""Records a peer works off before it is measured: it has joined, opened its producers and run its code once."""
CALM_SECONDS = 0.5
"""Between the warm-up and the gate; and after the last record, for its commit to be counted."""
QUIET_CORES = 0.15
"""Others may keep so much of the machine busy; above it a run is marked as noisy."""


class PeerFailed(Exception):
    """A peer ended, stood still or lost its way; the text has the end of its log."""


@dataclass(slots=True)
class Throughput:
    """Every run has topics of its own and the same records."""

    rig: Rig
    directory: Path
    rows: int
    say: Callable[[str], None]
    runs: int = 0
    _entries: list[Entry] = field(default_factory=list)

    async def run(self, contestant: Contestant, work: str, records: int) -> Run:
        """One run of one peer. Raises PeerFailed."""
        records = min(records, contestant.records or records)
        entries = self._records(WARM_UP + records)
        self.runs += 1
        group = f"{work}{self.runs}-{contestant.name.replace('_', '-')}"
        job = Job(
            self.rig.bootstrap, group, f"{group}-in", f"{group}-out", self.directory / group, work,
            self.rig.partitions,
        )  # fmt: skip
        await self.rig.create(job.source, job.output)
        if work == "table" and contestant.changelog:
            await self.rig.create(f"{group}-tasks-changelog", cleanup_policy="compact")
        await self.rig.put(job.source, entries[:WARM_UP])
        log = self.directory / f"{group}.log"
        with running(contestant, job, log) as child:
            async with (
                Usage(child.pid) as usage,
                self.rig.gate(job.source, entries[WARM_UP:], hidden=contestant.reads_committed) as lift,
                self.rig.consumer(group_id=group) as consumer,
            ):
                progress = Progress(self.rig, consumer, job.source, job.output)
                await until(WARM_UP, progress.written, contestant, child, log)
                await asyncio.sleep(CALM_SECONDS)
                machine = Machine(self.rig.broker.pid or 0, psutil.Process().pid)
                opened = await lift()
                finished = progress.committed if contestant.commits_in_transactions else progress.written
                await until(len(entries), finished, contestant, child, log)
                await asyncio.sleep(CALM_SECONDS)
                now, spent = usage.sample()
                rss, peak = usage.resident_mb(), usage.peak_mb()
                others, broker_spent = machine.others(besides=spent - usage.cpu_at(opened)), machine.spent(0)
        try:
            output = await self.rig.check(job.output, len(entries))
        except WrongOutput as error:
            raise PeerFailed(f"{contestant.name}: {error}\n{last_lines(log)}") from error
        seconds = output.last - opened
        spent = usage.cpu_at(min(now, output.last + CALM_SECONDS)) - usage.cpu_at(opened)
        found: Run = {
            "records": records, "seconds": round(seconds, 3), "rate": round(records / seconds, 1),
            "per_marker": round(len(entries) / output.markers, 1) if output.markers else 0.0,
            "cpu_us": round(spent / records * 1e6, 3), "rss_mb": round(rss, 1), "rss_peak_mb": round(peak, 1),
            "broker_cpu_us": round(broker_spent / records * 1e6, 2), "others_cores": round(others, 3),
            "quiet": others <= QUIET_CORES,
        }  # fmt: skip
        await self.rig.remove(group)
        shutil.rmtree(job.directory, ignore_errors=True)
        self.say(
            f"{work:8} {contestant.name:20} {found['rate']:9,.0f} records/s {found['cpu_us']:7.2f} us CPU"
            f" {found['rss_peak_mb']:6.0f} MB{'' if found['quiet'] else f'   noisy: others used {others:.2f} cores'}"
        )
        return found

    def _records(self, count: int) -> list[Entry]:
        if len(self._entries) < count:
            self._entries = self.rig.entries(count, self.rows)
        return self._entries if len(self._entries) == count else self._entries[:count]


async def until(
    records: int, look: Callable[[], Awaitable[int]], contestant: Contestant, child: GuardedChild, log: Path
) -> None:
    """Wait until `look` says so many. Raises PeerFailed if the peer ends or stands still."""
    before, deadline = 0, time.monotonic() + START_SECONDS
    while (now := await look()) < records:
        if now > before:
            before, deadline = now, time.monotonic() + STALL_SECONDS
        if not child.alive or time.monotonic() > deadline:
            what = "stands still" if child.alive else f"ended with {child.exit_code}"
            raise PeerFailed(f"{contestant.name} {what} at {now} of {records}\n{last_lines(log, 30)}")
        await asyncio.sleep(POLL_SECONDS)
