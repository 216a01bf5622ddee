"""A pytest plugin: Kinesis, EventBridge and SQS on loopback for tests of any AWS client (docs/stand-in.md).

It is loaded by every pytest run where the package is installed, so nothing but pytest is imported before a test asks.
"""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sandbox.aws.process import StandInProcess

# What could lead a client elsewhere, or to other credentials.
MISLEADING = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
ENDPOINTS = "AWS_ENDPOINT_URL_"


@pytest.fixture(scope="session")
def aws_stand_in_flags() -> Sequence[str]:
    """Flags of `python -m sandbox.aws` for both servers; override it in a conftest.py."""
    return ()


@pytest.fixture(scope="session")
def aws_stand_in_session(aws_stand_in_flags: Sequence[str]) -> "Iterator[StandInProcess]":
    """A stand-in for the whole session: `url`, `environment()` and `control`. What tests leave in it stays."""
    from sandbox.aws.process import StandInProcess  # noqa: PLC0415 - costs nothing to those who do not use it

    with StandInProcess(aws_stand_in_flags) as started:
        yield started


@pytest.fixture(scope="session")
def _aws_stand_in_for_each_test(aws_stand_in_flags: Sequence[str]) -> "Iterator[StandInProcess]":
    from sandbox.aws.process import StandInProcess  # noqa: PLC0415

    with StandInProcess(aws_stand_in_flags) as started:
        yield started


@pytest.fixture
def aws_stand_in(_aws_stand_in_for_each_test: "StandInProcess") -> "StandInProcess":
    """A stand-in that is empty when the test begins: `url`, `environment()` and `control`."""
    _aws_stand_in_for_each_test.control.reset()
    return _aws_stand_in_for_each_test


@pytest.fixture
def aws_stand_in_env(aws_stand_in: "StandInProcess", monkeypatch: pytest.MonkeyPatch) -> "StandInProcess":
    """The same, and the environment of the test leads AWS clients there: `boto3.client("kinesis")` is enough."""
    for name in [name for name in os.environ if name in MISLEADING or name.startswith(ENDPOINTS)]:
        monkeypatch.delenv(name)
    for name, value in aws_stand_in.environment().items():
        monkeypatch.setenv(name, value)
    return aws_stand_in
