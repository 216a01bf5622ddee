"""Latency at a steady load: produce call -> read_committed consumer behind the stage, and without any stage."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.contestants import OURS, Contestant, Job, running
from bench.load import WARM_UP_SECONDS, Schedule, latencies, percentile, produce
from bench.results import Run
from bench.rig import Rig
from bench.throughput import PeerFailed
from bench.usage import Usage
from sandbox.child import last_lines
from workers.engine.options import EngineOptions

READY_SECONDS = 60.0
PLAIN = "plain"


def limit_ms(plain_p99: float) -> float:
    """The goal for the 99th percentile: 1.5 times what the engine waits on purpose, and what Kafka itself takes."""
    options = EngineOptions(bootstrap="", partitions=1)
    poll_pause = options.linger / 2
    return 1.5 * (options.linger + poll_pause) * 1_000 + plain_p99


@dataclass(slots=True)
class Latency:
    """A stage that stays while phases with and without it take turns."""

    rig: Rig
    directory: Path
    schedule: Schedule
    say: Callable[[str], None]
    contestant: Contestant = OURS

    async def rounds(self, count: int, keep: Callable[[list[str], dict[str, Run]], None], first: int = 0) -> None:
        """`count` pairs of phases, the order alternating; each pair is handed to `keep`. Raises PeerFailed."""
        ours = self.contestant.name
        group = f"latency-{ours.replace('_', '-')}"
        job = Job(
            self.rig.bootstrap, group, f"{group}-in", f"{group}-out", self.directory / group, "forward",
            self.rig.partitions,
        )  # fmt: skip
        log, plain = self.directory / f"{group}.log", f"{group}-plain"
        await self.rig.create(job.source, job.output, plain)
        reading = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
        with running(self.contestant, job, log) as child:
            async with (
                Usage(child.pid) as usage,
                self.rig.producer(linger_ms=0) as producer,
                self.rig.consumer(**reading) as behind,
                self.rig.consumer(**reading) as beside,
            ):
                behind.assign(self.rig.of(job.output))
                beside.assign(self.rig.of(plain))
                await self._come_up(producer, job.source, behind, log)
                phases = {ours: (job.source, behind), PLAIN: (plain, beside)}
                for number in range(first, first + count):
                    order = [ours, PLAIN] if number % 2 == 0 else [PLAIN, ours]
                    keep(order, {name: await self._phase(name, usage, producer, *phases[name]) for name in order})
        await self.rig.remove(group)

    async def _come_up(self, producer: AIOKafkaProducer, source: str, behind: AIOKafkaConsumer, log: Path) -> None:
        first = Schedule(self.schedule.rate, 1.0, self.schedule.rows, self.schedule.partitions)
        try:
            async with asyncio.timeout(READY_SECONDS):
                await asyncio.gather(produce(producer, source, first), latencies(behind, first.records, 0))
        except TimeoutError as error:
            raise PeerFailed(f"{self.contestant.name} did not come up\n{last_lines(log)}") from error

    async def _phase(
        self, name: str, usage: Usage, producer: AIOKafkaProducer, topic: str, consumer: AIOKafkaConsumer
    ) -> Run:
        begun, before = usage.sample()
        skip = int(self.schedule.rate * WARM_UP_SECONDS)
        _, found = await asyncio.gather(
            produce(producer, topic, self.schedule), latencies(consumer, self.schedule.records, skip)
        )
        ended, spent = usage.sample()
        share = (spent - before) / (ended - begun)
        p50, p99 = percentile(found, 50), percentile(found, 99)
        self.say(f"latency  {name:12} p50 {p50:7.2f} ms, p99 {p99:7.2f} ms, the stage used {share:.0%} of a core")
        return {
            "p50_ms": p50, "p99_ms": p99, "max_ms": round(max(found), 3), "records": len(found),
            "cpu_share": round(share, 4),
        }  # fmt: skip
