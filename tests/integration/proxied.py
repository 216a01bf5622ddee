"""A Kafka of its own behind the proxy: clients that come through the proxy are sent back to it."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from sandbox.kafka.broker import KafkaBroker, Listener
from sandbox.kafka.proxy import KafkaProxy
from sandbox.ports import LOOPBACK, free_ports

LISTENER = "PROXIED"


@dataclass(frozen=True, slots=True)
class ProxiedKafka:
    """A broker that runs, and the port of its proxy, which each test starts for itself."""

    broker: KafkaBroker
    port: int

    @property
    def direct(self) -> str:
        """`host:port` past the proxy."""
        return self.broker.bootstrap

    @property
    def bootstrap(self) -> str:
        """`host:port` of the proxy."""
        return f"{LOOPBACK}:{self.port}"

    @contextlib.asynccontextmanager
    async def proxy(self, **options: Any) -> AsyncIterator[KafkaProxy]:
        """The proxy, as long as the block runs."""
        host, port = self.broker.address_of(LISTENER).split(":")
        proxy = KafkaProxy(host, int(port), **options)
        await proxy.start(self.port)
        try:
            yield proxy
        finally:
            await proxy.close()


@contextlib.contextmanager
def proxied_kafka(directory: Path, properties: Mapping[str, str] | None = None) -> Iterator[ProxiedKafka]:
    """Start the broker, and stop it. Blocks: for a fixture of a module."""
    (port,) = free_ports(1)
    listeners = [Listener(LISTENER, advertised_port=port)]
    with contextlib.closing(KafkaBroker(directory, listeners=listeners, properties=properties)) as broker:
        broker.start()
        yield ProxiedKafka(broker, port)


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
