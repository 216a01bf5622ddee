"""A stage that counts behind the proxy, and a judge of what it did."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sandbox.kafka.proxy import Fault, Fired, KafkaProxy, Request
from tests.integration.proxied import ProxiedKafka
from tests.integration.stage import Bench, eventually, running
from workers.engine.app import StageApp
from workers.engine.unit import Done, UnitOfWork

KEYS = 7


class Counting:
    """A stage behind the proxy that counts the records of each key in a table and writes `number:count` for each."""

    def __init__(self, kafka: ProxiedKafka, proxy: KafkaProxy, bench: Bench, **options: Any) -> None:
        self.bench = bench
        self.proxy = proxy
        self.seen: list[Request] = []
        self.blackhole_at: str | None = None
        """The network falls silent when a request for this API comes, before it gets through."""
        proxy.on_request = self._arrived
        self.options = {"bootstrap": kafka.bootstrap} | options
        self.app = self.new_app()
        self.sent = 0

    def _arrived(self, request: Request) -> None:
        self.seen.append(request)
        if request.api == self.blackhole_at:
            self.blackhole_at = None
            self.proxy.blackhole()

    def new_app(self, **options: Any) -> StageApp:
        """Another worker of the stage."""
        app = self.bench.app("count", **(self.options | options))
        table = app.partitioned("seen", "records per key")

        @app.process(self.bench.topic("in"), bury=lambda *_: None)
        async def count(unit: UnitOfWork) -> Done:
            for record in unit.batch or ():
                seen = int(table.get(record.key) or b"0") + 1
                table[record.key] = b"%d" % seen
                unit.send(self.bench.topic("out"), record.key, b"%s:%d" % (record.value, seen))
                unit.out()
            return Done()

        return app

    async def put(self, count: int = 4 * KEYS) -> None:
        """The next `count` records, over all keys."""
        numbers = range(self.sent, self.sent + count)
        await self.bench.put("in", [(b"k%d" % (n % KEYS), b"%d" % n) for n in numbers])
        self.sent += count

    async def settled(self, *apps: StageApp) -> None:
        """Wait until everything sent has come out, and memory knows."""

        async def done() -> bool:
            counted = sum(int(value) for app in apps or (self.app,) for _, value in app.tables["seen"].items())
            return counted >= self.sent and len(await self.bench.read("out")) >= self.sent

        await eventually(done)

    async def meets(self, fault: Fault) -> Fired:
        """Process some records while something goes wrong."""
        before = len(self.proxy.fired)
        self.proxy.fault(fault)
        await self.put()
        await self.fired(before + 1)
        await self.settled()
        return self.proxy.fired[before]

    async def releases(self, api: str) -> None:
        """Let what was held back go on to the broker, and wait for its answer."""
        answered = self.proxy.answers[api]
        self.proxy.release(api)

        async def done() -> bool:
            return self.proxy.answers[api] > answered

        await eventually(done)

    async def fired(self, count: int) -> None:
        """Wait until so many faults have hit."""

        async def done() -> bool:
            return len(self.proxy.fired) >= count

        await eventually(done)

    async def all_committed(self) -> bool:
        return sum(offset for offset, _ in (await self.bench.committed("count", "in")).values()) >= self.sent

    async def assert_exactly_once(self, *apps: StageApp) -> None:
        """Outputs, changelog, tables in memory and ledgers all say that every record was processed once, in order."""
        of_key = {b"k%d" % k: [n for n in range(self.sent) if n % KEYS == k] for k in range(KEYS)}
        outputs: dict[bytes, list[bytes]] = {key: [] for key in of_key}
        for record in await self.bench.read("out"):
            outputs[record.key].append(record.value)
        expected = {k: [b"%d:%d" % (n, i + 1) for i, n in enumerate(ns)] for k, ns in of_key.items()}
        assert outputs == expected, f"outputs: {outputs}"
        fold = {key: b"%d" % len(numbers) for key, numbers in of_key.items()}
        changelog = {record.key: record.value for record in await self.bench.read("count-seen-changelog")}
        assert changelog == fold, f"changelog: {changelog}"
        table = dict(entry for app in apps or (self.app,) for entry in app.tables["seen"].items())
        assert table == fold, f"table: {table}"
        ledgers = [ledger for _, ledger in (await self.bench.committed("count", "in")).values()]
        counted = sum(ledger.counts.get("in", 0) for ledger in ledgers)
        assert counted == self.sent, f"the ledgers count {counted} of {self.sent} records"
        assert all(ledger.balanced for ledger in ledgers), f"ledgers: {ledgers}"

    def after(self, fired: Fired) -> list[Request]:
        """What came from the producer of a request that was hit, after it was hit."""
        (index,) = [
            i
            for i, one in enumerate(self.seen)
            if (one.connection, one.correlation_id) == (fired.connection, fired.correlation_id)
        ]
        return [
            one
            for one in self.seen[index + 1 :]
            if one.connection == fired.connection or (one.producer is not None and one.producer == fired.producer)
        ]


@contextlib.asynccontextmanager
async def counting(kafka: ProxiedKafka, tmp_path: Path, **options: Any) -> AsyncIterator[Counting]:
    """A stage that runs behind the proxy, with some records behind it."""
    bench = Bench(kafka.direct, str(tmp_path))
    await bench.create("in", "out")
    await bench.create_changelog("count", "seen")
    async with kafka.proxy() as proxy:
        stage = Counting(kafka, proxy, bench, **options)
        async with running(stage.app):
            await stage.put()
            await stage.settled()
            yield stage
