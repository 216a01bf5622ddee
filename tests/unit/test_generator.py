"""The change generator: the same traffic for a seed, rows in order, and a ledger that the pipeline agrees with."""

import json
import threading
import time
from collections import Counter
from typing import Any

import pytest

from enrichers.in_memory import InMemoryState
from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.routing import route
from models.catalogue import TELEPHONY, load_catalogue
from models.outcome import Dead, Drop, Ok
from models.raw import Origin, RawRecord
from models.source_spec import ADAPTERS, Adapter
from sandbox.generator.deck import EARLY
from sandbox.generator.ledger import Canaries, Ending, SourceChange, expected
from sandbox.generator.sender import MOST_RECORDS, Sender, next_batch
from sandbox.generator.traffic import Traffic

TABLES = [spec.name for spec in TELEPHONY]


def test_a_seed_always_gives_the_same_records() -> None:
    assert list(Traffic(5, 400)) == list(Traffic(5, 400))
    assert list(Traffic(5, 400)) != list(Traffic(6, 400))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 30, 100, 1_000])
def test_exactly_as_many_records_as_asked_for(count: int) -> None:
    for seed in range(5):
        assert [change.number for change in Traffic(seed, count)] == list(range(count))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_traffic_holds_every_table_and_every_ending(adapter: Adapter) -> None:
    changes = list(Traffic(1, 2_000, adapter=adapter))
    assert len(changes) == 2_000
    kinds = Counter(change.kind for change in changes)
    for table in TABLES:
        assert kinds[f"{table} insert"], table
    assert {ending for ending, _ in expected(changes)} == set(Ending)
    owned = {(change.org_id is None, change.user_id is None) for change in changes if change.row}
    assert owned == {(False, False), (False, True), (True, True)}


@pytest.mark.parametrize("adapter", ["dynamodb", "dsql"])
def test_changes_are_overtaken_where_the_stream_has_no_order(adapter: Adapter) -> None:
    changes = list(Traffic(1, 2_000, adapter=adapter))
    assert sum(change.reason == "late" for change in changes) >= 5
    assert sum(change.reason == "resent" for change in changes) >= 50


def test_traffic_of_dms_holds_all_kinds_of_records() -> None:
    changes = list(Traffic(1, 2_000))
    kinds = Counter(change.kind for change in changes)
    for kind in ("users load", "users delete", "users key change", "groups delete", "control", "unknown table",
                 "resent", "group_maps_log before its group", "poison: broken JSON", "poison: no key",
                 "poison: wrong type"):  # fmt: skip
        assert kinds[kind], kind
    assert any(change.data.startswith(b"{\n") for change in changes)
    assert any(b'"BI_' in change.data for change in changes)
    assert any(b'"before-image"' in change.data for change in changes)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_versions_of_a_row_grow_by_one_and_share_a_partition_key(adapter: Adapter) -> None:
    newest: dict[str, int] = {}
    keys: dict[str, str] = {}
    for change in Traffic(3, 2_000, adapter=adapter):
        if change.row is None or change.repeats is not None:
            continue
        assert change.version == newest.get(change.row, 0) + 1
        newest[change.row] = change.version
        assert keys.setdefault(change.row, change.partition_key) == change.partition_key


def test_a_group_follows_the_row_that_refers_to_it() -> None:
    changes = list(Traffic(1, 2_000))
    inserted = {change.row: change.number for change in changes if change.kind == "groups insert"}
    early = [change for change in changes if change.kind == "group_maps_log before its group"]
    for change in early:
        group = json.loads(change.data)["data"]["GroupID"]
        assert 0 < inserted[f"groups:{group}"] - change.number < 20
    assert early


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_pipeline_ends_every_record_as_the_ledger_says(adapter: Adapter, seed: int) -> None:
    traffic = Traffic(seed, 1_000, adapter=adapter)
    catalogue = load_catalogue("telephony", None)
    pipeline = Pipeline(catalogue, PipelineOptions(environment="LOCAL", redaction_key=b"k" * 32))
    state = InMemoryState()
    event_ids: dict[int, str] = {}
    ownerless: list[str] = []
    for change in traffic:
        found = route(change.data, change.partition_key, catalogue, adapter)
        record = RawRecord(
            value=change.data, key=found.key, origin=Origin("stream", "shard", str(change.number)), topic="raw",
            partition=0, offset=change.number, timestamp_ms=1_768_473_000_000, source="core", adapter=found.adapter,
            table=found.table,
        )  # fmt: skip
        if found.retired_key is not None:
            state.apply(_retired(pipeline, record, found.retired_key, state))
        result = pipeline.run(record, state, patient=False)
        state.apply(result.effects)
        ended = result.outcome
        where = f"{change.number} {change.kind}"
        match ended:
            case Ok(event):
                assert change.ending is Ending.PUBLISHED, where
                assert not traffic.canaries.leaked(event.value.decode(), change.canaries), where
                assert event_ids.setdefault(change.change, event.event_id) == event.event_id, where
                detail = json.loads(event.value)
                assert f"{detail['entityType']}:{detail['entityId']}" == change.row, where
                if detail["metadata"]["enrichment"]["source"] != "missing":
                    assert (detail.get("orgId"), detail.get("userId")) == (change.org_id, change.user_id), where
                else:
                    ownerless.append(change.kind)
            case Drop(reason):
                assert (change.ending, change.reason) == (Ending.FILTERED, reason), where
            case Dead(failure):
                assert (change.ending, change.reason) == (Ending.DEAD, failure), where
            case _:
                pytest.fail(f"{where} did not end")
    assert set(ownerless) <= {EARLY}  # there is nobody here to wait


