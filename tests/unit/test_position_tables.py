"""What is read out of the DynamoDB tables of other readers of the stream."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from models.checkpoint import Checkpoint
from models.position import Position
from models.shard import Shard
from workers.failures import ConfigurationError, NotFoundError
from workers.kinesis.cursor import ShardCursor
from workers.kinesis.lineage import Resume
from workers.kinesis.pages import Page, Record
from workers.positions.sources import bring
from workers.positions.tables import items_of, kcl_leases, lambda_checkpoints
from workers.settings.worker import Settings

FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"
SEQUENCE = "49590338271490256608559692538361571095921575989136588898"
DAY_MS = 86_400_000


def lease(key: str, checkpoint: str, sub: int = 0) -> dict[str, Any]:
    """As KCL 2 writes it."""
    return {
        "leaseKey": {"S": key}, "checkpoint": {"S": checkpoint}, "checkpointSubSequenceNumber": {"N": str(sub)},
        "leaseCounter": {"N": "42"}, "leaseOwner": {"S": "worker-1"}, "ownerSwitchesSinceCheckpoint": {"N": "0"},
        "parentShardId": {"SS": ["shardId-000000000009"]}, "pendingCheckpoint": {"NULL": True},
    }  # fmt: skip


def handled(shard: str, sequence: str) -> dict[str, Any]:
    """As the Lambda pipeline writes it."""
    return {
        "pk": {"S": f"SHARD#{shard}"}, "sk": {"S": "CHECKPOINT"}, "shardId": {"S": shard},
        "sequenceNumber": {"S": sequence}, "eventsProcessed": {"N": "17"},
    }  # fmt: skip


def test_a_lease_is_the_last_record_that_was_handled_down_to_the_user_record() -> None:
    found = kcl_leases([lease(FIRST, SEQUENCE, 3)], "core").checkpoints[FIRST]
    assert found.position == Position(int(SEQUENCE), 3)
    assert not found.ended


def test_a_lease_at_the_end_of_its_shard_has_ended() -> None:
    assert kcl_leases([lease(FIRST, "SHARD_END"), lease(SECOND, SEQUENCE)], "core").checkpoints[FIRST].ended


@pytest.mark.parametrize("position", ["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"])
def test_a_lease_without_a_position_begins_at_its_start_and_that_is_said(position: str) -> None:
    found = kcl_leases([lease(FIRST, position), lease(SECOND, SEQUENCE)], "core")
    assert set(found.checkpoints) == {SECOND}
    assert found.notes == (f"the lease of {FIRST} is at {position}: it begins at its start",)


def test_what_is_no_lease_is_left_out() -> None:
    others: list[dict[str, Any]] = [
        {"leaseKey": {"S": "Leader"}, "leaseOwner": {"S": "worker-1"}},
        {"leaseKey": {"S": "Migration3.0"}, "checkpoint": {"S": "7"}},
        {"wid": {"S": "worker-1"}, "sts": {"M": {}}},
    ]
    assert set(kcl_leases([*others, lease(FIRST, SEQUENCE)], "core").checkpoints) == {FIRST}


def test_a_table_of_several_streams_is_read_for_one_of_them() -> None:
    ours, theirs = f"123456789012:core:1700000000:{FIRST}", f"123456789012:other:1700000000:{FIRST}"
    items = [lease(theirs, "1"), lease(ours, SEQUENCE)]
    for stream in ("core", "arn:aws:kinesis:us-east-1:123456789012:stream/core", "123456789012:core:1700000000"):
        assert kcl_leases(items, stream).checkpoints[FIRST].sequence == SEQUENCE
    with pytest.raises(NotFoundError, match="123456789012:other:1700000000"):
        kcl_leases(items, "third")


def test_two_leases_of_one_shard_are_not_chosen_from() -> None:
    items = [lease(f"123456789012:core:{made}:{FIRST}", SEQUENCE) for made in (1, 2)]
    with pytest.raises(ConfigurationError, match="two leases"):
        kcl_leases(items, "core")


def test_a_position_that_is_not_known_is_not_guessed_and_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as caught:
        kcl_leases([lease(FIRST, "somewhere")], "core")
    assert "somewhere" not in str(caught.value)


def test_a_checkpoint_of_the_lambda_pipeline_covers_its_record_whole() -> None:
    found = lambda_checkpoints([handled(FIRST, SEQUENCE), {"pk": {"S": "STATE#1"}, "sk": {"S": "CHECKPOINT"}}])
    (checkpoint,) = found.checkpoints.values()
    position = checkpoint.position
    assert position is not None
    assert position > Position(int(SEQUENCE), 10_000)
    assert Checkpoint.decode(checkpoint.encode()) == checkpoint


def test_a_table_without_positions_is_told() -> None:
    with pytest.raises(NotFoundError):
        lambda_checkpoints([])
    with pytest.raises(NotFoundError):
        kcl_leases([], "core")


@pytest.mark.parametrize(("first", "gap"), [(SEQUENCE, False), (str(int(SEQUENCE) + 1), True)])
def test_reading_goes_on_behind_an_imported_record_only_if_it_is_there(first: str, gap: bool) -> None:
    checkpoint = kcl_leases([lease(FIRST, SEQUENCE)], "core").checkpoints[FIRST]
    cursor = ShardCursor(Shard(FIRST, 0, 9), Resume(checkpoint))
    assert cursor.iterator()["StartingSequenceNumber"] == SEQUENCE
    page = Page([Record(first, b"x", "k", 1.0)])
    assert (cursor.gap(page, 9 * DAY_MS, DAY_MS) is not None) is gap


async def test_a_table_is_read_to_its_last_page() -> None:
    client = boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s")
    key = {"leaseKey": {"S": FIRST}}
    asked = {"TableName": "leases", "ConsistentRead": True}
    with Stubber(client) as stub:
        stub.add_response("scan", {"Items": [lease(FIRST, "1")], "LastEvaluatedKey": key}, asked)
        stub.add_response("scan", {"Items": [lease(SECOND, "2")]}, asked | {"ExclusiveStartKey": key})

        async def scan(**arguments: Any) -> dict[str, Any]:
            found: dict[str, Any] = client.scan(**arguments)
            return found

        items = await items_of(scan, "leases")
        stub.assert_no_pending_responses()
    assert set(kcl_leases(items, "core").checkpoints) == {FIRST, SECOND}


def scanned(**more: object) -> bytes:
    return json.dumps({"Items": [handled(SECOND, SEQUENCE)], "Count": 1, **more}).encode()


async def test_what_the_aws_command_line_has_scanned_is_taken_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "scan.json"
    file.write_bytes(scanned())
    found = await bring(Settings(_env_file=None), str(file), "core")
    assert found.checkpoints[SECOND].sequence == SEQUENCE
    file.write_text(json.dumps({"Items": [lease(FIRST, SEQUENCE)]}), encoding="utf-8")
    assert list((await bring(Settings(_env_file=None), str(file), "core")).checkpoints) == [FIRST]


async def test_one_page_of_a_scan_is_refused_and_so_is_any_other_file_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "scan.json"
    file.write_bytes(scanned(NextToken="x"))
    with pytest.raises(ConfigurationError, match="one page of a scan"):
        await bring(Settings(_env_file=None), str(file), "core")
    for other in ('{"Items": 3}', '{"Items": [3]}', '{"Items": [{"a": 1}]}', "[]", "{"):
        file.write_text(other, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=r"scan\.json: not the JSON of an export"):
            await bring(Settings(_env_file=None), str(file), "core")
