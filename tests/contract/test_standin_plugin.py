"""The stand-in as a pytest plugin: pytest runs in a child process, on tests as a user would write them."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGIN = ("-p", "sandbox.pytest_plugin")

WITH_ENVIRONMENT = """
import boto3

def test_a_record_goes_through(aws_stand_in_env):
    kinesis = boto3.client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    kinesis.put_record(StreamName="s", Data=b"hello", PartitionKey="k")
    iterator = kinesis.get_shard_iterator(
        StreamName="s", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    assert [record["Data"] for record in kinesis.get_records(ShardIterator=iterator)["Records"]] == [b"hello"]

def test_the_next_test_finds_nothing(aws_stand_in_env):
    assert boto3.client("kinesis").list_streams()["StreamNames"] == []
"""

WITH_URL = """
import boto3
import os
import pytest

@pytest.fixture
def kinesis(aws_stand_in):
    return boto3.client(
        "kinesis", endpoint_url=aws_stand_in.url, region_name="us-east-1",
        aws_access_key_id="x", aws_secret_access_key="x",
    )

def test_a_throttled_producer_tries_again(aws_stand_in, kinesis):
    kinesis.create_stream(StreamName="s", ShardCount=1)
    fault = aws_stand_in.control.fault("throttle", "PutRecord", times=1)
    kinesis.put_record(StreamName="s", Data=b"x", PartitionKey="k")
    assert aws_stand_in.control.counts(fault).fired == 1

def test_faults_do_not_outlive_their_test(aws_stand_in):
    assert aws_stand_in.control.faults() == []
    assert "AWS_ENDPOINT_URL" not in os.environ

def test_the_ledger_tells_which_events_never_arrived(aws_stand_in):
    events = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x").client(
        "events", endpoint_url=aws_stand_in.url, region_name=aws_stand_in.region
    )
    aws_stand_in.control.fault("entry", "PutEvents", service="events", detail={"eventId": "2"}, code="InternalFailure")
    entries = [{"Source": "s", "DetailType": "t", "Detail": '{"eventId": "%d"}' % n} for n in (1, 2, 3)]
    assert events.put_events(Entries=entries)["FailedEntryCount"] == 1
    assert aws_stand_in.control.deliveries(["1", "2", "3"]).lost == ("2",)
"""

WITH_SESSION = """
import boto3

def test_one_leaves_something(aws_stand_in_session, aws_stand_in):
    assert aws_stand_in_session.url != aws_stand_in.url
    client(aws_stand_in_session).create_stream(StreamName="kept", ShardCount=1)

def test_another_finds_it(aws_stand_in_session, aws_stand_in):
    assert client(aws_stand_in_session).list_streams()["StreamNames"] == ["kept"]

def client(server):
    return boto3.Session(aws_access_key_id="x", aws_secret_access_key="x").client(
        "kinesis", endpoint_url=server.url, region_name=server.region
    )
"""

WITH_FLAGS = """
import pytest

@pytest.fixture(scope="session")
def aws_stand_in_flags():
    return ["--update-seconds", "2"]

def test_the_flags_hold(aws_stand_in):
    assert aws_stand_in.control.behaviour().update_seconds == 2
"""

NOTHING = """
import sys

def test_the_plugin_brings_nothing_along():
    assert "sandbox.pytest_plugin" in sys.modules
    assert {"aiohttp", "boto3", "msgspec", "sandbox.aws"} & sys.modules.keys() == set()
"""


def run(directory: Path, content: str, *arguments: str, **environment: str) -> str:
    """The summary line of a pytest run over `content`; the run must succeed."""
    (directory / "test_user.py").write_text(content, encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, "test_user.py"],
        cwd=directory, env=clean | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.splitlines()[-1]


def test_plain_boto3_finds_the_stand_in_and_every_test_begins_empty(tmp_path: Path) -> None:
    assert "2 passed" in run(tmp_path, WITH_ENVIRONMENT, *PLUGIN)


def test_other_endpoints_and_profiles_of_the_environment_do_not_mislead(tmp_path: Path) -> None:
    misleading = {"AWS_ENDPOINT_URL_KINESIS": "http://127.0.0.1:9", "AWS_PROFILE": "nobody"}
    assert "2 passed" in run(tmp_path, WITH_ENVIRONMENT, *PLUGIN, **misleading)


def test_faults_are_scripted_and_the_ledger_is_asked_through_the_fixture(tmp_path: Path) -> None:
    assert "3 passed" in run(tmp_path, WITH_URL, *PLUGIN)


def test_a_stand_in_for_the_session_keeps_what_is_in_it(tmp_path: Path) -> None:
    assert "2 passed" in run(tmp_path, WITH_SESSION, *PLUGIN)


def test_flags_are_given_by_a_fixture(tmp_path: Path) -> None:
    assert "1 passed" in run(tmp_path, WITH_FLAGS, *PLUGIN)


def test_who_does_not_use_the_plugin_does_not_pay_for_it(tmp_path: Path) -> None:
    assert "1 passed" in run(tmp_path, NOTHING, *PLUGIN)


def test_a_folder_named_sandbox_beside_the_tests_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "__init__.py").write_text("raise ImportError\n", encoding="utf-8")
    program = "from sandbox.aws.process import StandInProcess as P\nwith P() as started: print(started.url)"
    started = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (started.returncode, started.stdout[:17]) == (0, "http://127.0.0.1:"), started.stderr


def test_the_entry_point_and_the_flag_name_one_plugin(tmp_path: Path) -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    installed = tmp_path / "site" / "cdc_worker_again-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: cdc-worker-again\nVersion: 0\n", encoding="utf-8")
    lines = [f"{name} = {target}" for name, target in points["pytest11"].items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]), encoding="utf-8")
    path = os.pathsep.join([str(ROOT), str(installed.parent)])
    assert "2 passed" in run(tmp_path, WITH_ENVIRONMENT, PYTHONPATH=path)
    assert "2 passed" in run(tmp_path, WITH_ENVIRONMENT, *PLUGIN, PYTHONPATH=path)
