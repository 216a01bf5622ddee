"""The checker of the bridge's chaos runs finds what it is there for: each invariant is broken once, by hand."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.chaos import stall
from sandbox.chaos.bridged import CHECKS
from sandbox.chaos.bridging import change, fingerprint, told_by, uid_of
from sandbox.chaos.checker import Verdict, check
from sandbox.chaos.evidence import Evidence
from sandbox.chaos.plan import Action, Plan, WorkerPlan, Workload

ROWS = 4
PLAN = Plan(
    "by-hand", 1, 10.0, Workload(stages=("bridge",), partitions=2, shards=2),
    (WorkerPlan("w0", ("bridge",)),),
    (Action(1.0, "split", "stream", 0.0, {"place": 0.0}), Action(2.0, "broker-freeze", "broker", 30.0)),
    limits={"stall_bytes": 1_000},
)  # fmt: skip
OLD, OTHER, LEFT, RIGHT = (f"shardId-{number:012d}" for number in range(4))
SHARDS = [
    {"id": OLD, "parents": [], "closed": True},
    {"id": OTHER, "parents": [], "closed": False},
    {"id": LEFT, "parents": [OLD], "closed": False},
    {"id": RIGHT, "parents": [OLD], "closed": False},
]
ROUTES = {0: [OLD, LEFT], 1: [OLD, RIGHT], 2: [OTHER, OTHER], 3: [OTHER, OTHER]}
"""{row: shard of its first three versions, shard of the others}"""

Book = dict[str, Any]
"""{"history": […], "final": {…}}: what a run leaves behind."""


def healthy() -> Book:
    """Six versions of four rows; shard 0 is split in the middle; the last version of each row is an aggregate's."""
    history: list[dict[str, Any]] = []
    stream: list[list[Any]] = []
    raw: list[list[Any]] = []
    marks: list[list[Any]] = []
    places: Counter[str] = Counter()
    ends: Counter[int] = Counter()
    uid = 0
    for version in range(1, 7):
        for row, shards in ROUTES.items():
            uid += 1
            shard, key, value = shards[version > 3], f"row-{row}", f"{uid}:{version}"
            sub = int(version == 6)
            sequence = str(10**20 + places[shard] - sub)
            where = [shard, sequence, sub, fingerprint(change(row, uid, version))]
            stream.append([int(shard[-12:]), places[shard], key, value, *where])
            places[shard] += 1
            partition = row % 2
            raw.append([partition, ends[partition], key, value, *where])
            seen = {"process": "reader", "op": "read", "type": "ok", "partition": partition}
            history.append({"t": uid + 0.5, "rows": [[ends[partition], uid]]} | seen)
            ends[partition] += 1
            put = {"process": "writer", "op": "put", "key": key, "uid": uid, "version": version}
            history.append({"t": float(uid), "type": "ok", "shard": shard, "sequence": sequence, "sub": sub} | put)
            closes = shard == OLD and places[shard] == 6
            state = "SHARD_END" if closes else "ACTIVE"
            marks.append([0, len(marks), shard, state, sequence, sub, places[shard], 0])
    history += [
        {"t": 1.0, "process": "nemesis", "op": "split", "type": "ok", "action": 0, "target": "stream", "fired": True,
         "proof": {}},
        {"t": 99.0, "process": "w0", "op": "exit", "type": "info", "by": "harness", "code": 0, "pid": 1,
         "answered": True, "signal": "SIGTERM", "stuck": False},
    ]  # fmt: skip
    history += frozen()
    topics = {"stream": stream, "raw": raw, "checkpoints": marks, "dead": []}
    final = {
        "topics": {name: {"rows": sorted(rows), "complete": True} for name, rows in topics.items()},
        "shards": SHARDS, "drained": {"bridge": True}, "ready": True, "committed": {}, "live": {},
    }  # fmt: skip
    read: Book = json.loads(json.dumps({"history": history, "final": final}))
    return read


