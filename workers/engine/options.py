"""What a stage needs to know about its broker and its bounds."""

from dataclasses import dataclass, field
from typing import Any, Literal

from models.retry import RETRY_OF, Component, RetryConfig

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class DeadLimit:
    """The dead letter that would be the `letters`-th among the last `records` inputs is not written."""

    letters: int = 200
    records: int = 1_000


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Bounds in records, bytes and seconds; the defaults were measured (linger trades latency against CPU)."""

    bootstrap: str
    partitions: int
    worker_name: str | None = None
    security: dict[str, Any] = field(default_factory=dict, repr=False)
    """aiokafka's arguments for TLS and SASL. It holds passwords (P6)."""
    request_timeout: float = 40.0
    batch_records: int = 2_000
    batch_bytes: int = 8 * MEBIBYTE
    output_bytes: int = 16 * MEBIBYTE
    """Bytes of outputs after which a body ends its unit; the rest of the batch is the next one."""
    memory_budget: int = 256 * MEBIBYTE
    max_record_bytes: int = 13 * MEBIBYTE
    producer_batch_bytes: int = 900_000
    fetch_wait_ms: int = 100
    linger: float = 0.025
    """Between the beginnings of two transactions of a slot, as long as its batches are small."""
    compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = None
    on_gap: Literal["stop", "continue"] = "stop"
    dead_limit: DeadLimit | None = None
    """How many dead letters are too many; None: as many as come."""
    trailing_seconds: float = 5.0
    """After this an idle source's position moves past trailing control records by a transaction of its own."""
    contiguous_slots: bool = False
    """Deal slots out in ranges, so that few Kinesis shards spread over few workers. Only for stages without tables."""
    open_on_demand: bool = False
    """Slots get their producer when their body asks for it: of 48 source slots only those with shards need one."""
    session_timeout: float = 10.0
    retry: RetryConfig = RETRY_OF[Component.STATE]
    """Of a slot whose producer has to be opened again."""
    config_topic: str | None = None
    """Compacted topic of one partition for the configuration records of all stages; None: nothing is compared."""
    data_dir: str = ".cdc"

    def client(self, purpose: str) -> dict[str, Any]:
        """Connection arguments of every aiokafka client but the group's member. Its id in the broker's logs and
        metrics is the purpose, behind the name of the worker."""
        return self._connection(f"{self.worker_name}.{purpose}" if self.worker_name else purpose, self.request_timeout)

    def producer(self, purpose: str) -> dict[str, Any]:
        """The same for a producer: a commit has a deadline of 20 s, which a single request must not outlive."""
        return self.client(purpose) | {"request_timeout_ms": int(min(self.request_timeout, 20.0) * 1000)}

    def member(self, group: str) -> dict[str, Any]:
        """The same for the member of the group: a restarted worker finds its dead self by the bare worker name. A
        JoinGroup is answered when the whole group has come, which takes up to the rebalance time-out (30 s)."""
        timeout = max(self.request_timeout, self.session_timeout + 5, 40.0)
        return self._connection(self.worker_name or group, timeout)

    def _connection(self, client_id: str, timeout: float) -> dict[str, Any]:
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": client_id,
            "request_timeout_ms": int(timeout * 1000),
            **self.security,
        }
