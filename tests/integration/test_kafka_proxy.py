"""The proxy does to an unmodified client what it was told, to the request it was told, and says so."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError, RequestTimedOutError
from aiokafka.protocol import commit, coordination, fetch, group, offset, produce, transaction
from aiokafka.structs import OffsetAndMetadata

from sandbox.kafka.frames import PATCHED, REFUSED, Request, refusal
from sandbox.kafka.proxy import Action, Fault, KafkaProxy
from tests.integration.proxied import ProxiedKafka, proxied_kafka
from tests.integration.stage import eventually

_names = itertools.count()
REQUESTS = {
    "Produce": produce.ProduceRequest, "Fetch": fetch.FetchRequest, "ListOffsets": offset.OffsetRequest,
    "OffsetCommit": commit.OffsetCommitRequest, "OffsetFetch": commit.OffsetFetchRequest,
    "FindCoordinator": coordination.FindCoordinatorRequest, "JoinGroup": group.JoinGroupRequest,
    "Heartbeat": group.HeartbeatRequest, "LeaveGroup": group.LeaveGroupRequest, "SyncGroup": group.SyncGroupRequest,
    "InitProducerId": transaction.InitProducerIdRequest, "EndTxn": transaction.EndTxnRequest,
    "AddPartitionsToTxn": transaction.AddPartitionsToTxnRequest, "AddOffsetsToTxn": transaction.AddOffsetsToTxnRequest,
    "TxnOffsetCommit": transaction.TxnOffsetCommitRequest,
}  # fmt: skip


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedKafka]:
    with proxied_kafka(tmp_path_factory.mktemp("proxied") / "kafka") as started:
        yield started


@pytest.fixture
async def proxy(kafka: ProxiedKafka) -> AsyncIterator[KafkaProxy]:
    async with kafka.proxy() as started:
        yield started


@pytest.fixture
async def topic(kafka: ProxiedKafka) -> str:
    name = f"proxied-{next(_names)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.direct)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    return name


@contextlib.asynccontextmanager
async def producing(kafka: ProxiedKafka, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A producer behind the proxy; it may be broken at the end."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, **({"retry_backoff_ms": 20, "request_timeout_ms": 3_000} | options)
    )
    await producer.start()
    try:
        yield producer
    finally:
        with contextlib.suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(producer.stop(), 10)


@contextlib.asynccontextmanager
async def consuming(bootstrap: str, *topics: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    defaults: dict[str, Any] = {
        "auto_offset_reset": "earliest", "isolation_level": "read_committed", "retry_backoff_ms": 20,
        "request_timeout_ms": 3_000, "session_timeout_ms": 2_900, "heartbeat_interval_ms": 200,
    }  # fmt: skip
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, **(defaults | options))
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def values(kafka: ProxiedKafka, topic: str) -> list[bytes]:
    """Committed records of the topic, read past the proxy. Waits for the end of what was written before."""
    tp = TopicPartition(topic, 0)
    found: list[bytes] = []
    async with consuming(kafka.direct, isolation_level="read_uncommitted") as consumer:
        end = (await consumer.end_offsets([tp]))[tp]
    async with consuming(kafka.direct) as consumer:
        consumer.assign([tp])
        while await consumer.position(tp) < end:
            found += [record.value for record in (await consumer.getmany(tp, timeout_ms=100)).get(tp, [])]
    return found


async def transact(kafka: ProxiedKafka, topic: str) -> None:
    """One transaction with a record and an offset."""
    async with asyncio.timeout(30), producing(kafka, transactional_id=topic) as producer, producer.transaction():
        await producer.send_and_wait(topic, b"1")
        await producer.send_offsets_to_transaction({TopicPartition(topic, 0): OffsetAndMetadata(1, "")}, topic)


def actions(proxy: KafkaProxy) -> list[tuple[str, Action]]:
    return [(fired.api, fired.action) for fired in proxy.fired]


@pytest.mark.parametrize("api", sorted(PATCHED))
def test_the_layouts_are_of_the_versions_the_installed_client_speaks(api: str) -> None:
    request = REQUESTS[api]
    assert max(one.API_VERSION for one in request._CLASSES) == PATCHED[api]


@pytest.mark.parametrize("api", sorted(REFUSED - {"Produce", "AddPartitionsToTxn", "TxnOffsetCommit"}))
def test_an_answer_in_the_brokers_place_is_one_the_client_can_read(api: str) -> None:
    (request,) = [one for one in REQUESTS[api]._CLASSES if PATCHED[api] == one.API_VERSION]
    answer = BytesIO(refusal(api, b"", 15))
    assert request.RESPONSE_TYPE.decode(answer).error_code == 15
    assert answer.read() == b""


async def test_without_faults_everything_passes_in_both_directions(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str
) -> None:
    large = bytes(range(256)) * 8_000
    async with producing(kafka, max_request_size=4 << 20) as producer, consuming(kafka.bootstrap, topic) as consumer:
        for value in (b"small", large, b"last"):
            await producer.send_and_wait(topic, value)
        assert [(await consumer.getone()).value for _ in range(3)] == [b"small", large, b"last"]
    assert proxy.counts["Produce"] == 3
    assert proxy.counts["Fetch"] >= 1
    assert proxy.fired == []


async def test_clients_of_the_advertised_listener_all_come_through_the_proxy(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str
) -> None:
    async with producing(kafka, client_id="counted") as producer:
        await producer.send_and_wait(topic, b"1")
        assert [node.port for node in producer.client.cluster.brokers()] == [kafka.port]
    assert proxy.counts["Produce"] == 1


async def test_a_dropped_answer_leaves_the_deed_done_and_the_client_without_word(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str
) -> None:
    async with producing(kafka, enable_idempotence=False, acks=1, request_timeout_ms=400) as producer:
        await producer.send_and_wait(topic, b"before")
        proxy.fault(Fault(api="Produce", action="drop_response", times=None))
        with pytest.raises((KafkaConnectionError, RequestTimedOutError)):
            await producer.send_and_wait(topic, b"unclear")
    assert actions(proxy)[0] == ("Produce", "drop_response")
    assert (await values(kafka, topic))[:2] == [b"before", b"unclear"]


async def test_a_dropped_request_leaves_the_deed_undone(kafka: ProxiedKafka, proxy: KafkaProxy, topic: str) -> None:
    async with producing(kafka, enable_idempotence=False, acks=1, request_timeout_ms=400) as producer:
        await producer.send_and_wait(topic, b"before")
        proxy.fault(Fault(api="Produce", action="drop_request", times=None))
        with pytest.raises((KafkaConnectionError, RequestTimedOutError)):
            await producer.send_and_wait(topic, b"lost")
    assert actions(proxy)[0] == ("Produce", "drop_request")
    assert await values(kafka, topic) == [b"before"]


async def test_an_idempotent_client_survives_a_lost_answer_and_writes_once(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str
) -> None:
    proxy.fault(Fault(api="Produce", action="drop_response", nth=2))
    async with producing(kafka, enable_idempotence=True) as producer:
        for value in (b"1", b"2", b"3"):
            await producer.send_and_wait(topic, value)
    assert actions(proxy) == [("Produce", "drop_response")]
    assert proxy.counts["Produce"] == 4
    assert await values(kafka, topic) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("action", ["drop_response", "drop_request"])
async def test_a_held_connection_stays_open_and_silent(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str, action: Action
) -> None:
    async with producing(kafka, enable_idempotence=True, request_timeout_ms=60_000) as producer:
        proxy.fault(Fault(api="Produce", action=action, then="hold"))
        sending = asyncio.ensure_future(producer.send_and_wait(topic, b"1"))
        await eventually(lambda: _true(bool(proxy.fired)))
        open_now = proxy.connections
        assert not (await asyncio.wait([sending], timeout=0.3))[0]
        assert proxy.connections == open_now
        proxy.heal()
        await sending
    assert actions(proxy) == [("Produce", action)]
    assert await values(kafka, topic) == [b"1"]


async def test_a_disconnect_comes_before_the_request(kafka: ProxiedKafka, proxy: KafkaProxy, topic: str) -> None:
    proxy.fault(Fault(api="EndTxn", action="disconnect"))
    async with producing(kafka, transactional_id=topic) as producer, producer.transaction():
        await producer.send_and_wait(topic, b"1")
    assert actions(proxy) == [("EndTxn", "disconnect")]
    assert proxy.counts["EndTxn"] == 2
    assert await values(kafka, topic) == [b"1"]


@pytest.mark.parametrize("action", ["delay", "delay_response"])
async def test_a_delay_holds_back_one_request(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str, action: Action
) -> None:
    async with producing(kafka) as producer:
        await producer.send_and_wait(topic, b"1")
        proxy.fault(Fault(api="Produce", action=action, seconds=0.5))
        started = time.monotonic()
        await producer.send_and_wait(topic, b"2")
        assert time.monotonic() - started >= 0.5
    assert actions(proxy) == [("Produce", action)]


async def test_a_request_may_arrive_after_its_client_has_left(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str
) -> None:
    proxy.fault(Fault(api="Produce", action="delay", seconds=1.0))
    async with producing(kafka, enable_idempotence=False, acks=1, request_timeout_ms=300) as producer:
        with pytest.raises((KafkaConnectionError, RequestTimedOutError)):
            await producer.send_and_wait(topic, b"late")
    assert actions(proxy) == [("Produce", "delay")]
    assert proxy.counts["Produce"] == 1
    assert await _reaches(kafka, topic, b"late")


async def test_a_late_request_arrives_when_the_client_has_long_repeated_it(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str
) -> None:
    proxy.fault(Fault(api="Produce", action="late_request", seconds=60))
    async with producing(kafka, enable_idempotence=False, acks=1) as producer:
        await producer.send_and_wait(topic, b"twice")
        assert await values(kafka, topic) == [b"twice"]
        proxy.release("EndTxn")
        assert proxy.answers["Produce"] == 1
        proxy.release("Produce")
        await eventually(lambda: _true(proxy.answers["Produce"] == 2))
        assert await values(kafka, topic) == [b"twice", b"twice"]
    assert actions(proxy) == [("Produce", "late_request")]
    assert proxy.counts["Produce"] == 2


async def test_the_nth_matching_request_is_hit_as_often_as_asked(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str
) -> None:
    seen: list[Request] = []
    proxy.on_request = seen.append
    async with (
        producing(kafka, client_id="left-1", enable_idempotence=True) as left,
        producing(kafka, client_id="right-1", enable_idempotence=True) as right,
    ):
        proxy.fault(Fault(api="Produce", action="delay", nth=3, times=2, client_id="left-*", seconds=0.01))
        for value in (b"1", b"2", b"3", b"4", b"5"):
            await right.send_and_wait(topic, value)
            await left.send_and_wait(topic, value)
    lefts = [one.correlation_id for one in seen if one.api == "Produce" and one.client_id == "left-1"]
    assert [fired.correlation_id for fired in proxy.fired] == lefts[2:4]
    assert {fired.client_id for fired in proxy.fired} == {"left-1"}
    assert len(await values(kafka, topic)) == 10


async def test_the_producer_of_a_request_is_known(kafka: ProxiedKafka, proxy: KafkaProxy, topic: str) -> None:
    seen: list[Request] = []
    proxy.on_request = seen.append
    async with producing(kafka, transactional_id=topic) as producer, producer.transaction():
        await producer.send_and_wait(topic, b"1")
        await producer.send_offsets_to_transaction({TopicPartition(topic, 0): OffsetAndMetadata(1, "")}, "group")
    manager = producer._txn_manager
    found = {one.api: one.producer for one in seen if one.producer is not None}
    transactional = ("Produce", "AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn")
    assert found == dict.fromkeys(transactional, (manager.producer_id, manager.producer_epoch))


RETRIED = {
    "Produce": 19, "InitProducerId": 51, "AddPartitionsToTxn": 51, "AddOffsetsToTxn": 51, "TxnOffsetCommit": 14,
    "EndTxn": 51, "FindCoordinator": 15,
}  # fmt: skip


@pytest.mark.parametrize("reaches_broker", [True, False])
@pytest.mark.parametrize("api", RETRIED)
async def test_an_error_a_producer_retries_is_met_and_survived(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str, api: str, reaches_broker: bool
) -> None:
    code = RETRIED[api]
    proxy.fault(Fault(api=api, action="error", error_code=code, times=2, reaches_broker=reaches_broker))
    await transact(kafka, topic)
    assert [(fired.api, fired.error_code) for fired in proxy.fired] == [(api, code)] * 2
    assert await values(kafka, topic) == [b"1"]


FATAL = {
    "Produce": 87, "InitProducerId": 53, "AddPartitionsToTxn": 47, "AddOffsetsToTxn": 48, "TxnOffsetCommit": 47,
    "EndTxn": 47,
}  # fmt: skip


@pytest.mark.parametrize("reaches_broker", [True, False])
@pytest.mark.parametrize("api", FATAL)
async def test_a_fatal_error_ends_the_transaction(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str, api: str, reaches_broker: bool
) -> None:
    fault = Fault(api=api, action="error", error_code=FATAL[api], reaches_broker=reaches_broker)
    proxy.fault(fault)
    with pytest.raises(KafkaError):
        await transact(kafka, topic)
    assert [(fired.api, fired.error_code) for fired in proxy.fired] == [(api, fault.error_code)]
    committed = api == "EndTxn" and reaches_broker
    async with producing(kafka, transactional_id=topic):  # ends the transaction, if it is still open
        pass
    assert await values(kafka, topic) == ([b"1"] if committed else [])


GROUP = {
    "FindCoordinator": 15, "JoinGroup": 25, "SyncGroup": 27, "Heartbeat": 25, "OffsetFetch": 14, "ListOffsets": 6,
    "Fetch": 6, "OffsetCommit": 14,
}  # fmt: skip


@pytest.mark.parametrize("api", GROUP)
async def test_an_error_a_consumer_retries_is_met_and_survived(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str, api: str
) -> None:
    async with producing(kafka) as producer:
        await producer.send_and_wait(topic, b"1")
        proxy.fault(Fault(api=api, action="error", error_code=GROUP[api]))
        options = {"group_id": topic, "auto_commit_interval_ms": 100}
        async with consuming(kafka.bootstrap, topic, **options) as consumer, asyncio.timeout(30):
            assert (await consumer.getone()).value == b"1"
            await eventually(lambda: _true(bool(proxy.fired)))
            await producer.send_and_wait(topic, b"2")
            while (await consumer.getone()).value != b"2":
                pass
    assert [(fired.api, fired.error_code) for fired in proxy.fired] == [(api, GROUP[api])]


async def test_an_error_of_a_fetch_session_concerns_the_whole_answer(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str
) -> None:
    proxy.fault(Fault(api="Fetch", action="error", error_code=71))
    async with producing(kafka) as producer, consuming(kafka.bootstrap, topic) as consumer, asyncio.timeout(30):
        await producer.send_and_wait(topic, b"1")
        assert (await consumer.getone()).value == b"1"
    assert [(fired.api, fired.error_code) for fired in proxy.fired] == [("Fetch", 71)]


async def test_a_cut_resets_every_connection_and_lets_clients_come_back(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str
) -> None:
    seen: list[Request] = []
    proxy.on_request = seen.append
    async with producing(kafka, enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, b"1")
        before = {one.connection for one in seen}
        proxy.cut()
        seen.clear()
        await producer.send_and_wait(topic, b"2")
    assert seen
    assert before.isdisjoint(one.connection for one in seen)
    await eventually(lambda: _true(not proxy.connections))
    assert await values(kafka, topic) == [b"1", b"2"]


async def test_a_proxy_that_refuses_takes_nobody_until_it_is_healed(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str
) -> None:
    proxy.refuse(True)
    with pytest.raises(KafkaConnectionError):
        async with producing(kafka):
            pass
    proxy.heal()
    async with producing(kafka) as producer:
        await producer.send_and_wait(topic, b"1")


@pytest.mark.parametrize("direction", ["both", "upstream", "downstream"])
async def test_bytes_wait_in_a_black_hole_and_connections_stay(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str, direction: Any
) -> None:
    async with producing(kafka, request_timeout_ms=60_000, enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, b"1")
        open_before = proxy.connections
        started = time.monotonic()
        proxy.blackhole(0.6, direction)
        await producer.send_and_wait(topic, b"2")
        assert time.monotonic() - started >= 0.6
        assert proxy.connections == open_before
        proxy.blackhole(None, direction)
        sending = asyncio.ensure_future(producer.send_and_wait(topic, b"3"))
        reached = await _reaches(kafka, topic, b"3") if direction == "downstream" else False
        assert not (await asyncio.wait([sending], timeout=0.3))[0]
        assert ((await values(kafka, topic))[-1] == b"3") is reached
        proxy.heal()
        await sending
    assert await values(kafka, topic) == [b"1", b"2", b"3"]


async def test_latency_is_added_to_every_round_trip(kafka: ProxiedKafka, proxy: KafkaProxy, topic: str) -> None:
    async with producing(kafka, enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, b"1")
        proxy.latency(0.2, jitter=0.05)
        started = time.monotonic()
        for _ in range(3):
            await producer.send_and_wait(topic, b"2")
        assert time.monotonic() - started >= 3 * 0.15
        proxy.latency(0.0)
        await producer.send_and_wait(topic, b"3")
    assert len(await values(kafka, topic)) == 5


async def test_a_request_without_an_answer_does_not_upset_the_next(
    kafka: ProxiedKafka, proxy: KafkaProxy, topic: str
) -> None:
    async with producing(kafka, acks=0, enable_idempotence=False) as producer:
        for value in (b"1", b"2"):
            await producer.send_and_wait(topic, value)
        await producer.client.fetch_all_metadata()
    await _reaches(kafka, topic, b"2")
    assert await values(kafka, topic) == [b"1", b"2"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"api": "EndTransaction", "action": "delay"},
        {"api": "EndTxn", "action": "error"},
        {"api": "Metadata", "action": "error", "error_code": 1},
        {"api": "Fetch", "action": "error", "error_code": 1, "reaches_broker": False},
        {"api": "EndTxn", "action": "delay", "nth": 0},
    ],
)
def test_a_fault_that_cannot_happen_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Fault(**wrong)


async def _true(condition: bool) -> bool:
    return condition


async def _reaches(kafka: ProxiedKafka, topic: str, value: bytes) -> bool:
    async def there() -> bool:
        return value in await values(kafka, topic)

    await eventually(there)
    return True
