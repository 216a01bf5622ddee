"""P1-P4, P6, P8 from the outside: two workers are killed at random, and the bus shows nothing lost or out of order."""

import os
import random
import time
from pathlib import Path

import pytest

from sandbox.world import World
from tests.journey.hops import describe_hops
from tests.journey.traffic import Outside, Verdict, changes
from tests.journey.worker_process import WorkerProcess, own_environment

CHANGES = int(os.environ.get("KILL_CHANGES", "3000"))
SEED = int(os.environ.get("KILL_SEED", "1"))
BATCH = 50
QUIET_SECONDS = 60.0


def test_killed_workers_lose_nothing_and_keep_every_row_in_order(world: World, tmp_path: Path) -> None:
    environment = own_environment(world.environment(), f"kill{SEED}")
    outside = Outside(environment)
    queue = outside.make()
    workers = [WorkerProcess(environment, tmp_path, name) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    try:
        verdict, kills = _run(outside, queue, workers)
        codes = [worker.stop() for worker in workers]
    finally:
        for worker in workers:
            worker.end()
    logs = "".join(worker.log.read_text() for worker in workers)
    assert kills >= 4, "the fault did not fire"
    if verdict.problems or verdict.missing:
        where = describe_hops(environment, set(verdict.expected))
        pytest.fail(f"{verdict.missing} missing, {len(verdict.problems)} problems: {verdict.problems[:10]}\n{where}")
    assert codes == [0, 0]
    assert not any(canary in logs for change in verdict.expected.values() for canary in change.canaries)


def _run(outside: Outside, queue: str, workers: list[WorkerProcess]) -> tuple[Verdict, int]:
    """Traffic with kills between the batches, then the drain. Returns what came out, and how often was killed."""
    dice = random.Random(SEED)
    kinesis, sqs = outside.client("kinesis"), outside.client("sqs")
    verdict, kills = Verdict(), 0
    traffic = list(changes(SEED, CHANGES))
    kill_at = {dice.randrange(1, CHANGES // BATCH) for _ in range(8)}
    for number, start in enumerate(range(0, CHANGES, BATCH)):
        batch = traffic[start : start + BATCH]
        for change in batch:
            verdict.expect(change)
        outside.put(kinesis, batch)
        if number in kill_at:
            # Only a worker that does something can be caught in the middle of it.
            _wait_for_progress(outside, sqs, queue, verdict)
            victim = dice.choice(workers)
            victim.kill()
            victim.start()
            kills += 1
        outside.drain(sqs, queue, verdict, 0)
        time.sleep(dice.random() * 0.2)
    last = time.monotonic()
    while verdict.missing and not verdict.problems and time.monotonic() - last < QUIET_SECONDS:
        if outside.drain(sqs, queue, verdict, 1):
            last = time.monotonic()
    return verdict, kills


def _wait_for_progress(outside: Outside, sqs: object, queue: str, verdict: Verdict) -> None:
    before, since = len(verdict.seen), time.monotonic()
    while (
        len(verdict.seen) < before + 5
        and verdict.missing
        and not verdict.problems
        and time.monotonic() - since < QUIET_SECONDS
    ):
        outside.drain(sqs, queue, verdict, 1)
