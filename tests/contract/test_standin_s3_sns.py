"""S3 and SNS of the stand-in, through unmodified boto3."""

import json
from typing import Any

import pytest
from botocore.exceptions import HTTPClientError

from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import client, clock, control, refused, stand_in

__all__ = ["clock", "control", "stand_in"]  # fixtures

BUCKET = "letters-of-the-contract"


@pytest.fixture
def s3(stand_in: StandIn) -> Any:
    found = client("s3", stand_in.url)
    found.create_bucket(Bucket=BUCKET)
    return found


@pytest.fixture
def sns(stand_in: StandIn) -> Any:
    return client("sns", stand_in.url)


def keys(s3: Any) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_an_object_comes_back_as_it_was_put(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="a/b c.json", Body=b"\x00{}", ServerSideEncryption="AES256")
    found = s3.get_object(Bucket=BUCKET, Key="a/b c.json")
    assert (found["Body"].read(), found["ServerSideEncryption"]) == (b"\x00{}", "AES256")
    assert keys(s3) == ["a/b c.json"]


def test_an_object_that_is_there_is_not_written_again(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="once", Body=b"1", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=BUCKET, Key="once", Body=b"2", IfNoneMatch="*")
    assert s3.get_object(Bucket=BUCKET, Key="once")["Body"].read() == b"1"


def test_a_bucket_says_how_it_is_encrypted(s3: Any) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
    found = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert found["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"


def test_buckets_and_objects_that_are_not_there_have_the_codes_of_aws(s3: Any) -> None:
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket="no-such-bucket", Key="a", Body=b"")
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=BUCKET, Key="nothing")


def test_what_else_s3_can_do_is_not_offered(s3: Any) -> None:
    with refused("NotImplemented", 501):
        s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": []})


def test_a_reset_forgets_buckets_and_their_names_are_free_again(s3: Any, control: StandInControl) -> None:
    control.reset()
    assert s3.list_buckets()["Buckets"] == []
    s3.create_bucket(Bucket=BUCKET)
    assert keys(s3) == []


def test_two_stand_ins_may_have_buckets_of_one_name(s3: Any) -> None:
    from tests.contract.standin import HandClock, running

    s3.put_object(Bucket=BUCKET, Key="here", Body=b"")
    with running(HandClock()) as other:
        there = client("s3", other.url)
        there.create_bucket(Bucket=BUCKET)
        assert keys(there) == []
    assert keys(s3) == ["here"]


@pytest.mark.parametrize(
    ("kind", "code", "status"), [("throttle", "SlowDown", 503), ("access_denied", "AccessDenied", 403)]
)
def test_a_put_can_be_refused(s3: Any, control: StandInControl, kind: str, code: str, status: int) -> None:
    control.fault(kind, "PutObject", service="s3", times=1)
    with refused(code, status):
        s3.put_object(Bucket=BUCKET, Key="a", Body=b"")
    assert keys(s3) == []


def test_the_answer_to_a_put_can_be_lost(s3: Any, control: StandInControl) -> None:
    fault = control.fault("cut_after", "PutObject", service="s3", times=1)
    with pytest.raises(HTTPClientError):
        s3.put_object(Bucket=BUCKET, Key="a", Body=b"")
    assert (control.counts(fault).fired, keys(s3)) == (1, ["a"])


def test_a_queue_gets_what_is_published_to_its_topic(sns: Any, stand_in: StandIn) -> None:
    sqs = client("sqs", stand_in.url)
    queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sent = sns.publish(
        TopicArn=topic, Subject="cdc", Message="m", MessageAttributes={"id": {"DataType": "String", "StringValue": "7"}}
    )
    (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    told = json.loads(message["Body"])
    assert (told["MessageId"], told["Subject"], told["Message"]) == (sent["MessageId"], "cdc", "m")
    assert told["MessageAttributes"]["id"]["Value"] == "7"


def test_topics_that_are_not_there_and_denied_ones_have_the_codes_of_aws(sns: Any, control: StandInControl) -> None:
    with refused("NotFound", 404):
        sns.publish(TopicArn="arn:aws:sns:us-east-1:000000000000:none", Message="m")
    control.fault("access_denied", "Publish", service="sns", times=1)
    with refused("AuthorizationError", 403):
        sns.publish(TopicArn="arn:aws:sns:us-east-1:000000000000:none", Message="m")
