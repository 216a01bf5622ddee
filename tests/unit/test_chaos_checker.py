"""The checker of `cdc chaos` finds what it is there for: each invariant is broken once, by hand."""

import base64
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from models.routing import partition_of
from sandbox.chaos import bridged, published, stall
from sandbox.chaos.checker import CHECKS, Verdict, check
from sandbox.chaos.evidence import Evidence
from sandbox.chaos.plan import Action, Plan, SinkFaults, WorkerPlan, Workload
from sandbox.chaos.sink import refused
from workers.engine.ledger import Ledger

PARTITIONS = 2
INPUTS = 40
REFUSED = 0.1
SEED = 3
WORKERS = (WorkerPlan("w0", ("count", "deliver")), WorkerPlan("w1", ("count", "deliver")))
PLAN = Plan(
    "by-hand", SEED, 10.0, Workload(stages=("count", "deliver"), partitions=PARTITIONS), WORKERS,
    (Action(1.0, "kill", "w0"),), SinkFaults(refused=REFUSED), {"pause": 2.5, "peer_pause": 1.0},
)  # fmt: skip
GLOBAL = Plan(
    "by-hand", SEED, 10.0, Workload(stages=("count",), table="global-table", partitions=PARTITIONS),
    (WorkerPlan("w0", ("count",)), WorkerPlan("w1", ("count",))), (),
)  # fmt: skip
AHEAD = Plan("by-hand", SEED, 10.0, PLAN.workload, WORKERS, (Action(1.0, "delete-ahead", "records", 2.0),), PLAN.sink)

Book = dict[str, Any]
"""{"history": [...], "final": {...}}: what a run leaves behind."""


def encoded(table: dict[str, int]) -> dict[str, str]:
    return {base64.b64encode(key.encode()).decode(): str(count) for key, count in table.items()}


def healthy(plan: Plan = PLAN) -> Book:
    """A run in which everything went well: put at t=1.., delivered at t=100.., committed at t=1000."""
    history: list[dict[str, Any]] = []
    rows: dict[str, list[list[Any]]] = {"in": [], "out": [], "receipts": [], "dead": []}
    versions: Counter[str] = Counter()
    ends: Counter[int] = Counter()
    tables: dict[int, dict[str, int]] = defaultdict(dict)
    for uid in range(1, INPUTS + 1):
        key = f"k{uid % 5}"
        versions[key] += 1
        version, partition = versions[key], partition_of(key.encode(), PARTITIONS)
        offset = ends[partition]
        ends[partition] += 1
        put = {"process": "source", "op": "put", "key": key, "uid": uid, "version": version}
        history.append({"t": float(uid), "type": "invoke"} | put)
        history.append({"t": float(uid), "type": "ok", "partition": partition, "offset": offset} | put)
        tables[partition][key] = version
        rows["in"].append([partition, offset, key, f"{uid}:{version}"])
        rows["out"].append([partition, offset, key, f"{uid}:{version}:{version}"])
        seen = {"process": "reader", "op": "read", "type": "ok", "partition": partition, "rows": [[offset, uid]]}
        history.append({"t": uid + 0.5} | seen)
        says_no = refused(SEED, uid, plan.sink.refused)
        sink = {"process": "sink", "op": "refuse" if says_no else "deliver", "type": "ok"}
        history.append({"t": 100.0 + uid, "key": key, "uid": uid, "version": version} | sink)
        rows["dead" if says_no else "receipts"].append([partition, offset, key, f"{uid}:1"])
    history += [
        {"t": 1000.0, "process": "poller", "op": "committed", "type": "ok", "stage": "deliver",
         "offsets": {str(partition): ends[partition]}}
        for partition in range(PARTITIONS)
    ]  # fmt: skip
    history.append({"t": 1.0, "process": "nemesis", "op": "kill", "type": "invoke", "action": 0, "target": "w0"})
    done = {"process": "nemesis", "type": "ok", "action": 0, "target": "w0", "fired": True, "proof": {"code": 137}}
    history.append({"t": 2.0, "op": plan.actions[0].kind if plan.actions else "kill"} | done)
    state = {"ready": True, "restarts": 0, "slots": [0], "gaps": {}, "pauses": [], "engine_pauses": [], "gap_count": 0}
    for t, pauses in ((0.5, []), (5.0, [0.2])):
        stages = {"count": state | {"pauses": pauses}}
        history.append({"t": t, "process": "w1", "op": "stats", "type": "info", "pid": 11, "stages": stages})
    history += [
        {"t": 2000.0, "process": worker, "op": "exit", "type": "info", "by": "harness", "code": 0, "pid": 11,
         "answered": True, "signal": "SIGTERM", "stuck": False}
        for worker in ("w0", "w1")
    ]  # fmt: skip
    whole = {str(index): encoded(table) for index, table in tables.items()}
    everywhere = plan.workload.table == "global-table"
    ledgers = {
        str(partition): [ends[partition], Ledger({"in": ends[partition], "out": ends[partition]}).encode()]
        for partition in range(PARTITIONS)
    }
    final = {
        "topics": {name: {"rows": found, "complete": True} for name, found in rows.items()},
        "drained": dict.fromkeys(plan.workload.stages, True),
        "ready": True,
        "committed": dict.fromkeys(plan.workload.stages, ledgers),
        "live": {
            f"w{slot}": {"slots": [slot], "partitions": whole if everywhere else {str(slot): whole[str(slot)]}}
            for slot in range(PARTITIONS)
        },
        "fresh": {"slots": [0, 1], "partitions": whole},
        "sink": {"lost_events": 0},
        "skipped": {},
    }  # fmt: skip
    book = {"history": history, "final": final}
    read: Book = json.loads(json.dumps(book))  # as from the files, and nothing is shared
    return read


