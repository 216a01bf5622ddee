"""Log lines: what a library says is masked before it is written, with its arguments and tracebacks (P6)."""

import io
import logging
from collections.abc import Iterator

import pytest

from models.free_text import MAX_TEXT
from workers.logs.redaction import LoggerRedaction, masked


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a handler with the formatter writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LoggerRedaction("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger("aiokafka").addHandler(handler)
    yield stream
    logging.getLogger("aiokafka").removeHandler(handler)


def test_arguments_and_tracebacks_are_masked(written: io.StringIO) -> None:
    try:
        raise ValueError("bad record {'Email': 'jane@acme.example', 'Phone': '+41 44 668 18 00'}")
    except ValueError:
        logging.getLogger("aiokafka").exception("cannot send %s", {"card": "4111 1111 1111 1111"})
    text = written.getvalue()
    assert "ERROR aiokafka: cannot send {'card': '***'}" in text
    assert "Traceback" in text
    assert not [value for value in ("jane", "acme", "668", "1111") if value in text]


@pytest.mark.parametrize(
    "line",
    [
        "Unable to connect to node 3 at 10.1.2.3:9092",
        "slot 7: 12 positions moved to 1768473060412",
        "sequence 0001-00000000000000001841 of shardId-000000000002",
        "49663978758868311932389618382594866003608249521882005538",
        "arn:aws:kinesis:eu-west-1:222222222222:stream/crm-changes",
        "<Conductor: idle @ 0x7f12dc436d10> at 2026-01-15 10:31:00,412",
    ],
)
def test_what_operators_need_stays_readable(line: str) -> None:
    assert masked(line) == line


def test_long_texts_are_masked_to_their_end() -> None:
    assert masked("x " * MAX_TEXT + "a@x.test") == "x " * MAX_TEXT + "***"
