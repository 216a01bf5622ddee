"""STS of the stand-in, through unmodified boto3."""

from typing import Any

import boto3
import pytest

from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import ONE_TRY, START, client, clock, control, refused, stand_in

__all__ = ["clock", "control", "stand_in"]  # fixtures

ROLE = "arn:aws:iam::222222222222:role/readers/cdc-reader"


@pytest.fixture
def sts(stand_in: StandIn) -> Any:
    return client("sts", stand_in.url)


def assumed(sts: Any, **more: str) -> dict[str, Any]:
    found: dict[str, Any] = sts.assume_role(RoleArn=ROLE, RoleSessionName="worker-1", **more)
    return found


def as_role(stand_in: StandIn, service: str, keys: dict[str, Any]) -> Any:
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], "us-east-1")
    return session.client(service, endpoint_url=stand_in.url, config=ONE_TRY)


def test_a_role_is_assumed_for_an_hour(sts: Any) -> None:
    found = assumed(sts)
    assert found["Credentials"]["Expiration"].timestamp() == START + 3_600
    assert found["AssumedRoleUser"]["Arn"] == "arn:aws:sts::222222222222:assumed-role/cdc-reader/worker-1"


def test_who_signs_with_the_keys_of_a_role_is_that_role(sts: Any, stand_in: StandIn) -> None:
    keys = assumed(sts)["Credentials"]
    caller = as_role(stand_in, "sts", keys).get_caller_identity()
    assert (caller["Account"], caller["Arn"].split("/")[1]) == ("222222222222", "cdc-reader")
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"


def test_the_ledger_tells_what_a_role_was_used_for(sts: Any, stand_in: StandIn, control: StandInControl) -> None:
    keys = assumed(sts, ExternalId="of-the-customer")["Credentials"]
    client("kinesis", stand_in.url).list_streams()
    as_role(stand_in, "kinesis", keys).list_streams()
    assert control.ledger()["roles"] == {
        ROLE: {"sessions": 1, "externalIds": ["of-the-customer"], "calls": {"kinesis.ListStreams": 1}}
    }


def test_a_role_that_may_not_be_assumed_is_a_fault(sts: Any, control: StandInControl) -> None:
    control.fault("access_denied", "AssumeRole", service="sts", times=1)
    with refused("AccessDenied", 403):
        assumed(sts)
    assert assumed(sts)["Credentials"]


def test_what_is_no_role_is_refused(sts: Any) -> None:
    with refused("ValidationException"):
        sts.assume_role(RoleArn="arn:aws:iam::222222222222:user/somebody", RoleSessionName="worker-1")
