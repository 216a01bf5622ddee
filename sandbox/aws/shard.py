"""One Kinesis shard: an append-only log of records in the order of their sequence numbers.

A record is kept as the JSON text GetRecords sends, so that a page of 10,000 is one slice and one join.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

from msgspec.json import encode

from sandbox.aws.sequence import COUNTER_SHIFT, LAST_COUNTER, SECONDS_SHIFT, SequenceParts, pack

GET_RECORDS_BYTES = 10 << 20  # data and keys in one GetRecords answer


@dataclass(frozen=True, slots=True)
class Write:
    """A record a producer sends: `data` is the base64 text as it came, `size` the bytes of data and key together.

    `hash_key` is None where the service chooses the shard; only then the key may be missing.
    """

    data: str
    partition_key: str | None
    hash_key: int | None
    size: int


@dataclass(frozen=True, slots=True)
class Page:
    """Records from one read: JSON objects, the number the next read continues after, how old the rest is, and the bytes
    of data and keys."""

    entries: list[bytes]
    after: int
    millis_behind: int
    size: int


@dataclass(slots=True)
class Shard:
    """`first_key`..`last_key` is the inclusive hash range; `parents` has two names after a merge, one after a split.

    `closed_at` (seconds since 1970) and `ending` are None while the shard is open. Nothing up to the number `horizon`
    is held any more.
    """

    index: int
    first_key: int
    last_key: int
    created_at: float
    parents: tuple[str, ...] = ()
    closed_at: float | None = None
    ending: int | None = None
    starting: int = field(init=False)
    horizon: int = field(init=False)
    sequences: list[int] = field(default_factory=list)
    _head: int = field(init=False)
    _count: int = 0  # of all records there ever were
    _arrivals: list[float] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _entries: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._head = pack(SequenceParts(int(self.created_at), self.index, 0, 0))
        self.starting = self.horizon = self._number(0, int(self.created_at))

    @property
    def name(self) -> str:
        return f"shardId-{self.index:012d}"

    @property
    def latest(self) -> int:
        """The number a reader that wants only new records continues after."""
        return self.sequences[-1] if self.sequences else self.horizon

    def append(self, write: Write, now: float, tail: str = "") -> int:
        """Store a record and return its sequence number; `tail` is JSON text of further members, from its comma on."""
        # Readers search by time, so a clock that steps back must not make the log unsorted.
        arrival = max(now, self._arrivals[-1]) if self._arrivals else now
        self._count += 1
        number = self._number(self._count, int(arrival))
        key = "" if write.partition_key is None else f',"PartitionKey":{encode(write.partition_key).decode()}'
        entry = (
            f'{{"SequenceNumber":"{number}","ApproximateArrivalTimestamp":{arrival:.3f},'
            f'"Data":"{write.data}"{key}{tail}}}'
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
        """At most `limit` records, and 10 MiB of them, with numbers above `after`; the first one always fits.

        A position below the horizon continues there without a word, as it does at AWS.
        """
        after = max(after, self.horizon)
        start = bisect_right(self.sequences, after)
        stop = min(start + limit, len(self.sequences))
        sizes = list(accumulate(self._sizes[start:stop]))
        stop = min(stop, start + max(1, bisect_right(sizes, GET_RECORDS_BYTES)))
        behind = 0
        if stop < len(self.sequences):
            behind = max(0, int((now - self._arrivals[stop]) * 1000))
        last = self.sequences[stop - 1] if stop > start else after
        return Page(self._entries[start:stop], last, behind, sizes[stop - start - 1] if stop > start else 0)

    def drained(self, after: int) -> bool:
        """Closed, and nothing left above `after`."""
        return self.closed_at is not None and (not self.sequences or after >= self.sequences[-1])

    def before(self, moment: float) -> int:
        """The number after which every record arrived at `moment` (seconds) or later."""
        index = bisect_left(self._arrivals, moment)
        return self.sequences[index - 1] if index else self.horizon

    def trim(self, number: int) -> int:
        """Forget the records up to `number`, which is included. Returns how many those were."""
        count = bisect_right(self.sequences, number)
        if count:
            del self.sequences[:count], self._arrivals[:count], self._sizes[:count], self._entries[:count]
        self.horizon = max(self.horizon, number)
        return count

    def expired(self, horizon: float) -> bool:
        """Closed before the moment `horizon`, or trimmed to the very end: gone, as its records are."""
        return self.ending is not None and (not self.open_since(horizon) or self.horizon >= self.ending)

    def open_at(self, moment: float) -> bool:
        """Both ends count, as in the API's AT_TIMESTAMP: at the moment of a reshard, parent and child are open."""
        return self.created_at <= moment and self.open_since(moment)

    def open_since(self, moment: float) -> bool:
        """Open now, or still at `moment`."""
        return self.closed_at is None or self.closed_at >= moment

    def _number(self, counter: int, seconds: int) -> int:
        return self._head + (counter << COUNTER_SHIFT) + (seconds << SECONDS_SHIFT)
