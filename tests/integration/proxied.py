"""A Kafka of its own behind the proxy: clients that come through the proxy are sent back to it."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
