"""Reading the checkpoints of a source slot."""

from typing import Any

from models.checkpoint import Checkpoint
from workers.engine.catch_up import read_to_end
from workers.engine.types import TP


async def read_checkpoints(client: dict[str, Any], topic: str, slot: int) -> dict[str, Checkpoint]:
    """{shard id: checkpoint} of one slot. Call it after the slot's InitProducerId: only its producer writes there, so
    up to the high watermark everything is decided. Raises ValueError for an unreadable one: a position is not guessed.
    """
    found: dict[str, Checkpoint] = {}

    def apply(record: Any) -> None:
        if record.value is not None:
            checkpoint = Checkpoint.decode(record.value)
            found[checkpoint.shard] = checkpoint

    await read_to_end(client, {TP(topic, slot): 0}, apply)
    return found
