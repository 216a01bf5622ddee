"""What the figures of a stage say: its state, and what an operator has to do. Pure: the time is a parameter."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, assert_never

from models.pause import Pause
from workers.engine.obstacles import earliest
from workers.overview.figures import Figures, Notice, NoticeKind

WARN_AT, ALARM_AT = 0.5, 0.8
"""Shares of the retention (design: promises about topics)."""
SHARD_RETENTION_MS = 86_400_000
"""The least that a Kinesis stream keeps; AWS is not asked."""
IDLE_SHARD_MS = 75_000
"""An idle shard says once a minute that there was nothing."""
PAGE = "docs/status.md"
NO_WORKER = "no worker runs"


class State(StrEnum):
    """In the order of what matters first."""

    BLOCKED = "BLOCKED"
    """It does not go on before somebody has done something."""
    STOPPED = "STOPPED"
    """No worker is in its group."""
    PAUSED = "paused"
    """Somebody holds it back."""
    PARTLY = "part paused"
    """Somebody holds back a table or a partition of it."""
    REBALANCING = "rebalancing"
    RUNNING = "running"
    IDLE = "idle"
    """There is nothing to do."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that somebody has to do; `since_ms` 0: nobody knows. No values of a row."""

    stage: str
    what: str
    mend: str
    """The command that mends it, or shows more."""
    see: str
    """Page and section."""
    since_ms: int = 0

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {"stage": self.stage, "what": self.what, "mend": self.mend, "see": self.see,
                "since": self.since_ms or None}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage as it is shown."""

    figures: Figures
    state: State
    since_ms: int
    why: str
    troubles: tuple[Trouble, ...]

    def document(self, now_ms: int) -> dict[str, Any]:
        """For scripts: seconds, shares between 0 and 1."""
        f = self.figures
        return {
            "stage": f.stage, "state": self.state.value, "since": self.since_ms or None, "why": self.why,
            "workers": f.members, "rate": f.rate, "lag": f.lag, "behind_seconds": behind_seconds(f, now_ms),
            "retention_used": round(f.danger, 4), "redriven_waiting": f.redriven,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """`whole` False: there are more, they were too many to count."""

    last_hour: int
    waiting: int
    whole: bool = True

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {"last_hour": self.last_hour, "waiting": self.waiting, "whole": self.whole}


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the screen."""

    at_ms: int
    stages: tuple[StageView, ...]
    dead_letters: DeadLetters | None
    pauses: tuple[Pause, ...] = ()
    prefix: str = ""
    app: str = ""
    unseen: tuple[str, ...] = field(default=())
    """What could not be looked at, and why."""

    def troubles(self) -> list[Trouble]:
        """The oldest first, those without a time at the end."""
        found = [trouble for stage in self.stages for trouble in stage.troubles]
        workless = [trouble for trouble in found if trouble.what == NO_WORKER]
        if len(workless) > 1:
            names = [trouble.stage for trouble in workless]
            mend = "cdc worker" if len(names) == len(self.stages) else f"cdc worker --stages {','.join(names)}"
            one = replace(workless[0], stage=", ".join(names), mend=mend)
            found = [one, *(trouble for trouble in found if trouble not in workless)]
        return sorted(found, key=lambda one: one.since_ms or self.at_ms)

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "at": self.at_ms, "overview": [stage.document(self.at_ms) for stage in self.stages],
            "troubles": [trouble.document() for trouble in self.troubles()],
            "pauses": [pause.document() for pause in self.pauses],
            "dead_letters": self.dead_letters.document() if self.dead_letters is not None else None,
            "unseen": list(self.unseen),
        }  # fmt: skip


def judge(figures: Figures, now_ms: int) -> StageView:
    """State and troubles of a stage."""
    troubles = tuple(_troubles(figures))
    blocked = next(
        (one for one in figures.notices if one.kind is NoticeKind.BLOCKED and not _known(one, figures)), None
    )
    whole = [pause for pause in figures.pauses if pause.target.part == "stage"]
    state, since_ms, why = State.RUNNING, 0, ""
    if figures.stops:
        first = min(figures.stops, key=lambda stop: stop.since_ms)
        state, since_ms, why = State.BLOCKED, first.since_ms, f"dead letters at {first.where}"
    elif figures.gaps:
        state, why = State.BLOCKED, f"records were lost at {figures.gaps[0].where}"
    elif figures.bus == "missing":
        state, since_ms, why = State.BLOCKED, _missing_since(figures), f"bus {figures.bus_name} is missing"
    elif blocked is not None and figures.members:
        state, since_ms, why = State.BLOCKED, blocked.since_ms, f"{blocked.what}: {_first_sentence(blocked.why)}"
    elif not figures.members:
        state, why = State.STOPPED, "no worker"
        if whole:
            why = f"no worker; paused: {whole[0].why}"
    elif figures.pauses:
        shown = (whole or list(figures.pauses))[0]
        part = "" if shown.target.part == "stage" else f"{shown.target.part}: "
        state = State.PAUSED if whole else State.PARTLY
        since_ms, why = shown.since_ms, f"{part}{shown.why}"
    elif figures.group_state not in ("Stable", ""):
        state = State.REBALANCING
    elif not figures.rate and not behind_seconds(figures, now_ms) and not figures.redriven:
        state = State.IDLE
    return StageView(figures, state, since_ms, why, troubles)


