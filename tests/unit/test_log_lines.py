"""Log lines as data: JSON on stderr, the last of them in memory; masked as the last step, whatever the form (P6)."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from models.environment import Environment
from workers.logs.lines import MOST_TEXT, LogLine, LogPlace, iso
from workers.logs.options import LIBRARIES, LoggerConfigOptions
from workers.logs.ring import LogFilter, LogRing, ring_of_process
from workers.settings.log import log_format

PLACE = LogPlace("worker-1", "cdc")
VALUES = ("jane", "acme", "668", "1111")


class Logged:
    """What a process writes, and what it remembers."""

    def __init__(self) -> None:
        self.stderr = io.StringIO()

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stderr.getvalue().splitlines()]

    @property
    def remembered(self) -> tuple[LogLine, ...]:
        return ring_of_process().read(LogFilter()).lines


@pytest.fixture(params=["json", "text"])
def form(request: Any) -> str:
    return str(request.param)


@pytest.fixture
def logged(form: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in (*LIBRARIES, "workers")}
    found = Logged()
    monkeypatch.setattr(sys, "stderr", found.stderr)
    LoggerConfigOptions("INFO", form=form, place=PLACE).apply()  # type: ignore[arg-type]
    yield found
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def fail() -> None:
    try:
        raise ValueError("bad record {'Email': 'jane@acme.example', 'Phone': '+41 44 668 18 00'}")
    except ValueError:
        logging.getLogger("aiokafka").exception("cannot send %s", {"card": "4111 1111 1111 1111"})


def test_personal_data_is_masked_in_both_forms_and_in_memory(logged: Logged) -> None:
    fail()
    logging.getLogger("cdc.audit").warning("who", extra={"address": "jane@acme.example", "tries": 3})
    everything = logged.stderr.getvalue() + repr(logged.remembered)
    assert "Traceback" in everything
    assert [value for value in VALUES if value in everything] == []


@pytest.mark.parametrize("form", ["json"])
def test_a_line_is_one_object_with_its_stage_and_its_fields(logged: Logged) -> None:
    log = logging.getLogger("cdc.cdc-enrich")
    log.warning("slot %s: twice", 7, extra={"slot": 7, "trace": "5f"})
    (line,) = logged.json
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "WARNING", "logger": "cdc.cdc-enrich", "stage": "enrich", "worker": "worker-1",
        "message": "slot 7: twice", "trace": "5f", "fields": {"slot": 7},
    }  # fmt: skip


@pytest.mark.parametrize("form", ["json"])
def test_a_traceback_stays_in_its_line(logged: Logged) -> None:
    fail()
    (line,) = logged.json
    assert line["error"].startswith("Traceback")
    assert line["error"].endswith("'***'}")
    assert "stage" not in line


def test_a_library_that_repeats_itself_is_remembered_as_often_as_it_is_written(logged: Logged) -> None:
    for _ in range(5):
        logging.getLogger("aiokafka").error("again")
        logging.getLogger("cdc.x").error("ours")
    assert [line.message for line in logged.remembered].count("again") == 1
    assert len(logged.stderr.getvalue().splitlines()) == len(logged.remembered) == 6


def test_a_line_that_cannot_be_written_says_where_it_came_from_and_not_what_it_held(logged: Logged) -> None:
    logging.getLogger().handlers[2:] = []  # that of pytest raises
    logging.getLogger("cdc.x").error("%d", "jane@acme.example")
    assert logged.stderr.getvalue().startswith("a log line of cdc.x could not be written: TypeError")
    assert "jane" not in logged.stderr.getvalue()
    assert logged.remembered == ()


def test_fields_of_libraries_are_left_out(logged: Logged) -> None:
    logging.getLogger("aiokafka").error("x", extra={"payload": object()})
    assert logged.remembered[0].fields == {}


def test_a_long_message_is_cut(logged: Logged) -> None:
    logging.getLogger("cdc.x").error("y" * (MOST_TEXT + 10))
    assert logged.remembered[0].message.endswith("… (10 more characters)")


def line(number: int, **given: Any) -> LogLine:
    told = {"level": "INFO", "logger": "cdc.x", "worker": "w", "message": f"line {number}"} | given
    return LogLine(time=iso(number), **told)


def test_the_oldest_lines_make_room_by_count_and_by_bytes() -> None:
    few, small = LogRing("a", most_lines=3), LogRing("a", most_bytes=1_000)
    for number in range(10):
        few.add(line(number))
        small.add(line(number, message="m" * 300))
    assert [found.message for found in few.read(LogFilter()).lines] == ["line 7", "line 8", "line 9"]
    assert len(small.read(LogFilter()).lines) == 2


def test_a_reader_goes_on_where_it_ended_and_hears_what_it_missed() -> None:
    ring = LogRing("a", most_lines=3)
    ring.add(line(0))
    first = ring.read(LogFilter())
    ring.add(line(1))
    second = ring.read(LogFilter(), first.cursor)
    for number in range(2, 7):
        ring.add(line(number))
    third = ring.read(LogFilter(), second.cursor)
    assert ([found.message for found in second.lines], second.missed) == (["line 1"], 0)
    assert ([found.message for found in third.lines], third.missed) == (["line 4", "line 5", "line 6"], 2)
    assert ring.read(LogFilter(), third.cursor).lines == ()


def test_the_cursor_of_an_earlier_process_begins_at_the_start() -> None:
    before, after = LogRing("a"), LogRing("b")
    for number in range(3):
        before.add(line(number))
        after.add(line(number))
    assert len(after.read(LogFilter(), before.read(LogFilter()).cursor).lines) == 3


def test_an_answer_holds_the_newest_lines_and_says_how_many_it_left_out() -> None:
    ring = LogRing("a")
    for number in range(5):
        ring.add(line(number))
    read = ring.read(LogFilter(), limit=2)
    assert ([found.message for found in read.lines], read.missed) == (["line 3", "line 4"], 3)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (LogFilter(level=logging.WARNING), [2, 3]),
        (LogFilter(stage="enrich"), [1, 2]),
        (LogFilter(since=iso(2)), [2, 3]),
        (LogFilter(grep="BOOM"), [3]),
        (LogFilter(level=logging.WARNING, stage="enrich"), [2]),
    ],
)
def test_a_filter_chooses_lines(wanted: LogFilter, found: list[int]) -> None:
    lines = [line(1, stage="enrich"), line(2, stage="enrich", level="ERROR"), line(3, level="WARNING", error="a boom")]
    assert [lines.index(one) + 1 for one in lines if wanted.wants(one)] == found


@pytest.mark.parametrize(
    ("wanted", "environment", "terminal", "form"),
    [
        ("auto", Environment.PRD, False, "json"), ("auto", Environment.PRD, True, "text"),
        ("auto", Environment.LOCAL, False, "text"), ("json", Environment.LOCAL, True, "json"),
        ("text", Environment.PRD, False, "text"),
    ],
)  # fmt: skip
def test_lines_are_json_where_nobody_reads_them_as_they_come(
    wanted: Any, environment: Environment, terminal: bool, form: str
) -> None:
    assert log_format(wanted, environment, terminal=terminal) == form
