"""A record that nobody can read has a dead letter all the same."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from models.labels import MASK
from models.outcome import Failure
from workers.agents.publish import Publish, _letter
from workers.engine.delivery import Undeliverable
from workers.kafka.topics import Topics
from workers.settings.worker import Settings

TOPICS = Topics.of(Settings(_env_file=None))
NO_SINK: Any = None
REFUSED = Undeliverable(Failure.VALIDATION_ERROR, "no event")


def written(value: bytes | None) -> SimpleNamespace:
    return SimpleNamespace(value=value, topic="cdc.events", partition=1, offset=7, timestamp=1, headers=())


@pytest.mark.parametrize("value", [b'{"metadata":{"sourceTable":"\xff"}}', b"\xff", b"[" * 5_000, b"", None])
def test_a_record_that_cannot_be_read_has_a_dead_letter(value: bytes | None) -> None:
    letter = _letter(Publish(NO_SINK, TOPICS, "", lambda: 1), written(value), REFUSED, 1)
    assert (letter.code, letter.offset, letter.table) == (Failure.VALIDATION_ERROR, 7, None)


@pytest.mark.parametrize(
    ("table", "told"),
    [("Order Details", "Order Details"), ("Straße", "Straße"), ("users", "users"), ("Jane Doe", MASK), ("", None)],
)
def test_a_table_is_named_if_it_is_configured_or_can_be_a_name(table: str, told: str | None) -> None:
    publish = Publish(NO_SINK, TOPICS, "", lambda: 1, is_table={"Order Details", "Straße"}.__contains__)
    value = json.dumps({"metadata": {"sourceTable": table}}).encode()
    assert (_letter(publish, written(value), REFUSED, 1).table or None) == told
