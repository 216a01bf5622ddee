"""One window of a benchmark: a Kafka of its own, the rounds that are still missing, and what is printed at the end."""

import argparse
import asyncio
import contextlib
import json
import logging
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.environments import HOME, EnvironmentFailed
from bench.results import Results, Run
from bench.rig import Rig
from bench.throughput import PeerFailed
from workers.failures import CommandError


@dataclass(slots=True)
class Window:
    """What the rounds of one window share."""

    given: argparse.Namespace
    """Among others `results` (a path), `fresh` and `output`."""
    rig: Rig
    directory: Path
    """For logs and state; gone when the window ends well."""
    results: Results
    began: str

    def keep(self, section: str, order: list[str], runs: dict[str, Run]) -> None:
        """Write a round into the file of results."""
        self.results.add(section, self.began, order, runs)


class Bench(Protocol):
    """What is measured."""

    def head(self) -> dict[str, Any]:
        """What the results are about: other settings, code, versions or machine are another file."""

    async def run(self) -> None:
        """Every round that the results lack. Raises PeerFailed."""


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _measure(given: argparse.Namespace, name: str, partitions: int, make: Callable[[Window], Bench]) -> Results:
    directory = HOME / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    rig = Rig(directory / "kafka", partitions, say)
    window = Window(given, rig, directory, Results(given.results, {}), time.strftime("%Y-%m-%dT%H:%M:%S"))
    bench = make(window)
    if given.fresh:
        given.results.unlink(missing_ok=True)
    window.results = Results.open(given.results, bench.head(), say)
    with contextlib.closing(rig.broker):
        rig.broker.start()
        asyncio.run(bench.run())
    shutil.rmtree(directory, ignore_errors=True)
    return window.results


def measure(
    given: argparse.Namespace,
    name: str,
    partitions: int,
    make: Callable[[Window], Bench],
    table: Callable[[Results], str],
    summary: Callable[[Results], dict[str, Any]],
) -> int:
    """Everything that is missing, and what has come out; returns the exit code. `name`: of the window's directory;
    `partitions`: of every topic."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics that were made a moment ago have no leader yet
    try:
        results = _measure(given, name, partitions, make)
    except (PeerFailed, EnvironmentFailed, CommandError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if given.output == "text":
        print(table(results))
    print(json.dumps(summary(results)))
    return 0