def judged(book: Book, plan: Plan = PLAN) -> Verdict:
    return check(Evidence(plan, book["history"], book["final"]))


def rows(book: Book, topic: str) -> list[list[Any]]:
    found: list[list[Any]] = book["final"]["topics"][topic]["rows"]
    return found


def events(book: Book, op: str) -> list[dict[str, Any]]:
    return [event for event in book["history"] if event["op"] == op]


def without(book: Book, op: str, uid: int) -> None:
    book["history"] = [event for event in book["history"] if (event["op"], event.get("uid")) != (op, uid)]


def same_partition(book: Book) -> tuple[list[Any], list[Any]]:
    """Two outputs of different keys in one partition, one right after the other."""
    found = sorted(rows(book, "out"))
    return next((a, b) for a, b in itertools.pairwise(found) if a[0] == b[0] and a[2] != b[2])


def an_event(book: Book) -> dict[str, Any]:
    """A first delivery to the sink."""
    return events(book, "deliver")[3]


def acknowledged_but_gone(book: Book) -> None:
    for topic in ("in", "out", "receipts", "dead"):
        del rows(book, topic)[0]


def aborted_but_there(book: Book) -> None:
    for event in events(book, "put"):
        if event["uid"] == 7 and event["type"] == "ok":
            event["type"] = "fail"


def output_missing(book: Book) -> None:
    del rows(book, "out")[5]


def output_twice(book: Book) -> None:
    partition, _, key, value = rows(book, "out")[5]
    rows(book, "out").append([partition, 900, key, value])


def output_of_nothing(book: Book) -> None:
    rows(book, "out").append([0, 900, "k1", "777:99:1"])


def outputs_swapped(book: Book) -> None:
    first, second = same_partition(book)
    first[1], second[1] = second[1], first[1]


def versions_swapped(book: Book) -> None:
    first, second = [row for row in rows(book, "out") if row[2] == "k1"][:2]
    first[1], second[1] = second[1], first[1]


def read_and_gone(book: Book) -> None:
    book["history"].append({
        "t": 50.0, "process": "reader", "op": "read", "type": "ok", "partition": 0, "rows": [[901, 555]],
    })  # fmt: skip


def counter_too_high(book: Book) -> None:
    row = rows(book, "out")[10]
    uid, version, count = row[3].split(":")
    row[3] = f"{uid}:{version}:{int(count) + 1}"


def fresh_table_differs(book: Book) -> None:
    table = book["final"]["fresh"]["partitions"]["0"]
    table[next(iter(table))] = "1000"


def live_table_differs(book: Book) -> None:
    table = book["final"]["live"]["w1"]["partitions"]["1"]
    del table[next(iter(table))]


def slot_with_two_owners(book: Book) -> None:
    book["final"]["live"]["w0"] = {"slots": [0, 1], "partitions": book["final"]["fresh"]["partitions"]}


def ledger_short(book: Book) -> None:
    offset, _ = book["final"]["committed"]["count"]["1"]
    book["final"]["committed"]["count"]["1"] = [offset, Ledger({"in": offset - 1, "out": offset - 1}).encode()]


def ledger_unbalanced(book: Book) -> None:
    offset, _ = book["final"]["committed"]["deliver"]["0"]
    book["final"]["committed"]["deliver"]["0"] = [offset, Ledger({"in": offset, "out": offset + 1}).encode()]


def never_delivered(book: Book) -> None:
    without(book, "deliver", an_event(book)["uid"])


def delivered_from_nowhere(book: Book) -> None:
    book["history"].append(an_event(book) | {"uid": 9999, "t": 500.0})


def delivered_out_of_order(book: Book) -> None:
    first, second = [event for event in events(book, "deliver") if event["key"] == "k1"][:2]
    first["t"], second["t"] = second["t"], first["t"]


def committed_before_delivery(book: Book) -> None:
    an_event(book)["t"] = 1000.5


