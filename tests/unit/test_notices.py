"""What is told of letters whose headers hold anything: commands that find them, and messages that AWS takes."""

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest

from models.alerts import OTHER, Due, Matter
from tests.unit.test_filed_letter import LETTER, filed
from workers.archive.notices import AlertTopic, letters_notice
from workers.archive.sinks import QueueCopy
from workers.cli.dlq import dlq

LATEST = {"id": "0-3-ab", "letterId": "0:3"}


def commands(matter: Matter) -> list[list[str]]:
    """The words of each command, as a shell reads them."""
    run = letters_notice(Due(matter, 1, 0, 0, LATEST)).document["run"]
    return [words(line) for line in run]


def words(line: str) -> list[str]:
    found = shlex.shlex(line, posix=True, punctuation_chars=True)
    found.whitespace_split = True
    return list(found)


@pytest.mark.parametrize(
    ("matter", "told"),
    [
        (Matter("enrich", "PARSE_ERROR", "users"), "list --stage enrich --code PARSE_ERROR --table users"),
        (Matter("bridge", "GAP", ""), "list --stage bridge --code GAP"),
        (Matter("enrich", "GAP", "cdc.raw.core"), "list --stage enrich --code GAP"),  # the topic is no table
        (Matter("archive", "GAP", "cdc.dead"), "list --stage archive --code GAP"),
        (Matter("", "UNREADABLE", ""), "list --code UNREADABLE"),
        (Matter(OTHER, OTHER, OTHER), "stats"),
    ],
)
def test_an_alert_names_commands_that_show_its_letters(matter: Matter, told: str) -> None:
    show, look = commands(matter)
    assert show == ["cdc", "dlq", "show", "0:3"]
    assert look == ["cdc", "dlq", *told.split()]
    name, *arguments = look[2:]
    dlq.commands[name].make_context(name, arguments)  # raises UsageError for what it does not know


def test_the_name_of_a_table_is_no_command_of_a_shell() -> None:
    assert commands(Matter("enrich", "PARSE_ERROR", "x;$(reboot)"))[1][-2:] == ["--table", "x;$(reboot)"]


class Calls:
    """A session that keeps what it is asked."""

    def __init__(self) -> None:
        self.arguments: list[dict[str, Any]] = []

    async def cold(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        self.arguments.append(arguments)
        return {}


def nothing(_: bytes) -> None:
    """Nothing may be shown of it."""


@pytest.mark.parametrize(
    ("stage", "named"), [("enrich", "enrich"), ("a stage\nof ours", "a-stage-of-ours"), ("", "letter")]
)
async def test_the_group_of_a_fifo_message_is_one_that_aws_takes(stage: str, named: str) -> None:
    session: Any = Calls()
    letter = filed(replace(LETTER, stage=stage))
    await QueueCopy(session, "https://sqs/1/letters.fifo", None, nothing).take(letter)
    notice = replace(letters_notice(Due(Matter(stage, "GAP", ""), 1, 0, 0, LATEST)), kind="letter")
    await AlertTopic(session, "arn:aws:sns:x:1:alerts.fifo", {"environment": "PRD"}).publish(notice)
    assert [found["MessageGroupId"] for found in session.arguments] == [named, named]


async def test_a_message_holds_no_character_that_a_queue_refuses() -> None:
    session: Any = Calls()
    copy = QueueCopy(session, "https://sqs/1/letters", None, nothing)
    await copy.take(filed(replace(LETTER, table="a\ufffe\uffffb")))
    body = session.arguments[0]["MessageBody"]
    assert not {"\ufffe", "\uffff"} & set(body)
    assert json.loads(body)["table"] == "a\ufffe\uffffb"


@pytest.mark.parametrize("odd", ["two\nlines\r\n\tof it", "gr\u00fc\u00dfe \u2028\U0001f600", "x" * 300])
async def test_the_subject_of_an_alert_is_one_that_aws_takes_whatever_stands_in_the_headers(odd: str) -> None:
    """SNS refuses a message whose Subject has a line break, is no ASCII or has 100 characters."""
    session: Any = Calls()
    topic = AlertTopic(session, "arn:aws:sns:x:1:alerts", {"environment": "PRD"})
    await topic.publish(letters_notice(Due(Matter("enrich", "PARSE_ERROR", odd), 1, 0, 0, LATEST)))
    subject = session.arguments[0]["Subject"]
    assert subject.startswith("[PRD] cdc enrich: 1 x PARSE_ERROR in ")
    assert subject.isascii()
    assert subject.isprintable()
    assert len(subject) < 100
    assert json.loads(session.arguments[0]["Message"])["table"] == odd
