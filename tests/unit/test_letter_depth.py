"""How many letters nobody has handled: what counts, what does not any more, and what a count that fails leaves."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError

from models.buried import Buried
from models.handled import Handled, LetterId
from models.redrive import DeadRecord
from tests.unit.letters import T0, buried, gap
from workers.dead_letters import depth
from workers.dead_letters.depth import LOOK_SECONDS, REST_SECONDS, LetterDepth, OpenLetters


def handled(offset: int, letter_ms: int = T0) -> dict[LetterId, Handled]:
    letter = LetterId(0, offset)
    return {letter: Handled(letter, "redriven", T0 + 1, letter_ms)}


def known(*letters: Buried) -> OpenLetters:
    made = OpenLetters()
    for letter in letters:
        made.add(letter)
    return made


def test_letters_and_gaps_count_for_the_stage_that_wrote_them() -> None:
    strange = Buried.of(DeadRecord(0, 9, T0, None, b"jane@acme.example", ()))
    letters = known(buried(1), buried(2, stage="publish"), gap(3), buried(4, stage="jane@acme.example"), strange)
    assert letters.by_stage() == {"bridge": 0, "enrich": 2, "publish": 1, "other": 2}


@pytest.mark.parametrize(
    ("marks", "start", "end", "left"),
    [
        ({}, 0, 9, 2),
        (handled(1), 0, 9, 1),
        (handled(1, T0 - 1), 0, 9, 2),  # of another letter, in a topic that is gone
        ({}, 2, 9, 1),  # Kafka has deleted the first one
        ({}, 0, 1, 0),  # the topic was made anew: all of it is read again
    ],
)
def test_what_was_handled_or_deleted_does_not_count_any_more(
    marks: dict[LetterId, Handled], start: int, end: int, left: int
) -> None:
    letters = known(buried(1), buried(2))
    letters.settle(marks, {0: start}, {0: end})
    assert letters.by_stage()["enrich"] == left
    assert letters.reached[0] == (3 if end == 9 else 0)


class Counting:
    """A worker whose counts are scripted, under a clock set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *script: bool | Exception) -> None:
        self.now = 100.0
        monkeypatch.setattr(depth, "monotonic", lambda: self.now)
        self.script = list(script)
        stage = SimpleNamespace(app=SimpleNamespace(measures=[]))
        self.role = cast("Any", SimpleNamespace(held=True, stage=stage))
        self.service = LetterDepth(self.role, self.count)

    async def count(self, letters: OpenLetters) -> bool:
        found = self.script.pop(0)
        if isinstance(found, Exception):
            raise found
        letters.add(buried(len(self.script)))
        return found

    async def told(self, after: float = 0.0) -> dict[str, float]:
        self.now += after
        await self.service.look()
        [measure] = self.role.stage.app.measures
        return {" ".join((sample.metric.name, *sample.labels)): sample.value for sample in measure()}


async def test_nothing_is_told_before_all_was_counted_and_a_count_that_fails_grows_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = Counting(monkeypatch, False, True, KafkaConnectionError())
    assert await counting.told() == {}
    assert await counting.told(REST_SECONDS - 1) == {}
    whole = await counting.told(1)
    assert (whole["dlq_depth enrich"], whole["dlq_depth_age_seconds"]) == (2, 0)
    old = await counting.told(LOOK_SECONDS)
    assert (old["dlq_depth enrich"], old["dlq_depth_age_seconds"]) == (2, LOOK_SECONDS)
    assert counting.script == []


async def test_who_gives_the_slot_up_forgets_what_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch, True, True)
    assert (await counting.told())["dlq_depth enrich"] == 1
    counting.role.held = False
    assert await counting.told(1) == {}
    counting.role.held = True
    assert (await counting.told(1))["dlq_depth enrich"] == 1
