"""What is said to do about a dead letter."""

from dataclasses import replace
from typing import Any

import pytest

from enrichers.letter_view import LetterView
from models.buried import GAP, Buried
from models.catalogue import load_catalogue
from models.dead_letter import IMPORT
from models.handled import Handled, LetterId
from models.outcome import Failure
from models.remedies import remedy, remedy_of
from tests.unit.letters import T0, buried, gap
from workers.dead_letters.documents import show_document

VIEW = LetterView(load_catalogue("telephony", None))
QUEUED: Any = [(IMPORT, b"message:0")]


def test_of_a_row_of_a_table_its_code_tells() -> None:
    for code in Failure:
        assert remedy_of(buried(1, code=code)) == remedy(code)
    assert remedy_of(gap(1)) == remedy(GAP)


@pytest.mark.parametrize(
    ("letter", "told"),
    [
        (buried(1, stage="publish"), "it is no event. Find out which program"),
        (buried(1, table=None), "not known to be a row of any table"),
        (buried(1, code=Failure.ENRICHMENT_ERROR, headers=QUEUED), "no stage has tried it yet: redrive it"),
    ],
)
def test_what_no_table_can_mend_is_told_as_that(letter: Buried, told: str) -> None:
    assert told in remedy_of(letter)
    assert "on_missing_owner" not in remedy_of(letter)


def test_what_came_out_of_a_queue_and_failed_again_is_told_by_its_code() -> None:
    assert remedy_of(buried(1, headers=QUEUED, redriven=3)) == remedy(Failure.VALIDATION_ERROR)


@pytest.mark.parametrize(("action", "told"), [("redriven", "cdc trace 0:1"), ("dropped", "cdc dlq drop 0:1 --undo")])
def test_a_letter_that_was_handled_is_not_offered_for_a_redrive(action: Any, told: str) -> None:
    letter = buried(1)
    assert show_document(letter, VIEW)["redrivable"]
    shown = show_document(replace(letter, handled=Handled(LetterId(0, 1), action, T0, T0)), VIEW)
    assert (shown["redrivable"], shown["notRedrivable"]) == (False, f"it was {action} already")
    assert told in shown["whatToDo"]
