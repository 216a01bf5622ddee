"""Health as an operator meets it: a canary goes all the way, consumers can tell it, and the counts add up with it."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from sandbox.world import World
from tests.journey.traffic import Outside
from tests.journey.worker_process import WorkerProcess, own_environment

WAIT_SECONDS = 120.0


def health(log: Path) -> dict[str, Any]:
    """The report of the worker that writes this log; empty as long as there is none."""
    found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
    if found is None:
        return {}
    try:
        with urllib.request.urlopen(f"{found[0]}/api/health", timeout=10) as answer:
            return dict(json.load(answer)["report"] or {})
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return {}


def test_a_canary_arrives_at_the_bus_and_the_audit_counts_it_like_any_record(world: World, tmp_path: Path) -> None:
    environment = own_environment(world.environment(), "canary") | {
        "CDC_CANARY": "true", "CDC_CANARY_INTERVAL": "2", "CDC_HEALTH_INTERVAL": "1", "CDC_CANARY_LIMIT": "100",
        "CDC_HEALTH_TIMEOUT": "60",
    }  # fmt: skip
    outside = Outside(environment)
    queue = outside.make()
    worker = WorkerProcess(environment, tmp_path, "one")
    worker.start()
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        report: dict[str, Any] = {}
        while report.get("checks", {}).get("canary") != "ok" and time.monotonic() < deadline:
            time.sleep(0.2)
            report = health(worker.log)
        message = outside.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"][0]
        worker.stop()
    finally:
        worker.end()
    assert (report["state"], report["eventBridge"]) == ("ok", "OK"), report
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"]) == ("cdc-pipeline.cdc_canary", "cdc.canary")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CDC_", "AWS_"))}
    audit = subprocess.run(
        [sys.executable, "-m", "workers", "status", "--audit", "--output", "json"], env=inherited | environment,
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert audit.returncode == 0, audit.stdout + audit.stderr
