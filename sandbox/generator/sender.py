"""Puts changes on a Kinesis stream with plain boto3, in order per partition key."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.generator.ledger import SourceChange

MOST_RECORDS = 500
MOST_BYTES = 4 << 20
"""Of one PutRecords request; the service takes 500 records and 5 MiB."""
TICK = 0.02
FIRST_BACKOFF, LONGEST_BACKOFF = 0.05, 2.0

OnPut = Callable[[SourceChange, str, str, float], None]
"""(change, shard, sequence number, monotonic seconds when the request was begun)"""


class Sender:
    """Sends in a thread of its own. `rate` is changes per second, None as fast as the stream takes them.

    A None among the changes says that the source has nothing yet; it is asked again soon.
    """

    def __init__(
        self, client: Any, stream: str, changes: Iterator[SourceChange | None], on_put: OnPut, *, rate: float | None
    ) -> None:
        self._client, self._stream, self._changes, self._on_put = client, stream, changes, on_put
        self._rate = rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self.error: Exception | None = None
        self.refused = 0
        """Records the stream refused; each was put again before any later one of its row."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float = 2.0) -> None:
        """Ask it to end, and wait at most so long until it has."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    @property
    def running(self) -> bool:
        """False once everything is sent, or it failed (`error`)."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._send_all()
        except Exception as error:  # noqa: BLE001 - whatever ends the thread is for the owner to report
            if not self._stopping.is_set():
                self.error = error

    def _send_all(self) -> None:
        waiting: list[SourceChange] = []
        began, released, more, backoff = time.monotonic(), 0, True, 0.0
        while (more or waiting) and not self._stopping.is_set():
            allowed = (
                MOST_RECORDS if self._rate is None else int((time.monotonic() - began) * self._rate) + 1 - released
            )
            while more and allowed > 0 and len(waiting) < MOST_RECORDS:
                try:
                    change = next(self._changes)
                except StopIteration:
                    more = False
                    break
                if change is None:
                    if self._rate is not None:
                        began = time.monotonic() - released / self._rate  # no burst after a pause
                    elif not waiting:
                        self._stopping.wait(TICK)
                    break
                waiting.append(change)
                released += 1
                allowed -= 1
            batch = next_batch(waiting)
            failed = self._put(batch) if batch else []
            taken = {change.number for change in batch} - {change.number for change in failed}
            waiting = [change for change in waiting if change.number not in taken]
            if not failed:
                backoff = 0.0
            else:  # a stream that still takes some is asked again soon
                backoff = FIRST_BACKOFF if taken else min(max(backoff * 2, FIRST_BACKOFF), LONGEST_BACKOFF)
            pause = random.uniform(backoff / 2, backoff) if backoff else 0.0
            if pause or self._rate is not None:
                self._stopping.wait(max(pause, TICK))

    def _put(self, batch: list[SourceChange]) -> list[SourceChange]:
        """One request; answers what the stream refused."""
        began = time.monotonic()
        response = self._client.put_records(
            StreamName=self._stream,
            Records=[{"Data": change.data, "PartitionKey": change.partition_key} for change in batch],
        )
        failed = []
        for change, result in zip(batch, response["Records"], strict=True):
            if "ErrorCode" in result:
                failed.append(change)
            else:
                self._on_put(change, result["ShardId"], result["SequenceNumber"], began)
        self.refused += len(failed)
        return failed


def next_batch(waiting: list[SourceChange]) -> list[SourceChange]:
    """What one request may carry: at most one record per partition key.

    Any record of a request may be refused alone; a later one of the same row beside it would then overtake it.
    """
    batch: list[SourceChange] = []
    keys: set[str] = set()
    size = 0
    for change in waiting:
        if change.partition_key in keys:
            continue
        size += len(change.data) + len(change.partition_key)
        if batch and (len(batch) == MOST_RECORDS or size > MOST_BYTES):
            break
        batch.append(change)
        keys.add(change.partition_key)
    return batch
