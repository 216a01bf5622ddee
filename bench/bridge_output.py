"""What stands in the topic after a run of a bridge: is it the stream, and when did it come."""

from collections import Counter

from bench.bridge_stream import Stream
from bench.pages import place_of
from bench.rig import Rig


class BridgeOutput:
    """The committed records of one run, beside those of its stream.

    `appended` counts records by the millisecond of the broker's clock, without the first `warm_up` of each shard:
    those were there before the measurement began.
    """

    def __init__(self, stream: Stream, warm_up: int = 0) -> None:
        self.records = 0
        self.duplicates = 0
        self.disordered = 0
        """Records behind a later one of their shard, in the same partition; those that come again are only repeated."""
        self.markers = 0
        """Ends of transactions: one for each of them and partition that it wrote to."""
        self.appended: Counter[int] = Counter()
        self._warm_up = warm_up
        self._seen = [bytearray(stream.records) for _ in range(stream.shards)]
        self._newest: dict[tuple[int, int], int] = {}

    def take(self, partition: int, value: bytes, timestamp_ms: int) -> None:
        """Count the next record of a partition. Raises ValueError or IndexError for one that is not of the stream."""
        shard, number = place_of(value)
        seen = self._seen[shard]
        self.records += 1
        if number >= self._warm_up:
            self.appended[timestamp_ms] += 1
        if seen[number]:
            self.duplicates += 1
            return
        seen[number] = 1
        lane = partition, shard
        self.disordered += self._newest.get(lane, -1) > number
        self._newest[lane] = number

    @property
    def lost(self) -> int:
        """Records of the stream that did not come."""
        return sum(seen.count(0) for seen in self._seen)

    @property
    def faults(self) -> str:
        """What is wrong with it, in words; empty if nothing is."""
        found = {"lost": self.lost, "repeated": self.duplicates, "out of order": self.disordered}
        return ", ".join(f"{count:,} {what}" for what, count in found.items() if count)

    @property
    def first(self) -> float:
        """When the first record was appended, seconds since 1970."""
        return min(self.appended) / 1_000

    @property
    def last(self) -> float:
        """When the last one was."""
        return max(self.appended) / 1_000

    @property
    def rate(self) -> float:
        """Records per second between the two; those that came with the first one took no time and do not count."""
        return (self.appended.total() - self.appended[min(self.appended)]) / (self.last - self.first)

    def until(self, moment: float) -> int:
        """Records that were appended up to a moment."""
        return sum(count for at, count in self.appended.items() if at / 1_000 <= moment)

    def first_after(self, moment: float) -> float:
        """When the first record after a moment was appended. Raises ValueError if none was."""
        return min(at for at in self.appended if at / 1_000 > moment) / 1_000


async def bridge_output(rig: Rig, topic: str, stream: Stream, *, warm_up: int = 0) -> BridgeOutput:
    """Read all of a topic, read_committed."""
    found = BridgeOutput(stream, warm_up)
    async for records in rig.committed(topic):
        for record in records:
            found.take(record.partition, record.value, record.timestamp)
    found.markers = await rig.length(topic) - found.records
    return found
