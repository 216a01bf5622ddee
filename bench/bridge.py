"""The bridge beside its peers: `python -m bench.bridge`. One process each, 700 B DMS records, prepared pages."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.bridge_runs import AIOKAFKA, ALL, BOTO3, CONFLUENT, OURS, WARM_UP, BridgeRuns
from bench.bridge_stream import Stream, page_server
from bench.bridge_summary import SECTIONS, summary, table
from bench.contestants import Contestant
from bench.environments import HOME, PRODUCT, interpreter, library_path, versions
from bench.results import Run, machine, source_code
from bench.window import Window, measure, say
from sandbox.kafka.distribution import VERSION as KAFKA_VERSION

PARTITIONS = 4
SHARDS = 4
MANY_SHARDS = 64
FIELD = (BOTO3, AIOKAFKA, OURS, CONFLUENT)
"""Who runs in each round, in this order and then in the reverse one: ours stands beside its main rival."""
WARM_ROUNDS = 4
"""Of ours and its main rival, before anything of `throughput` counts: the broker's JVM compiles while it runs. It spent
13.6 µs on a record of (b) in the first round, 5.9 in the third, 3.6 in the fifth, 3.5 in the sixth (measured)."""
MEASURED = ("workers", "models", "enrichers")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.bridge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""\
sections
  throughput  4 shards: records/s in the topic, CPU per record, memory; all peers
  backlog     4 shards with --backlog records behind: memory of ours
  shards      1 shard and 64 shards, the same number of records: CPU per record of ours
  restart     kill -9 in the middle and a new process at once: time, duplicates and losses of ours

A new broker is slow until its JVM has compiled what is used: the first rounds of `throughput` do not count.
Every round runs all peers of its section one after the other, and the next round in the reverse order. Figures are
ratios inside a round; the result is their median. A run that was interrupted goes on where it stopped. The last line on
stdout is one JSON object.""",
    )  # fmt: skip
    parser.add_argument("--pairs", type=int, default=5, help="rounds of each section (default 5)")
    parser.add_argument(
        "--warm-rounds", type=int, default=WARM_ROUNDS, metavar="N",
        help=f"rounds of ours and (b) before those that count (default {WARM_ROUNDS})",
    )  # fmt: skip
    parser.add_argument("--records", type=int, default=400_000, help="records per run (default 400,000)")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="records of the backlog (default 1,000,000)")
    parser.add_argument("--only", metavar="A,B", help=f"sections: {', '.join(SECTIONS)}")
    parser.add_argument("--peers", metavar="A,B", help="only these peers beside ours (see the names in the output)")
    parser.add_argument(
        "--with",
        dest="extra",
        action="append",
        default=[],
        metavar="NAME",
        help="add a peer: ours_paced, ours_confluent",
    )
    parser.add_argument("--output", choices=("text", "json"), default="text", help="json: nothing but the last line")
    parser.add_argument(
        "--results", type=Path, default=HOME / "bridge.json", help="file of results (.bench/bridge.json)"
    )
    parser.add_argument("--fresh", action="store_true", help="do not go on with earlier results")
    given = parser.parse_args()
    given.sections = tuple(given.only.split(",")) if given.only else SECTIONS
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"unknown section {', '.join(sorted(unknown))}; there are: {', '.join(SECTIONS)}")
    names = {one.name for one in ALL}
    if unknown := {*given.extra, *(given.peers or "").split(",")} - names - {""}:
        parser.error(f"unknown peer {', '.join(sorted(unknown))}; there are: {', '.join(sorted(names))}")
    if given.pairs < 1 or min(given.records, given.backlog) < 2 * MANY_SHARDS * WARM_UP:
        parser.error(f"at least one pair and {2 * MANY_SHARDS * WARM_UP:,} records")
    return given


