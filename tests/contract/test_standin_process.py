"""The stand-in as a child process: it says where it listens, and never outlives its parent."""

import json
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.aws.control_client import StandInControl
from sandbox.aws.streams import Behaviour
from sandbox.event_queue import EventQueue
from sandbox.stand_in import AwsStandIn
from tests.contract.standin import client

COMMAND = [sys.executable, "-m", "sandbox.aws"]
# A parent that starts the stand-in, passes its URL on, and waits to be killed.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "sandbox.aws"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
print(child.stdout.readline().decode().strip(), flush=True)
time.sleep(600)
"""


@contextmanager
def child(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True, **options)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def accepts(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def test_a_child_prints_its_url_and_serves_there() -> None:
    with child(stdin=subprocess.PIPE) as process:
        kinesis = client("kinesis", first_line(process))
        assert kinesis.list_streams()["StreamNames"] == []


def test_a_child_behaves_as_its_flags_say() -> None:
    with child("--update-seconds", "2", "--iterator-seconds", "0.5", stdin=subprocess.PIPE) as process:
        behaviour = StandInControl(first_line(process)).behaviour()
        assert behaviour == Behaviour(update_seconds=2, iterator_seconds=0.5)


def test_a_child_ends_when_its_stdin_closes() -> None:
    with child(stdin=subprocess.PIPE) as process:
        assert first_line(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_child_ends_at_sigterm() -> None:
    with child(stdin=subprocess.DEVNULL) as process:
        assert first_line(process)
        process.terminate()
        assert process.wait(10) == 0


def test_a_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        url = first_line(parent)
        assert accepts(url)
        parent.kill()
    deadline = time.monotonic() + 10
    while accepts(url):
        assert time.monotonic() < deadline, "the orphan still listens"
        time.sleep(0.05)


def test_a_child_ends_with_the_process_it_is_told_of() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        told = ("--parent-pid", str(other.pid))
        with child(*told, stdin=subprocess.DEVNULL) as process:
            assert first_line(process)
            other.kill()
            other.wait()
            assert process.wait(10) == 0


def test_a_taken_port_is_an_error_with_its_number() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with child("--port", port, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            assert process.wait(10) == 1
            assert process.stderr is not None
            assert port in process.stderr.read()


def test_a_child_listens_on_its_loopback_address_only() -> None:
    with child(stdin=subprocess.PIPE) as process:
        url = first_line(process)
        assert accepts(url)
        # 127.0.0.2 reaches a server that listens on every address.
        assert not accepts(url.replace("127.0.0.1", "127.0.0.2"))


def test_a_world_may_have_a_custom_event_bus_which_its_environment_names_by_its_arn(tmp_path: Path) -> None:
    aws = AwsStandIn(tmp_path, stream="changes", shards=1, bus="cdc-events", custom_bus=True)
    aws.start()
    received: queue.SimpleQueue[str] = queue.SimpleQueue()
    try:
        arn = aws.environment()["EVENT_BUS_NAME"]
        custom = aws.client("eventbridgev2")
        consumer = EventQueue(
            custom, aws.client("sqs"), bus=arn, source="ours", on_message=lambda body, _: received.put(body)
        )
        consumer.start()
        named = {"DetailType": "t", "Detail": '{"n":1}', "SystemMetadata": {"EventGroupId": "g"}}
        custom.put_events(EventBusArn=arn, Entries=[named | {"Source": "theirs"}, named | {"Source": "ours.users"}])
        assert json.loads(received.get(timeout=20))["source"] == "ours.users"
        consumer.stop()
        assert received.empty()
    finally:
        aws.stop()
