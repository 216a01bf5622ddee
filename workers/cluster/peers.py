"""What one worker knows of the others, and how it asks them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

SECONDS = 5.0
"""How long a worker has for an answer before the others' answers are shown without its own."""
OTHERS = "other workers"
"""In place of a name: Kafka does not say who they are."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One worker process; `url` is None if nobody on another machine can reach it."""

    name: str
    url: str | None
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What one worker said: a JSON document, or why there is none."""

    worker: str
    body: Any = None
    error: str | None = None


class Cluster(Protocol):
    """Asks every worker, this one among them."""

    @property
    def here(self) -> str:
        """Name of this worker."""

    async def peers(self) -> tuple[Peer, ...]:
        """All workers that can be seen now. Never raises: who cannot be seen is left out."""

    async def ask(
        self, path: str, query: Mapping[str, str] | None = None, *, seconds: float = SECONDS
    ) -> tuple[Answer, ...]:
        """GET `path`, a route with the scope WORKER, from every worker. Never raises: one that fails has an error."""
