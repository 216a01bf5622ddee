"""A record that nobody can read has a dead letter all the same."""

from types import SimpleNamespace
from typing import Any

import pytest

from models.outcome import Failure
from workers.agents.publish import Publish, _letter
from workers.engine.delivery import Undeliverable
from workers.kafka.topics import Topics
from workers.settings.worker import Settings


@pytest.mark.parametrize("value", [b'{"metadata":{"sourceTable":"\xff"}}', b"\xff", b"[" * 5_000, b"", None])
def test_a_record_that_cannot_be_read_has_a_dead_letter(value: bytes | None) -> None:
    sink: Any = None
    topics = Topics.of(Settings(_env_file=None))
    record = SimpleNamespace(value=value, topic="cdc.events", partition=1, offset=7, timestamp=1, headers=())
    letter = _letter(
        Publish(sink, topics, "", lambda: 1), record, Undeliverable(Failure.VALIDATION_ERROR, "no event"), 1
    )
    assert (letter.code, letter.offset, letter.table) == (Failure.VALIDATION_ERROR, 7, None)
