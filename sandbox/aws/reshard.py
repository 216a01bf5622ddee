"""How the shards of a stream change: one is split, two are merged, and a count is reached by doing both."""

from collections.abc import Iterator, Sequence

from sandbox.aws.shard import Shard
from sandbox.aws.stream import HASH_KEYS, Step, Stream

Range = tuple[int, int]  # first and last hash key, both included


def split(stream: Stream, parent: Shard, key: int, now: float) -> None:
    """Close `parent`; its two children meet where the second begins, at `key`."""
    parent.close(now)
    stream.open(parent.first_key, key - 1, now, (parent.name,))
    stream.open(key, parent.last_key, now, (parent.name,))
    stream.reroute()


def merge(stream: Stream, parent: Shard, adjacent: Shard, now: float) -> None:
    """Close both, of which `adjacent` begins where `parent` ends; the child has the keys of both."""
    for closed in (parent, adjacent):
        closed.close(now)
    stream.open(parent.first_key, adjacent.last_key, now, (parent.name, adjacent.name))
    stream.reroute()


def uniform_steps(stream: Stream, count: int) -> list[Step]:
    """The splits and merges, in the order of the hash keys, after which `count` equal shards are open.

    Shards between them may live for one step only, as with UpdateShardCount of AWS.
    """
    bounds = _bounds([shard.first_key for shard in stream.open_shards()], count)

    def step(now: float) -> None:
        shards = stream.open_shards()
        place, key = _next_cut([(shard.first_key, shard.last_key) for shard in shards], bounds)
        if key is not None:
            split(stream, shards[place], key, now)
        else:
            merge(stream, shards[place], shards[place + 1], now)

    return [step for _ in _cuts([(shard.first_key, shard.last_key) for shard in stream.open_shards()], bounds)]


def _bounds(present: Sequence[int], count: int) -> list[int]:
    """First keys of the shards wanted, and the end. A shard that begins almost there is left as it is: rounding must
    not make shards of one key."""
    exact = (HASH_KEYS * index // count for index in range(count))
    near = HASH_KEYS // (count << 32)
    return [next((key for key in present if abs(key - wanted) <= near), wanted) for wanted in exact] + [HASH_KEYS]


def _next_cut(ranges: Sequence[Range], bounds: Sequence[int]) -> tuple[int, int | None]:
    """The first place where the shards differ from what is wanted, and the key to split that shard at; None to merge it
    with the next one. Raises StopIteration if they do not differ."""
    place = next(at for at, (_, last) in enumerate(ranges) if last + 1 != bounds[at + 1])
    return place, bounds[place + 1] if ranges[place][1] >= bounds[place + 1] else None


def _cuts(ranges: list[Range], bounds: Sequence[int]) -> Iterator[None]:
    """One for each step from `ranges` to the shards wanted."""
    while [first for first, _ in ranges] != list(bounds[:-1]):
        place, key = _next_cut(ranges, bounds)
        first, last = ranges[place]
        if key is not None:
            ranges[place : place + 1] = [(first, key - 1), (key, last)]
        else:
            ranges[place : place + 2] = [(first, ranges[place + 1][1])]
        yield
