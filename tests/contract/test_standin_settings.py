"""What can be changed about a stream of the stand-in besides its shards: retention, size, encryption, distribution."""

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.aws.control_client import StandInControl
from tests.contract.kinesis_calls import FIRST, MIB, STREAM, create, iterator, name, put, read, summary
from tests.contract.standin import HandClock, clock, control, kinesis, refused, stand_in

__all__ = ["clock", "control", "kinesis", "stand_in"]  # fixtures

HOUR = 3600
KEY = "alias/aws/kinesis"


def lengthen(kinesis: Any, hours: int) -> None:
    kinesis.increase_stream_retention_period(StreamName=STREAM, RetentionPeriodHours=hours)


def shorten(kinesis: Any, hours: int) -> None:
    kinesis.decrease_stream_retention_period(StreamName=STREAM, RetentionPeriodHours=hours)


def encrypt(kinesis: Any) -> None:
    kinesis.start_stream_encryption(StreamName=STREAM, EncryptionType="KMS", KeyId=KEY)


def on_demand(kinesis: Any, **more: Any) -> str:
    """Create the stream and return its ARN."""
    kinesis.create_stream(StreamName=STREAM, StreamModeDetails={"StreamMode": "ON_DEMAND"}, **more)
    arn: str = summary(kinesis)["StreamARN"]
    return arn


# Retention


