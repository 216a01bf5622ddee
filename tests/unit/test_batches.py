"""Batches are bounded in records and bytes, and cut without a hole."""

from collections import defaultdict, deque
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from workers.engine.batch import RecordBatch, chunks
from workers.engine.ledger import MAX_BYTES, Extent, Ledger, last_written
from workers.engine.options import EngineOptions
from workers.engine.transport import Consumer

SOURCE = TP("in", 0)


def records(*sizes: int, first: int = 0) -> list[Any]:
    return [
        SimpleNamespace(offset=first + index, key=b"", value=b"x" * size, headers=())
        for index, size in enumerate(sizes)
    ]


def batch(*sizes: int) -> RecordBatch:
    return RecordBatch(SOURCE, records(*sizes), 0, len(sizes), 1, 1)


class Reader(Consumer):
    """The transport's room, without a broker behind it."""

    def __init__(self, *waiting: RecordBatch, partitions: int = 1, **options: Any) -> None:
        slots = SimpleNamespace(owned=dict.fromkeys(range(partitions)))
        self.app = SimpleNamespace(
            options=EngineOptions(bootstrap="-", partitions=partitions, **options), slots=slots, source_topics={"in"},
        )  # fmt: skip
        self.expected = {TP("in", index): 0 for index in range(partitions)}
        self.inflight = defaultdict(deque, {SOURCE: deque(waiting)})

    def is_changelog(self, tp: Any) -> bool:
        return str(tp.topic).endswith("changelog")


def test_a_partition_whose_bytes_are_in_memory_is_not_fetched_however_few_its_records() -> None:
    assert Reader(batch(10, 10), batch_bytes=100)._room(SOURCE)
    assert not Reader(batch(60, 60), batch_bytes=100)._room(SOURCE)


def test_room_is_counted_while_the_stage_finishes_batches_in_another_thread() -> None:
    reader = Reader(batch(10), batch(10), batch(10), batch_bytes=100)

    class Finishing(list[Any]):
        def __len__(self) -> int:
            reader.inflight[SOURCE].popleft()
            return super().__len__()

    for waiting in reader.inflight[SOURCE]:
        waiting.records = Finishing(waiting.records)
    assert reader._room(SOURCE)
    assert not reader.inflight[SOURCE]


def test_the_budget_of_the_worker_is_shared_by_its_partitions() -> None:
    assert Reader(batch(40), batch_bytes=100, memory_budget=100)._room(SOURCE)
    assert not Reader(batch(40), batch_bytes=100, memory_budget=100, partitions=4)._room(SOURCE)


def test_lookups_that_were_recovered_take_no_room_from_the_sources() -> None:
    reader = Reader(batch(40), batch_bytes=100, memory_budget=100)
    for lookup in range(100):
        reader.expected[TP(f"{lookup}-changelog", 0)] = 7  # where their feed goes on
    assert reader._room(SOURCE)


def test_a_record_larger_than_a_batch_travels_alone() -> None:
    cut = [[record.offset for record in part] for part in chunks(records(10, 500, 10, 10), 100, 100)]
    assert cut == [[0], [1], [2, 3]]


def test_halves_cover_the_offsets_of_the_whole() -> None:
    whole = RecordBatch(SOURCE, records(1, 1, 1, first=10), 7, 20, 1, 1)
    left, right = whole.halves()
    assert (left.start, left.next_offset, right.start, right.next_offset) == (7, 11, 11, 20)


def test_a_waiting_batch_takes_what_fits_of_the_next_fetch_and_leaves_no_hole() -> None:
    waiting = RecordBatch(SOURCE, records(1, 1, first=10), 10, 13, 1, 1)
    fetched = RecordBatch(SOURCE, records(1, 1, 1, first=14), 13, 20, 1, 1)
    rest = waiting.fill(fetched, 4)
    assert [record.offset for record in waiting] == [10, 11, 14, 15]
    assert rest is not None
    assert (waiting.start, waiting.next_offset, rest.start, rest.next_offset) == (10, 16, 16, 20)
    assert (waiting.size, rest.size) == (4, 1)
    assert rest.fill(RecordBatch(SOURCE, records(1, first=20), 20, 25, 1, 1), 4) is None
    assert rest.next_offset == 25


def test_a_page_is_cut_by_its_records_if_they_are_small() -> None:
    assert [len(part) for part in chunks(records(*[1] * 7), 3, 100)] == [3, 3, 1]


def test_a_ledger_that_grows_too_long_counts_its_reasons_together() -> None:
    ledger = Ledger({"in": 900, **{f"drop.{'r' * 40}{n}": 9 for n in range(100)}}, 5, {"seen": Extent(0, 7)})
    text = ledger.encode()
    assert len(text) <= MAX_BYTES
    assert Ledger.decode(text) == Ledger({"in": 900, "drop.other": 900}, 5, {"seen": Extent(0, 7)})


def test_metadata_set_by_hand_is_an_empty_ledger() -> None:
    for text in ("", "null", "[]", "moved by hand", '{"since":true,"changelogs":[1],"in":"3"}'):
        assert Ledger.decode(text) == Ledger()


def test_the_furthest_extent_of_a_slots_sources_counts() -> None:
    ledgers = [
        Ledger(changelogs={"seen": Extent(0, 7), "all": Extent(0, 2)}),
        Ledger(changelogs={"seen": Extent(0, 9)}),
    ]
    assert last_written(ledgers, {"seen", "all"}) == {"seen": Extent(0, 9), "all": Extent(0, 2)}
    assert last_written(ledgers, {"all"}) == {"all": Extent(0, 2)}