def receipt_missing(book: Book) -> None:
    del rows(book, "receipts")[0]


def receipt_twice(book: Book) -> None:
    partition, _, key, value = rows(book, "receipts")[0]
    rows(book, "receipts").append([partition, 900, key, value])


def dead_letter_of_a_good_event(book: Book) -> None:
    partition, _, key, value = rows(book, "receipts")[0]
    rows(book, "dead").append([partition, 900, key, value])


def sent_again_without_end(book: Book) -> None:
    event = an_event(book)
    book["history"] += [event | {"t": 500.0 + n} for n in range(3000)]


def process_gone(book: Book) -> None:
    book["history"].append({
        "t": 9.0, "process": "w1", "op": "exit", "type": "info", "by": "itself", "code": 1, "pid": 11, "answered": True,
    })  # fmt: skip


def process_stuck(book: Book) -> None:
    events(book, "exit")[0]["stuck"] = True


def process_ends_with_an_error(book: Book) -> None:
    events(book, "exit")[0]["code"] = 1


def input_left(book: Book) -> None:
    book["final"]["drained"]["count"] = False


def worker_not_ready(book: Book) -> None:
    book["final"]["ready"] = False


def gap_from_nowhere(book: Book) -> None:
    events(book, "stats")[-1]["stages"]["count"]["gap_count"] = 1


def long_pause(book: Book) -> None:
    events(book, "stats")[-1]["stages"]["count"]["engine_pauses"] = [2.6]


def long_pause_of_a_peer(book: Book) -> None:
    events(book, "stats")[-1]["stages"]["count"]["pauses"] = [0.7, 0.6]


BROKEN: list[tuple[str, Callable[[Book], None]]] = [
    ("source", acknowledged_but_gone), ("source", aborted_but_there), ("lost", output_missing),
    ("duplicated", output_twice), ("phantom", output_of_nothing), ("order", outputs_swapped),
    ("version", versions_swapped), ("reader", read_and_gone), ("counter", counter_too_high),
    ("table-fresh", fresh_table_differs), ("table-live", live_table_differs), ("table-live", slot_with_two_owners),
    ("ledger", ledger_short), ("ledger", ledger_unbalanced), ("delivered", never_delivered),
    ("sink-phantom", delivered_from_nowhere), ("sink-order", delivered_out_of_order),
    ("committed-past", committed_before_delivery), ("receipts", receipt_missing), ("receipts", receipt_twice),
    ("dead-letters", dead_letter_of_a_good_event), ("resends", sent_again_without_end), ("exit", process_gone),
    ("exit", process_stuck), ("exit", process_ends_with_an_error), ("liveness", input_left),
    ("liveness", worker_not_ready), ("gap", gap_from_nowhere), ("pause", long_pause),
    ("peer-pause", long_pause_of_a_peer),
]  # fmt: skip


def test_a_run_without_fault_passes() -> None:
    assert judged(healthy()).verdict == "PASS"
    assert judged(healthy(GLOBAL), GLOBAL).verdict == "PASS"


def test_the_healthy_run_has_refused_events_too() -> None:
    assert rows(healthy(), "dead")


