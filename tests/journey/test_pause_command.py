"""`cdc pause` and `cdc resume` as an operator meets them: workers under traffic obey, also one that was killed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sandbox.world import World
from tests.journey.traffic import Outside, Verdict, changes
from tests.journey.worker_process import WorkerProcess, own_environment

PATIENCE = 90.0


class Operator:
    """Somebody with a terminal and the settings of the workers."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.environment = environment
        self.directory = directory

    def cdc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("CDC_", "AWS_", "KAFKA_"))}
        return subprocess.run(
            [sys.executable, "-m", "workers", *arguments], env=inherited | self.environment, cwd=self.directory,
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip

    def document(self, *arguments: str) -> Any:
        found = self.cdc(*arguments, "--output", "json")
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout)

    def publish(self) -> Any:
        (stage,) = self.document("status", "--stage", "publish", "--sample", "0")["stages"]
        return stage

    def lag_of_publish(self) -> int:
        return sum(row["lag"] or 0 for row in self.publish()["partitions"])


def drained(outside: Outside, queue: str, verdict: Verdict) -> int:
    """Everything that has arrived until now; how many events of ours were seen in all."""
    sqs = outside.client("sqs")
    while outside.drain(sqs, queue, verdict, 1):
        pass
    return len(verdict.seen)


def test_a_pause_holds_through_a_kill_and_nothing_is_lost_or_out_of_order(world: World, tmp_path: Path) -> None:
    environment = own_environment(world.environment(), "pause")
    outside, operator, verdict = Outside(environment), Operator(environment, tmp_path), Verdict()
    queue, traffic = outside.make(), list(changes(7, 450))
    kinesis = outside.client("kinesis")

    def put(start: int) -> None:
        batch = traffic[start : start + 150]
        for change in batch:
            verdict.expect(change)
        outside.put(kinesis, batch)

    workers = [WorkerProcess(environment, tmp_path, name) for name in ("one", "two")]
    try:
        for worker in workers:
            worker.start()
        put(0)
        deadline = time.monotonic() + PATIENCE
        while not drained(outside, queue, verdict) and time.monotonic() < deadline:
            pass
        while len(operator.publish()["members"]) < len(workers) and time.monotonic() < deadline:
            pass
        put(150)

        made = operator.document("pause", "publish", "--reason", "a test", "--wait", "90", "--yes")
        assert made["workers"] == [{"stage": "publish", "workers": 2, "obey": True, "missing_slots": []}]

        seen = drained(outside, queue, verdict)
        workers[0].kill()
        put(300)
        workers[0].start()
        while operator.lag_of_publish() < 100 and time.monotonic() < deadline + PATIENCE:
            pass
        assert drained(outside, queue, verdict) == seen, "paused"
        ended = operator.document("resume", "publish", "--wait", "90", "--yes")
        assert (ended["resumed"], ended["workers"][0]["obey"]) == (["publish"], True)
        deadline = time.monotonic() + PATIENCE
        while verdict.missing and time.monotonic() < deadline:
            drained(outside, queue, verdict)
        history = operator.document("pause", "list", "--history")["history"]
        codes = [worker.stop() for worker in workers]
    finally:
        for worker in workers:
            worker.end()
    assert (verdict.missing, verdict.problems) == (0, [])
    assert [change["action"] for change in history] == ["resumed", "paused"]
    assert codes == [0, 0]