def behind_seconds(figures: Figures, now_ms: int) -> float | None:
    """Age of the oldest record that waits; 0 if none does. Of bridge below a minute and a quarter: 0."""
    if not figures.oldest_ms:
        return 0.0
    age = max(0, now_ms - figures.oldest_ms)
    return 0.0 if figures.stage == "bridge" and age < IDLE_SHARD_MS else age / 1000


def _troubles(figures: Figures) -> Iterator[Trouble]:
    stage = figures.stage
    for stop in figures.stops:
        yield Trouble(
            stage, f"stands still at {stop.where}: {_first_sentence(stop.why)}",
            "cdc dlq stats; mend tables.yaml or the source, then restart the workers", f"{PAGE}#stands-still",
            stop.since_ms,
        )  # fmt: skip
    for gap in figures.gaps:
        what = f"GAP at {gap.where}: it is at {gap.position}, the log is {gap.log_start} to {gap.log_end}"
        yield Trouble(stage, what, "CDC_ON_GAP=continue and a restart go on behind it", f"{PAGE}#gap")
    if figures.bus == "missing":
        yield Trouble(
            stage, f"bus {figures.bus_name} does not exist", "create it; it goes on by itself", f"{PAGE}#bus",
            _missing_since(figures),
        )  # fmt: skip
    elif figures.bus and figures.bus != "there":
        yield Trouble(stage, f"bus {figures.bus_name}: {figures.bus}", "cdc check", f"{PAGE}#bus")
    for notice in figures.notices:
        if not _known(notice, figures):
            who = f" (says {', '.join(notice.workers)})" if notice.kind is not NoticeKind.DIFFERS else ""
            section = "other-tables" if notice.kind is NoticeKind.DIFFERS else "what-workers-say"
            what = f"{notice.what}: {notice.why}{who}"
            yield Trouble(stage, what, _against(notice), f"{PAGE}#{section}", notice.since_ms)
    if not figures.members:
        yield Trouble(stage, NO_WORKER, f"cdc worker --stages {stage}", f"{PAGE}#no-worker")
    if figures.danger >= WARN_AT:
        of = "of the 24 h a stream keeps at least" if stage == "bridge" else "of the retention"
        says = "records are lost" if figures.danger >= 1 else "records are deleted unread at 100 %"
        urgent = "NOW: " if figures.danger >= ALARM_AT else ""
        yield Trouble(
            stage, f"{urgent}{figures.danger:.0%} {of} are used up at {figures.danger_at}: {says}",
            _against_retention(figures), f"{PAGE}#retention", figures.oldest_ms,
        )  # fmt: skip


def _known(notice: Notice, figures: Figures) -> bool:
    """Whether Kafka or the bus has told it already, with more."""
    stands = any(place == "dead letters" for place in notice.places) and bool(figures.stops)
    gone = {gap.where for gap in figures.gaps}.issuperset(notice.places) and bool(figures.gaps)
    return stands or gone or _missing(notice, figures)


def _missing(notice: Notice, figures: Figures) -> bool:
    """Whether it speaks of the bus that does not exist."""
    return figures.bus == "missing" and any(place.endswith(f"bus {figures.bus_name}") for place in notice.places)


def _missing_since(figures: Figures) -> int:
    """As workers noticed it; 0: none of them said."""
    return earliest(notice.since_ms for notice in figures.notices if _missing(notice, figures))


def _against(notice: Notice) -> str:
    match notice.kind:
        case NoticeKind.BLOCKED:
            return f"cdc check; cdc logs --stage {notice.stage} --level warning"
        case NoticeKind.AWAY:
            return "it goes on by itself; cdc health says what does not answer"
        case NoticeKind.PARKED:
            if "throttl" in notice.why.lower() and not notice.why.startswith("S3:"):
                return "a larger quota of PutEvents, named in CDC_PUT_EVENTS_QUOTA; it goes on by itself, late"
            return f"mend what the code names; cdc logs --stage {notice.stage} --level warning"
        case NoticeKind.DIFFERS:
            return "give all workers the same file in CDC_TABLES, and restart those with the old one"
        case _:
            assert_never(notice.kind)


def _against_retention(figures: Figures) -> str:
    if figures.pauses:
        return f"cdc resume {figures.stage} --all --yes"
    if not figures.members:
        return f"cdc worker --stages {figures.stage}"
    return "raise the retention of the stream first" if figures.stage == "bridge" else "raise retention.ms first"


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0]
