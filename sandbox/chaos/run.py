"""One chaos run from its plan to its result: Kafka, sink, source, workers, nemesis; then heal, drain, look, judge."""

import asyncio
import contextlib
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from sandbox.chaos import history as histories
from sandbox.chaos.checker import check
from sandbox.chaos.crew import Crew
from sandbox.chaos.evidence import Evidence, is_skipped
from sandbox.chaos.exactly_once import table_live
from sandbox.chaos.history import History
from sandbox.chaos.nemesis import Nemesis
from sandbox.chaos.network import Network
from sandbox.chaos.plan import Plan
from sandbox.chaos.reader import Reader
from sandbox.chaos.records import Deleter
from sandbox.chaos.result import Result, keep
from sandbox.chaos.sink import Sink
from sandbox.chaos.source import Source
from sandbox.chaos.stages import SOURCES
from sandbox.chaos.topics import DATA_TOPICS, Dump, Topics
from sandbox.kafka.broker import KafkaBroker, Listener
from sandbox.kafka.proxy import KafkaProxy
from sandbox.ports import LOOPBACK, free_ports
from workers.engine.ledger import IN, Ledger
from workers.engine.runner import describe
from workers.failures import ConfigurationError, NotFoundError

READY_SECONDS = 90.0
DRAIN_SECONDS = 120.0
"""After the last fault: the work is done and every worker ready within this, or it is a FAIL of liveness."""
DRAIN_SHARE = 0.25
"""Added to it, of the length of the chaos: a sink that was down for ten minutes leaves a backlog."""
TABLE_SECONDS = 20.0
"""A global table follows its changelog; it has so long to catch up before it is compared."""
LISTENER = "PROXIED"
COMMITTED_SECONDS = 1.0
WARM_SECONDS = 1.5

Report = Callable[[str], None]


class Unfinished(Exception):
    """The run could not be brought to its end; the verdict is UNKNOWN. The text says where."""


