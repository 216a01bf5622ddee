"""What a source sends again is known by the last changes of the slot, whatever row or table it was of."""

import pytest

from enrichers.recent import BLOCK, BLOCKS, Ring, digests_of, joined, key_of
from enrichers.state import NewerFormatError, UnreadableEntryError
from models.outcome import Ok
from tests.unit.changes import USER, Worker, dms


def digest(number: int) -> bytes:
    return number.to_bytes(10, "big")


def filled(count: int, start: int = 0) -> dict[bytes, bytes]:
    """The blocks of a ring that was written unit by unit."""
    table: dict[bytes, bytes] = {}
    ring = Ring(3, table)
    for number in range(start, start + count):
        key, block = ring.add(digest(number))
        table[key] = block
        if number % 50 == 0:
            ring.follow(table)
    return table


def log(number: int, transaction: int) -> bytes:
    row = {"ID": number, "OrgID": 3, "UserID": 7, "Status": "BUSY"}
    return dms("insert", row, table="availability_log", transaction=transaction)


def test_the_last_8192_changes_are_known_and_older_ones_are_forgotten() -> None:
    table = filled(30_000)
    ring = Ring(3, table)
    known = [number for number in range(30_000) if digest(number) in ring]
    assert known == list(range(known[0], 30_000))
    assert (BLOCKS - 1) * BLOCK <= len(known) <= BLOCKS * BLOCK
    assert len(table) == BLOCKS


def test_a_ring_that_follows_its_table_knows_what_a_new_one_would() -> None:
    table: dict[bytes, bytes] = {}
    ring = Ring(3, table)
    for number in range(20_000):
        key, block = ring.add(digest(number))
        table[key] = block
        if number % 777 == 0:
            ring.follow(table)
            fresh = Ring(3, table)
            probes = range(0, number + 1, 97)
            assert [digest(n) in ring for n in probes] == [digest(n) in fresh for n in probes]


def test_what_was_added_and_never_written_is_forgotten() -> None:
    table = filled(200)
    ring = Ring(3, table)
    for number in range(1_000, 1_300):
        ring.add(digest(number))
    assert digest(1_299) in ring
    ring.follow(table)
    assert digest(1_299) not in ring
    key, block = ring.add(digest(200))
    assert (key, digests_of(block)[-2:]) == (key_of(3, 1), [digest(199), digest(200)])


def test_what_another_worker_wrote_meanwhile_is_followed() -> None:
    table = filled(300)
    ring = Ring(3, table)
    other = Ring(3, table)
    for number in range(300, 700):
        key, block = other.add(digest(number))
        table[key] = block
    ring.follow(table)
    assert all(digest(number) in ring for number in range(700))


def test_two_rings_are_joined_with_what_only_the_older_one_knows_in_front() -> None:
    both = Ring(3, joined(3, filled(8_000), filled(8_000, start=4_000)))
    assert digest(3_999) in both
    assert digest(11_999) in both
    assert digest(0) not in both
    assert joined(3, filled(40), filled(100)) == filled(100)


def test_a_block_of_a_later_release_or_garbage_stops_the_worker() -> None:
    with pytest.raises(NewerFormatError, match="format 2"):
        Ring(3, {b"0": b"\x02" + bytes(8)})
    for garbage in (b"", b"garbage", b"\x01" + bytes(8) + b"half"):
        with pytest.raises(UnreadableEntryError):
            Ring(3, {b"0": garbage})


def test_a_row_of_an_append_only_table_sent_again_is_dropped() -> None:
    worker = Worker()
    assert isinstance(worker.feed(log(1, 11)).outcome, Ok)
    assert worker.drop(log(1, 11)) == "resent"
    assert isinstance(worker.feed(log(2, 12)).outcome, Ok)


def test_a_hot_row_sent_again_from_its_first_change_on_is_dropped() -> None:
    worker = Worker()
    records = [dms("insert", USER, transaction=1)]
    records += [dms("update", USER | {"UserName": f"u{n}"}, transaction=n) for n in range(2, 60)]
    assert all(isinstance(worker.feed(record).outcome, Ok) for record in records)
    assert {worker.drop(record) for record in records} == {"resent"}


def test_a_deleted_row_sent_again_is_not_created_anew() -> None:
    worker = Worker()
    records = [dms("insert", USER, transaction=1), dms("delete", USER, transaction=2)]
    for record in records:
        worker.event(record)
    assert [worker.drop(record) for record in records] == ["resent", "resent"]


def test_a_replay_neither_is_dropped_nor_pushes_out_what_is_recent() -> None:
    worker = Worker()
    worker.event(log(1, 11))
    assert worker.event(log(1, 11), replay=1)["metadata"]["replay"] == 1
    before = set(worker.state.recent)
    worker.event(log(5, 15), replay=1)
    assert worker.state.recent == before


def test_what_the_source_does_not_name_is_never_a_repetition() -> None:
    worker = Worker()
    unnamed = dms("insert", {"ID": 1, "OrgID": 3, "UserID": 7, "Status": "BUSY"}, table="availability_log")
    assert isinstance(worker.feed(unnamed).outcome, Ok)
    assert isinstance(worker.feed(unnamed).outcome, Ok)
    assert not worker.state.recent
