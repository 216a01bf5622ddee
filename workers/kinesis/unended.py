"""The shards of a slot that somebody still has to look at. Of thousands that have ended, none is: a stream keeps closed
shards for its retention, which may be a year, and a look comes ten times a second."""

from collections.abc import Callable

from models.shard import Shard


class Unended:
    """Of one stream and one slot."""

    def __init__(self) -> None:
        self._known: tuple[Shard, ...] = ()
        self._left: list[Shard] = []
        self.names: frozenset[str] = frozenset()
        """Of all shards, also of those that have ended."""

    def of(self, known: tuple[Shard, ...], is_over: Callable[[str], bool]) -> list[Shard]:
        """What is left of the `known` shards, in their order. `is_over`: whether a shard has ended and nobody reads it;
        what is over stays over as long as `known` is the same object."""
        if known is not self._known:
            self._known, self._left = known, list(known)
            self.names = frozenset(shard.id for shard in known)
        self._left = [shard for shard in self._left if not is_over(shard.id)]
        return self._left
