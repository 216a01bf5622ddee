"""`cdc checkpoint` as an operator meets it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.world import World
from tests.integration.bridging import Stream, own_stream
from tests.integration.stage import eventually, running
from workers.app import make_bridge

SECRET = "UserName"
"""Stands in every payload."""


@pytest.fixture
def stream(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stream:
    return own_stream(world, monkeypatch, tmp_path, f"operator{time.time_ns() % 10**9}", CDC_SOURCE_SLOTS="8")


async def forwarded(stream: Stream, times: int = 1) -> None:
    """The bridge has forwarded everything, each change for the n-th time, and has stopped."""
    async with running(make_bridge(stream.settings)):
        await eventually(lambda: stream.arrived(times * stream.count))


def cdc(stream: Stream, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CDC_", "AWS_", "KAFKA_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "workers", "checkpoint", *arguments], env=inherited | stream.environment,
        cwd=stream.settings.data_dir, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert SECRET not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended


def test_every_shard_has_a_line(stream: Stream) -> None:
    stream.put()
    asyncio.run(forwarded(stream))
    ended = cdc(stream, "status")
    assert ended.returncode == 0, ended.stderr
    group, _, head, boot, kept, names, *rows = ended.stdout.splitlines()
    assert head.startswith("core: arn:aws:kinesis:")
    assert head.endswith(f"stream/{stream.name}")
    assert kept == "the stream keeps records 24 h"
    assert boot.endswith("2 shards, from TRIM_HORIZON")
    assert group == "bridge: group Empty, 0 members"
    assert names.split()[:4] == ["SHARD", "STATE", "SLOT", "OWNER"]
    assert [row.split()[1] for row in rows] == ["IDLE", "IDLE"]
    assert ended.stderr.splitlines()[-1] == "cdc checkpoint: 2 IDLE"


def test_a_topic_that_is_not_there_is_named(stream: Stream) -> None:
    ended = cdc(stream, "status")
    assert ended.returncode == 6
    assert "checkpoints" in ended.stderr


def test_an_operator_saves_resets_and_brings_positions_back(stream: Stream) -> None:
    stream.put()
    asyncio.run(forwarded(stream))
    assert cdc(stream, "export", "before.json").returncode == 0
    looked = cdc(stream, "reset", "--trim-horizon")
    assert looked.returncode == 8
    assert "2 shards would be set" in looked.stderr
    assert "--yes" in looked.stderr
    assert f"raw gets records again: {stream.count} were forwarded" in looked.stdout
    assert cdc(stream, "reset", "--trim-horizon", "--latest").returncode == 2
    assert cdc(stream, "reset", "--trim-horizon", "--yes").returncode == 0
    assert cdc(stream, "status").stderr.splitlines()[-1] == "cdc checkpoint: 2 NOT_BEGUN"

    assert cdc(stream, "import", "--from", "other.json", "--yes").returncode == 3
    assert cdc(stream, "import", "--from", "before.json", "--yes").returncode == 8
    ended = cdc(stream, "import", "--from", "before.json", "--replace", "--yes", "--output", "json")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert (report["written"], report["command"]) == (True, "import --from before.json")
    assert [shard["after"]["state"] for shard in report["shards"]] == ["IDLE", "IDLE"]
    stream.put()
    asyncio.run(forwarded(stream))
    asyncio.run(stream.holds_everything_once_and_in_order())


def test_what_aws_does_not_tell_is_not_guessed(stream: Stream) -> None:
    stream.put()
    asyncio.run(forwarded(stream))
    stream.environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    assert cdc(stream, "reset", "--latest", "--yes").returncode == 5
