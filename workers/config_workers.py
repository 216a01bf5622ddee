"""What these settings are beside those of every worker that runs, which need not be what was agreed on last."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workers.cluster.directory import GroupDirectory, KafkaGroups
from workers.cluster.outside import cluster_of
from workers.cluster.peers import OTHERS, Answer
from workers.config_records import RecordDifference
from workers.contract import read_catalogue
from workers.failures import ConfigurationError
from workers.settings.effective import OF_ONE_WORKER, SettingRow, origins
from workers.settings.worker import Settings
from workers.web.process import PROCESS

PATH = "/internal/config"
UNSET = "unset"


@dataclass(frozen=True, slots=True)
class WorkerComparison:
    """`compared`: names of the workers that answered; `unheard`: who did not, and why."""

    compared: tuple[str, ...]
    unheard: tuple[str, ...]
    differences: tuple[RecordDifference, ...]


@dataclass(frozen=True, slots=True)
class Ours:
    """What is compared with: `rows` of all settings, and the fingerprint of the tables."""

    rows: tuple[SettingRow, ...]
    tables: str
    version: str = PROCESS.version


async def compare_workers(settings: Settings) -> WorkerComparison:
    """Ask every worker that Kafka knows. Raises ConfigurationError for tables that cannot be read."""
    ours = Ours(origins(settings), read_catalogue(settings).fingerprint)
    return compared(ours, await _answers(settings))


def compared(ours: Ours, answers: Iterable[Answer]) -> WorkerComparison:
    """The answers beside what is here."""
    heard: list[str] = []
    unheard: list[str] = []
    found: list[RecordDifference] = []
    for answer in answers:
        if answer.error is not None:
            unheard.append(f"{'workers' if answer.worker == OTHERS else answer.worker}: {answer.error}")
            continue
        try:
            found += list(_differences(answer.worker, answer.body, ours))
        except (AttributeError, KeyError, TypeError):
            unheard.append(f"{answer.worker}: its answer is none of this release")
        else:
            heard.append(answer.worker)
    return WorkerComparison(tuple(heard), tuple(unheard), tuple(found))


def _differences(worker: str, body: Mapping[str, Any], ours: Ours) -> Iterator[RecordDifference]:
    def differs(what: str, stage: str = "") -> RecordDifference:
        return RecordDifference(stage, what, refused=False, worker=worker)

    if body["version"] != ours.version:
        yield differs(f"it is of release {body['version']}, here is {ours.version}")
    for stage, mark in body["tables"].items():
        if mark != ours.tables:
            yield differs(f"its tables are others: fingerprint {mark}, here {ours.tables}", stage)
    here = {row.name: row.value for row in ours.rows}
    for row in body["settings"]:
        name, value = row["name"], row["value"]
        if row["field"] not in OF_ONE_WORKER and here.get(name, value) != value:
            yield differs(f"{name} is {value or UNSET} there and {here[name] or UNSET} here")


async def _answers(settings: Settings) -> tuple[Answer, ...]:
    try:
        async with cluster_of(settings) as cluster:
            return await cluster.ask(PATH)
    except ConfigurationError as error:  # no key to ask with: still, who runs is known
        groups = KafkaGroups(settings)
        try:
            sight = await GroupDirectory(groups).look()
        finally:
            await groups.close()
        return tuple(Answer(peer.name, error=f"{error}; {error.hint}") for peer in sight.peers)
