"""How long a process needs to read a table back from its changelog."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import Contestant, Job, running
from bench.results import Run
from bench.rig import Rig
from bench.throughput import PeerFailed
from bench.usage import Usage
from sandbox.child import last_lines

SECONDS = 240.0


@dataclass(slots=True)
class Recovery:
    """Every run is a new process on the same changelog: nothing but the changelog is left of the one before."""

    rig: Rig
    directory: Path
    entries: int
    say: Callable[[str], None]
    runs: int = 0

    async def prepare(self, contestant: Contestant, *, transactional: bool) -> None:
        """The changelog, and the offsets of a group that has written it."""
        group = self._group(contestant)
        self.say(f"filling the changelog of {contestant.name} with {self.entries:,} entries")
        await self.rig.create(f"{group}-tasks-changelog", cleanup_policy="compact")
        await self.rig.create(f"{group}-in", f"{group}-out")
        await self.rig.fill_changelog(f"{group}-tasks-changelog", self.entries, transactional=transactional)
        await self.rig.set_offsets(group, f"{group}-in")

    async def run(self, contestant: Contestant) -> Run:
        """One recovery. Raises PeerFailed."""
        self.runs += 1
        group = self._group(contestant)
        directory = self.directory / f"{group}-{self.runs}"
        report, log = directory / "report.json", self.directory / f"{group}.log"
        job = Job(
            self.rig.bootstrap, group, f"{group}-in", f"{group}-out", directory, "recovery", self.rig.partitions,
            {"entries": str(self.entries), "report": str(report)},
        )  # fmt: skip
        with running(contestant, job, log, grace=8.0) as child:
            async with Usage(child.pid) as usage:
                deadline = time.monotonic() + SECONDS
                while not report.exists():
                    if not child.alive or time.monotonic() > deadline:
                        raise PeerFailed(f"{contestant.name} did not recover\n{last_lines(log, 30)}")
                    await asyncio.sleep(0.05)
                now = time.time()
                usage.sample()
                found = json.loads(report.read_bytes())
                spent = usage.cpu_at(now) - usage.cpu_at(now - found["seconds"])
                peak = usage.peak_mb()
        shutil.rmtree(directory, ignore_errors=True)
        if found["entries"] != self.entries:
            raise PeerFailed(f"{contestant.name} has {found['entries']:,.0f} of {self.entries:,} entries")
        run = {
            "entries": self.entries, "seconds": round(found["seconds"], 3),
            "rate": round(self.entries / found["seconds"], 1), "cpu_us": round(spent / self.entries * 1e6, 3),
            "rss_peak_mb": round(peak, 1),
        }  # fmt: skip
        self.say(f"recovery {contestant.name:20} {run['rate']:9,.0f} entries/s {run['seconds']:7.2f} s")
        return run

    def _group(self, contestant: Contestant) -> str:
        return f"recovery-{contestant.name.replace('_', '-')}"
