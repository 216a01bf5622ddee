"""A look at a stage takes a bounded part of what it writes."""

from collections.abc import Mapping

from aiokafka import TopicPartition

from workers.filters import Filter
from workers.tail.peek import filtered, shares


def parts(counts: Mapping[int, int]) -> dict[TopicPartition, int]:
    return {TopicPartition("cdc.events", index): end for index, end in counts.items()}


def read(
    reached: Mapping[int, int], ends: Mapping[int, int], most: int = 60, turn: int = 0
) -> tuple[dict[int, int], int]:
    """Offsets by partition, and how many were jumped over."""
    spans, jumped = shares(parts(reached), parts(ends), most, turn)
    for tp, (start, end) in spans.items():
        assert end == ends[tp.partition], "the newest ones"
        assert start >= reached[tp.partition], "nothing twice"
    return {tp.partition: (end or 0) - start for tp, (start, end) in spans.items()}, jumped


def test_few_news_are_read_whole() -> None:
    assert read({0: 10, 1: 20, 2: 5}, {0: 15, 1: 20, 2: 6}) == ({0: 5, 2: 1}, 0)


def test_of_many_news_the_last_ones_are_read_and_the_rest_is_jumped_over() -> None:
    assert read({0: 0, 1: 0}, {0: 100_000, 1: 10}) == ({0: 50, 1: 10}, 99_950)


def test_with_more_partitions_than_that_they_take_turns() -> None:
    reached, ends = dict.fromkeys(range(100), 0), dict.fromkeys(range(100), 1_000)
    first, second = (set(read(reached, ends, turn=turn)[0]) for turn in (0, 1))
    assert len(first) == len(second) == 60
    assert first | second == set(range(100))


def test_a_filter_that_takes_too_long_ends() -> None:
    found, unasked = filtered([1, 2, 3], Filter("@ > `1`"), lambda number: number, seconds=-1)
    assert (found, unasked) == ([], 3)
    assert filtered([1, 2, 3], Filter("@ > `1`"), lambda number: number, seconds=60) == ([2, 3], 0)
