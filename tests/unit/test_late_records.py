"""Sources that deliver in any order, and more than once: what is older than what is known says nothing new."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichers.state import RowMemory
from models.catalogue import Catalogue
from models.outcome import Drop, Ok
from models.tables import TableSpec
from tests.unit.changes import Worker, catalogue_of, dms

CREATED_US = 1_720_740_233_012_995
TABLE = (
    "  - {table: orders, entity: order, key: [order_id], owner: {org: [{column: org}]}, unknown_columns: publish%s}\n"
)
KEY = b'["","orders",7]'
ORDERS = Catalogue([TableSpec("orders", "orders", "order", ("order_id",), unknown_columns="publish")])
DSQL_KEY = b'["public","orders",7]'


def worker(tmp_path: Path, more: str = "") -> Worker:
    return Worker(catalogue_of(tmp_path, TABLE % more))


def dynamodb(at: int, status: str, name: str = "MODIFY", event: str | None = None, **more: Any) -> bytes:
    """A change of order 7, `at` microseconds after CREATED_US."""
    image = {"order_id": {"N": "7"}, "org": {"N": "3"}, "status": {"S": status}}
    images = {"OldImage": image} if name == "REMOVE" else {"NewImage": image}
    return json.dumps({
        "eventSource": "aws:dynamodb", "eventName": name, "tableName": "orders", "eventID": event or f"{status}-{at}",
        "dynamodb": {
            "ApproximateCreationDateTime": CREATED_US + at, "ApproximateCreationDateTimePrecision": "MICROSECOND",
            "Keys": {"order_id": {"N": "7"}}, **images,
        } | more,
    }).encode()  # fmt: skip


def dsql(at: int, status: str, op: str = "u", transaction: str | None = None) -> bytes:
    """A change of order 7, `at` nanoseconds after CREATED_US."""
    after = None if op == "d" else {"order_id": 7, "org": 3, "status": status}
    return json.dumps({
        "type": "full", "op": op, "before": {"order_id": 7} if op == "d" else None, "after": after,
        "source": {"ts_ns": CREATED_US * 1_000 + at, "txId": transaction or f"{status}-{at}", "schema": "public",
                   "table": "orders", "db": "postgres", "cluster": "kmab"},
    }).encode()  # fmt: skip


def published(worker: Worker, records: list[bytes]) -> list[str]:
    """Event types and the new status, of those that are published."""
    outcomes = [worker.feed(record).outcome for record in records]
    assert all(isinstance(outcome, Ok | Drop) for outcome in outcomes)
    details = [json.loads(outcome.value.value) for outcome in outcomes if isinstance(outcome, Ok)]
    return [detail["changes"].get("status", {}).get("new", detail["eventType"]) for detail in details]


@pytest.mark.parametrize("change", [dynamodb, dsql])
def test_a_change_that_comes_after_a_later_one_of_its_row_is_left_out(tmp_path: Path, change: Any) -> None:
    ours = worker(tmp_path)
    assert ours.event(change(2, "paid"))["changes"]["status"] == {"new": "paid"}
    assert ours.drop(change(1, "new")) == "late"
    assert ours.event(change(3, "sent"))["changes"]["status"] == {"new": "sent"}


@pytest.mark.parametrize("change", [dynamodb, dsql])
def test_a_change_that_was_delivered_again_was_sent_again_and_not_late(tmp_path: Path, change: Any) -> None:
    ours = worker(tmp_path)
    ours.event(change(1, "new"))
    ours.event(change(2, "paid"))
    assert (ours.drop(change(1, "new")), ours.drop(change(2, "paid"))) == ("resent", "resent")


@pytest.mark.parametrize("change", [dynamodb, dsql])
def test_of_simultaneous_changes_each_counts_in_the_order_in_which_they_come(tmp_path: Path, change: Any) -> None:
    ours = worker(tmp_path)
    assert published(ours, [change(1, "paid"), change(1, "sent"), change(1, "paid")]) == ["paid", "sent"]


@pytest.mark.parametrize(("change", "deleted"), [(dynamodb, "REMOVE"), (dsql, "d")])
def test_an_older_change_does_not_bring_a_deleted_row_back(tmp_path: Path, change: Any, deleted: str) -> None:
    ours = worker(tmp_path)
    ours.event(change(1, "new"))
    ours.event(change(3, "paid", deleted))
    assert ours.drop(change(2, "paid")) == "late"
    assert ours.drop(change(3, "paid", deleted)) == "resent"
    assert ours.event(change(4, "new again"))["changes"]["status"] == {"new": "new again"}


def test_of_a_deleted_row_only_its_place_in_the_order_is_kept(tmp_path: Path) -> None:
    ours = worker(tmp_path)
    ours.event(dynamodb(1, "new"))
    assert ours.state.memories[KEY].org_id == "3"
    ours.event(dynamodb(2, "new", "REMOVE"))
    kept = ours.state.memories[KEY]
    assert (kept.org_id, kept.user_id, kept.order) == (None, None, CREATED_US + 2)
    assert kept.updated_ms == CREATED_US // 1_000


def test_a_deleted_row_of_a_source_with_order_that_nobody_looks_up_is_forgotten_whole() -> None:
    ours = Worker()
    ours.event(dms("insert", {"ID": 7, "Number": "+15550100", "OrgID": 3, "Status": "A"}, table="pool"))
    assert ours.state.memories
    ours.event(dms("delete", {"ID": 7}, table="pool"))
    assert ours.state.memories == {}


@given(st.permutations([(1, "a"), (2, "b"), (3, "c"), (4, "d")]), st.lists(st.integers(0, 3), max_size=4))
def test_in_whatever_order_changes_come_the_latest_is_the_last_that_is_published(
    changes: list[tuple[int, str]], again: list[int]
) -> None:
    ours = Worker(ORDERS)
    records = [dynamodb(*change) for change in changes]
    seen = published(ours, records + [records[index] for index in again])
    assert seen[-1] == "d"
    assert seen == sorted(seen), "what is published goes forward only"


def test_a_replayed_change_is_published_and_does_not_set_its_row_back(tmp_path: Path) -> None:
    ours = worker(tmp_path)
    ours.event(dynamodb(2, "paid"))
    known = ours.state.memories[KEY]
    assert ours.event(dynamodb(1, "new"), replay=1)["metadata"]["replay"] == 1
    assert ours.event(dynamodb(1, "new", "REMOVE"), replay=1)["operation"] == "DELETE"
    now = ours.state.memories[KEY]
    assert (now.order, now.org_id) == (known.order, "3")
    assert ours.drop(dynamodb(1, "other")) == "late"


def test_a_table_that_wants_all_or_remembers_nothing_gets_what_comes(tmp_path: Path) -> None:
    for more in (", duplicates: pass", ", memory: none"):
        ours = worker(tmp_path, more)
        assert published(ours, [dynamodb(2, "paid"), dynamodb(1, "new")]) == ["paid", "new"]


def test_microseconds_and_nanoseconds_tell_what_milliseconds_do_not(tmp_path: Path) -> None:
    assert worker(tmp_path).event(dsql(1, "paid"))["timestamp"] == "2024-07-11T23:23:53.012995Z"
    ours = worker(tmp_path)
    ours.event(dsql(2, "paid"))
    assert ours.drop(dsql(1, "new")) == "late"
    assert ours.state.memories[DSQL_KEY].order == CREATED_US * 1_000 + 2


def test_what_an_older_release_remembers_of_a_row_has_no_order_yet(tmp_path: Path) -> None:
    ours = worker(tmp_path)
    ours.state.memories[KEY] = RowMemory.decode(b'{"org_id":"3","user_id":null,"changes":["x"],"updated_ms":5,"v":1}')
    assert ours.event(dynamodb(1, "new"))["orgId"] == "3"
    assert ours.state.memories[KEY].order == CREATED_US + 1


def test_a_late_change_sets_no_lookup_back(tmp_path: Path) -> None:
    ours = worker(tmp_path, ", memory: none, provides: {lookup: orders, key: order_id, org: org}")
    newer = json.loads(dynamodb(2_000, "paid"))
    newer["dynamodb"]["NewImage"]["org"] = {"N": "4"}
    ours.event(json.dumps(newer).encode())
    ours.event(dynamodb(1, "new"))
    entry = ours.state.lookup("orders", KEY)
    assert entry is not None
    assert entry.org_id == "4"


def test_one_delivery_of_a_change_of_dsql_has_the_id_of_every_other(tmp_path: Path) -> None:
    ids = {worker(tmp_path).event(dsql(1, "new"), sequence=str(number))["eventId"] for number in (1, 2)}
    assert len(ids) == 1
    changes = [dsql(1, "new"), dsql(1, "new", transaction="t"), dsql(1, "new", "c")]
    assert len({worker(tmp_path).event(change)["eventId"] for change in changes}) == 3


def test_a_transaction_of_dsql_names_no_row_whose_key_is_not_told(tmp_path: Path) -> None:
    for one, two in permutations([7, 8], 2):
        ours = worker(tmp_path, ", redact: {order_id: HASH}")
        records = [dsql(1, "new").replace(b'"order_id": 7', b'"order_id": %d' % number) for number in (one, two)]
        assert len({ours.event(record)["eventId"] for record in records}) == 2
