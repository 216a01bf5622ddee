"""Faust's agents, which forget the actors of partitions that were given up."""

from typing import Any

import faust
from faust.types import TP


class Agent(faust.Agent):
    """An agent with one actor per partition.

    Faust's own keeps each actor it has ever started, with its stream and its queue, for as long as the worker lives:
    30 kB for every partition of a source that moves to another worker (measured)."""

    async def on_isolated_partitions_revoked(self, revoked: set[TP]) -> None:
        """End the actors of these partitions."""
        ended: list[Any] = [actor for tp in revoked if (actor := self._actor_by_partition.get(tp)) is not None]
        await super().on_isolated_partitions_revoked(revoked)
        self.supervisor.discard(*ended)
        for actor in ended:
            for node in (actor.beacon, actor.stream.beacon):
                self.beacon.discard(node)
