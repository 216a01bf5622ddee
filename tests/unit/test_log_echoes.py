"""Libraries do not drown what the worker says: their sentences come once in a while, ours always."""

import logging
from collections.abc import Iterator

import pytest

from tests.unit.clock import Clock
from workers.logs.echoes import REMEMBERED, EchoFilter


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(clock: Clock) -> Iterator[list[str]]:
    """What a handler with the filter writes."""
    written: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record.getMessage())

    handler = Handler()
    handler.addFilter(EchoFilter(("aiokafka",), 30, clock))
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def test_a_sentence_comes_once_and_later_says_how_often_it_was_kept_back(lines: list[str], clock: Clock) -> None:
    log = logging.getLogger("aiokafka.client")
    for node in range(200):
        log.error("Unable to connect to node %s", node)
    clock.now += 29.9
    log.error("Unable to connect to node %s", 7)
    clock.now += 0.1
    log.error("Unable to connect to node %s, 100%%", 8)
    log.error("Unable to connect to node %s", 9)
    clock.now += 30
    log.error("Unable to connect to node %s", 10)
    assert lines == [
        "Unable to connect to node 0", "Unable to connect to node 8, 100%",
        "Unable to connect to node 9 (200 more like this in 30 s)", "Unable to connect to node 10",
    ]  # fmt: skip


def test_other_sentences_other_levels_and_our_own_lines_always_come(lines: list[str]) -> None:
    for _ in range(3):
        logging.getLogger("aiokafka.client").error("one")
        logging.getLogger("aiokafka.client").critical("one")
        logging.getLogger("aiokafka.conn").error("one")
        logging.getLogger("cdc.bridge").error("ours")
        logging.getLogger("aiokafkaesque").error("theirs")
    assert sorted(lines) == ["one", "one", "one", *["ours"] * 3, *["theirs"] * 3]


def test_a_sentence_with_named_arguments_or_none_is_counted_too(lines: list[str], clock: Clock) -> None:
    log = logging.getLogger("aiokafka")
    for _ in range(3):
        log.error("at %(place)s", {"place": "home"})
        log.error("100 % away")
    clock.now += 30
    log.error("at %(place)s", {"place": "work"})
    log.error("100 % away")
    assert lines == [
        "at home", "100 % away", "at work (2 more like this in 30 s)", "100 % away (2 more like this in 30 s)"
    ]  # fmt: skip


def test_sentences_without_end_take_no_memory_without_end(lines: list[str]) -> None:
    for number in range(REMEMBERED + 1):
        logging.getLogger("aiokafka").error(f"{number} is new")  # noqa: G004  a library that formats by itself
    logging.getLogger("aiokafka").error("0 is new")
    assert len(lines) == REMEMBERED + 2
