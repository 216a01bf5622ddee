"""The window over dead letters: so many of them among the last records are a bad deploy, not bad data.

A stage that would drain its source into the dead letters stands still instead, before anything of it is committed, and
an operator decides (P7). One window watches all slots that a stage has in this process (docs/decisions/0040).
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from faust.types import TP

from workers.engine.errors import EngineError
from workers.engine.ledger import IN
from workers.engine.options import DeadLimit


class WholesalePoison(EngineError):
    """The stage stands still: the unit holds one dead letter too many. `clean`: its inputs before its first one."""

    def __init__(self, text: str, clean: int) -> None:
        super().__init__(text)
        self.clean = clean


class Letter(NamedTuple):
    """A dead letter: which input of all, and why, in words without values (P6)."""

    number: int
    why: str


@dataclass(slots=True)
class Admitted:
    """What a unit that may commit adds to the window."""

    inputs: int = 0
    letters: list[Letter] = field(default_factory=list)


class DeadWindow:
    """Counts inputs and dead letters of units that commit; `limit` None: whatever comes may become a dead letter.

    `tell` is called once when the stage has to stand still: (why, partition, offset behind the unit)."""

    def __init__(self, limit: DeadLimit | None, tell: Callable[[str, TP, int], None]) -> None:
        self.limit = limit
        self.uncounted: set[str] = set()
        """Topics that bring what has been a dead letter before: if it fails again, nothing new is lost."""
        self.stopped = ""
        """Why the stage stands still; empty if it does not."""
        self._tell = tell
        self._inputs = 0
        self._letters: deque[Letter] = deque()

    @property
    def letters(self) -> int:
        """Dead letters among the last records."""
        return len(self._letters)

    def admit(self, advances: Mapping[TP, Any]) -> Admitted:
        """Take a unit in that is about to commit. Raises WholesalePoison if it must not. `advances`: how far it moves
        its sources, with the dead letters of each in order."""
        added = Admitted()
        if self.limit is None:
            return added
        first: TP | None = None
        for tp, advance in advances.items():
            if tp.topic in self.uncounted:
                continue
            for before, why in advance.letters:
                first = first or tp
                added.letters.append(Letter(self._inputs + added.inputs + before, why))
            added.inputs += advance.counts[IN]
        if first is not None:
            self._judge(added, self.limit, first, advances[first])
        self._inputs += added.inputs
        self._letters.extend(added.letters)
        while self._letters and self._letters[0].number < self._inputs - self.limit.records:
            self._letters.popleft()
        return added

    def withdraw(self, added: Admitted) -> None:
        """The unit did not commit after all."""
        self._inputs -= added.inputs
        gone = Counter(added.letters)
        kept = []
        for letter in self._letters:
            if gone[letter]:
                gone[letter] -= 1
            else:
                kept.append(letter)
        self._letters = deque(kept)

    def _judge(self, added: Admitted, limit: DeadLimit, tp: TP, advance: Any) -> None:
        found = sorted([*self._letters, *added.letters])
        firsts, lasts = found, islice(found, limit.letters - 1, None)
        within = any(last.number - first.number < limit.records for first, last in zip(firsts, lasts, strict=False))
        if within and not self.stopped:
            self.stopped = self._text(found[-limit.letters :], limit)
            self._tell(self.stopped, tp, advance.end)
        if self.stopped:
            raise WholesalePoison(self.stopped, advance.letters[0][0])

    def _text(self, letters: list[Letter], limit: DeadLimit) -> str:
        why, _ = Counter(letter.why for letter in letters).most_common(1)[0]
        if limit.letters == 1:
            what, way_out = f"a record would be a dead letter: {why}", "CDC_ON_DEAD=continue"
        else:
            often = f"{limit.letters} of the last {limit.records:,} records"
            what = f"{often} would be dead letters, most of them for this: {why}"
            way_out = "CDC_DEAD_WINDOW=off"
        return (
            f"{what}. The stage stands still before it. Put right what is wrong and start its workers again; {way_out} "
            "lets it pass"
        )
