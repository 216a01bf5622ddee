"""A browser, and a worker with data behind its page. Nothing here is collected outside of `make test-browser`."""

import functools
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.world import World
from tests.browser.waiting import until
from tests.journey.traffic import changes
from tests.journey.worker_process import WorkerProcess, own_environment

HOME = os.environ.get("BROWSER_HOME")
collect_ignore_glob = [] if HOME else ["test_*.py"]
if HOME:
    sys.path.append(HOME)  # behind our own packages: some of theirs are the same

WAIT_SECONDS = 60.0
CHANGES = 300
SHARDS = 3


@pytest.fixture(scope="session")
def address(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the page of a worker that has published something, with a stream that was split."""
    directory = tmp_path_factory.mktemp("page")
    environment = own_environment(world.environment(), "page") | {"CDC_WEB_PORT": ""}
    kinesis, events = world.aws.client("kinesis"), world.aws.client("events")
    stream = environment["KINESIS_STREAM_NAME"]
    kinesis.create_stream(StreamName=stream, ShardCount=SHARDS)
    events.create_event_bus(Name=environment["EVENT_BUS_NAME"])
    worker = WorkerProcess(environment, directory, "page-worker")
    worker.start()
    try:
        url = _until_ready(worker)
        _send(kinesis, stream)
        _until_published(url)
        _split(kinesis, stream)
        yield f"{url}/page/"
        assert worker.stop() == 0
    finally:
        worker.end()


def _until_ready(worker: WorkerProcess) -> str:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = re.search(r"http://127\.0\.0\.1:\d+", worker.log.read_text())
        if found and _answers(found[0] + "/ready"):
            return found[0]
        time.sleep(0.1)
    pytest.fail(f"not ready:\n{worker.log.read_text()[-2000:]}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.HTTPError, OSError):
        return False


def _until_published(url: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{url}/api/pipeline", timeout=20) as answer:
            stages = {stage["name"]: stage for stage in json.load(answer)["stages"]}
        if stages["publish"]["taken"] >= CHANGES and stages["enrich"]["outcomes"].get("dead"):
            return
        time.sleep(0.2)
    pytest.fail(f"not all was published: {stages}")


def _send(kinesis: Any, stream: str) -> None:
    records = [{"Data": change.data, "PartitionKey": f"u{change.row}"} for change in changes(1, CHANGES)]
    records.append({"Data": b"{ no JSON", "PartitionKey": "poison"})
    assert kinesis.put_records(StreamName=stream, Records=records)["FailedRecordCount"] == 0


def _split(kinesis: Any, stream: str) -> None:
    shard = kinesis.list_shards(StreamName=stream)["Shards"][0]
    hashes = shard["HashKeyRange"]
    middle = (int(hashes["StartingHashKey"]) + int(hashes["EndingHashKey"])) // 2
    kinesis.split_shard(StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(middle))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=os.environ["BROWSER_PATH"], args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser said against the page: errors of scripts, refusals of the policy, files that are missing."""
    return []


@pytest.fixture
def opened(browser: Any, address: str, complaints: list[str]) -> Iterator[Callable[..., Any]]:
    """`opened(view, answers={path: JSON}, **context)`: a page of its own, as one who comes for the first time."""
    contexts = []

    def open_page(view: str = "", answers: dict[str, Any] | None = None, *, wait: bool = True, **options: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for path, body in (answers or {}).items():
            page.route(f"**{path}", functools.partial(_fulfil, body))
        page.goto(f"{address}#{view}" if view else address)
        if wait:
            until(page, "document.querySelector('#view > *') && !document.querySelector('#view noscript')")
        return page

    yield open_page
    for context in contexts:
        context.close()


def _fulfil(body: Any, route: Any) -> None:
    route.fulfill(json=body)


@pytest.fixture(scope="session")
def views() -> list[str]:
    """Ids of the views that are there."""
    page = Path(__file__).parents[2] / "workers" / "web" / "page"
    ids = re.findall(r'\["([a-z-]+)", "', (page / "page.js").read_text(encoding="utf-8"))
    return [name for name in ids if (page / f"{name}.js").is_file()]
