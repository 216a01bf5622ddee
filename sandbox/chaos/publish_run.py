"""A chaos run of the publisher: events in Kafka, real publishers, a bus that fails, and a look at what came of it."""

import asyncio
import contextlib
import time
from collections import Counter
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from sandbox.aws.control_client import StandInControl
from sandbox.chaos.bus import Bus
from sandbox.chaos.crew import Crew
from sandbox.chaos.history import History
from sandbox.chaos.nemesis import Nemesis
from sandbox.chaos.publishing import BUS, STAGE, EventSource, numbers_in, numbers_of, publish_settings, uid_in
from sandbox.chaos.reader import Reader
from sandbox.chaos.run import DRAIN_SECONDS, DRAIN_SHARE, READY_SECONDS, WARM_SECONDS, Run, Unfinished
from sandbox.chaos.topics import Topics as HarnessTopics
from sandbox.chaos.topics import read_all
from sandbox.stand_in import AwsStandIn
from workers.contract import read_catalogue
from workers.engine.ledger import IN, Ledger
from workers.engine.offsets import offset_fetch
from workers.kafka.connection import kafka_connection
from workers.kafka.topics import Topics, ensure_topics, group_of
from workers.settings.worker import Settings

LOOK_SECONDS = 0.5


class PublishRun(Run):
    """`final` has in `topics` the events, receipts and dead letters, and in `bus` what the stand-in says of its own
    ledger; what the bus took stands in the history, as `deliver`."""

    async def _run(self, history: History) -> None:
        plan = self.plan
        settings = publish_settings(plan, self.broker.bootstrap, self.directory / "data" / "harness")
        topics = Topics.of(settings)
        await ensure_topics(
            settings, read_catalogue(settings).lookups, kafka_connection(settings).client("chaos-topics")
        )
        aws = AwsStandIn(
            self.directory / "aws", stream="chaos-stream", shards=1, bus=BUS, custom_bus=plan.workload.custom_bus
        )
        reader = Reader(
            HarnessTopics(self.broker.bootstrap, plan.workload.partitions, ()), topics.receipts, history, uid_in
        )
        crew: Crew | None = None
        try:
            await asyncio.to_thread(aws.start)
            crew = Crew(plan, self.directory, history, self.broker.bootstrap, environment=aws.environment())
            source = EventSource(plan, self.broker.bootstrap, history, topics.events)
            bus = Bus(aws.control, BUS, custom=plan.workload.custom_bus)
            nemesis = Nemesis(plan, history, crew=crew, broker=self.broker, network=None, bus=bus)
            await crew.start()
            self.report("workers start")
            if not await crew.wait_ready(READY_SECONDS):
                raise Unfinished("the workers were not ready in time before the first fault")
            reader.start()
            source.start()
            await asyncio.sleep(WARM_SECONDS)
            self.report(f"{plan.seconds:g} s of chaos, {len(plan.actions)} actions")
            await asyncio.gather(nemesis.run(), asyncio.sleep(plan.seconds))
            await nemesis.heal()
            await source.stop()
            self.report(f"healed; {source.counts['ok']} events put, waiting for the workers")
            await self._settle_publisher(settings, topics, crew)
            await asyncio.to_thread(self._tell_deliveries, history, aws.control)
        finally:
            await reader.stop()
            if crew is not None:
                await crew.close()
            await asyncio.to_thread(aws.kill)

    async def _settle_publisher(self, settings: Settings, topics: Topics, crew: Crew) -> None:
        final = self.final
        deadline = time.monotonic() + DRAIN_SECONDS + DRAIN_SHARE * self.plan.seconds
        final["topics"]["events"] = events = await self._dump(topics.events)
        async with AIOKafkaConsumer(
            bootstrap_servers=self.broker.bootstrap, group_id=group_of(settings, STAGE), enable_auto_commit=False,
            client_id="chaos-poller",
        ) as group:  # fmt: skip
            final["drained"][STAGE] = await self._drain_publisher(group, topics.events, events, deadline)
            final["ready"] = await crew.wait_ready(max(1.0, deadline - time.monotonic()))
            final["not_ready"] = [m.plan.name for m in crew.members.values() if m.wanted and not crew.ready(m)]
            await crew.stop_all()
            final["committed"][STAGE] = await self._committed(group, topics.events)
        final["topics"]["receipts"] = await self._dump(topics.receipts)
        final["topics"]["dead"] = await self._dump(topics.dead)

    async def _dump(self, topic: str) -> dict[str, Any]:
        """All committed records: [partition, offset, key, `uid:version`]."""
        records, complete = await read_all(self.broker.bootstrap, self._tps(topic))
        rows = [
            [record.partition, record.offset, (record.key or b"").decode().removeprefix("users:"),
             numbers_in(record.value)]
            for record in records
        ]  # fmt: skip
        return {"rows": sorted(rows), "complete": complete}

    def _tps(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, index) for index in range(self.plan.workload.partitions)]

    async def _committed(self, group: AIOKafkaConsumer, topic: str) -> dict[str, tuple[int, str]]:
        """{partition: (offset, metadata)}. Raises KafkaError, OSError or TimeoutError."""
        found = await offset_fetch(group, self._tps(topic))
        return {str(tp.partition): (entry.offset, entry.metadata) for tp, entry in found.items()}

    async def _drain_publisher(
        self, group: AIOKafkaConsumer, topic: str, events: dict[str, Any], deadline: float
    ) -> bool:
        """Until the ledgers have counted every event."""
        wanted = Counter(str(row[0]) for row in events["rows"])
        while True:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                found = await self._committed(group, topic)
                counted = {index: Ledger.decode(text).counts.get(IN, 0) for index, (_, text) in found.items()}
                left = {index: n - counted.get(index, 0) for index, n in wanted.items() if n > counted.get(index, 0)}
                self.final.setdefault("lag", {})[STAGE] = left
                if not left:
                    return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_SECONDS)

    def _tell_deliveries(self, history: History, control: StandInControl) -> None:
        """What the bus took, in the order of acceptance."""
        for entry in control.accepted():
            key = (entry.entity or "").removeprefix("users:")
            history.add(
                "bus", "deliver", "ok", uid=int(numbers_of(entry.event_id).partition(":")[0]), key=key, at=entry.at,
                request=entry.request, digest=entry.sha256, nowhere=entry.nowhere,
            )  # fmt: skip
        said = control.deliveries()
        self.final["bus"] = {
            "accepted": said.accepted, "nowhere": said.nowhere, "forgotten": said.forgotten, "failed": said.failed,
            "crowded": msgspec.to_builtins(said.crowded),
        }  # fmt: skip