def _retired(pipeline: Pipeline, record: RawRecord, key: bytes, state: InMemoryState) -> Any:
    from msgspec.structs import replace

    return pipeline.run(replace(record, value=None, key=key, retired=True), state).effects


def test_a_canary_is_found_as_a_token_and_inside_of_its_own_events() -> None:
    canaries = Canaries()
    canaries.plant("ana.silva.x7q2k1", "users.Email")
    canaries.plant("4821-9375", "users.PIN")
    assert canaries.leaked('{"Email":"ana.silva.x7q2k1@corp.example"}') == {"users.Email"}
    assert canaries.leaked('{"Email":"a**@corp.example","PIN":"4821-9375"}') == {"users.PIN"}
    assert not canaries.leaked('{"sequenceNumber":"49663978758868311932482193756183825948660036082495218"}')
    assert canaries.leaked("xana.silva.x7q2k1x", ("ana.silva.x7q2k1",)) == {"users.Email"}
    with pytest.raises(ValueError, match="token"):
        canaries.plant("with space", "users.Email")


def change(number: int, key: str, size: int = 10) -> SourceChange:
    return SourceChange(number, "insert", key, b"x" * size, Ending.PUBLISHED, row=key, version=number + 1)


def test_a_request_carries_one_record_per_row() -> None:
    waiting = [change(0, "a"), change(1, "b"), change(2, "a"), change(3, "c")]
    assert [item.number for item in next_batch(waiting)] == [0, 1, 3]


def test_a_request_stays_within_the_limits_of_the_service() -> None:
    assert len(next_batch([change(n, str(n)) for n in range(900)])) == MOST_RECORDS
    assert len(next_batch([change(n, str(n), 3 << 20) for n in range(3)])) == 1
    assert len(next_batch([change(0, "a", 6 << 20)])) == 1


class FakeKinesis:
    """Refuses every third record it is given."""

    def __init__(self) -> None:
        self.given = 0
        self.taken: list[tuple[str, bytes]] = []

    def put_records(self, **request: Any) -> dict[str, Any]:
        results = []
        for record in request["Records"]:
            self.given += 1
            if self.given % 3 == 0:
                results.append({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": ""})
            else:
                self.taken.append((record["PartitionKey"], record["Data"]))
                results.append({"ShardId": "shardId-0", "SequenceNumber": str(len(self.taken))})
        return {"Records": results}


def test_a_refused_record_is_put_again_before_the_next_one_of_its_row() -> None:
    kinesis = FakeKinesis()
    changes = [SourceChange(n, "update", f"row-{n % 4}", str(n).encode(), Ending.PUBLISHED) for n in range(40)]
    put: list[int] = []
    lock = threading.Lock()

    def on_put(item: SourceChange, shard: str, sequence: str, at: float) -> None:
        with lock:
            put.append(item.number)

    sender = Sender(kinesis, "stream", iter(changes), on_put, rate=None)
    sender.start()
    deadline = time.monotonic() + 30
    while sender.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sender.error is None
    assert sender.refused > 0
    assert sorted(put) == list(range(40))
    for row in range(4):
        numbers = [int(data) for key, data in kinesis.taken if key == f"row-{row}"]
        assert numbers == sorted(numbers)


def test_a_source_that_goes_on_shares_no_row_and_no_transaction_with_what_was_before() -> None:
    first, later = (list(Traffic(1, 600, first=number)) for number in (0, 10_000))
    rows, transactions = [], []
    for run in (first, later):
        rows.append({change.row for change in run if change.row})
        transactions.append({change.transaction for change in run if change.transaction})
    assert all([*rows, *transactions])
    assert not rows[0] & rows[1]
    assert not transactions[0] & transactions[1]
    assert len(later) == 600
