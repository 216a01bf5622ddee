"""Memory over a long steady load: flat or not."""

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import OURS, Job, running
from bench.load import Schedule, produce
from bench.results import Run
from bench.rig import Progress, Rig
from bench.usage import Usage

SAMPLE_SECONDS = 1.0
SETTLING_SHARE = 0.2
"""The first part of the load, in which buffers, caches and the table itself grow to their size, is left out."""
FLAT_MB_PER_HOUR = 6.0
"""A slope below it is flat. It is a megabyte over the default ten minutes: the resolution of an allocator's arenas."""


@dataclass(slots=True)
class Soak:
    """The work `table` under a steady load; the memory of the stage is sampled every second."""

    rig: Rig
    directory: Path
    schedule: Schedule
    say: Callable[[str], None]

    async def run(self) -> Run:
        """One long run."""
        group = "soak-ours"
        job = Job(
            self.rig.bootstrap, group, f"{group}-in", f"{group}-out", self.directory / group, "table",
            self.rig.partitions,
        )  # fmt: skip
        await self.rig.create(job.source, job.output)
        await self.rig.create(f"{group}-tasks-changelog", cleanup_policy="compact")
        samples: list[tuple[float, float]] = []
        with running(OURS, job, self.directory / f"{group}.log") as child:
            async with Usage(child.pid) as usage, self.rig.producer(linger_ms=5) as producer:
                load = asyncio.create_task(produce(producer, job.source, self.schedule))
                begun = time.monotonic()
                while not load.done():
                    await asyncio.sleep(SAMPLE_SECONDS)
                    samples.append((time.monotonic() - begun, usage.resident_mb()))
                    if len(samples) % 60 == 0:
                        self.say(f"soak     {samples[-1][0]:5.0f} s: {samples[-1][1]:.1f} MB")
                await load
                await self._drained(job)
        await self.rig.check(job.output, self.schedule.records)
        await self.rig.remove(group)
        return figures(samples) | {"records": self.schedule.records, "rate": self.schedule.rate}

    async def _drained(self, job: Job) -> None:
        async with self.rig.consumer(group_id=job.group) as consumer, asyncio.timeout(60):
            progress = Progress(self.rig, consumer, job.source, job.output)
            while await progress.committed() < self.schedule.records:
                await asyncio.sleep(0.2)


def figures(samples: list[tuple[float, float]]) -> Run:
    """Slope by Theil and Sen (the median of the slopes of all pairs), which a single step does not move."""
    settled = [one for one in samples if one[0] >= samples[-1][0] * SETTLING_SHARE]
    thinned = settled[:: max(1, len(settled) // 200)]
    slopes = [
        (late[1] - early[1]) / (late[0] - early[0]) * 3_600
        for place, early in enumerate(thinned) for late in thinned[place + 1 :]
    ]  # fmt: skip
    slope = statistics.median(slopes) if slopes else 0.0
    return {
        "seconds": round(samples[-1][0], 1), "first_mb": round(settled[0][1], 2), "last_mb": round(settled[-1][1], 2),
        "peak_mb": round(max(mb for _, mb in samples), 2), "mb_per_hour": round(slope, 2),
        "flat": slope < FLAT_MB_PER_HOUR, "samples_mb": [round(mb, 2) for _, mb in samples],
    }  # fmt: skip
