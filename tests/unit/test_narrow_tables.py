"""Tables on a terminal: they fit, and say what they do not show; in a pipe they are whole."""

import pytest

from workers.cli.columns import columns, fitted, hanging, shortened

ROWS = [
    ("SHARD", "STATE", "RECORDS", "ARRIVAL", "POSITION"),
    ("shardId-000000000002", "READING", "1,841", "2026-01-15T10:31:00Z", "4" * 50 + "777777"),
]
LEFT = ("SHARD", "STATE", "ARRIVAL", "POSITION")


def width_of(rows: object) -> int:
    return max(map(len, shown(rows)))


def shown(rows: object) -> list[str]:
    return list(columns(rows, left=LEFT))  # type: ignore[arg-type]


def test_what_fits_is_left_as_it_is() -> None:
    rows, gone = fitted(ROWS, LEFT, ("POSITION",), 200)
    assert ([tuple(row) for row in rows], gone) == (ROWS, ())


def test_a_name_loses_its_middle_before_a_column_is_left_out() -> None:
    rows, gone = fitted(ROWS, LEFT, ("ARRIVAL",), 86)
    assert gone == ()
    assert width_of(rows) == 86
    assert rows[1][-1].startswith("4444")
    assert rows[1][-1].endswith("777777")


def test_a_time_loses_its_year_and_no_more() -> None:
    rows, _ = fitted(ROWS, LEFT, (), 86)
    assert rows[1][3] == "01-15 10:31:00Z"


def test_the_column_that_is_missed_least_goes_first() -> None:
    rows, gone = fitted(ROWS, LEFT, ("ARRIVAL", "POSITION"), 64)
    assert gone == ("ARRIVAL",)
    assert rows[0] == ["SHARD", "STATE", "RECORDS", "POSITION"]
    assert width_of(rows) <= 64


def test_numbers_and_words_of_a_fixed_list_are_never_shortened() -> None:
    rows, _ = fitted(ROWS, LEFT, (), 30)
    assert (rows[1][1], rows[1][2]) == ("READING", "1,841")


def test_words_lose_their_end() -> None:
    assert shortened("column HomeOrgID is not of type int", 20) == "column HomeOrgID is…"


def test_a_long_name_among_words_keeps_its_ends() -> None:
    assert shortened("IDLE 4968045503392697654003978331777355", 24) == "IDLE 496804…978331777355"


def test_a_pipe_gets_every_column_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert "4" * 50 + "777777" in shown(ROWS)[1]
    assert capsys.readouterr().err == ""


def test_a_terminal_is_told_what_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.cli.columns.terminal_width", lambda: 40)
    lines = list(columns(ROWS, left=LEFT, least=("POSITION", "ARRIVAL")))
    assert max(map(len, lines)) <= 40
    assert "left out to fit 40 columns: POSITION, ARRIVAL" in capsys.readouterr().err


def test_a_sentence_is_broken_between_words_and_hangs_below_its_first() -> None:
    lines = hanging("cdc: there is no table nope, and a hint that goes on", 5, 30)
    assert lines == ["cdc: there is no table nope,", "     and a hint that goes on"]


def test_a_sentence_without_a_terminal_stays_one_line() -> None:
    assert hanging("word " * 40, 5, None) == ["word " * 40]
