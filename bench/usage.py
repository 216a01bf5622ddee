"""CPU seconds and resident memory of a process and its children, sampled while it works."""

import asyncio
import bisect
import contextlib
import time
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.05
CHILDREN_SECONDS = 1.0
MEGABYTE = 1e6


class Usage:
    """Samples of one process tree, from `async with` on until its end."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._tree = [self._process]
        self._looked = 0.0
        self._times: list[float] = []
        self._cpu: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Usage":
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.sample()
            await asyncio.sleep(SAMPLE_SECONDS)

    def sample(self) -> tuple[float, float]:
        """Take a sample now: (seconds since 1970, CPU seconds spent). Raises NoSuchProcess after the process's end."""
        now = time.time()
        if now - self._looked > CHILDREN_SECONDS:
            self._tree = [self._process, *self._process.children(recursive=True)]
            self._looked = now
        spent = 0.0
        for process in self._tree:
            times = process.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
        self._times.append(now)
        self._cpu.append(spent)
        return now, spent

    def cpu_at(self, moment: float) -> float:
        """CPU seconds spent until a moment (seconds since 1970), interpolated between the two samples around it."""
        place = bisect.bisect_left(self._times, moment)
        if place in (0, len(self._times)):
            return self._cpu[min(place, len(self._times) - 1)]
        before, after = self._times[place - 1], self._times[place]
        share = (moment - before) / (after - before)
        return self._cpu[place - 1] + share * (self._cpu[place] - self._cpu[place - 1])

    def resident_mb(self) -> float:
        """Resident memory now, megabytes."""
        return sum(process.memory_info().rss for process in self._tree) / MEGABYTE

    def peak_mb(self) -> float:
        """The highest resident memory so far, megabytes; the sum of the processes' own peaks."""
        return sum(_high_water(process.pid) for process in self._tree) / MEGABYTE


def _high_water(pid: int) -> int:
    """Bytes; `VmHWM` of proc_pid_status(5)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


class Machine:
    """How much of the machine was used, and by whom: a figure taken beside other work is not worth much."""

    def __init__(self, *ours: int) -> None:
        self._ours = [psutil.Process(pid) for pid in ours]
        self._begun = time.monotonic()
        self._busy = _busy_seconds()
        self._spent = [_spent(process) for process in self._ours]

    def others(self, *, besides: float = 0.0) -> float:
        """Cores that others kept busy on average since the start; `besides`: CPU seconds that are ours, too."""
        seconds = time.monotonic() - self._begun
        spent = sum(_spent(process) - before for process, before in zip(self._ours, self._spent, strict=True))
        return max(0.0, (_busy_seconds() - self._busy - spent - besides) / seconds)

    def spent(self, index: int) -> float:
        """CPU seconds of the index-th of our processes since the start."""
        return _spent(self._ours[index]) - self._spent[index]


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))
