"""`cdc worker` as an operator meets it: exit codes, web views, and a stop that has a deadline."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from sandbox.ports import free_ports
from sandbox.world import World
from tests.journey.traffic import Outside, Verdict, changes
from tests.journey.worker_process import WorkerProcess, own_environment

WAIT_SECONDS = 60.0
STOP_SECONDS = 15.0
"""The worker's own deadline is 10 s; the rest is for a busy machine."""


def command(environment: dict[str, str], directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CDC_", "AWS_"))}
    inherited.pop("ENVIRONMENT", None)
    return subprocess.run(
        [sys.executable, "-m", "workers", "worker", *arguments], env=inherited | environment, cwd=directory,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def until_web(worker: WorkerProcess) -> str:
    """Address of the web views, once every stage is ready."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = re.search(r"http://127\.0\.0\.1:\d+", worker.log.read_text())
        if found and status(found[0] + "/ready") == 200:
            return found[0]
        time.sleep(0.1)
    pytest.fail(f"not ready:\n{worker.log.read_text()[-2000:]}")


def until_ready(health: int) -> None:
    """The health port has seen it too: it looks at the stages once a second."""
    deadline = time.monotonic() + WAIT_SECONDS
    while status(f"http://127.0.0.1:{health}/readyz") != 200 and time.monotonic() < deadline:
        time.sleep(0.1)


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def get(url: str) -> Any:
    return json.loads(text(url))


def test_a_missing_redaction_key_is_a_configuration_error_that_says_what_to_do(tmp_path: Path) -> None:
    ended = command({}, tmp_path)
    assert ended.returncode == 3
    assert "CDC_REDACTION_KEY" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unknown_stage_is_a_usage_error_that_names_the_stages(tmp_path: Path) -> None:
    ended = command({}, tmp_path, "--stages", "bridge,enrihc")
    assert ended.returncode == 2
    assert "bridge, enrich, publish" in ended.stderr


def test_a_mistake_in_tables_yaml_ends_the_start_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "tables.yaml").write_text("version: 1\ntables:\n  - table: orders\n    kye: [id]\n")
    ended = command({"CDC_TABLES": "tables.yaml", "CDC_REDACTION_KEY": "0123456789abcdef"}, tmp_path)
    assert ended.returncode == 3
    assert "line 4" in ended.stderr or ":4" in ended.stderr


def test_a_busy_web_port_that_was_asked_for_is_a_configuration_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = command({"CDC_WEB_PORT": port, "CDC_REDACTION_KEY": "0123456789abcdef"}, tmp_path)
    assert ended.returncode == 3
    assert port in ended.stderr


def test_a_web_server_for_all_without_tokens_of_ones_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("read " + "0123456789" * 4)
    (tmp_path / "tokens").chmod(0o644)
    given = {"CDC_WEB_BIND": "0.0.0.0", "CDC_WEB_TOKEN_FILE": "tokens", "CDC_REDACTION_KEY": "0123456789abcdef"}
    ended = command(given, tmp_path)
    assert (ended.returncode, "others may read or change it" in ended.stderr) == (3, True)


def test_topics_that_do_not_exist_are_refused_outside_of_local(world: World, tmp_path: Path) -> None:
    environment = own_environment(world.environment(), "notopics") | {"ENVIRONMENT": "DEV"}
    ended = command(environment | {"CDC_DATA_DIR": str(tmp_path)}, tmp_path)
    assert ended.returncode == 3
    assert "topics do not exist" in ended.stderr


def test_the_web_views_show_the_tables_masked_on_loopback(world: World, tmp_path: Path) -> None:
    [health] = free_ports(1)
    environment = own_environment(world.environment(), "web") | {"CDC_HEALTH_PORT": str(health)}
    outside = Outside(environment)
    queue = outside.make()
    verdict, sent = Verdict(), list(changes(5, 60))
    for change in sent:
        verdict.expect(change)
    worker = WorkerProcess(environment, tmp_path, "one")
    worker.start()
    try:
        web = until_web(worker)
        outside.put(outside.client("kinesis"), sent)
        sqs = outside.client("sqs")
        deadline = time.monotonic() + WAIT_SECONDS
        while verdict.missing and time.monotonic() < deadline:
            outside.drain(sqs, queue, verdict, 1)
        table = get(f"{web}/enrich/tables/users/")
        pages = [json.dumps(get(web + page)) for page in ("/", "/enrich/", "/enrich/tables/", "/publish/assignment/")]
        pages.append(text(f"{web}/metrics"))
        until_ready(health)
        probes = [status(f"http://127.0.0.1:{health}/{page}") for page in ("livez", "readyz", "metrics", "api/stages")]
        [peer] = get(f"{web}/api/stages")["workers"]
        foreign = status(f"{web}/api/stages", Host="evil.example")
        raw_views = [
            status(f"{web}/enrich/{page}") for page in ("table/", "table/users/", "router/", "router/users/7/")
        ]
    finally:
        worker.end()
    assert table["entries"] == 60
    assert all(entry["key"] == ["core", "users", "***"] for entry in table["sample"])
    assert all(set(entry["value"].values()) <= {"***", None} for entry in table["sample"])
    assert not any(canary in page for page in pages for change in sent for canary in change.canaries)
    assert raw_views == [404, 404, 404, 404]
    assert probes == [200, 200, 200, 404]
    assert (peer["error"], sorted(peer["stages"])) == (None, ["bridge", "enrich", "publish"])
    assert foreign == 421
    for stage in ("bridge", "enrich", "publish"):
        assert f'cdc_txn_seconds_count{{stage="{stage}"}}' in pages[-1]
    assert "process_resident_memory_bytes" in pages[-1]


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_worker_stops_in_time_while_the_broker_is_gone(tmp_path: Path, fault: str) -> None:
    with World(tmp_path / "world") as world:
        environment = own_environment(world.environment(), "gone")
        Outside(environment).make()
        worker = WorkerProcess(environment, tmp_path, "one")
        worker.start()
        try:
            until_web(worker)
            getattr(world.kafka, fault)()
            started = time.monotonic()
            assert worker.stop() == 0
            assert time.monotonic() - started < STOP_SECONDS
        finally:
            worker.end()


def test_ctrl_c_is_an_orderly_end(world: World, tmp_path: Path) -> None:
    environment = own_environment(world.environment(), "ctrlc")
    Outside(environment).make()
    worker = WorkerProcess(environment, tmp_path, "one")
    worker.start()
    try:
        until_web(worker)
        assert worker.stop(signal.SIGINT) == 0
    finally:
        worker.end()
