"""What the commands say of ids for which they found no letter."""

import pytest

from models.handled import Handled, LetterId
from models.letter_selection import Selection
from tests.unit.letters import T0
from workers.cli.dlq_options import require_ids, tell_missing
from workers.dead_letters.reading import DeadLetters
from workers.failures import NotFoundError

ID = LetterId(3, 5)
ASKED = Selection(ids=frozenset({ID}))
FILTERED = Selection(ids=frozenset({ID}), tables=frozenset({"users"}))
NOTHING = DeadLetters({}, {}, goals={3: 9})
SEEN = DeadLetters({}, {}, seen={ID})
SHORT = DeadLetters({}, {}, goals={3: 5})
HIDDEN = DeadLetters({}, {}, held_back=("cdc.dead/3 from 4 on",), goals={3: 4}, hidden=frozenset({3}))
REDRIVEN = DeadLetters({}, {ID: Handled(ID, "redriven", T0, T0)})
DROPPED = DeadLetters({}, {ID: Handled(ID, "dropped", T0, T0)})


@pytest.mark.parametrize(
    ("selection", "found", "undo", "told"),
    [
        (ASKED, NOTHING, False, "there is no letter 3:5"),
        (FILTERED, NOTHING, False, "there is no letter 3:5"),
        (FILTERED, SEEN, False, "the other filters do not fit 3:5"),
        (ASKED, NOTHING, True, "3:5 is not dropped"),
        (ASKED, REDRIVEN, True, "3:5 is not dropped"),
        (ASKED, HIDDEN, False, "3:5 may be hidden by an open transaction, or there is no such letter"),
    ],
)
def test_an_id_without_a_letter_is_told_as_what_it_is(
    selection: Selection, found: DeadLetters, undo: bool, told: str
) -> None:
    with pytest.raises(NotFoundError) as refused:
        require_ids(selection, found, undo=undo)
    assert str(refused.value) == told


@pytest.mark.parametrize(("found", "undo"), [(REDRIVEN, False), (DROPPED, False), (DROPPED, True)])
def test_a_letter_that_was_handled_is_known(found: DeadLetters, undo: bool) -> None:
    require_ids(ASKED, found, undo=undo)


@pytest.mark.parametrize(
    ("found", "whole", "told"),
    [
        (NOTHING, True, "cdc dlq: no letter, or Kafka has deleted it: 3:5\n"),
        (NOTHING, False, ""),
        (SHORT, False, "cdc dlq: no letter, or Kafka has deleted it: 3:5\n"),
        (SEEN, True, ""),
        (REDRIVEN, True, ""),
        (HIDDEN, True, "cdc dlq: not read: cdc.dead/3 from 4 on, an open transaction stands before it"),
    ],
)
def test_an_id_that_is_none_beside_others_is_told(
    found: DeadLetters, whole: bool, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tell_missing(ASKED, found, whole=whole) == bool(told)
    said = capsys.readouterr().err
    assert said.startswith(told)
    assert said.count("\n") <= 1
    assert bool(said) == bool(told)
