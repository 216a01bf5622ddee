"""Events that were made to fit are events still: valid under their schema, and read by the model of the contract."""

import json
from typing import Any

import jsonschema
import pytest

from enrichers.oversize import Ladder, Step
from models.normalized_record import NormalizedRecord
from tests.unit.changes import TELEPHONY, USER, Worker, dms
from workers.eventbridge.entry import Entry, EntryRules, entry_of
from workers.schemas.events import event_schemas

LONG = {"DisplayName": "Zoë " * 2_000, "UserName": "long " * 2_000}
VALIDATOR = jsonschema.Draft202012Validator(event_schemas(TELEPHONY.specs)["user.updated"])


def whole() -> dict[str, Any]:
    event: dict[str, Any] = Worker().event(dms("update", USER | LONG, before=USER))
    return event


@pytest.mark.parametrize(
    ("step", "more"),
    [
        (Step.IMAGES, {"before": {"ID": 7, "UserName": "x" * 30_000}, "after": {"ID": 7}}),
        (Step.TRUNCATE, {}),
        (Step.CLAIM_CHECK, {}),
    ],
)
def test_an_event_that_was_made_to_fit_is_valid(step: Step, more: dict[str, Any]) -> None:
    event = whole() | more
    limit = 30_000 if step is Step.IMAGES else 6_000
    rules = EntryRules("cdc-pipeline", limit, Ladder(frozenset({step}), "claims", "events/"))
    entry = entry_of(b"users:7", json.dumps(event).encode(), rules)
    assert isinstance(entry, Entry), entry.reason
    assert entry.step is step
    detail = json.loads(entry.detail)
    VALIDATOR.validate(detail)
    read = NormalizedRecord.model_validate(detail)
    assert read.event_id == event["eventId"]
    assert read.changed_fields == event["changedFields"]
