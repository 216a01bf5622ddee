"""A chaos run of the bridge: Kinesis in front of Kafka, a writer, real bridges, and a look at all of it in the end."""

import asyncio
import contextlib
import time
from collections import Counter
from typing import Any

from aiokafka.errors import KafkaError

from sandbox.aws.control_client import StandInControl
from sandbox.chaos.bridge_dumps import Dumped, dump_checkpoints, dump_dead, dump_raw, dump_stream
from sandbox.chaos.bridging import BUS, ITERATOR_SECONDS, SLOTS, STREAM, bridge_settings, uid_of
from sandbox.chaos.crew import Crew
from sandbox.chaos.history import History
from sandbox.chaos.kinesis import Kinesis
from sandbox.chaos.nemesis import Nemesis
from sandbox.chaos.reader import Reader
from sandbox.chaos.run import DRAIN_SECONDS, DRAIN_SHARE, READY_SECONDS, WARM_SECONDS, Run, Unfinished
from sandbox.chaos.topics import Topics as HarnessTopics
from sandbox.chaos.writer import Writer
from sandbox.ports import LOOPBACK
from sandbox.stand_in import AwsStandIn
from workers.contract import read_catalogue
from workers.kafka.connection import kafka_connection
from workers.kafka.topics import Topics, ensure_topics

LOOK_SECONDS = 1.0
SHARD_END = "SHARD_END"


class BridgeRun(Run):
    """`final` has in `topics` the dumps of `bridge_dumps`, and in `shards` the lineage."""

    async def _run(self, history: History) -> None:
        plan = self.plan
        settings = bridge_settings(plan, self.broker.bootstrap, self.directory / "data" / "harness")
        topics = Topics.of(settings)
        client = kafka_connection(settings).client("chaos-topics")
        await ensure_topics(settings, read_catalogue(settings).lookups, client)
        aws = AwsStandIn(self.directory / "aws", stream=STREAM, shards=plan.workload.shards, bus=BUS)
        network = await self._network()
        bootstrap = f"{LOOPBACK}:{self._proxy_port}" if network is not None else self.broker.bootstrap
        reader = Reader(
            HarnessTopics(self.broker.bootstrap, plan.workload.partitions, ()), topics.raw["core"], history, uid_of
        )
        crew: Crew | None = None
        try:
            await asyncio.to_thread(aws.start)
            control = StandInControl(aws.address)
            await asyncio.to_thread(lambda: control.behave(iterator_seconds=ITERATOR_SECONDS))
            crew = Crew(plan, self.directory, history, bootstrap, environment=aws.environment())
            writer = Writer(plan, aws.client("kinesis"), history)
            kinesis = Kinesis(control, aws.client("kinesis"), STREAM)
            nemesis = Nemesis(plan, history, crew=crew, broker=self.broker, network=network, kinesis=kinesis)
            await crew.start()
            self.report("workers start")
            if not await crew.wait_ready(READY_SECONDS):
                raise Unfinished("the workers were not ready in time before the first fault")
            reader.start()
            writer.start()
            await asyncio.sleep(WARM_SECONDS)
            self.report(f"{plan.seconds:g} s of chaos, {len(plan.actions)} actions")
            await asyncio.gather(nemesis.run(), asyncio.sleep(plan.seconds))
            await nemesis.heal()
            await writer.stop()
            self.report(f"healed; {writer.counts['ok']} changes put, waiting for the workers")
            await self._settle_bridge(topics, crew, kinesis)
        finally:
            await reader.stop()
            if crew is not None:
                await crew.close()
            await asyncio.to_thread(aws.kill)
            if network is not None:
                await network.proxy.close()

    async def _settle_bridge(self, topics: Topics, crew: Crew, kinesis: Kinesis) -> None:
        final, workload, bootstrap = self.final, self.plan.workload, self.broker.bootstrap
        deadline = time.monotonic() + DRAIN_SECONDS + DRAIN_SHARE * self.plan.seconds
        shards = await asyncio.to_thread(kinesis.shards)
        final["shards"] = [_lineage(shard) for shard in shards]
        stream = await asyncio.to_thread(dump_stream, kinesis.client, shards)
        final["topics"]["stream"] = stream
        final["drained"]["bridge"] = await self._drain_bridge(topics, stream, deadline)
        final["ready"] = await crew.wait_ready(max(1.0, deadline - time.monotonic()))
        final["not_ready"] = [m.plan.name for m in crew.members.values() if m.wanted and not crew.ready(m)]
        await crew.stop_all()
        final["topics"]["raw"] = await dump_raw(bootstrap, topics.raw["core"], workload.partitions)
        final["topics"]["checkpoints"] = await dump_checkpoints(bootstrap, topics.checkpoints, SLOTS)
        final["topics"]["dead"] = await dump_dead(bootstrap, topics.dead, workload.partitions)

    async def _drain_bridge(self, topics: Topics, stream: Dumped, deadline: float) -> bool:
        """Until the checkpoints have counted every change, and every closed shard has its end."""
        wanted = Counter(row[4] for row in stream["rows"])
        closed = {shard["id"] for shard in self.final["shards"] if shard["closed"]}
        while True:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                found = await dump_checkpoints(self.broker.bootstrap, topics.checkpoints, SLOTS)
                newest = {row[2]: row for row in found["rows"]}
                counted = {shard: row[6] for shard, row in newest.items()}
                left = {shard: n - counted.get(shard, 0) for shard, n in wanted.items() if n > counted.get(shard, 0)}
                waiting = sorted(name for name in closed if name not in newest or newest[name][3] != SHARD_END)
                self.final.setdefault("lag", {})["bridge"] = {"records": left, "shards_without_end": waiting}
                if not left and not waiting:
                    return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_SECONDS)


def _lineage(shard: dict[str, Any]) -> dict[str, Any]:
    parents = [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard]
    return {
        "id": shard["ShardId"],
        "parents": parents,
        "closed": "EndingSequenceNumber" in shard["SequenceNumberRange"],
    }
