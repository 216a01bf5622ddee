"""Who hears of trouble, and how often: dead letters by the taxonomy's alert column, pauses by how long they last.

Time is a parameter: seconds of any clock that only goes forward. No text in here holds a value of a row (P6).
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.outcome import Failure
from models.taxonomy import Alert, handling

MAX_SUBJECT = 99
"""Characters: SNS takes less than 100."""
MAX_WHY = 500
MAX_TOPICS = 1_000
"""Of alerts that are kept apart: code and table come from headers, which anybody may write."""
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Rule:
    """Seconds and counts. A message is sent for `at_least` occurrences `within` that time, or for something that has
    lasted for `lasting`; then not again for `every`, however many more there are: their number comes with the next."""

    every: float
    at_least: int = 1
    within: float = 0.0
    lasting: float = 0.0


RULES: Mapping[Alert, Rule] = {
    Alert.ALWAYS: Rule(every=60.0),
    Alert.RATE_LIMITED: Rule(every=900.0),
    Alert.ON_RATE: Rule(every=900.0, at_least=10, within=300.0),
    Alert.AFTER_5_MINUTES: Rule(every=900.0, lasting=300.0),
}
SETTLE = 10.0
"""Seconds a pause must last before it is told at once: rebalances and restarts of a broker end by themselves."""
CALM = 30.0
"""Seconds something must be over before its end is told: what comes and goes is one trouble."""


def letter_rule(code: str) -> Rule:
    """The rule for dead letters of a code; what is no code of ours, such as a gap, is told always."""
    if code not in {failure.value for failure in Failure}:
        return RULES[Alert.ALWAYS]
    return RULES[handling(Failure(code)).alert]


@dataclass(frozen=True, slots=True)
class Matter:
    """What dead letters have in common that are told together."""

    stage: str
    code: str
    table: str


@dataclass(slots=True)
class _Heard:
    waiting: int = 0
    told_at: float | None = None
    recent: deque[float] = field(default_factory=deque)
    latest: dict[str, Any] = field(default_factory=dict)
    first_ms: int = 0
    last_ms: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """Letters to be told now: how many since the last message, and the pointer to the latest of them."""

    matter: Matter
    count: int
    first_ms: int
    last_ms: int
    latest: Mapping[str, Any]


class LetterAlerts:
    """Counts dead letters and says when somebody is to hear of them."""

    def __init__(self) -> None:
        self._heard: dict[Matter, _Heard] = {}

    def note(self, matter: Matter, latest: Mapping[str, Any], failed_ms: int, now: float) -> Matter:
        """One more letter. Returns what it is counted with."""
        if matter not in self._heard and len(self._heard) >= MAX_TOPICS:
            matter = Matter(OTHER, OTHER, OTHER)
        rule = letter_rule(matter.code)
        heard = self._heard.setdefault(matter, _Heard(recent=deque(maxlen=rule.at_least)))
        if rule.at_least > 1 and (not heard.recent or now - heard.recent[-1] > rule.within):
            heard.waiting = 0  # single ones far apart never add up
        if not heard.waiting:
            heard.first_ms = heard.last_ms = failed_ms
        heard.first_ms, heard.last_ms = min(heard.first_ms, failed_ms), max(heard.last_ms, failed_ms)
        heard.waiting += 1
        heard.recent.append(now)
        heard.latest = dict(latest)
        return matter

    def due(self, now: float) -> Iterator[Due]:
        """Everything that is to be told now; `told` says that it was."""
        for matter in list(self._heard):
            found = self.due_of(matter, now)
            if found is not None:
                yield found

    def due_of(self, matter: Matter, now: float) -> Due | None:
        """The same for one matter."""
        heard, rule = self._heard[matter], letter_rule(matter.code)
        often = len(heard.recent) == rule.at_least and (
            rule.at_least == 1 or heard.recent[-1] - heard.recent[0] <= rule.within
        )
        if not heard.waiting or not often or (heard.told_at is not None and now - heard.told_at < rule.every):
            return None
        return Due(matter, heard.waiting, heard.first_ms, heard.last_ms, heard.latest)

    def told(self, due: Due, now: float) -> None:
        """The message arrived."""
        heard = self._heard[due.matter]
        heard.waiting = max(0, heard.waiting - due.count)
        heard.told_at = now

    @property
    def held_back(self) -> int:
        """Letters that are counted and not told yet."""
        return sum(heard.waiting for heard in self._heard.values())


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps a stage, or a part of it, from its work."""

    stage: str
    kind: str
    """pause, gap, unreachable, throttled or restarts."""
    name: str
    """What it is about: a bus, a lookup, a partition, a slot."""
    why: str = field(compare=False)
    rule: Rule = field(default=RULES[Alert.ALWAYS], compare=False)
    held_back: int | None = field(default=None, compare=False)
    """Entities whose events wait for it on this worker; None where that is not counted."""


@dataclass(slots=True)
class _Lasting:
    trouble: Trouble
    since: float
    seen: float
    told: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A trouble that began, or one that was told and is over. `seconds`: how long it lasts, or lasted."""

    trouble: Trouble
    over: bool
    since: float
    """By the clock of whoever looked."""
    seconds: float


class TroubleAlerts:
    """Which troubles there are, and which of them somebody has heard of."""

    def __init__(self) -> None:
        self._lasting: dict[Trouble, _Lasting] = {}

    def look(self, troubles: Iterable[Trouble], now: float) -> list[Change]:
        """What is to be told, as things are now; `told` says that it was, until then it comes again."""
        for trouble in troubles:
            known = self._lasting.setdefault(trouble, _Lasting(trouble, now, now))
            known.trouble, known.seen = trouble, now
        changes = []
        for trouble, lasting in list(self._lasting.items()):
            over = lasting.seen < now
            if over and now - lasting.seen >= CALM:
                if lasting.told:
                    changes.append(Change(lasting.trouble, True, lasting.since, lasting.seen - lasting.since))
                else:
                    del self._lasting[trouble]
            elif not over and not lasting.told and now - lasting.since >= max(SETTLE, lasting.trouble.rule.lasting):
                changes.append(Change(lasting.trouble, False, lasting.since, now - lasting.since))
        return changes

    def told(self, change: Change) -> None:
        """The message arrived."""
        if change.over:
            self._lasting.pop(change.trouble, None)
        else:
            self._lasting[change.trouble].told = True


def plain(text: str) -> str:
    """A subject SNS takes: ASCII without control characters, less than 100 of them."""
    plain = text.encode("ascii", "replace").decode()
    one_line = " ".join(re.sub(r"[^\x20-\x7e]", " ", plain).split())
    return one_line if len(one_line) <= MAX_SUBJECT else f"{one_line[: MAX_SUBJECT - 3]}..."
