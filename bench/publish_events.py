"""The events of a publish benchmark: 1 KB each, about a number of entities in turn."""

from collections.abc import Iterator
from itertools import count, islice

from bench.rig import Entry
from models.routing import partition_of

EVENT_BYTES = 1_000
ENTITIES = 2_000
CUSTOM_BUS = "arn:aws:events:us-east-1:000000000000:event-busv2/bench/aaaaaaaaaaaaaaaaaaaaaaaaa"
CEILING_RECEIPTS = ".ceiling"
"""What the topic that a ceiling writes its receipts to is called, behind its group."""
CHANGES_IN_A_ROW = 3
"""Of an entity, before the next one's turn."""
_EVENT = (
    '{"changedFields":["Status"],"changes":{"Status":{"new":"ACTIVE","old":"INVITED"}},"entityId":"%d",'
    '"entityType":"users","eventId":"%s","eventType":"user.updated","keys":{"ID":%d},'
    '"metadata":{"environment":"PRD","note":"%s","sequence":"0001-%020d","sequenceNumber":"%d","service":"cdc-pipeline",'
    '"shardId":"shardId-000000000002","source":"dms","sourceTable":"users","version":"1.0"},"operation":"UPDATE",'
    '"orgId":"3","timestamp":"2026-01-15T10:31:00.000000Z","userId":"%d"}'
)


def event_id(number: int) -> str:
    """Of event `number`."""
    return f"evt_1768473060000_{number:020x}"


def event(number: int, entity: int) -> bytes:
    """Event `number`, EVENT_BYTES long."""
    name = event_id(number)
    without = _EVENT % (entity, name, entity, "", number, number, entity)
    return (_EVENT % (entity, name, entity, "n" * (EVENT_BYTES - len(without)), number, number, entity)).encode()


def events(records: int, entities: int, first: int = 0) -> Iterator[tuple[int, bytes]]:
    """(entity, event) of the numbers from `first` on."""
    for number in islice(count(first), records):
        entity = number // CHANGES_IN_A_ROW % entities
        yield entity, event(number, entity)


def entries(records: int, entities: int, partitions: int, first: int = 0) -> Iterator[Entry]:
    """The same as records of `cdc.events`, for the partitions of their keys."""
    for entity, value in events(records, entities, first):
        key = b"users:%d" % entity
        yield key, value, partition_of(key, partitions)