@dataclass(frozen=True, slots=True)
class Bench:
    """See window.Bench."""

    window: Window

    @property
    def given(self) -> argparse.Namespace:
        """The command line."""
        return self.window.given

    def field(self) -> list[Contestant]:
        """The peers, as asked for."""
        wanted = set(self.given.peers.split(",")) if self.given.peers else {one.name for one in FIELD}
        return [one for one in FIELD if one is OURS or one.name in wanted] + [
            one for one in ALL if one.name in self.given.extra and one not in FIELD
        ]

    def head(self) -> dict[str, Any]:
        """See window.Bench."""
        found: dict[str, Any] = {
            "settings": {name: getattr(self.given, name) for name in ("records", "backlog", "warm_rounds")},
            "source_code": source_code(*MEASURED), "machine": machine(), "kafka": KAFKA_VERSION,
            "versions": versions(
                interpreter(PRODUCT, say), "aiokafka", "aiohttp", "boto3", "faust-streaming", "msgspec"
            ),
        }  # fmt: skip
        for library in {one.library for one in self.field()} - {""}:
            library_path(library, say)
        if CONFLUENT in self.field():
            python = interpreter("confluent", say)
            found["versions_confluent"] = versions(python, "confluent-kafka", "aiohttp", "msgspec")
        return found

    async def run(self) -> None:
        """All sections. Raises PeerFailed."""
        for section in self.given.sections:
            missing = self.given.pairs - self.window.results.done(section)
            if missing > 0:
                say(f"{section}: {missing} rounds to go")
                await getattr(self, section)(range(self.given.pairs - missing, self.given.pairs))

    async def throughput(self, rounds: range) -> None:
        """Everybody, on the same stream."""
        stream = Stream("throughput", SHARDS, self.given.records // SHARDS)
        with page_server(self.window.directory / "pages.log", stream) as server:
            bench = BridgeRuns(self.window.rig, self.window.directory, server, say)
            for number in range(self.given.warm_rounds):
                say(f"throughput: round {number + 1} of {self.given.warm_rounds} that warm the broker up")
                for one in (AIOKAFKA, OURS):
                    await bench.throughput(one, "warm-up", stream)
            for number in rounds:
                order = self.field() if number % 2 == 0 else self.field()[::-1]
                self._keep("throughput", {one.name: await bench.throughput(one, "throughput", stream) for one in order})

    async def backlog(self, rounds: range) -> None:
        """Ours, on a long stream."""
        stream = Stream("backlog", SHARDS, self.given.backlog // SHARDS)
        with page_server(self.window.directory / "pages.log", stream) as server:
            bench = BridgeRuns(self.window.rig, self.window.directory, server, say)
            for _ in rounds:
                self._keep("backlog", {OURS.name: await bench.throughput(OURS, "backlog", stream)})

    async def shards(self, rounds: range) -> None:
        """Ours, on one shard and on many."""
        streams = {
            "ours_1_shard": Stream("one", 1, self.given.records),
            "ours_64_shards": Stream("many", MANY_SHARDS, self.given.records // MANY_SHARDS),
        }
        with page_server(self.window.directory / "pages.log", *streams.values()) as server:
            bench = BridgeRuns(self.window.rig, self.window.directory, server, say)
            for number in rounds:
                order = list(streams) if number % 2 == 0 else list(streams)[::-1]
                self._keep("shards", {name: await bench.throughput(OURS, "shards", streams[name]) for name in order})

    async def restart(self, rounds: range) -> None:
        """Ours, killed."""
        stream = Stream("restart", SHARDS, self.given.records // SHARDS)
        with page_server(self.window.directory / "pages.log", stream) as server:
            bench = BridgeRuns(self.window.rig, self.window.directory, server, say)
            for _ in rounds:
                self._keep("restart", {OURS.name: await bench.restart(OURS, stream)})

    def _keep(self, section: str, runs: dict[str, Run]) -> None:
        self.window.keep(section, list(runs), runs)


def main() -> int:
    """The command."""
    return measure(arguments(), "bridge-window", PARTITIONS, Bench, table, summary)


if __name__ == "__main__":
    sys.exit(main())
