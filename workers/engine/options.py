"""What a stage needs to know about its broker and its bounds."""

from dataclasses import dataclass, field
from typing import Any, Literal

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Bounds in records, bytes and seconds; the defaults were measured (linger trades latency against CPU)."""

    bootstrap: str
    partitions: int
    worker_name: str | None = None
    security: dict[str, Any] = field(default_factory=dict)
    batch_records: int = 1_000
    batch_bytes: int = 8 * MEBIBYTE
    output_bytes: int = 16 * MEBIBYTE
    """Bytes of outputs after which a body ends its unit; the rest of the batch is the next one."""
    memory_budget: int = 256 * MEBIBYTE
    max_record_bytes: int = 13 * MEBIBYTE
    producer_batch_bytes: int = 900_000
    fetch_wait_ms: int = 100
    linger: float = 0.025
    compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = None
    on_gap: Literal["stop", "continue"] = "stop"
    contiguous_slots: bool = False
    """Deal slots out in ranges, so that few Kinesis shards spread over few workers. Only for stages without tables."""
    open_on_demand: bool = False
    """Slots get their producer when their body asks for it: of 48 source slots only those with shards need one."""
    session_timeout: float = 10.0
    config_topic: str | None = None
    """Compacted topic of one partition for the configuration records of all stages; None: nothing is compared."""
    data_dir: str = ".cdc"

    def client(self, client_id: str) -> dict[str, Any]:
        """Connection arguments of every aiokafka client."""
        return {"bootstrap_servers": self.bootstrap, "client_id": client_id, **self.security}
