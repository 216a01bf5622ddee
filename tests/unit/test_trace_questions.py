"""What is pasted is taken for what it is."""

import pytest

from models.written import Place
from workers.trace.question import Kind, question

EVENT = "evt_1768473060000_36fe4ed5d04a2c6b5675"
SEQUENCE = "49680450823256373369877236093701268900950267197822861362"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (EVENT, Kind.EVENT),
        (f'{{"detail": {{"eventId": "{EVENT}"}}, "source": "cdc.users"}}', Kind.EVENT),
        ("users:7", Kind.ROW),
        ("user_scopes:7:3", Kind.ROW),
        ('["core","users",7]', Kind.ROW),
        ("cdc.raw.core/3:1841", Kind.PLACE),
        ("3:1841", Kind.LETTER),
        ("0001-00000000000000001841", Kind.SEQUENCE),
        (SEQUENCE, Kind.KINESIS),
        (f" {SEQUENCE}/2\n", Kind.KINESIS),
        ("74B5971D-e265-4f27-b91b-a95f741761ea", Kind.BUS_EVENT),
        ("36fe4ed5d04a2c6b5675", Kind.CORRELATION),
        ("1-5759e988-bd862e3fe1be46a994272793", Kind.CORRELATION),
    ],
)
def test_whatever_names_a_change_is_recognised(text: str, kind: Kind) -> None:
    assert question(text).kind is kind


def test_a_question_carries_where_and_when_to_look() -> None:
    assert question(EVENT).commit_ms == 1768473060000
    assert question("0001-00000000000000001841", partition=3).offset == 1841
    assert question("cdc.events/3:1841").place == Place("cdc.events", 3, 1841)
    assert question(f"{SEQUENCE}/2").sub_sequence == 2
    assert question("7", "users").text == "users:7"


@pytest.mark.parametrize("text", ["", "  ", "CANARY of a row", "x" * 30_000, "cdc.events/3", "{}"])
def test_what_names_nothing_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="an eventId, TABLE:KEY") as refused:
        question(text)
    assert "CANARY" not in str(refused.value)
    assert "users:7" not in str(question("users:7"))
