"""P1, P2: transactions whose outcome nobody knows, zombies, and errors that say nothing.

The stage reaches Kafka through a proxy that loses the answer of one EndTxn, or sends it after the next transaction has
begun. Whatever happens, every record is processed once, and a producer of an unclear outcome is never heard of again.
"""

import asyncio
import contextlib
import itertools
import struct
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from sandbox.kafka.proxy import Action, Fault, Fired, KafkaProxy, Request
from tests.integration.proxied import ProxiedKafka, proxied_kafka
from tests.integration.stage import PARTITIONS, Bench, eventually, running
from workers.engine import runner, slot, slots
from workers.engine.app import StageApp
from workers.engine.slot import REINITS_PER_MINUTE
from workers.engine.slots import Slots
from workers.engine.unit import Done, UnitOfWork

KEYS = 7
PRODUCERS = "*-slot-*"
"""Client ids of the slots' producers."""
SLOT_0 = "*-slot-0"
IN_A_TRANSACTION = ("AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedKafka]:
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with proxied_kafka(tmp_path_factory.mktemp("proxied") / "kafka", properties) as started:
        yield started


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of a test, and as many re-initialisations as it has faults."""
    monkeypatch.setattr(slot, "COMMIT_TIMEOUT", 1.0)
    monkeypatch.setattr(slot, "OPEN_TIMEOUT", 1.0)
    monkeypatch.setattr(slot, "REINITS_PER_MINUTE", 1_000)
    monkeypatch.setattr(slots, "REJOIN_EVERY", 0.5)
    monkeypatch.setattr(runner, "CONFIGURATION_PAUSE", 0.2)


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
        await eventually(lambda: _true(self.proxy.answers[api] > answered))

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
        assert outputs == {k: [b"%d:%d" % (n, i + 1) for i, n in enumerate(ns)] for k, ns in of_key.items()}
        fold = {key: b"%d" % len(numbers) for key, numbers in of_key.items()}
        changelog = {record.key: record.value for record in await self.bench.read("count-seen-changelog")}
        assert changelog == fold
        assert dict(entry for app in apps or (self.app,) for entry in app.tables["seen"].items()) == fold
        ledgers = [ledger for _, ledger in (await self.bench.committed("count", "in")).values()]
        assert sum(ledger.counts.get("in", 0) for ledger in ledgers) == self.sent
        assert all(ledger.balanced for ledger in ledgers)

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


@pytest.mark.parametrize("then", ["cut", "hold"])
@pytest.mark.parametrize("action", ["drop_response", "drop_request"])
async def test_an_unanswered_request_ends_its_producer_and_loses_or_doubles_nothing(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, action: Action, then: Any
) -> None:
    async with counting(kafka, tmp_path, request_timeout=5.0) as stage:
        for api in ("Produce", *IN_A_TRANSACTION):
            await stage.meets(Fault(api=api, action=action, then=then, client_id=PRODUCERS))
        await stage.assert_exactly_once()
        for fired in stage.proxy.fired:
            if (fired.api, then) != ("Produce", "cut"):  # sequence numbers tell a copy: aiokafka may send it again
                assert [one.api for one in stage.after(fired)] == [], f"after {fired.api}"
        assert stage.app.slots.stats.rejoins == 0


@pytest.mark.parametrize("then", ["cut", "hold"])
@pytest.mark.parametrize("action", ["drop_response", "drop_request"])
async def test_a_producer_id_whose_answer_is_lost_is_asked_for_again(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, action: Action, then: Any
) -> None:
    async with counting(kafka, tmp_path) as stage:
        stage.proxy.fault(Fault(api="InitProducerId", action=action, then=then, client_id=PRODUCERS))
        await stage.meets(Fault(api="EndTxn", action="error", error_code=48, client_id=PRODUCERS))
        await stage.assert_exactly_once()
        assert [fired.api for fired in stage.proxy.fired] == ["EndTxn", "InitProducerId"]
        assert stage.app.slots.stats.rejoins == 0


async def test_a_late_copy_of_a_commit_does_not_end_the_next_transaction(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(kafka, tmp_path) as stage:
        await stage.meets(Fault(api="EndTxn", action="late_request", seconds=60, client_id=SLOT_0))
        # The next transaction gets no further than its records. The late commit must not make them visible.
        stage.proxy.fault(Fault(api="AddOffsetsToTxn", action="drop_request", then="hold", client_id=SLOT_0))
        await stage.put()
        await stage.fired(2)
        await stage.releases("EndTxn")
        await eventually(stage.all_committed)
        await stage.assert_exactly_once()
        assert [fired.api for fired in stage.proxy.fired] == ["EndTxn", "AddOffsetsToTxn"]


async def test_a_late_copy_of_an_offset_does_not_set_the_next_one_back(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(kafka, tmp_path) as stage:
        await stage.meets(Fault(api="TxnOffsetCommit", action="late_request", seconds=60, client_id=SLOT_0))
        stage.proxy.fault(Fault(api="EndTxn", action="delay", seconds=60, client_id=SLOT_0))
        await stage.put()
        await stage.fired(2)
        await stage.releases("TxnOffsetCommit")
        await stage.releases("EndTxn")
        await stage.settled()
        await stage.assert_exactly_once()
        assert [fired.api for fired in stage.proxy.fired] == ["TxnOffsetCommit", "EndTxn"]


async def test_a_late_copy_of_records_is_not_written_again(kafka: ProxiedKafka, tmp_path: Path, patient: None) -> None:
    async with counting(kafka, tmp_path) as stage:
        await stage.meets(Fault(api="Produce", action="late_request", seconds=60, client_id=SLOT_0))
        stage.proxy.fault(Fault(api="EndTxn", action="delay", seconds=60, client_id=SLOT_0))
        await stage.put()
        await stage.fired(2)
        await stage.releases("Produce")
        await stage.releases("EndTxn")
        await stage.settled()
        await stage.assert_exactly_once()
        assert [fired.api for fired in stage.proxy.fired] == ["Produce", "EndTxn"]


async def test_a_late_copy_of_a_request_for_a_producer_id_costs_a_rejoin_at_most(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(kafka, tmp_path) as stage:
        stage.proxy.fault(Fault(api="InitProducerId", action="late_request", seconds=60, client_id=SLOT_0))
        await stage.meets(Fault(api="EndTxn", action="error", error_code=48, client_id=SLOT_0))
        await stage.releases("InitProducerId")  # it fences the producer that has taken its place
        await stage.put()
        await stage.settled()
        await stage.assert_exactly_once()
        assert [fired.api for fired in stage.proxy.fired] == ["EndTxn", "InitProducerId"]
        assert stage.app.slots.stats.rejoins == 1


async def test_a_network_that_falls_silent_in_a_commit_is_waited_out(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with counting(kafka, tmp_path, session_timeout=30.0) as stage:
        stage.blackhole_at = "EndTxn"
        await stage.put()
        # Beyond the deadline of the commit, and of some attempts to repair the slot.
        await eventually(lambda: _true(caplog.text.count("re-initialisation: TimeoutError") >= 2))
        stage.proxy.heal()
        await stage.settled()
        await stage.assert_exactly_once()
        assert stage.app.slots.stats.aborted >= 1
        assert stage.app.slots.stats.rejoins == 0


@pytest.mark.parametrize("commit_timeout", [60.0, 0.5], ids=["frozen-in-its-commit", "given-up-on-its-commit"])
async def test_a_zombie_whose_slots_were_given_away_commits_nothing(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, monkeypatch: pytest.MonkeyPatch, commit_timeout: float
) -> None:
    monkeypatch.setattr(slot, "COMMIT_TIMEOUT", commit_timeout)
    async with counting(kafka, tmp_path, session_timeout=2.0) as zombie:
        zombie.blackhole_at = "EndTxn"
        await zombie.put()
        await eventually(lambda: _true(zombie.blackhole_at is None))
        heir = zombie.new_app(bootstrap=kafka.direct, data_dir=str(tmp_path / "heir"))
        async with running(heir):
            await zombie.settled(heir)
            zombie.proxy.heal()
            await eventually(lambda: _true(zombie.app.ready and len(zombie.app.slots.owned) == 1))
            await zombie.put()
            await zombie.settled(heir, zombie.app)
            await zombie.assert_exactly_once(heir, zombie.app)
            assert zombie.app.slots.stats.aborted >= 1


async def test_a_transaction_that_the_coordinator_timed_out_is_done_again_after_a_rejoin(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Slots.new_producer

    def impatient(self: Slots, index: int) -> Any:
        producer = make(self, index)
        producer._txn_manager.transaction_timeout_ms = 1_000
        return producer

    monkeypatch.setattr(Slots, "new_producer", impatient)
    monkeypatch.setattr(slot, "COMMIT_TIMEOUT", 60.0)
    async with counting(kafka, tmp_path) as stage:
        stage.proxy.fault(Fault(api="EndTxn", action="delay", seconds=60, client_id=SLOT_0))
        await stage.put()
        await stage.fired(1)
        await eventually(lambda: kafka_says(kafka, f"{stage.app.conf.id}-0", b"CompleteAbort"))
        stage.proxy.release()
        await stage.settled()
        await stage.assert_exactly_once()
        assert stage.app.slots.stats.rejoins == 1


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedKafka]:
    """A Kafka that forgets transactional ids which were idle for a second."""
    properties = {
        "transactional.id.expiration.ms": "1000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "100",
    }
    with proxied_kafka(tmp_path_factory.mktemp("forgetful") / "kafka", properties) as started:
        yield started


async def test_a_stage_that_was_idle_until_its_transactional_ids_expired_goes_on(
    forgetful: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(forgetful, tmp_path) as stage:
        for index in range(PARTITIONS):
            await eventually(partial(kafka_forgot, forgetful, f"{stage.app.conf.id}-{index}"))
        before = stage.app.slots.stats.reinits
        await stage.put()
        await stage.settled()
        await stage.assert_exactly_once()
        assert stage.app.slots.stats.reinits > before
        assert stage.app.slots.stats.rejoins == 0


UNCLEAR = {-1: "UNKNOWN_SERVER_ERROR", 48: "INVALID_TXN_STATE", 87: "INVALID_RECORD", 90: "PRODUCER_FENCED"}
RETRIED = {14: "LOAD_IN_PROGRESS", 15: "NOT_AVAILABLE", 16: "NOT_COORDINATOR", 51: "CONCURRENT_TRANSACTIONS"}
"""Codes and names of https://kafka.apache.org/protocol#protocol_error_codes."""


@pytest.mark.parametrize("reaches_broker", [True, False])
async def test_an_error_that_says_nothing_leads_to_a_local_reinitialisation(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, reaches_broker: bool
) -> None:
    async with counting(kafka, tmp_path) as stage:
        stats = stage.app.slots.stats
        for api, code in itertools.product(("AddOffsetsToTxn", "EndTxn"), UNCLEAR):
            fault = Fault(api=api, action="error", error_code=code, reaches_broker=reaches_broker, client_id=PRODUCERS)
            fired = await stage.meets(fault)
            assert stage.after(fired) == [], f"after {UNCLEAR[code]} of {api}"
        await eventually(lambda: _true(stats.reinits >= 2 * len(UNCLEAR)))
        await stage.assert_exactly_once()
        assert len(stage.proxy.fired) == 2 * len(UNCLEAR)
        assert stats.rejoins == 0


@pytest.mark.parametrize("reaches_broker", [True, False])
async def test_an_error_of_a_busy_coordinator_is_waited_out(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, reaches_broker: bool
) -> None:
    async with counting(kafka, tmp_path) as stage:
        stats = stage.app.slots.stats
        for api, code in itertools.product(("AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn"), RETRIED):
            await stage.meets(
                Fault(
                    api=api, action="error", error_code=code, times=5, reaches_broker=reaches_broker,
                    client_id=SLOT_0,
                )
            )  # fmt: skip
        await stage.assert_exactly_once()
        assert len(stage.proxy.fired) == 3 * len(RETRIED) * 5
        assert (stats.reinits, stats.rejoins) == (0, 0)


@pytest.mark.parametrize("reaches_broker", [True, False])
async def test_a_fenced_producer_rejoins_and_its_records_come_once(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, reaches_broker: bool
) -> None:
    async with counting(kafka, tmp_path) as stage:
        for number, api in enumerate(("AddOffsetsToTxn", "EndTxn"), 1):
            fault = Fault(api=api, action="error", error_code=47, reaches_broker=reaches_broker, client_id=SLOT_0)
            fired = await stage.meets(fault)
            assert stage.app.slots.stats.rejoins == number
            assert stage.after(fired) == []
        await stage.assert_exactly_once()


@pytest.mark.parametrize("reaches_broker", [True, False])
async def test_a_permission_that_is_missing_pauses_the_slot_and_nobody_rejoins(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, reaches_broker: bool
) -> None:
    async with counting(kafka, tmp_path) as stage:
        for api, code in (("AddOffsetsToTxn", 30), ("AddOffsetsToTxn", 53), ("EndTxn", 53)):
            fault = Fault(api=api, action="error", error_code=code, reaches_broker=reaches_broker, client_id=SLOT_0)
            fired = await stage.meets(fault)
            assert stage.after(fired) == [], f"after {code} of {api}"
        await stage.assert_exactly_once()
        assert stage.app.slots.stats.rejoins == 0


async def test_a_stage_that_may_not_write_any_more_waits_for_its_permission(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(kafka, tmp_path) as stage:
        stats = stage.app.slots.stats
        async with write_denied(kafka, stage.bench.topic("out")):
            await stage.put()
            await eventually(lambda: _true(stats.aborted >= 6))
            assert stats.inputs < stage.sent
        await stage.settled()
        await stage.assert_exactly_once()
        assert stats.rejoins == 0


async def test_a_producer_id_that_is_refused_again_and_again_is_no_reason_to_rejoin(
    kafka: ProxiedKafka, tmp_path: Path
) -> None:
    async with counting(kafka, tmp_path) as stage:
        for code, client in ((-1, SLOT_0), (47, "*-slot-1"), (53, SLOT_0), (51, "*-slot-1")):
            stage.proxy.fault(
                Fault(
                    api="InitProducerId", action="error", error_code=code, times=REINITS_PER_MINUTE + 1,
                    reaches_broker=False, client_id=client,
                )
            )  # fmt: skip
            await stage.meets(Fault(api="EndTxn", action="error", error_code=48, client_id=client))
        await stage.assert_exactly_once()
        assert len(stage.proxy.fired) == 4 * (1 + REINITS_PER_MINUTE + 1)
        assert stage.app.slots.stats.rejoins == 0


async def test_a_slot_whose_commits_all_fail_asks_for_a_rejoin_now_and_then(
    kafka: ProxiedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "REJOIN_EVERY", 3.0)
    async with counting(kafka, tmp_path) as stage:
        started = time.monotonic()
        joined = stage.proxy.counts["JoinGroup"]
        fault = Fault(api="EndTxn", action="error", error_code=-1, times=None, client_id=SLOT_0, reaches_broker=False)
        stage.proxy.fault(fault)
        await stage.put()
        await stage.fired(2 * (REINITS_PER_MINUTE + 1))  # the first generation and the next one
        stage.proxy.heal()
        await stage.settled()
        await stage.assert_exactly_once()
        most = 1 + (time.monotonic() - started) / slots.REJOIN_EVERY
        assert 1 <= stage.proxy.counts["JoinGroup"] - joined <= most


@contextlib.asynccontextmanager
async def write_denied(kafka: ProxiedKafka, topic: str) -> AsyncIterator[None]:
    """Nobody may write to the topic, or read it, now that there is a rule for it. Codes of https://kafka.apache.org/documentation/#operations_resources_and_protocols:
    topic 2, literal 3, write 4, deny 2."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.direct)
    await admin.start()
    rule = (2, topic, 3, "User:ANONYMOUS", "*", 4, 2)
    try:
        created = await admin._send_request(CreateAclsRequest(*rule))
        assert [code for code, _ in created.creation_responses] == [0]
        yield
        deleted = await admin._send_request(DeleteAclsRequest(*rule))
        assert [code for code, *_ in deleted.filter_responses] == [0]
    finally:
        await admin.close()


async def kafka_says(kafka: ProxiedKafka, transactional_id: str, state: bytes) -> bool:
    """Whether the coordinator has the transactional id in that state."""
    _, found, rest = (await list_transactions(kafka)).partition(transactional_id.encode())
    return bool(found) and rest[9:].startswith(state)  # producer id, length of the state


async def kafka_forgot(kafka: ProxiedKafka, transactional_id: str) -> bool:
    return transactional_id.encode() not in await list_transactions(kafka)


async def list_transactions(kafka: ProxiedKafka) -> bytes:
    """The bytes of an answer to ListTransactions, version 0, without any filter; aiokafka does not know it."""
    header = struct.pack(">hhih4sb", 66, 0, 1, 4, b"test", 0)
    request = header + b"\x01\x01\x00"
    reader, writer = await asyncio.open_connection(*kafka.direct.split(":"))
    try:
        writer.write(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        return await reader.readexactly(size)
    finally:
        writer.close()


async def _true(condition: bool) -> bool:
    return condition
