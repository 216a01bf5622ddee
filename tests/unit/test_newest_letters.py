"""The newest letters of a long topic, without reading all of it."""

from collections.abc import AsyncGenerator

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from models.buried import Buried
from tests.unit.letters import T0, buried
from workers.dead_letters.reading import FIRST_SPAN, DeadLetters, newest
from workers.kafka.log_ranges import LogRange

Topic = dict[int, list[int | None]]
"""By partition: times of the letters, None for one that is not selected."""


class Reader:
    """Counts the offsets that are read."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.offsets = 0

    @property
    def found(self) -> DeadLetters:
        tps = {index: TopicPartition("cdc.dead", index) for index in self.topic}
        return DeadLetters({tps[n]: LogRange(tps[n], 0, len(times), True) for n, times in self.topic.items()}, {})

    async def read(self, part: DeadLetters) -> AsyncGenerator[Buried]:
        letters = []
        for tp, found in part.ranges.items():
            self.offsets += found.end - found.start
            for offset in range(found.start, found.end):
                time = self.topic[tp.partition][offset]
                if time is not None:
                    letters.append(buried(offset, partition=tp.partition, time_ms=T0 + time))
        for letter in sorted(letters, key=lambda letter: (letter.time_ms, letter.id)):
            yield letter


@st.composite
def topics(draw: st.DrawFn) -> Topic:
    topic: Topic = {}
    for index in range(draw(st.integers(1, 3))):
        gaps = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=60))
        now, times = 0, list[int | None]()
        for selected, pause in gaps:
            now += pause
            times.append(now if selected else None)
        topic[index] = times
    return topic


@given(topics(), st.integers(1, 5))
async def test_they_are_those_that_a_whole_reading_ends_with(topic: Topic, limit: int) -> None:
    whole = [letter.id async for letter in Reader(topic).read(Reader(topic).found)]
    reader = Reader(topic)
    found, more = await newest(reader.found, limit, reader.read)
    assert [letter.id for letter in found] == whole[::-1][:limit]
    assert more or len(whole) <= limit


async def test_of_a_long_topic_only_the_end_is_read() -> None:
    reader = Reader({0: list(range(100_000)), 1: list(range(100_000))})
    found, more = await newest(reader.found, 5, reader.read)
    assert (len(found), more, reader.offsets) == (5, True, 2 * 5 * FIRST_SPAN)
    assert all(letter.record.value is None for letter in found)
