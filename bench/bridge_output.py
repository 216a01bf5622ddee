"""What stands in the topic after a run of a bridge: is it the stream, and when did it come."""

from collections import Counter
from dataclasses import dataclass, field

from bench.bridge_stream import Stream
from bench.pages import place_of
from bench.rig import Rig


@dataclass(slots=True)
class BridgeOutput:
    """The committed records of one run, against the records of its stream."""

    lost: int = 0
    duplicates: int = 0
    disordered: int = 0
    """Records behind a later one of their shard, in the same partition."""
    markers: int = 0
    """Ends of transactions: one for each of them and partition that it wrote to."""
    appended: Counter[int] = field(default_factory=Counter)
    """Records by the millisecond of the broker's clock in which they were appended; without those of the warm-up."""

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
    """Read all of a topic, read_committed; `warm_up` records of each shard were there before the measurement."""
    found = BridgeOutput()
    seen = [bytearray(stream.records) for _ in range(stream.shards)]
    newest: dict[tuple[int, int], int] = {}
    read = 0
    async for records in rig.committed(topic):
        read += len(records)
        for record in records:
            shard, number = place_of(record.value)
            found.duplicates += seen[shard][number]
            seen[shard][number] = 1
            lane = record.partition, shard
            found.disordered += newest.get(lane, -1) > number
            newest[lane] = number
            if number >= warm_up:
                found.appended[record.timestamp] += 1
    found.lost = sum(one.count(0) for one in seen)
    found.markers = await rig.length(topic) - read
    return found
