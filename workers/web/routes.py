"""What the web server of a worker answers: every route, who may ask for it, and what answers it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from aiohttp import web

from workers.cluster.farewells import Farewells
from workers.cluster.peers import Cluster
from workers.engine.stages import Stage
from workers.settings.worker import Settings


class Scope(StrEnum):
    """Who may ask."""

    OPEN = "open"
    """Anybody: files of the page, which hold no data."""
    READ = "read"
    """Whoever may look."""
    WRITE = "write"
    """Whoever may change something."""
    WORKER = "worker"
    """Another worker of the cluster, or a command that has the settings of one."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a handler works with: this process, and through `cluster` all others."""

    settings: Settings
    stages: Mapping[str, Stage]
    """The stages of this process."""
    cluster: Cluster
    farewells: Farewells = field(default_factory=lambda: Farewells(""))
    """Of workers that have ended in order."""


Handler = Callable[[Desk, web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path (as aiohttp writes paths)."""

    method: Literal["GET", "POST"]
    path: str
    scope: Scope
    handler: Handler
    says: str
    """What it answers, for the reference."""
    audited: tuple[str, ...] = ()
    """Of a write: names in the JSON body whose values may stand in the audit line. Stages and tables, never keys."""
