"""What Kafka says of a running pipeline: its dead letters, and the ledger of enrich in its committed offsets."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from models.dead_letter import DeadLetter

POLL_SECONDS = 0.25
DROP = "drop."
KEY_MOVED = "key_moved"
"""Reason of the marker the bridge writes beside a changed key: no record of the source."""

OnLetter = Callable[[DeadLetter], None]
OnFiltered = Callable[[Mapping[str, int]], None]


class KafkaView:
    """Follows a topic of dead letters and a group's offsets in a thread with an event loop of its own."""

    def __init__(
        self, bootstrap: str, *, dead: str, partitions: int, group: str, on_letter: OnLetter, on_filtered: OnFiltered,
        from_now: bool = False,
    ) -> None:  # fmt: skip
        """`from_now`: what is there already belongs to somebody else."""
        self._from_now = from_now
        self._looking = threading.Event()
        self._bootstrap, self._dead, self._partitions, self._group = bootstrap, dead, partitions, group
        self._on_letter, self._on_filtered = on_letter, on_filtered
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-view", daemon=True)
        self.error: Exception | None = None

    def start(self) -> None:
        """Begin; the topic must exist. Returns when everything from now on is seen, or `error` says why not."""
        self._thread.start()
        while self._thread.is_alive() and not self._looking.wait(POLL_SECONDS):
            pass

    def stop(self, seconds: float = 2.0) -> None:
        """Ask it to end, and wait at most so long until it has."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            asyncio.run(self._follow())
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - for the owner to report
            # aiokafka lets its own cancellations escape when the broker goes away under it.
            if not self._stopping.is_set():
                self.error = error if isinstance(error, Exception) else ConnectionError("Kafka went away")

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=None, enable_auto_commit=False,
            auto_offset_reset="earliest", isolation_level="read_committed",
        )  # fmt: skip
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await consumer.start()
        await admin.start()
        try:
            consumer.assign([TopicPartition(self._dead, index) for index in range(self._partitions)])
            before: Counter[str] = Counter()
            if self._from_now:
                await consumer.seek_to_end()
                before = await self._filtered(admin)
            self._looking.set()
            while not self._stopping.is_set():
                found = await consumer.getmany(timeout_ms=int(POLL_SECONDS * 1000))
                for records in found.values():
                    for record in records:
                        self._on_letter(DeadLetter.from_headers(record.headers))
                self._on_filtered((await self._filtered(admin)) - before)
        finally:
            await admin.close()
            await consumer.stop()

    async def _filtered(self, admin: AIOKafkaAdminClient) -> Counter[str]:
        offsets = await admin.list_consumer_group_offsets(self._group)
        return filtered(entry.metadata for entry in offsets.values())


def filtered(metadata: Any) -> Counter[str]:
    """Records of the source that were left out, by reason, from the metadata of committed offsets."""
    counts: Counter[str] = Counter()
    for text in metadata:
        try:
            ledger = json.loads(text or "{}")
        except ValueError:
            continue
        for name, count in ledger.items() if isinstance(ledger, dict) else ():
            if name.startswith(DROP) and name != DROP + KEY_MOVED:
                counts[name.removeprefix(DROP)] += count
    return counts