def test_a_longer_retention_keeps_records_longer(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    put(kinesis, b"kept")
    lengthen(kinesis, 48)
    clock.advance(47 * HOUR)
    assert summary(kinesis)["RetentionPeriodHours"] == 48
    assert read(kinesis, iterator(kinesis)) == [b"kept"]


def test_a_longer_retention_does_not_bring_back_what_was_past_the_old_one(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    put(kinesis, b"gone")
    clock.advance(12 * HOUR)
    put(kinesis, b"kept")
    clock.advance(12 * HOUR + 1)
    lengthen(kinesis, 48)
    assert read(kinesis, iterator(kinesis)) == [b"kept"]


def test_a_shorter_retention_loses_what_is_older(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    lengthen(kinesis, 48)
    put(kinesis, b"gone")
    clock.advance(24 * HOUR + 1)
    put(kinesis, b"kept")
    shorten(kinesis, 24)
    assert read(kinesis, iterator(kinesis)) == [b"kept"]


@pytest.mark.parametrize(("change", "hours"), [(lengthen, 47), (lengthen, 8761), (shorten, 49), (shorten, 23)])
def test_a_retention_changes_in_its_direction_and_range_only(
    kinesis: Any, change: Callable[[Any, int], None], hours: int
) -> None:
    create(kinesis)
    lengthen(kinesis, 48)
    with refused("InvalidArgumentException"):
        change(kinesis, hours)
    assert summary(kinesis)["RetentionPeriodHours"] == 48


# Size of a record


def test_larger_records_may_be_allowed_later(kinesis: Any) -> None:
    create(kinesis)
    with refused("InvalidArgumentException"):
        put(kinesis, b"x" * (2 * MIB - 1))
    kinesis.update_max_record_size(StreamARN=summary(kinesis)["StreamARN"], MaxRecordSizeInKiB=2048)
    put(kinesis, b"x" * (2 * MIB - 1))
    assert summary(kinesis)["MaxRecordSizeInKiB"] == 2048


# Encryption


def test_an_encrypted_stream_says_so_everywhere(kinesis: Any) -> None:
    create(kinesis)
    encrypt(kinesis)
    assert (summary(kinesis)["EncryptionType"], summary(kinesis)["KeyId"]) == ("KMS", KEY)
    description = kinesis.describe_stream(StreamName=STREAM)["StreamDescription"]
    assert (description["EncryptionType"], description["KeyId"]) == ("KMS", KEY)
    assert kinesis.put_record(StreamName=STREAM, Data=b"x", PartitionKey="k")["EncryptionType"] == "KMS"
    answer = kinesis.put_records(StreamName=STREAM, Records=[{"Data": b"x", "PartitionKey": "k"}])
    assert answer["EncryptionType"] == "KMS"


def test_only_records_put_meanwhile_are_encrypted(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, b"before")
    encrypt(kinesis)
    put(kinesis, b"meanwhile")
    kinesis.stop_stream_encryption(StreamName=STREAM, EncryptionType="KMS", KeyId=KEY)
    put(kinesis, b"after")
    records = kinesis.get_records(ShardIterator=iterator(kinesis))["Records"]
    assert [(record["Data"], record.get("EncryptionType")) for record in records] == [
        (b"before", None), (b"meanwhile", "KMS"), (b"after", None),
    ]  # fmt: skip
    assert summary(kinesis)["EncryptionType"] == "NONE"
    assert "KeyId" not in summary(kinesis)


# Capacity mode and distribution


def test_a_stream_changes_its_mode(kinesis: Any) -> None:
    create(kinesis, 2)
    arn = summary(kinesis)["StreamARN"]
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert summary(kinesis)["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert summary(kinesis)["OpenShardCount"] == 2


def test_automatic_distribution_spreads_records_of_one_key(kinesis: Any) -> None:
    on_demand(kinesis, RecordDistributionStrategy="AUTO")
    for _ in range(8):
        put(kinesis, key="the same", ExplicitHashKey="0")
    counts = [len(read(kinesis, iterator(kinesis, shard=name(index)))) for index in range(4)]
    assert counts == [2, 2, 2, 2]


def test_automatic_distribution_returns_the_partition_keys_it_was_given_and_no_others(kinesis: Any) -> None:
    on_demand(kinesis, RecordDistributionStrategy="AUTO")
    kinesis.put_records(StreamName=STREAM, Records=[{"Data": b"x"}] * 4 + [{"Data": b"y", "PartitionKey": "k"}] * 4)
    for index in range(4):
        without, given = kinesis.get_records(ShardIterator=iterator(kinesis, shard=name(index)))["Records"]
        assert "PartitionKey" not in without
        assert given["PartitionKey"] == "k"


def test_a_partition_key_is_needed_unless_distribution_is_automatic(kinesis: Any) -> None:
    arn = on_demand(kinesis)
    with refused("ValidationException"):
        kinesis.put_record(StreamName=STREAM, Data=b"x")
    kinesis.update_stream_record_distribution_strategy(StreamARN=arn, RecordDistributionStrategy="AUTO")
    assert summary(kinesis)["RecordDistributionStrategy"] == "AUTO"
    kinesis.put_record(StreamName=STREAM, Data=b"x")
    kinesis.update_stream_record_distribution_strategy(StreamARN=arn, RecordDistributionStrategy="USER_PARTITION_KEY")
    with refused("ValidationException"):
        kinesis.put_record(StreamName=STREAM, Data=b"x")


def test_a_provisioned_stream_has_no_distribution_strategy(kinesis: Any) -> None:
    create(kinesis)
    assert "RecordDistributionStrategy" not in summary(kinesis)
    with refused("InvalidArgumentException"):
        kinesis.update_stream_record_distribution_strategy(
            StreamARN=summary(kinesis)["StreamARN"], RecordDistributionStrategy="AUTO"
        )


# While it lasts


def test_settings_wait_for_the_change_before_and_hold_at_its_end(
    kinesis: Any, control: StandInControl, clock: HandClock
) -> None:
    control.behave(update_seconds=10)
    create(kinesis)
    encrypt(kinesis)
    assert (summary(kinesis)["StreamStatus"], summary(kinesis)["EncryptionType"]) == ("UPDATING", "NONE")
    with refused("ResourceInUseException"):
        lengthen(kinesis, 48)
    clock.advance(10)
    assert (summary(kinesis)["StreamStatus"], summary(kinesis)["EncryptionType"]) == ("ACTIVE", "KMS")
    put(kinesis, b"x")
    [record] = kinesis.get_records(ShardIterator=iterator(kinesis, shard=FIRST))["Records"]
    assert record["EncryptionType"] == "KMS"
