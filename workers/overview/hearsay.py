"""What only workers know of their stages: slots that are refused, circuits that are open, rows that wait."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from workers.cluster.outside import cluster_of
from workers.cluster.peers import OTHERS, Answer
from workers.engine.obstacles import earliest
from workers.failures import CommandError
from workers.overview.agreement import disagreement
from workers.overview.figures import Notice, NoticeKind
from workers.settings.worker import Settings

PATH = "/internal/pipeline"
SECONDS = 3.0
MOST_NAMED = 3
"""Of slots and partitions that say the same; of the others the number."""
KINDS = set(NoticeKind) - {NoticeKind.DIFFERS}
TABLES = "tables.yaml"


class Asked(Protocol):
    """What asks all workers (workers.cluster.peers.Cluster)."""

    async def ask(
        self, path: str, query: Mapping[str, str] | None = None, *, seconds: float = SECONDS
    ) -> tuple[Answer, ...]:
        """GET from every worker."""


@dataclass(frozen=True, slots=True)
class Hearsay:
    """`unheard`: who could not be asked, and why."""

    notices: tuple[Notice, ...] = ()
    unheard: tuple[str, ...] = ()

    def of(self, stage: str) -> tuple[Notice, ...]:
        """Of one stage."""
        return tuple(notice for notice in self.notices if notice.stage == stage)


class _Said(NamedTuple):
    worker: str
    since_ms: int


async def hearsay(settings: Settings) -> Hearsay:
    """Asks every worker that Kafka names. Never raises for the world."""
    try:
        async with asyncio.timeout(2 * SECONDS), cluster_of(settings) as cluster:
            return await heard(cluster)
    except CommandError as error:
        return Hearsay(unheard=(f"workers: {error}; {error.hint}" if error.hint else f"workers: {error}",))
    except TimeoutError:
        return Hearsay(unheard=("workers: they do not answer in time",))


async def heard(cluster: Asked) -> Hearsay:
    """What they say, put together: what several workers or slots say is one notice."""
    told: dict[tuple[str, NoticeKind, str], dict[str, list[_Said]]] = {}
    marks: dict[str, dict[str, str]] = {}
    unheard = []
    for answer in await cluster.ask(PATH, seconds=SECONDS):
        try:
            found = [*_reasons(answer.body)] if answer.error is None else []
        except (AttributeError, KeyError, TypeError, ValueError):
            unheard.append(f"{answer.worker}: its answer is none of this release")
            continue
        if answer.error is not None:
            name = "workers" if answer.worker == OTHERS else answer.worker
            unheard.append(f"{name}: {answer.error}")
        else:
            for stage, mark in _marks(answer.body):
                marks.setdefault(stage, {})[answer.worker] = mark
        for stage, kind, what, why, since_ms in found:
            told.setdefault((stage, kind, why), {}).setdefault(what, []).append(_Said(answer.worker, since_ms))
    notices = [_notice(*key, places) for key, places in told.items()]
    if (other := disagreement(marks)) is not None:
        notices.append(
            Notice(other[0], NoticeKind.DIFFERS, TABLES, other[1], tuple(sorted(marks[other[0]])), (TABLES,))
        )
    return Hearsay(tuple(notices), tuple(unheard))


def _reasons(body: Any) -> Iterator[tuple[str, NoticeKind, str, str, int]]:
    """Stage, kind, what, why, since when; a worker of an older release does not say when."""
    for name, stage in body["stages"].items():
        for reason in stage["reasons"]:
            if reason["kind"] in KINDS:
                yield (
                    name,
                    NoticeKind(reason["kind"]),
                    str(reason["what"]),
                    str(reason["why"]),
                    int(reason.get("since_ms", 0)),
                )


def _marks(body: Any) -> Iterator[tuple[str, str]]:
    """Fingerprints of the tables; a worker of an older release does not say."""
    for name, stage in body["stages"].items():
        yield name, str(stage.get("catalogue", ""))


def _notice(stage: str, kind: NoticeKind, why: str, places: Mapping[str, Sequence[_Said]]) -> Notice:
    names = sorted(places)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    said = [one for of in places.values() for one in of]
    workers = sorted({one.worker for one in said})
    return Notice(
        stage, kind, f"{', '.join(names[:MOST_NAMED])}{more}", why, tuple(workers), tuple(names),
        earliest(one.since_ms for one in said),
    )  # fmt: skip
