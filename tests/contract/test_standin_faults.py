"""Scripted faults of the stand-in, as unmodified boto3 meets them."""

import json
import time
import urllib.request
from collections.abc import Callable
from http.client import IncompleteRead
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, HTTPClientError

from sandbox.aws.control_client import StandInControl
from sandbox.aws.fault_kinds import KINDS, SILENT
from sandbox.aws.faults import FaultRule
from sandbox.aws.server import StandIn
from tests.contract.kinesis_calls import STREAM, create, iterator, name, put, read, split, summary
from tests.contract.standin import HandClock, clock, control, events, kinesis, refused, sqs, stand_in

__all__ = ["clock", "control", "events", "kinesis", "sqs", "stand_in"]  # fixtures

GET = "GetRecords"
CUT = (ConnectionClosedError, HTTPClientError)

ERRORS = [
    ("throttle", "ProvisionedThroughputExceededException", 400),
    ("internal_failure", "InternalFailure", 500),
    ("unavailable", "ServiceUnavailable", 503),
    ("access_denied", "AccessDeniedException", 400),
    ("expired_token", "ExpiredTokenException", 400),
    ("expired_iterator", "ExpiredIteratorException", 400),
    ("kms_access_denied", "KMSAccessDeniedException", 400),
    ("kms_disabled", "KMSDisabledException", 400),
    ("kms_invalid_state", "KMSInvalidStateException", 400),
    ("kms_not_found", "KMSNotFoundException", 400),
    ("kms_opt_in_required", "KMSOptInRequired", 400),
    ("kms_throttling", "KMSThrottlingException", 400),
]


def fails(kinesis: Any, calls: int, start: str) -> list[bool]:
    """Which of so many GetRecords fail."""
    outcomes = []
    for _ in range(calls):
        try:
            kinesis.get_records(ShardIterator=start)
        except kinesis.exceptions.ProvisionedThroughputExceededException:
            outcomes.append(True)
        else:
            outcomes.append(False)
    return outcomes


# Errors


@pytest.mark.parametrize(("kind", "code", "status"), ERRORS)
def test_a_read_fails_as_it_was_told_and_then_goes_on(
    kinesis: Any, control: StandInControl, kind: str, code: str, status: int
) -> None:
    create(kinesis)
    put(kinesis, b"1")
    start = iterator(kinesis)
    fault = control.fault(kind, GET, times=1)
    with refused(code, status):
        read(kinesis, start)
    assert read(kinesis, start) == [b"1"]
    assert (control.counts(fault).matched, control.counts(fault).fired) == (2, 1)


def test_every_kind_of_error_is_tried_above() -> None:
    assert {kind for kind, _, _ in ERRORS} == KINDS.keys() - SILENT - {"error"}


def test_an_error_may_have_any_code_and_status(kinesis: Any, control: StandInControl) -> None:
    control.fault("error", "ListStreams", code="UnheardOfException", status=418, times=1)
    with refused("UnheardOfException", 418):
        kinesis.list_streams()


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("kinesis", "PutRecord", "ProvisionedThroughputExceededException"),
        ("kinesis", "ListShards", "LimitExceededException"),
        ("events", "PutEvents", "ThrottlingException"),
        ("sqs", "ReceiveMessage", "RequestThrottled"),
    ],
)
def test_each_service_throttles_in_its_own_words(
    kinesis: Any, events: Any, sqs: Any, control: StandInControl, service: str, operation: str, code: str
) -> None:
    create(kinesis)
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    calls: dict[str, Callable[[], Any]] = {
        "PutRecord": lambda: put(kinesis),
        "ListShards": lambda: kinesis.list_shards(StreamName=STREAM),
        "PutEvents": lambda: events.put_events(Entries=[{"Source": "s", "DetailType": "t", "Detail": "{}"}]),
        "ReceiveMessage": lambda: sqs.receive_message(QueueUrl=queue),
    }
    control.fault("throttle", operation, service=service, times=1)
    with refused(code):
        calls[operation]()
    calls[operation]()


