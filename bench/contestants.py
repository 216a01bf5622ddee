"""Who is measured: how each peer is started, and how one sees that it has finished."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.environments import PRODUCT, ROOT, interpreter, library_path
from sandbox.child import GuardedChild


@dataclass(frozen=True, slots=True)
class Contestant:
    """A peer in one configuration."""

    name: str
    module: str
    """Below `bench.peers`."""
    arguments: tuple[str, ...] = ()
    environment: str = PRODUCT
    commits_in_transactions: bool = True
    """Finished when its group has committed everything; the others when everything stands in the output."""
    reads_committed: bool = True
    """Its input is hidden in an open transaction until the gate opens."""
    changelog: bool = False
    """Needs its changelog to exist in the work `table`; the others make it themselves."""
    library: str = ""
    """Behind the product's own ones on the path: `bench.environments.library_path`."""
    records: int | None = None
    """At most so many, for a slow peer."""


OURS = Contestant("ours", "stage", changelog=True)
OURS_UVLOOP = Contestant("ours_uvloop", "stage", ("--uvloop",), changelog=True, library="uvloop")
QUIX = Contestant("quix_exactly_once", "quix", ("--guarantee", "exactly-once"), "quix")
QUIX_AT_LEAST_ONCE = Contestant(
    "quix_at_least_once", "quix", ("--guarantee", "at-least-once"), "quix", commits_in_transactions=False
)
FAUST = Contestant(
    "faust", "stock_faust", (), "faust", commits_in_transactions=False, reads_committed=False, records=20_000
)
IDEMPOTENT = Contestant(
    "loop_idempotent", "loop", ("--mode", "idempotent"), commits_in_transactions=False, changelog=True
)
TRANSACTIONS = Contestant("loop_transactions", "loop", ("--mode", "transactions"), changelog=True)
SLOTS = Contestant("loop_slots", "loop", ("--mode", "slots"), changelog=True)

ALL = (OURS, OURS_UVLOOP, QUIX, QUIX_AT_LEAST_ONCE, FAUST, IDEMPOTENT, TRANSACTIONS, SLOTS)


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a peer: the arguments of `bench.peers.record.arguments`."""

    bootstrap: str
    group: str
    source: str
    output: str
    directory: Path
    work: str = "forward"
    partitions: int = 4
    more: Mapping[str, str] = field(default_factory=dict)

    def words(self) -> list[str]:
        """For the command line."""
        options = {
            "bootstrap": self.bootstrap, "group": self.group, "source": self.source, "output": self.output,
            "directory": str(self.directory), "work": self.work, "partitions": str(self.partitions), **self.more,
        }  # fmt: skip
        return [word for name, value in options.items() for word in (f"--{name}", value)]


@contextlib.contextmanager
def running(contestant: Contestant, job: Job, log: Path, *, grace: float = 0.0) -> Iterator[GuardedChild]:
    """The peer's process; at the end it is killed, after `grace` seconds to leave its group in order."""
    path = [str(ROOT)]
    if contestant.library:
        path.append(str(library_path(contestant.library, _ignore)))
    python = interpreter(contestant.environment, _ignore)
    job.directory.mkdir(parents=True, exist_ok=True)
    child = GuardedChild(
        [str(python), "-m", f"bench.peers.{contestant.module}", *contestant.arguments, *job.words()],
        log=log, environment=_clean_environment() | {"PYTHONPATH": os.pathsep.join(path)},
    )  # fmt: skip
    try:
        yield child
    finally:
        if grace:
            child.stop(grace)
        else:
            child.kill()


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _ignore(_: str) -> None:
    """The environments were made before the first run."""
