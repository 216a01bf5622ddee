"""A pytest plugin that leads the clients of the contract tests to another server.

Tests that need more of the stand-in than its AWS side (its clock, its control API) are left out. Known deviations of
the target fail as expected; one that is no longer there is a failure, and so is a deviation nobody can have.
"""

import time
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.conformance.deviations import DEVIATIONS
from tests.contract.standin import client

OURS_ALONE = frozenset({"clock", "control", "slow", "stand_in"})
# What makes a stream CREATING or UPDATING elsewhere, and returns at once.
CHANGES = (
    "CreateStream", "DeleteStream", "SplitShard", "MergeShards", "UpdateShardCount", "IncreaseStreamRetentionPeriod",
    "DecreaseStreamRetentionPeriod", "StartStreamEncryption", "StopStreamEncryption", "UpdateStreamMode",
    "UpdateMaxRecordSize",
)  # fmt: skip
SERVICES = frozenset({"kinesis", "events", "sqs"})
OFFERED = {"stand-in": SERVICES, "moto": SERVICES, "kinesis-local": frozenset({"kinesis"})}
# Where a server can be emptied at once.
RESETS = {"stand-in": "/_sandbox/reset", "moto": "/moto-api/reset"}
CHEAP = {"kinesis": "list_streams", "events": "list_event_buses", "sqs": "list_queues"}
WAIT_SECONDS = 20.0
POLL_SECONDS = 0.02


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--conformance-url", required=True, help="the server to test")
    group.addoption("--conformance-target", required=True, help="its name, as in tests/conformance/deviations.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    fitting = [item for item in items if not OURS_ALONE & set(getattr(item, "fixturenames", ()))]
    target = config.getoption("--conformance-target")
    chosen = [item for item in fitting if OFFERED[target] >= SERVICES & set(getattr(item, "fixturenames", ())) != set()]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    known: Mapping[str, str] = DEVIATIONS[target]
    met = set()
    for item in chosen:
        for name in (item.name, getattr(item, "originalname", item.name)):
            if name in known:
                met.add(name)
                item.add_marker(pytest.mark.xfail(reason=known[name], strict=True))
    if stale := sorted(known.keys() - met):
        raise pytest.UsageError(f"deviations of tests that do not exist: {', '.join(stale)}")
    items[:] = chosen


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Every test begins on an empty server."""
    url = item.config.getoption("--conformance-url")
    if reset := RESETS.get(item.config.getoption("--conformance-target")):
        urllib.request.urlopen(urllib.request.Request(url + reset, method="POST"), timeout=WAIT_SECONDS).close()
        return
    kinesis = client("kinesis", url)
    for name in kinesis.list_streams()["StreamNames"]:
        kinesis.delete_stream(StreamName=name)
    _wait(lambda: not kinesis.list_streams()["StreamNames"])


def foreign_client(service: str, url: str) -> Iterator[Any]:
    """A client whose changes to streams return when they are done."""
    found = client(service, url)

    def settle(**_: Any) -> None:
        _wait(lambda: {_status(found, name) for name in found.list_streams()["StreamNames"]} <= {"ACTIVE", None})

    for change in CHANGES:
        found.meta.events.register(f"after-call.kinesis.{change}", settle)
    yield found
    # A server that died must not pass for one that deviates.
    getattr(found, CHEAP[service])()


def _status(kinesis: Any, name: str) -> str | None:
    """None for a stream that is gone meanwhile."""
    try:
        status: str = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamStatus"]
    except kinesis.exceptions.ResourceNotFoundException:
        return None
    return status


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the server did not finish a change of a stream")
        time.sleep(POLL_SECONDS)