def frozen() -> list[dict[str, Any]]:
    """Kafka stands still from t=100 to t=130; the worker reads for 5 s, then its slot is opened again."""
    freeze = {"process": "nemesis", "op": "broker-freeze", "action": 1, "target": "broker"}
    looks = [(99, 50, 5_000), (101, 60, 5_100), (105, 64, 5_900), (110, 0, 0), (125, 0, 0), (131, 90, 90_000)]
    state = {"ready": True, "restarts": 0, "gap_count": 0, "gaps": {}, "pauses": [], "engine_pauses": []}
    seen = [
        {"t": float(t), "process": "w0", "op": "stats", "type": "info", "pid": 1, "rss": 1_000 + size // 10,
         "stages": {"bridge": state | {"read": {OLD: [calls, size]} if calls else {}}}}
        for t, calls, size in looks
    ]  # fmt: skip
    return [
        {"t": 100.0, "type": "invoke"} | freeze, *seen,
        {"t": 130.0, "type": "ok", "fired": True, "proof": {}} | freeze,
    ]  # fmt: skip


def looks(book: Book) -> list[dict[str, Any]]:
    return [event for event in book["history"] if event["op"] == "stats" and 100 < event["t"] < 130]


def judged(book: Book) -> Verdict:
    return check(Evidence(PLAN, book["history"], book["final"]))


def rows(book: Book, topic: str) -> list[list[Any]]:
    found: list[list[Any]] = book["final"]["topics"][topic]["rows"]
    return found


def change_missing(book: Book) -> None:
    del rows(book, "raw")[5]


def change_twice(book: Book) -> None:
    rows(book, "raw").append([0, 900, *rows(book, "raw")[5][2:]])


def only_the_sub_sequence_is_wrong(book: Book) -> None:
    next(row for row in rows(book, "raw") if row[6] == 1)[6] = 2


def other_bytes(book: Book) -> None:
    rows(book, "raw")[3][7] += 1


def put_and_gone(book: Book) -> None:
    del rows(book, "stream")[0], rows(book, "raw")[0]


def versions_swapped(book: Book) -> None:
    one, other = [row for row in rows(book, "raw") if row[2] == "row-2"][:2]
    one[1], other[1] = other[1], one[1]


def row_in_another_partition(book: Book) -> None:
    last = [row for row in rows(book, "raw") if row[2] == "row-3"][-1]
    last[:2] = [0, 900]


def child_before_its_parent(book: Book) -> None:
    parent, child = [row for row in rows(book, "raw") if row[2] == "row-0"][2:4]
    parent[1], child[1] = child[1], parent[1]


def checkpoint_counts_too_few(book: Book) -> None:
    rows(book, "checkpoints")[4][6] -= 1


def checkpoint_goes_back(book: Book) -> None:
    first, second = [row for row in rows(book, "checkpoints") if row[2] == OTHER][:2]
    first[1], second[1] = second[1], first[1]


def checkpoint_after_the_end(book: Book) -> None:
    last = [row for row in rows(book, "checkpoints") if row[2] == OLD][-1]
    rows(book, "checkpoints").append([last[0], 900, *last[2:]])


def last_checkpoint_missing(book: Book) -> None:
    rows(book, "checkpoints").remove([row for row in rows(book, "checkpoints") if row[2] == RIGHT][-1])


def closed_shard_without_an_end(book: Book) -> None:
    next(row for row in rows(book, "checkpoints") if row[3] == "SHARD_END")[3] = "ACTIVE"


def open_shard_with_an_end(book: Book) -> None:
    [row for row in rows(book, "checkpoints") if row[2] == LEFT][-1][3] = "SHARD_END"


def gap_on_record(book: Book) -> None:
    rows(book, "checkpoints")[-1][7] = 1


def gap_in_the_dead_letters(book: Book) -> None:
    rows(book, "dead").append([0, 0, "?", "0:0"])


def read_and_gone(book: Book) -> None:
    book["history"].append({
        "t": 50.0, "process": "reader", "op": "read", "type": "ok", "partition": 0, "rows": [[901, 555]],
    })  # fmt: skip


def reading_goes_on(book: Book) -> None:
    looks(book)[1]["stages"]["bridge"]["read"][OLD] = [80, 7_000]


