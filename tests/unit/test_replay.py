"""Replays: what is in the range comes again, once each and in order, whenever the command is killed."""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from enrichers.letter_view import LetterView
from enrichers.replay_view import ChangeReplayView, EventReplayView
from models.catalogue import load_catalogue
from models.raw import HEADER_REPLAY, HEADER_TABLE, Headers
from models.redrive import origin_of, replay_of
from models.replay import Replay, ReplayOrder, next_number
from models.sources.reading import PLAIN
from tests.unit.changes import TELEPHONY, dms
from tests.unit.letters import T0
from tests.unit.test_redrive_writing import TOPICS, Killed, Log, Producer
from workers.dead_letters.pace import Pace
from workers.dead_letters.writing import write_again
from workers.replay import ProgressMarks, Replaying, ReplayTally, Stretch, finish, obsolete_replays

ORDER = ReplayOrder(TOPICS.events, "1h")
BEGUN = Replay(ORDER.id, TOPICS.events, T0, T0 + 1_000, T0 + 5_000, 1)


@dataclass(frozen=True)
class Record:
    """As a Kafka client reads it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    topic: str = TOPICS.events


def event(number: int, *, table: str = "users", at: int | None = None) -> Record:
    detail = {"eventType": "user.updated", "entityType": table, "n": number, "metadata": {"sourceTable": f"{table}_2"}}
    row = number % 5
    timestamp = T0 + number if at is None else at
    return Record(row % 2, number, timestamp, b"%s:%d" % (table.encode(), row), json.dumps(detail).encode())


async def read(records: Iterable[Record], reached: Replay) -> AsyncIterator[Record]:
    """Those behind what was reached."""
    for record in records:
        if record.offset >= reached.reached.get(record.partition, 0):
            yield record


def replaying(replay: Replay = BEGUN, order: ReplayOrder = ORDER) -> Replaying:
    return Replaying(order, replay, "publish", EventReplayView(TELEPHONY), Stretch({}, []))


async def chosen(records: list[Record], **order: Any) -> tuple[list[int], ReplayTally]:
    tally = ReplayTally()
    work = replaying(order=replace(ORDER, **order))
    found = [place[1] async for place, _ in work.chosen(read(records, BEGUN), tally)]
    return found, tally


def known(log: Log) -> Replay:
    """How far the replay is, as it stands in Kafka."""
    found = BEGUN
    for topic, _, key, value in log.records:
        if topic == TOPICS.handled and key == BEGUN.key and value is not None:
            found = Replay.decode(key, value)
    return found


async def run(records: list[Record], log: Log, killed_at: int | None = None, order: ReplayOrder = ORDER) -> None:
    """What a command does, from what it finds in Kafka."""
    replay, producer = known(log), Producer(log, killed_at)
    if replay.finished_ms:
        return
    marks = ProgressMarks(replay, iter(()))
    some = replaying(replay, order).chosen(read(records, replay), ReplayTally())
    options: dict[str, Any] = {"pace": Pace(4), "tell": lambda _: None, "clock": lambda: 0.0, "sleep": slept}
    await write_again(producer, TOPICS, some, marks.of, **options)  # type: ignore[arg-type]
    await finish(producer, TOPICS, marks.replay, T0 + 9_000)  # type: ignore[arg-type]


async def slept(_: float) -> None:
    """No time goes by."""


@pytest.mark.parametrize("limit", [None, 9])
async def test_whenever_it_is_killed_every_record_comes_again_once_and_in_order(limit: int | None) -> None:
    records, order = [event(n) for n in range(14)], replace(ORDER, limit=limit)
    whole = Log()
    await run(records, whole, order=order)
    assert [value for _, _, value in whole.redriven("publish")] == [record.value for record in records][:limit]
    killed_at = 1
    while True:
        log = Log()
        try:
            await run(records, log, killed_at, order)
        except Killed:
            await run(records, log, order=order)
        else:
            break
        assert log.redriven("publish") == whole.redriven("publish"), f"killed at call {killed_at}"
        assert (known(log).written, known(log).finished_ms) == (len(records[:limit]), T0 + 9_000)
        killed_at += 1
    assert killed_at > 2 * len(records[:limit])


async def test_the_range_is_half_open_by_kafkas_time() -> None:
    times = [T0 - 1, T0, T0 + 999, T0 + 1_000]
    found, tally = await chosen([event(n, at=at) for n, at in enumerate(times)])
    assert found == [1, 2]
    assert (tally.oldest_ms, tally.newest_ms) == (T0, T0 + 999)


async def test_events_are_chosen_by_their_table_their_row_and_their_number() -> None:
    records = [event(n, table="users" if n % 3 else "orders") for n in range(12)]
    found, tally = await chosen(records, tables=frozenset({"orders"}))
    assert found == [0, 3, 6, 9]
    assert tally.kinds == {("", ""): 4}, "of a table that is not known nothing is told"
    assert (await chosen(records, tables=frozenset({"users"})))[1].kinds == {("users", "user.updated"): 8}
    assert tally.places == {0: (0, 9), 1: (3, 6)}
    assert (await chosen(records, tables=frozenset({"orders_2"})))[0] == found, "as the source calls it"
    assert (await chosen(records, keys=frozenset({"users:2"})))[0] == [2, 7]
    assert (await chosen(records, limit=2))[0] == [0, 1]


async def test_a_record_comes_again_with_its_place_its_bytes_and_the_number_of_the_replay() -> None:
    record = replace(event(3), headers=(("cdc-source", b"core"), (HEADER_REPLAY, b"9")))
    work = replaying(replace(BEGUN, number=4))
    ((place, again),) = [one async for one in work.chosen(read([record], BEGUN), ReplayTally())]
    origin = origin_of(again.headers)
    assert origin is not None
    assert (origin.topic, origin.partition, origin.offset, origin.timestamp_ms) == (TOPICS.events, *place, T0 + 3)
    assert (again.stage, again.partition, again.key, again.value) == ("publish", 1, record.key, record.value)
    assert replay_of(again.headers) == 4
    assert dict(again.headers)["cdc-source"] == b"core"


def test_a_replay_is_read_back_as_it_was_written() -> None:
    one = BEGUN.advanced([(0, 4), (1, 7), (0, 5)])
    assert (one.written, one.reached) == (3, {0: 6, 1: 8})
    assert Replay.decode(one.key, one.encode()) == one


@pytest.mark.parametrize(
    "value", [b"", b"[]", b"{}", b'{"reached":[]}', BEGUN.encode().replace(b'"number":1', b'"number":"1"')]
)
def test_what_is_no_replay_is_not_guessed(value: bytes) -> None:
    with pytest.raises(ValueError, match="a replay"):
        Replay.decode(BEGUN.key, value)


def test_replays_that_may_bring_the_same_events_have_different_numbers() -> None:
    earlier = [replace(BEGUN, number=2), replace(BEGUN, topic="cdc.raw.core", number=7, from_ms=T0 - 90, to_ms=T0 - 80)]
    assert next_number([], TOPICS.events, T0, T0 + 1) == 1
    assert next_number(earlier[:1], TOPICS.events, T0 + 999, T0 + 2_000) == 3
    assert next_number(earlier[:1], TOPICS.events, T0 + 1_000, T0 + 2_000) == 1
    assert next_number(earlier, TOPICS.events, T0 + 1_000, T0 + 2_000) == 8, (
        "events may be made long after their change"
    )


def test_the_same_words_name_the_same_replay() -> None:
    assert ReplayOrder("t", "2h", tables=frozenset("ab")).id == ReplayOrder("t", "2h", tables=frozenset("ba")).id
    others = [
        ReplayOrder("u", "2h"),
        ReplayOrder("t", "3h"),
        ReplayOrder("t", "2h", "1h"),
        ReplayOrder("t", "2h", limit=1),
    ]
    assert ReplayOrder("t", "2h").id not in {other.id for other in others}


def test_old_replays_are_forgotten() -> None:
    month = 30 * 86_400_000
    assert obsolete_replays([BEGUN], BEGUN.began_ms + month) == []
    assert obsolete_replays([BEGUN], BEGUN.began_ms + month + 1) == [BEGUN]


def changes() -> ChangeReplayView:
    catalogue = load_catalogue("telephony", None)
    return ChangeReplayView(catalogue, LetterView(catalogue), PLAIN)


def test_a_change_is_known_by_its_table_and_its_row() -> None:
    record = Record(0, 1, T0, b'["core","users",7]', dms("insert", {"ID": 7}))
    seen = changes().seen(record)
    assert seen is not None
    assert seen.table == "users"
    assert set(changes().keys(seen, record)) == {"users:7", '["core","users",7]'}
    routed = changes().seen(replace(record, value=b"no JSON", headers=((HEADER_TABLE, b"users"),)))
    assert routed is not None
    assert routed.names == {"users"}


async def test_markers_and_control_records_do_not_come_again() -> None:
    control = {
        "metadata": {
            "record-type": "control",
            "operation": "create-table",
            "schema-name": "core",
            "table-name": "users",
        }
    }
    records = [Record(0, 0, T0, b"k", None), Record(0, 1, T0, b"k", json.dumps(control).encode())]
    tally = ReplayTally()
    work = replace(replaying(), view=changes())
    assert [one async for one in work.chosen(read(records, BEGUN), tally)] == []
    assert tally.left_out == 2


def test_what_is_no_event_has_no_table() -> None:
    seen = EventReplayView(TELEPHONY).seen(Record(0, 0, T0, None, b"\xff"))
    assert seen is not None
    assert (seen.table, seen.event_type) == ("", "")
