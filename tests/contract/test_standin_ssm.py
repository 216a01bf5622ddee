"""Parameters of the stand-in, through unmodified boto3."""

from typing import Any

import pytest

from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import client, clock, control, refused, stand_in

__all__ = ["clock", "control", "stand_in"]  # fixtures


@pytest.fixture
def ssm(stand_in: StandIn, control: StandInControl) -> Any:
    control.reset()
    return client("ssm", stand_in.url)


def test_a_secure_parameter_is_read_decrypted(ssm: Any) -> None:
    ssm.put_parameter(Name="/cdc/key", Value="abracadabra", Type="SecureString")
    plain = ssm.get_parameters(Names=["/cdc/key"], WithDecryption=True)["Parameters"]
    assert [(found["Name"], found["Value"], found["Version"]) for found in plain] == [("/cdc/key", "abracadabra", 1)]
    assert ssm.get_parameters(Names=["/cdc/key"])["Parameters"][0]["Value"] != "abracadabra"


def test_parameters_that_do_not_exist_are_named_and_no_error(ssm: Any) -> None:
    ssm.put_parameter(Name="/cdc/a", Value="1", Type="String")
    answer = ssm.get_parameters(Names=["/cdc/a", "/cdc/b"])
    assert answer["InvalidParameters"] == ["/cdc/b"]


def test_a_parameter_has_versions(ssm: Any) -> None:
    for value in ("1", "2"):
        ssm.put_parameter(Name="/cdc/a", Value=value, Type="String", Overwrite=True)
    assert ssm.get_parameter(Name="/cdc/a")["Parameter"]["Version"] == 2


def test_errors_have_the_codes_of_aws(ssm: Any) -> None:
    with refused("ParameterNotFound", 400):
        ssm.get_parameter(Name="/cdc/nothing")
    with refused("ValidationException", 400):
        ssm.get_parameters(Names=[f"/cdc/{n}" for n in range(11)])


def test_access_can_be_denied(ssm: Any, control: StandInControl) -> None:
    control.fault("access_denied", "GetParameters", service="ssm", times=1)
    with refused("AccessDeniedException", 400):
        ssm.get_parameters(Names=["/cdc/a"])


def test_a_reset_forgets_parameters(ssm: Any, control: StandInControl) -> None:
    ssm.put_parameter(Name="/cdc/a", Value="1", Type="String")
    control.reset()
    assert ssm.describe_parameters()["Parameters"] == []


def test_what_else_systems_manager_can_do_is_not_offered(ssm: Any) -> None:
    with refused("UnknownOperationException", 400):
        ssm.list_documents()