def reading_begins_anew(book: Book) -> None:
    looks(book)[-1]["stages"]["bridge"]["read"][OLD] = [3, 400]


def memory_grows(book: Book) -> None:
    looks(book)[-1]["rss"] += 10_000


BROKEN: list[tuple[str, Callable[[Book], None]]] = [
    ("lost", change_missing), ("duplicated", change_twice), ("phantom", only_the_sub_sequence_is_wrong),
    ("phantom", other_bytes), ("source", put_and_gone), ("order", versions_swapped),
    ("order", row_in_another_partition), ("lineage", child_before_its_parent),
    ("checkpoint", checkpoint_counts_too_few), ("checkpoint", checkpoint_goes_back),
    ("checkpoint", checkpoint_after_the_end), ("checkpoint", last_checkpoint_missing),
    ("shard-end", closed_shard_without_an_end), ("shard-end", open_shard_with_an_end), ("loss", gap_on_record),
    ("loss", gap_in_the_dead_letters), ("reader", read_and_gone), ("stall", reading_goes_on),
    ("stall", reading_begins_anew), ("stall", memory_grows),
]  # fmt: skip


def test_a_bridge_without_fault_passes() -> None:
    verdict = judged(healthy())
    assert (verdict.verdict, verdict.figures["produced"], verdict.figures["out"]) == ("PASS", 24, 24)


@pytest.mark.parametrize(("invariant", "breaks"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_invariant_of_the_bridge_is_found_and_named(invariant: str, breaks: Callable[[Book], None]) -> None:
    book = healthy()
    breaks(book)
    verdict = judged(book)
    assert verdict.verdict == "FAIL"
    assert invariant in {finding.invariant for finding in verdict.findings}
    assert all(finding.witness and finding.count for finding in verdict.findings)


def test_every_invariant_of_the_bridge_is_broken_here() -> None:
    named = {(one.__doc__ or "").split("`")[1] for one in (*CHECKS, *stall.CHECKS)}
    assert named == {invariant for invariant, _ in BROKEN} - {"source", "reader"}


def test_the_witness_of_a_loss_is_the_first_lost_change() -> None:
    book = healthy()
    gone = [row for row in rows(book, "raw") if row[4] == LEFT][:2]
    book["final"]["topics"]["raw"]["rows"] = [row for row in rows(book, "raw") if row not in gone]
    [finding] = [finding for finding in judged(book).findings if finding.invariant == "lost"]
    assert (finding.count, finding.witness["shard"], finding.witness["sequence"]) == (2, LEFT, gone[0][5])


@pytest.mark.parametrize("topic", ["stream", "raw", "checkpoints", "dead"])
def test_a_dump_that_is_not_whole_is_unknown(topic: str) -> None:
    book = healthy()
    book["final"]["topics"][topic]["complete"] = False
    verdict = judged(book)
    assert verdict.verdict == "UNKNOWN"
    assert any(topic in doubt for doubt in verdict.doubts)


def test_a_report_says_how_long_a_stall_was_and_until_when_it_was_read() -> None:
    figures = judged(healthy()).figures
    assert figures["stall_seconds"] == 30.0
    assert (figures["stall_read"], figures["stall_grown"]) == ({"w0/1": 800}, {"w0/1": 80})
    assert (figures["stall_asked_until"], figures["stall_looked_until"]) == ({"w0/1": 5.0}, {"w0/1": 25.0})


def test_a_reshard_that_did_not_happen_is_unknown() -> None:
    book = healthy()
    next(event for event in book["history"] if event["op"] == "split")["fired"] = False
    assert judged(book).verdict == "UNKNOWN"


def test_what_a_change_says_is_read_back_from_its_bytes() -> None:
    data = change(7, 31, 4)
    assert (told_by(data), uid_of(data)) == (("row-7", "31:4"), 31)


@pytest.mark.parametrize("value", [None, b"", b"[]", b'{"data": {"ID": 1, "UserName": "x"}}'])
def test_anything_else_is_no_change(value: bytes | None) -> None:
    assert (told_by(value), uid_of(value)) == (("?", "0:0"), 0)