class Run:
    """A run in its directory. `result.json` is written last: what has one is finished."""

    def __init__(self, plan: Plan, directory: Path, *, cache: Path | None = None, report: Report = lambda _: None):
        self.plan = plan
        self.directory = directory.absolute()
        self.report = report
        self._proxy_port = free_ports(1)[0] if plan.behind_proxy else None
        listeners = [Listener(LISTENER, advertised_port=self._proxy_port)] if plan.behind_proxy else []
        self.broker = KafkaBroker(self.directory / "kafka", cache=cache, listeners=listeners)
        self.final: dict[str, Any] = {"topics": {}, "drained": {}, "ready": False, "committed": {}, "live": {}}

    def execute(self) -> Result:
        """Run and judge. Raises NotFoundError without a Java, ConfigurationError if the directory is not ours to
        empty; whatever else goes wrong makes the verdict UNKNOWN."""
        if self.directory.exists() and any(self.directory.iterdir()) and not (self.directory / "plan.json").exists():
            raise ConfigurationError(f"{self.directory} holds something else than a run", hint="name another directory")
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        (self.directory / "plan.json").write_text(self.plan.to_json(), encoding="utf-8")
        begun = time.monotonic()
        try:
            with History(self.directory / "history.jsonl") as history:
                self.broker.start()
                asyncio.run(self._run(history))
        except NotFoundError:
            raise
        except Unfinished as error:
            self.final["aborted"] = str(error)
        except Exception as error:  # noqa: BLE001  one run of many: the others go on
            self.final["aborted"] = f"{describe(error)}: {error}"
        finally:
            self.broker.kill()
        (self.directory / "final.json").write_text(json.dumps(self.final), encoding="utf-8")
        shutil.rmtree(self.directory / "kafka" / "data", ignore_errors=True)
        shutil.rmtree(self.directory / "data", ignore_errors=True)
        result = judge(self.directory, self.plan, time.monotonic() - begun)
        keep(result, self.directory)
        return result

    async def _run(self, history: History) -> None:
        plan = self.plan
        sink = Sink(plan.seed, plan.sink, history)
        [sink_port] = free_ports(1)
        await sink.start(sink_port)
        topics = Topics(self.broker.bootstrap, plan.workload.partitions, plan.workload.stages)
        await topics.create()
        network = await self._network()
        bootstrap = f"{LOOPBACK}:{self._proxy_port}" if network is not None else self.broker.bootstrap
        crew = Crew(plan, self.directory, history, bootstrap, sink.url)
        source = Source(plan, self.broker.bootstrap, history)
        deleter = Deleter(topics, plan.workload.source, plan.workload.stages[0])
        reader = Reader(topics, plan.workload.output, history)
        nemesis = Nemesis(
            plan, history, crew=crew, broker=self.broker, sink=sink, deleter=deleter, network=network
        )  # fmt: skip
        async with topics:
            try:
                await crew.start()
                self.report("workers start")
                if not await crew.wait_ready(READY_SECONDS):
                    raise Unfinished("the workers were not ready in time before the first fault")
                watching = asyncio.ensure_future(self._watch_offsets(topics, history))
                reader.start()
                source.start()
                await asyncio.sleep(WARM_SECONDS)
                self.report(f"{plan.seconds:g} s of chaos, {len(plan.actions)} actions")
                await asyncio.gather(nemesis.run(), asyncio.sleep(plan.seconds))
                await nemesis.heal()
                await source.stop()
                self.report(f"healed; {source.counts['ok']} records put, waiting for the workers")
                self.final["skipped"] = {str(index): ranges for index, ranges in deleter.skipped.items()}
                await self._settle(topics, crew, deleter)
                watching.cancel()
                self.final["sink"] = dict(sink.counts)
            finally:
                await reader.stop()
                await crew.close()
                await sink.close()
                if network is not None:
                    await network.proxy.close()

    async def _network(self) -> Network | None:
        """The proxy that the workers reach Kafka through, if the plan has network faults."""
        if self._proxy_port is None:
            return None
        host, port = self.broker.address_of(LISTENER).split(":")
        proxy = KafkaProxy(host, int(port), rng=random.Random(f"proxy:{self.plan.seed}"))
        await proxy.start(self._proxy_port)
        return Network(proxy)

    async def _watch_offsets(self, topics: Topics, history: History) -> None:
        """Every second: how far each group has committed."""
        while True:
            for stage in self.plan.workload.stages:
                with contextlib.suppress(KafkaError, OSError, TimeoutError):
                    found = await topics.committed(stage)
                    offsets = {str(partition): offset for partition, (offset, _) in found.items()}
                    history.add("poller", "committed", "ok", stage=stage, offsets=offsets)
            await asyncio.sleep(COMMITTED_SECONDS)

    async def _settle(self, topics: Topics, crew: Crew, deleter: Deleter) -> None:
        """Wait until everything is worked off, then look at everything."""
        final, workload = self.final, self.plan.workload
        deadline = time.monotonic() + DRAIN_SECONDS + DRAIN_SHARE * self.plan.seconds
        for stage in ("count", "deliver"):
            if stage in workload.stages:
                dump = await topics.dump(SOURCES[stage])
                if SOURCES[stage] == workload.source:
                    dump = _merge(dump, deleter)
                final["topics"][SOURCES[stage]] = {"rows": dump.rows, "complete": dump.complete}
                final["drained"][stage] = await self._drain(topics, stage, dump, deadline)
        final["ready"] = await crew.wait_ready(max(1.0, deadline - time.monotonic()))
        final["not_ready"] = [m.plan.name for m in crew.members.values() if m.wanted and not crew.ready(m)]
        if "count" in workload.stages:
            final["live"] = await self._live_tables(crew)
        await crew.stop_all()
        for stage in workload.stages:
            found = await topics.committed(stage)
            final["committed"][stage] = {str(partition): entry for partition, entry in found.items()}
        for topic in DATA_TOPICS:
            if topic != workload.source:
                dump = await topics.dump(topic)
                final["topics"][topic] = {"rows": dump.rows, "complete": dump.complete}
        if "count" in workload.stages:
            self.report("a fresh worker recovers the table")
            final["fresh"] = await crew.fresh(READY_SECONDS)

    async def _drain(self, topics: Topics, stage: str, dump: Dump, deadline: float) -> bool:
        """Until the ledgers of the stage have counted every input."""
        first = SOURCES[stage] == self.plan.workload.source
        skipped = self.final["skipped"] if first else {}
        wanted = Counter(row[0] for row in dump.rows if not is_skipped(skipped, row[0], row[1]))
        while True:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                found = await topics.committed(stage)
                counted = {partition: Ledger.decode(text).counts.get(IN, 0) for partition, (_, text) in found.items()}
                left = {partition: n - counted.get(partition, 0) for partition, n in wanted.items()}
                self.final.setdefault("lag", {})[stage] = left
                if all(n <= 0 for n in left.values()):
                    return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.3)

    async def _live_tables(self, crew: Crew) -> dict[str, Any]:
        """What the workers hold, once they agree with the input or their time is over."""
        deadline = time.monotonic() + TABLE_SECONDS
        while True:
            self.final["live"] = live = await crew.tables()
            agreed = not list(table_live(Evidence(self.plan, [], self.final)))
            if agreed or time.monotonic() > deadline:
                return live
            await asyncio.sleep(0.5)


def _merge(dump: Dump, deleter: Deleter) -> Dump:
    """The records that were deleted meanwhile belong to the input too."""
    rows = {(row[0], row[1]): row for row in [*deleter.saved, *dump.rows]}
    return Dump([rows[place] for place in sorted(rows)], dump.complete)


def judge(directory: Path, plan: Plan, seconds: float) -> Result:
    """Check what a run left in its directory."""
    final = json.loads((directory / "final.json").read_text(encoding="utf-8"))
    evidence = Evidence(plan, histories.read(directory / "history.jsonl"), final)
    return Result.of(plan, check(evidence), directory, seconds)
