"""The consumer of examples/: whatever comes twice, late or in another order, its rows end the same."""

import importlib.util
import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.standin import HandClock, clock, events, sqs, stand_in
from tests.unit.changes import TELEPHONY, USER, Worker, catalogue_of, dms

__all__ = ["clock", "events", "sqs", "stand_in"]  # fixtures

PATH = Path(__file__).parents[2] / "examples" / "consumer" / "consumer.py"
QUEUE = "rows"
BUS = "cdc-events"
NO_S3 = None
"""For events that are in their messages: nothing is to be asked of S3."""


def _loaded() -> ModuleType:
    """As a user who has copied the file."""
    spec = importlib.util.spec_from_file_location("consumer_example", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


example = _loaded()


def body(detail: dict[str, Any]) -> str:
    return json.dumps({"version": "0", "detail-type": detail["eventType"], "detail": detail})


def history() -> list[dict[str, Any]]:
    """What the pipeline makes of a row's life."""
    worker = Worker(TELEPHONY)
    row = USER | {"Locale": None}
    rows = [row, row | {"Status": "AWAY"}, row | {"Status": "AWAY", "Locale": "de-CH"}]
    rows.append(row | {"Status": "BACK", "Locale": "de-CH"})
    records = [dms("insert", rows[0], transaction=1)]
    records += [
        dms("update", new, before=old, transaction=number) for number, (old, new) in enumerate(pairwise(rows), start=2)
    ]
    return [worker.event(record) for record in records]


LIFE = history()
ENTITY = f"users:{USER['ID']}"


def told(details: Sequence[dict[str, Any]]) -> tuple[list[str], Any]:
    """Verdicts and final row of a consumer that gets these."""
    inbox = example.Inbox(":memory:")
    verdicts = [inbox.take(example.Event.read(body(detail), NO_S3), now=0.0) for detail in details]
    row = inbox.state(ENTITY)
    inbox.close()
    return verdicts, row


def deleted(detail: dict[str, Any], number: int) -> dict[str, Any]:
    metadata = detail["metadata"] | {"sequence": f"0001-{number:020}"}
    changes = {"ID": {"old": USER["ID"]}}
    return detail | {
        "operation": "DELETE", "eventId": f"evt_1_{number}", "metadata": metadata, "changes": changes,
    }  # fmt: skip


def test_the_events_of_a_row_in_order_are_applied() -> None:
    verdicts, row = told(LIFE)
    assert verdicts == ["applied"] * 4
    assert (row["Status"], row["Locale"], row["UserName"]) == ("BACK", "de-CH", USER["UserName"])


@given(st.lists(st.sampled_from(LIFE), max_size=8).flatmap(lambda more: st.permutations([*LIFE, *more])))
def test_in_whatever_order_and_however_often_they_come_the_row_is_the_same(details: list[dict[str, Any]]) -> None:
    assert told(details)[1] == told(LIFE)[1]


@given(st.permutations([*LIFE, deleted(LIFE[-1], 9)]))
def test_a_deleted_row_stays_deleted_whatever_comes_late(details: list[dict[str, Any]]) -> None:
    assert told(details)[1] is None


def test_a_row_that_is_made_again_after_its_end_is_there() -> None:
    again = LIFE[0] | {"eventId": "evt_2_1", "metadata": LIFE[0]["metadata"] | {"sequence": f"0001-{10:020}"}}
    assert told([*LIFE, deleted(LIFE[-1], 9), again])[1]["Status"] == USER["Status"]


def test_an_older_event_sets_only_what_nothing_newer_has_set() -> None:
    created, away, german, back = LIFE
    verdicts, row = told([created, back, away, german])
    assert verdicts == ["applied", "applied", "stale", "applied"]
    assert (row["Status"], row["Locale"]) == ("BACK", "de-CH")


def test_a_redriven_event_that_was_seen_is_a_repeat() -> None:
    redriven = LIFE[1] | {"metadata": LIFE[1]["metadata"] | {"replay": 1}}
    assert told([*LIFE, redriven])[0][-1] == "repeat"


def test_a_redriven_event_that_never_came_fills_its_hole() -> None:
    created, away, german, back = LIFE
    redriven = german | {"metadata": german["metadata"] | {"replay": 1}}
    assert told([created, away, back, redriven])[1] == told(LIFE)[1]


def test_a_row_whose_key_changed_ends_under_its_old_key() -> None:
    moved = LIFE[1] | {"eventId": "evt_3_1", "entityId": "8", "keys": {"ID": 8}, "previousKeys": {"ID": USER["ID"]}}
    inbox = example.Inbox(":memory:")
    for detail in (*LIFE, moved):
        inbox.take(example.Event.read(body(detail), NO_S3), now=0.0)
    assert inbox.state(ENTITY) is None
    assert inbox.state("users:8")["Status"] == "AWAY"


@pytest.mark.parametrize(
    "former", [{"a": 6, "b": "x:y"}, {"a": "50%", "b": "7"}, {"a": True, "b": 7.5}, {"a": "1", "b": 2}]
)
def test_the_entity_of_a_former_key_is_the_one_its_events_had(former: dict[str, Any], tmp_path: Path) -> None:
    worker = Worker(catalogue_of(tmp_path, "  - {table: t, entity: t, key: [b, a], unknown_columns: publish}\n"))
    before = example.Event.read(body(worker.event(dms("insert", former, table="t"))), NO_S3)
    moved = worker.event(dms("update", {"a": "n:w", "b": 9}, table="t", before=former))
    assert example.Event.read(body(moved), NO_S3).previous_entity == before.entity


def test_what_was_seen_outlives_a_restart_and_is_forgotten_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    for expected in ("applied", "repeat"):
        inbox = example.Inbox(path)
        assert inbox.take(example.Event.read(body(LIFE[0]), NO_S3), now=100.0) == expected
        inbox.close()
    inbox = example.Inbox(path)
    assert (inbox.forget(before=100.0), inbox.forget(before=101.0)) == (0, 1)
    assert inbox.take(example.Event.read(body(LIFE[0]), NO_S3), now=102.0) == "stale"


class Bus:
    """A bus with a queue behind a rule."""

    def __init__(self, events: Any, sqs: Any) -> None:
        self._events, self.sqs = events, sqs
        self.url = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.create_event_bus(Name=BUS)
        events.put_rule(Name=QUEUE, EventBusName=BUS, EventPattern='{"source": [{"prefix": "cdc-pipeline"}]}')
        events.put_targets(Rule=QUEUE, EventBusName=BUS, Targets=[{"Id": "queue", "Arn": arn}])

    def put(self, *details: dict[str, Any]) -> None:
        for detail in details:
            entry = {
                "EventBusName": BUS, "Source": "cdc-pipeline.users", "DetailType": detail["eventType"],
                "Detail": json.dumps(detail),
            }  # fmt: skip
            assert self._events.put_events(Entries=[entry])["FailedEntryCount"] == 0


@pytest.fixture
def bus(events: Any, sqs: Any) -> Bus:
    return Bus(events, sqs)


def drained(consumer: Any) -> dict[str, int]:
    while consumer.poll(wait_seconds=0):
        pass
    return dict(consumer.counts)


def test_it_reads_the_queue_empty_and_leaves_what_it_cannot_read(bus: Bus, clock: HandClock) -> None:
    bus.put(*LIFE, LIFE[2])
    bus.sqs.send_message(QueueUrl=bus.url, MessageBody='{"detail": "nonsense"}')
    consumer = example.Consumer(bus.sqs, NO_S3, bus.url, example.Inbox(":memory:"), clock)
    assert drained(consumer) == {"applied": 4, "repeat": 1, "unreadable": 1}
    clock.advance(60)
    assert drained(consumer)["unreadable"] == 2


def test_what_sqs_delivers_again_changes_nothing(bus: Bus, clock: HandClock) -> None:
    class DiesBeforeItDeletes:
        """SQS, but the consumer's process is gone when it would delete."""

        receive_message = bus.sqs.receive_message

        def delete_message_batch(self, **_: Any) -> None:
            raise SystemExit

    inbox = example.Inbox(":memory:")
    bus.put(*LIFE)
    with pytest.raises(SystemExit):
        example.Consumer(DiesBeforeItDeletes(), NO_S3, bus.url, inbox, clock).poll(wait_seconds=0)
    row = inbox.state(ENTITY)
    clock.advance(60)
    assert drained(example.Consumer(bus.sqs, NO_S3, bus.url, inbox, clock)) == {"repeat": 4}
    assert inbox.state(ENTITY) == row
