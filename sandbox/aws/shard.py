"""One Kinesis shard: an append-only log of records in the order of their sequence numbers.

A record is kept as the JSON text GetRecords sends, so that a page of 10,000 is one slice and one join.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

import msgspec

from sandbox.aws.sequence import COUNTER_SHIFT, LAST_COUNTER, SECONDS_SHIFT, SequenceParts, pack

GET_RECORDS_BYTES = 10 << 20  # data and keys in one GetRecords answer


@dataclass(frozen=True, slots=True)
class Write:
    """A record a producer sends: `data` is the base64 text as it came, `size` the bytes of data and key together."""

    data: str
    partition_key: str
    hash_key: int
    size: int


@dataclass(frozen=True, slots=True)
class Page:
    """Records from one read: JSON objects, the number the next read continues after, and how old the rest is."""

    entries: list[bytes]
    after: int
    millis_behind: int


@dataclass(slots=True)
class Shard:
    """`first_key`..`last_key` is the inclusive hash range; `parents` has two names after a merge, one after a split.

    `closed_at` (seconds since 1970) and `ending` are None while the shard is open.
    """

    index: int
    first_key: int
    last_key: int
    created_at: float
    parents: tuple[str, ...] = ()
    closed_at: float | None = None
    ending: int | None = None
    starting: int = field(init=False)
    sequences: list[int] = field(default_factory=list)
    _head: int = field(init=False)
    _arrivals: list[float] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _entries: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._head = pack(SequenceParts(int(self.created_at), self.index, 0, 0))
        self.starting = self._number(0, int(self.created_at))

    @property
    def name(self) -> str:
        return f"shardId-{self.index:012d}"

    @property
    def latest(self) -> int:
        """The number a reader that wants only new records continues after."""
        return self.sequences[-1] if self.sequences else self.starting

    def append(self, write: Write, now: float) -> int:
        """Store a record and return its sequence number."""
        # Readers search by time, so a clock that steps back must not make the log unsorted.
        arrival = max(now, self._arrivals[-1]) if self._arrivals else now
        number = self._number(len(self.sequences) + 1, int(arrival))
        key = msgspec.json.encode(write.partition_key).decode()
        entry = (
            f'{{"SequenceNumber":"{number}","ApproximateArrivalTimestamp":{arrival:.3f},'
            f'"Data":"{write.data}","PartitionKey":{key}}}'
        )
        self.sequences.append(number)
        self._arrivals.append(arrival)
        self._sizes.append(write.size)
        self._entries.append(entry.encode())
        return number

    def close(self, now: float) -> None:
        """Refuse further records: readers that reach `ending` are told of the children."""
        self.closed_at = now
        self.ending = self._number(LAST_COUNTER, int(now))

    def read(self, after: int, limit: int, now: float) -> Page:
        """At most `limit` records, and 10 MiB of them, with numbers above `after`; the first one always fits."""
        start = bisect_right(self.sequences, after)
        stop = min(start + limit, len(self.sequences))
        fitting = bisect_right(list(accumulate(self._sizes[start:stop])), GET_RECORDS_BYTES)
        stop = min(stop, start + max(1, fitting))
        behind = 0
        if stop < len(self.sequences):
            behind = max(0, int((now - self._arrivals[stop]) * 1000))
        last = self.sequences[stop - 1] if stop > start else after
        return Page(self._entries[start:stop], last, behind)

    def drained(self, after: int) -> bool:
        """Closed, and nothing left above `after`."""
        return self.closed_at is not None and (not self.sequences or after >= self.sequences[-1])

    def before(self, moment: float) -> int:
        """The number after which every record arrived at `moment` (seconds) or later."""
        index = bisect_left(self._arrivals, moment)
        return self.sequences[index - 1] if index else self.starting

    def open_at(self, moment: float) -> bool:
        """Both ends count, as in the API's AT_TIMESTAMP: at the moment of a reshard, parent and child are open."""
        return self.created_at <= moment and self.open_since(moment)

    def open_since(self, moment: float) -> bool:
        """Open now, or still at `moment`."""
        return self.closed_at is None or self.closed_at >= moment

    def _number(self, counter: int, seconds: int) -> int:
        return self._head + (counter << COUNTER_SHIFT) + (seconds << SECONDS_SHIFT)