@pytest.mark.parametrize(("invariant", "breaks"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_invariant_is_found_and_named(invariant: str, breaks: Callable[[Book], None]) -> None:
    book = healthy()
    breaks(book)
    verdict = judged(book)
    assert verdict.verdict == "FAIL"
    assert invariant in {finding.invariant for finding in verdict.findings}
    assert all(finding.witness and finding.count for finding in verdict.findings)


def test_every_invariant_is_broken_here() -> None:
    ours = [one for one in CHECKS if one not in (*bridged.CHECKS, *published.CHECKS, *stall.CHECKS)]
    named = {word.strip("`,:") for one in ours for word in (one.__doc__ or "").split(": ")[0].split()}
    assert named == {invariant for invariant, _ in BROKEN} - {"sink-phantom"}


def test_a_global_table_that_differs_on_one_worker_is_found() -> None:
    book = healthy(GLOBAL)
    table = book["final"]["live"]["w1"]["partitions"]["0"]
    table[next(iter(table))] = "1000"
    assert [finding.invariant for finding in judged(book, GLOBAL).findings] == ["table-live"]


def test_the_witness_of_a_loss_is_the_first_lost_record() -> None:
    book = healthy()
    gone = sorted(rows(book, "out"))[2:5]
    book["final"]["topics"]["out"]["rows"] = [row for row in rows(book, "out") if row not in gone]
    [finding] = [finding for finding in judged(book).findings if finding.invariant == "lost"]
    assert (finding.count, finding.witness["offset"], finding.witness["key"]) == (3, gone[0][1], gone[0][2])


def test_a_record_deleted_ahead_of_the_stage_is_no_loss_if_it_was_reported() -> None:
    book = healthy(AHEAD)
    last = max(row[1] for row in rows(book, "in") if row[0] == 0)
    book["final"]["skipped"] = {"0": [[last, last + 1]]}
    key = next(row[2] for row in rows(book, "in") if row[:2] == [0, last])
    for topic in ("out", "receipts", "dead"):
        kept = [row for row in rows(book, topic) if row[:2] != [0, last]]
        book["final"]["topics"][topic]["rows"] = kept
    book["history"] = [event for event in book["history"] if event["op"] not in ("deliver", "refuse", "read")]
    silent = judged(book, AHEAD)
    events(book, "stats")[-1]["stages"]["count"]["gap_count"] = 1
    loud = judged(book, AHEAD)
    assert key
    assert "lost" not in {finding.invariant for finding in silent.findings}
    assert "gap" in {finding.invariant for finding in silent.findings}
    assert "gap" not in {finding.invariant for finding in loud.findings}


def test_a_fault_that_did_not_fire_is_unknown() -> None:
    book = healthy()
    events(book, "kill")[-1].update(fired=False, type="info")
    verdict = judged(book)
    assert verdict.verdict == "UNKNOWN"
    assert "did not fire" in verdict.doubts[0]


def test_a_fault_that_was_never_tried_is_unknown() -> None:
    book = healthy()
    book["history"] = [event for event in book["history"] if event["process"] != "nemesis"]
    assert judged(book).verdict == "UNKNOWN"


@pytest.mark.parametrize("topic", ["in", "out", "receipts", "dead"])
def test_a_reader_that_did_not_reach_the_end_is_unknown(topic: str) -> None:
    book = healthy()
    del rows(book, topic)[-1]
    book["final"]["topics"][topic]["complete"] = False
    verdict = judged(book)
    assert verdict.verdict != "PASS"
    assert any(topic in doubt for doubt in verdict.doubts)


def test_a_run_that_was_broken_off_is_unknown() -> None:
    book = healthy()
    book["final"] |= {"aborted": "the workers were not ready", "topics": {}, "drained": {}, "ready": False, "live": {}}
    assert judged(book).verdict == "UNKNOWN"


def test_a_fresh_worker_that_showed_nothing_is_unknown() -> None:
    book = healthy()
    book["final"]["fresh"] = None
    assert judged(book).verdict == "UNKNOWN"


def test_a_broken_invariant_outweighs_a_doubt() -> None:
    book = healthy()
    output_twice(book)
    events(book, "kill")[-1]["fired"] = False
    assert judged(book).verdict == "FAIL"


def frozen(book: Book, *looks: tuple[float, list[float]]) -> dict[str, Any]:
    """Figures when w1 stands still from t=11 to t=20, and reports these pauses when it is looked at."""
    freeze = {"process": "nemesis", "op": "stop", "action": 1, "target": "w1"}
    look = {"process": "w1", "op": "stats", "type": "info", "pid": 11}
    state = events(book, "stats")[0]["stages"]["count"]
    seen = [
        {"t": t, "stages": {"count": state | {"pauses": pauses, "engine_pauses": pauses}}} | look for t, pauses in looks
    ]
    stop = [{"t": 11.0, "type": "invoke"} | freeze, {"t": 20.0, "type": "ok", "fired": True, "proof": {}} | freeze]
    book["history"] = sorted([*book["history"], *stop, *seen], key=lambda event: float(event["t"]))
    return judged(book).figures


@pytest.mark.parametrize(
    ("looks", "longest"),
    [
        ([(10.5, [0.2]), (20.3, [0.2, 9.2])], 0.3),
        ([(10.5, [0.2]), (20.3, [0.2]), (21.3, [0.2, 10.0])], 1.3),
        ([(10.5, [0.2]), (20.3, [0.2]), (30.3, [0.2]), (31.3, [0.2, 10.5])], 10.5),
        ([(10.5, [0.2]), (10.9, [0.2, 3.0]), (20.3, [0.2, 3.0])], 3.0),
    ],
    ids=["in the middle", "told a look later", "behind the freeze", "before the freeze"],
)
def test_the_time_a_worker_stood_still_is_no_pause_of_the_engine(
    looks: list[tuple[float, list[float]]], longest: float
) -> None:
    """Seed 3 of bridge-reshard: SIGSTOP in the middle of a rebalance, 8.95 s of a pause of 9.07 s."""
    figures = frozen(healthy(), *looks)
    assert figures["engine_pause_max"] == pytest.approx(longest, abs=0.1)
    assert figures["pause_max"] == pytest.approx(longest, abs=0.1)


def test_a_pause_of_a_worker_that_nobody_froze_counts_whole() -> None:
    book = healthy()
    events(book, "stats")[-1]["stages"]["count"]["engine_pauses"] = [2.4]
    assert judged(book).figures["engine_pause_max"] == 2.4
