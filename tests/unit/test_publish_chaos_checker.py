"""The checker of the publisher's chaos runs finds what it is there for: each invariant is broken once, by hand."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.chaos.checker import Verdict, check
from sandbox.chaos.evidence import Evidence
from sandbox.chaos.plan import Action, Plan, SinkFaults, WorkerPlan, Workload
from sandbox.chaos.published import CHECKS
from sandbox.chaos.publishing import event, numbers_in, poison, uid_in
from sandbox.chaos.sink import refused
from workers.engine.ledger import Ledger

PLAN = Plan(
    "by-hand", 1, 10.0, Workload(stages=("publish",), partitions=2), (WorkerPlan("w0", ("publish",)),),
    (Action(1.0, "bus-slow", "bus", 2.0), Action(5.0, "bus-loss", "bus", 7.0)), SinkFaults(refused=0.2),
)  # fmt: skip
LOST = 5_000.0

Book = dict[str, Any]
"""{"history": […], "final": {…}}: what a run leaves behind."""


def healthy() -> Book:
    """Five versions of four rows, some of them poison; one event is sent twice, one goes nowhere."""
    history: list[dict[str, Any]] = []
    topics: dict[str, list[list[Any]]] = {"events": [], "receipts": [], "dead": []}
    for uid in range(1, 21):
        key, version, partition, offset = f"k{uid % 4}", (uid + 3) // 4, uid % 2, uid // 2
        numbers, put = f"{uid}:{version}", {"key": key, "uid": uid, "version": version}
        history.append({"t": float(uid), "process": "source", "op": "put", "type": "ok", **put})
        topics["events"].append([partition, offset, key, numbers])
        if refused(PLAN.seed, uid, PLAN.sink.refused):
            topics["dead"].append([partition, offset, key, numbers])
            continue
        topics["receipts"].append([partition, offset, f"evt_{uid}_{version}", numbers])
        history.append({
            "t": 50.0, "process": "bus", "op": "deliver", "type": "ok", "uid": uid, "key": key, "at": LOST + 0.1 * uid,
            "request": uid, "digest": f"d{uid}", "nowhere": False,
        })  # fmt: skip
    taken = [line for line in history if line["op"] == "deliver"]
    taken[1]["nowhere"] = True
    history.append(taken[0] | {"request": 99})
    proofs: list[dict[str, Any]] = [{"fired": 1}, {"lost": LOST, "back": LOST + 7, "missed": 1}]
    for number, (action, proof) in enumerate(zip(PLAN.actions, proofs, strict=True)):
        history.append({
            "t": 60.0, "process": "nemesis", "op": action.kind, "type": "ok", "action": number, "target": "bus",
            "fired": True, "proof": proof,
        })  # fmt: skip
    counts = {"in": 10, "out": 10}
    final = {
        "topics": {name: {"rows": sorted(rows), "complete": True} for name, rows in topics.items()},
        "drained": {"publish": True}, "ready": True, "live": {},
        "committed": {"publish": {index: [11, Ledger(counts).encode()] for index in ("0", "1")}},
        "bus": {"accepted": 1, "nowhere": 1, "forgotten": 0, "failed": {}, "crowded": []},
    }  # fmt: skip
    read: Book = json.loads(json.dumps({"history": history, "final": final}))
    return read


def taken(book: Book) -> list[dict[str, Any]]:
    return [line for line in book["history"] if line["op"] == "deliver"]


def rows(book: Book, topic: str) -> list[list[Any]]:
    found: list[list[Any]] = book["final"]["topics"][topic]["rows"]
    return found


def judged(book: Book) -> Verdict:
    return check(Evidence(PLAN, book["history"], book["final"]))


def never_taken(book: Book) -> None:
    book["history"].remove(taken(book)[3])


def poison_taken(book: Book) -> None:
    book["history"].append(taken(book)[0] | {"uid": int(rows(book, "dead")[0][3].partition(":")[0])})


def repeated_with_other_bytes(book: Book) -> None:
    taken(book)[-1]["digest"] = "other"


def two_of_one_entity_in_a_request(book: Book) -> None:
    book["final"]["bus"]["crowded"] = [{"request": 1, "entity": "users:k1", "entries": 2}]


def sent_to_a_bus_known_to_be_gone(book: Book) -> None:
    taken(book)[1]["at"] = LOST + 6.5


def nowhere_though_the_bus_was_there(book: Book) -> None:
    taken(book)[1]["at"] = LOST + 60


def offset_before_the_end(book: Book) -> None:
    book["final"]["committed"]["publish"]["0"][0] = 10


def later_event_first(book: Book) -> None:
    first, second = [line for line in taken(book) if line["key"] == taken(book)[2]["key"]][:2]
    first["t"], second["t"] = 51.0, 50.0


def receipt_missing(book: Book) -> None:
    del rows(book, "receipts")[0]


def poison_without_a_letter(book: Book) -> None:
    del rows(book, "dead")[0]


def ledger_short(book: Book) -> None:
    book["final"]["committed"]["publish"]["1"][1] = Ledger({"in": 9, "out": 9}).encode()


BROKEN: list[tuple[str, Callable[[Book], None]]] = [
    ("delivered", never_taken), ("sink-phantom", poison_taken), ("same-bytes", repeated_with_other_bytes),
    ("crowded", two_of_one_entity_in_a_request), ("nowhere", sent_to_a_bus_known_to_be_gone),
    ("nowhere", nowhere_though_the_bus_was_there), ("position", offset_before_the_end),
    ("sink-order", later_event_first), ("receipts", receipt_missing), ("dead-letters", poison_without_a_letter),
    ("ledger", ledger_short),
]  # fmt: skip


def test_a_publisher_without_fault_passes() -> None:
    verdict = judged(healthy())
    assert (verdict.verdict, verdict.figures["produced"], verdict.figures["nowhere"]) == ("PASS", 20, 1)
    assert rows(healthy(), "dead")


@pytest.mark.parametrize(("invariant", "breaks"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_invariant_of_the_publisher_is_found_and_named(invariant: str, breaks: Callable[[Book], None]) -> None:
    book = healthy()
    breaks(book)
    verdict = judged(book)
    assert verdict.verdict == "FAIL"
    assert invariant in {finding.invariant for finding in verdict.findings}
    assert all(finding.witness and finding.count for finding in verdict.findings)


def test_every_invariant_of_the_publisher_is_broken_here() -> None:
    named = {(one.__doc__ or "").split("`")[1] for one in CHECKS}
    assert named <= {invariant for invariant, _ in BROKEN}


def refusing_credentials(book: Book, code: int, at: float) -> Book:
    """From 100 to 102 the bus takes none; a publisher is ended, and gone `at` that time."""
    fault = {"process": "nemesis", "op": "bus-token", "action": 2, "target": "bus"}
    book["history"] += [fault | {"t": 100.0, "type": "invoke"}, fault | {"t": 102.0, "type": "ok", "fired": True}]
    book["history"].append({
        "t": at, "process": "w0", "op": "exit", "type": "info", "by": "nemesis", "code": code, "pid": 11,
        "answered": True, "signal": "SIGTERM", "stuck": False,
    })  # fmt: skip
    return book


def test_a_publisher_that_waits_for_an_operator_may_say_so_when_it_ends() -> None:
    assert judged(refusing_credentials(healthy(), 7, 110.0)).verdict == "PASS"


@pytest.mark.parametrize(("code", "at"), [(1, 110.0), (7, 99.0), (7, 200.0)])
def test_any_other_end_of_a_publisher_is_found(code: int, at: float) -> None:
    verdict = judged(refusing_credentials(healthy(), code, at))
    assert [finding.invariant for finding in verdict.findings] == ["exit"]


def test_a_bus_that_forgot_is_unknown() -> None:
    book = healthy()
    book["final"]["bus"]["forgotten"] = 1
    assert judged(book).verdict == "UNKNOWN"


def test_a_kill_that_no_request_met_is_unknown() -> None:
    book = healthy()
    book["history"].remove(taken(book)[-1])
    assert any("acceptance" in doubt for doubt in judged(book).doubts)


@pytest.mark.parametrize("value", [event("k1", 31, 4), poison(31, 4), b'{"eventId":"evt_31_4"}'])
def test_what_a_record_says_is_read_back_from_its_bytes(value: bytes) -> None:
    assert (numbers_in(value), uid_in(value)) == ("31:4", 31)


@pytest.mark.parametrize("value", [None, b"", b"[]", b'{"eventId":"evt_a_4"}', b"poison_1"])
def test_anything_else_is_none_of_ours(value: bytes | None) -> None:
    assert (numbers_in(value), uid_in(value)) == ("0:0", 0)
