"""How one stage of this process stands, in a word, and what keeps it from running: for the page and whoever asks it."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from workers.engine.app import StageApp
from workers.engine.stages import Stage


class Standing(StrEnum):
    """From the worst to the best."""

    BLOCKED = "blocked"
    """An operator has to do something."""
    PAUSED = "paused"
    """An operator wants it so."""
    AWAY = "away"
    """Something does not answer; it goes on by itself."""
    PARKED = "parked"
    """Some rows wait behind a failure, the others go on."""
    STARTING = "starting"
    """It joins, recovers tables or takes slots over."""
    ABSENT = "absent"
    """No worker runs it."""
    RUNNING = "running"
    IDLE = "idle"
    """It holds no slot: others do the work."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a stage stands as it does. No key and no value (P6)."""

    kind: Standing
    what: str
    """A slot, a partition, a shard, a bus, a lookup."""
    why: str
    since_ms: int = 0
    """Milliseconds since the epoch; 0: it is not noted."""


def worst(standings: Iterable[Standing]) -> Standing | None:
    """The one to tell of several; None of none."""
    order = list(Standing)
    return min(standings, key=order.index, default=None)


def reasons_of(stage: Stage) -> list[Reason]:
    """Everything that stands in the way of a stage."""
    app = stage.app
    if app is None:
        return [Reason(Standing.STARTING, "stage", "its app is being made")]
    return [*_of_pauses(app), *_of_slots(app), *_of_sources(app), *_of_reports(app)]


def standing_of(stage: Stage, reasons: Iterable[Reason]) -> Standing:
    """In a word."""
    told = worst(reason.kind for reason in reasons)
    if told is not None:
        return told
    if stage.app is None or not stage.app.ready:
        return Standing.STARTING
    return Standing.RUNNING if stage.app.slots.owned else Standing.IDLE


def _of_pauses(app: StageApp) -> Iterator[Reason]:
    for part, pause in app.brake.told.items():
        yield Reason(Standing.PAUSED, part, f"{pause['why']}, paused by {pause['by']}", pause["since"])


def _of_slots(app: StageApp) -> Iterator[Reason]:
    for name, why in app.blockers.items():
        yield Reason(Standing.BLOCKED, name, why, app.blockers.since_ms(name))
    for name, why in app.outages.items():
        yield Reason(Standing.AWAY, name, why, app.outages.since_ms(name))
    for index, slot in sorted(app.slots.owned.items()):
        if slot.refused:
            yield Reason(Standing.BLOCKED, f"slot {index}", slot.refused)
        elif slot.broken:
            yield Reason(Standing.AWAY, f"slot {index}", slot.why)
    for index, missing in sorted(app.slots.incomplete.items()):
        yield Reason(Standing.STARTING, f"slot {index}", f"this worker does not hold {', '.join(missing)}")


def _of_sources(app: StageApp) -> Iterator[Reason]:
    consumer = app._consumer
    if consumer is None:
        return
    for tp, why in consumer.open_gaps.items():
        yield Reason(Standing.BLOCKED, f"{tp.topic}/{tp.partition}", why)
    for tp, seconds in consumer.stable_offsets.stuck(time.monotonic()).items():
        yield Reason(
            Standing.AWAY, f"{tp.topic}/{tp.partition}", f"an open transaction has held it back for {seconds:.0f} s"
        )


def _of_reports(app: StageApp) -> Iterator[Reason]:
    for name, shard in _report(app, "shards").items():
        if shard.get("state") == "STOPPED":
            yield Reason(Standing.BLOCKED, f"shard {name.rpartition('|')[2]}", str(shard.get("why", "")))
    for lane in _report(app, "delivery").get("stalled", ()):
        yield Reason(
            Standing.PARKED, f"{lane['topic']}/{lane['partition']} from offset {lane['offset']}",
            f"{lane['reason']}: the next event of its row has failed all quick tries, and is sent again",
            round((time.time() - lane["seconds"]) * 1000),
        )  # fmt: skip


def _report(app: StageApp, name: str) -> dict[str, Any]:
    found = app.reports[name]() if name in app.reports else {}
    return found if isinstance(found, dict) else {}