def test_an_error_changes_nothing(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    control.fault("internal_failure", "PutRecord", times=1)
    with refused("InternalFailure", 500):
        put(kinesis, b"not there")
    assert read(kinesis, iterator(kinesis)) == []


def test_an_error_may_have_a_message_of_its_own(kinesis: Any, control: StandInControl) -> None:
    control.fault("access_denied", "ListShards", message="no kinesis:ListShards for you")
    with refused("AccessDeniedException", text="no kinesis:ListShards for you"):
        kinesis.list_shards(StreamName=STREAM)


# Which calls


def test_a_rule_without_operation_is_for_all_of_the_service(kinesis: Any, sqs: Any, control: StandInControl) -> None:
    fault = control.fault("access_denied")
    with refused("AccessDeniedException"):
        kinesis.list_streams()
    with refused("AccessDeniedException"):
        kinesis.list_shards(StreamName=STREAM)
    sqs.list_queues()
    assert control.counts(fault).fired == 2


def test_a_rule_for_a_stream_leaves_the_others_alone(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    kinesis.create_stream(StreamName="other", ShardCount=1)
    fault = control.fault("throttle", stream=STREAM)
    with refused("LimitExceededException"):
        kinesis.list_shards(StreamName=STREAM)
    with refused("LimitExceededException"):
        kinesis.list_shards(StreamARN="arn:aws:kinesis:us-east-1:000000000000:stream/coredb")
    token = kinesis.list_shards(StreamName="other", MaxResults=1)
    assert "NextToken" not in token
    assert (control.counts(fault).matched, control.counts(fault).fired) == (2, 2)


def test_a_rule_for_a_stream_knows_it_behind_an_iterator_and_a_page_token(
    kinesis: Any, control: StandInControl
) -> None:
    create(kinesis, 2)
    start = iterator(kinesis)
    token = kinesis.list_shards(StreamName=STREAM, MaxResults=1)["NextToken"]
    control.fault("throttle", stream=STREAM)
    with refused("ProvisionedThroughputExceededException"):
        kinesis.get_records(ShardIterator=start)
    with refused("LimitExceededException"):
        kinesis.list_shards(NextToken=token)


def test_a_rule_for_a_shard_leaves_the_others_alone(kinesis: Any, control: StandInControl) -> None:
    create(kinesis, 2)
    starts = [iterator(kinesis, shard=name(index)) for index in (0, 1)]
    control.fault("throttle", shard=name(1))
    assert read(kinesis, starts[0]) == []
    with refused("ProvisionedThroughputExceededException"):
        read(kinesis, starts[1])
    with refused("ProvisionedThroughputExceededException"):
        iterator(kinesis, shard=name(1))
    with refused("ProvisionedThroughputExceededException"):
        put(kinesis, ExplicitHashKey=str(2**128 - 1))
    put(kinesis, ExplicitHashKey="0")


def test_a_rule_for_a_shard_means_every_batch_that_has_a_record_for_it(kinesis: Any, control: StandInControl) -> None:
    create(kinesis, 2)
    low = {"Data": b"x", "PartitionKey": "k", "ExplicitHashKey": "0"}
    high = low | {"ExplicitHashKey": str(2**127)}
    control.fault("throttle", "PutRecords", shard=name(1))
    kinesis.put_records(StreamName=STREAM, Records=[low])
    with refused("ProvisionedThroughputExceededException"):
        kinesis.put_records(StreamName=STREAM, Records=[low, high])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [True] * 5),
        ({"times": 2}, [True, True, False, False, False]),
        ({"nth": 3}, [False, False, True, True, True]),
        ({"nth": 3, "times": 1}, [False, False, True, False, False]),
        ({"probability": 0.0}, [False] * 5),
    ],
)
def test_a_rule_says_which_of_the_fitting_calls_fail(
    kinesis: Any, control: StandInControl, fields: dict[str, Any], expected: list[bool]
) -> None:
    create(kinesis)
    start = iterator(kinesis)
    fault = control.fault("throttle", GET, **fields)
    assert fails(kinesis, 5, start) == expected
    assert (control.counts(fault).matched, control.counts(fault).fired) == (5, sum(expected))


