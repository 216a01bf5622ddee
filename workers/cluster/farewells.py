"""Workers that end in order say so to the others, so that nobody misses them. One that vanishes says nothing.

What was heard stands in a metric for a while; Prometheus remembers it longer. If nobody can be told, because nobody is
reached or Kafka does not say who is there, the worker passes for a lost one: the alert errs on that side.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from workers import metrics
from workers.cluster.peers import Cluster

log = logging.getLogger("cdc.cluster")

PATH = "/internal/farewell"
SAY_SECONDS = 2.0
"""Of the ten that a worker has for its end."""
KEPT_SECONDS = 900.0
"""Long enough for every scrape."""
MOST = 200
LONGEST = 250


@dataclass(slots=True)
class Farewells:
    """Of one worker. `now` gives seconds since the epoch."""

    name: str
    """Of this worker."""
    now: Callable[[], float] = time.time
    cluster: Cluster | None = None
    """Set as soon as there is a web server to ask from; without it nobody is told."""
    _heard: dict[str, float] = field(default_factory=dict)

    def hear(self, worker: str) -> bool:
        """That worker ends in order. False for what cannot be a name."""
        if not 0 < len(worker) <= LONGEST or not worker.isprintable():
            return False
        self._heard.pop(worker, None)
        self._heard[worker] = self.now()
        while len(self._heard) > MOST:
            self._heard.pop(next(iter(self._heard)))
        return True

    async def say(self) -> None:
        """Tell all others that this worker ends in order. Never raises, and takes 2 s at most."""
        if self.cluster is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SAY_SECONDS):
                answers = await self.cluster.ask(PATH, {"worker": self.name}, seconds=SAY_SECONDS)
                deaf = sorted(answer.worker for answer in answers if answer.error is not None)
                if deaf:
                    log.info("not told that this worker ends: %s", ", ".join(deaf))

    def measure(self) -> Iterator[metrics.Sample]:
        """Who this is, and who has said that it ends."""
        yield metrics.WORKER_INFO.of(1, self.name)
        since = self.now() - KEPT_SECONDS
        for worker, at in self._heard.items():
            if at > since and worker != self.name:
                yield metrics.WORKER_LEFT.of(at, worker)