def test_the_same_seed_throws_the_same_dice(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    start = iterator(kinesis)
    runs = []
    for seed in (7, 7, 8):
        fault = control.fault("throttle", GET, probability=0.5, seed=seed)
        runs.append(fails(kinesis, 40, start))
        control.remove_fault(fault)
    assert runs[0] == runs[1] != runs[2]
    assert 5 < sum(runs[0]) < 35


def test_a_rule_may_end_by_itself(kinesis: Any, control: StandInControl, clock: HandClock) -> None:
    create(kinesis)
    start = iterator(kinesis)
    fault = control.fault("throttle", GET, lasts=60)
    assert fails(kinesis, 1, start) == [True]
    clock.advance(59)
    assert fails(kinesis, 1, start) == [True]
    clock.advance(1)
    assert fails(kinesis, 1, start) == [False]
    assert (control.counts(fault).matched, control.counts(fault).fired) == (2, 2)


def test_of_several_rules_the_first_that_fires_decides(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    start = iterator(kinesis)
    control.fault("expired_iterator", GET, times=1)
    later = control.fault("throttle", GET, times=1)
    with refused("ExpiredIteratorException"):
        read(kinesis, start)
    assert control.counts(later).matched == 0
    with refused("ProvisionedThroughputExceededException"):
        read(kinesis, start)
    assert read(kinesis, start) == []


# Connections


def test_a_connection_that_is_cut_before_has_done_nothing(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    fault = control.fault("cut_before", "PutRecord", times=1)
    with pytest.raises(CUT):
        put(kinesis, b"not there")
    put(kinesis, b"there")
    assert read(kinesis, iterator(kinesis)) == [b"there"]
    assert control.counts(fault).fired == 1


def test_a_connection_that_is_cut_after_has_done_it(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    fault = control.fault("cut_after", "PutRecord", times=1)
    with pytest.raises(CUT):
        put(kinesis, b"there, unknown to its sender")
    assert read(kinesis, iterator(kinesis)) == [b"there, unknown to its sender"]
    assert control.counts(fault).fired == 1


def test_a_truncated_answer_ends_before_the_length_it_gave(
    kinesis: Any, stand_in: StandIn, control: StandInControl
) -> None:
    create(kinesis)
    put(kinesis, b"x" * 10_000)
    fault = control.fault("truncate", GET, times=1)
    request = urllib.request.Request(
        stand_in.url,
        data=json.dumps({"ShardIterator": iterator(kinesis)}).encode(),
        headers={"X-Amz-Target": f"Kinesis_20131202.{GET}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer, pytest.raises(IncompleteRead) as caught:
        answer.read()
    assert caught.value.partial.startswith(b'{"Records":[{')
    assert len(caught.value.partial) > 6_000
    assert control.counts(fault).fired == 1


def test_boto3_takes_a_truncated_answer_for_one_without_members(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    put(kinesis, b"1")
    start = iterator(kinesis)
    fault = control.fault("truncate", GET, times=1)
    assert kinesis.get_records(ShardIterator=start).keys() == {"ResponseMetadata"}
    assert control.counts(fault).fired == 1
    assert read(kinesis, start) == [b"1"]


def test_a_truncated_answer_without_a_body_is_missing_as_a_whole(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    fault = control.fault("truncate", "SplitShard", times=1)
    with pytest.raises(CUT):
        split(kinesis)
    assert control.counts(fault).fired == 1
    assert summary(kinesis)["OpenShardCount"] == 2


def test_a_slow_answer_comes_late_and_others_do_not_wait_for_it(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    fault = control.fault("slow", "PutRecord", seconds=0.3, times=1)
    begin = time.monotonic()
    put(kinesis)
    assert time.monotonic() - begin >= 0.3
    assert control.counts(fault).fired == 1


def test_slowness_adds_to_the_fault_that_follows(kinesis: Any, control: StandInControl) -> None:
    control.fault("slow", seconds=0.2, times=1)
    control.fault("throttle", "ListStreams", times=1)
    begin = time.monotonic()
    with refused("LimitExceededException"):
        kinesis.list_streams()
    assert time.monotonic() - begin >= 0.2


# Batches


def test_a_batch_of_records_may_fail_in_parts(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    control.fault("partial", "PutRecords", entries=(0, 2), times=1)
    records = [{"Data": b"%d" % number, "PartitionKey": "k"} for number in range(4)]
    answer = kinesis.put_records(StreamName=STREAM, Records=records)
    assert answer["FailedRecordCount"] == 2
    assert [result.get("ErrorCode") for result in answer["Records"]] == [
        "ProvisionedThroughputExceededException", None, "ProvisionedThroughputExceededException", None,
    ]  # fmt: skip
    assert read(kinesis, iterator(kinesis)) == [b"1", b"3"]


def test_a_batch_may_fail_as_a_whole_and_still_be_answered_with_200(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    control.add_fault(FaultRule(kind="partial", operation="PutRecords", code="InternalFailure"))
    answer = kinesis.put_records(StreamName=STREAM, Records=[{"Data": b"x", "PartitionKey": "k"}] * 2)
    assert answer["FailedRecordCount"] == 2
    assert {result["ErrorCode"] for result in answer["Records"]} == {"InternalFailure"}
    assert read(kinesis, iterator(kinesis)) == []
