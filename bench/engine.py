"""The engine beside its peers: `python -m bench.engine`. One process each, 660 B JSON, 4 partitions, a real Kafka."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import contestants
from bench.contestants import Contestant
from bench.environments import HOME, PRODUCT, interpreter, library_path, versions
from bench.latency import Latency
from bench.load import Schedule
from bench.recovery import Recovery
from bench.results import Run, machine, source_code
from bench.soak import Soak
from bench.summary import summary, table
from bench.throughput import Throughput
from bench.window import Window, measure, say
from sandbox.kafka.distribution import VERSION as KAFKA_VERSION

SECTIONS = ("forward", "table", "recovery", "latency", "soak")
DEFAULT_SECTIONS = ("forward", "table", "recovery", "latency")
PARTITIONS = 4
LATENCY_RATE = 500
SOAK_RATE = 1_000

FIELDS = {
    "forward": (
        contestants.QUIX, contestants.OURS, contestants.TRANSACTIONS, contestants.SLOTS, contestants.IDEMPOTENT,
        contestants.QUIX_AT_LEAST_ONCE, contestants.FAUST,
    ),
    "table": (contestants.QUIX, contestants.OURS, contestants.TRANSACTIONS, contestants.QUIX_AT_LEAST_ONCE),
    "recovery": (contestants.OURS, contestants.FAUST),
}  # fmt: skip
"""Who runs in each round, in this order and then in the reverse one: ours stands beside its two main rivals."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""\
sections
  forward    decode 660 B JSON, forward the bytes: records/s, CPU per record, memory
  table      the same, and a table upsert per record (5,000 keys)
  recovery   500,000 table entries of 120 B back from their changelog
  latency    500 records/s: produce call -> read_committed consumer, beside plain Kafka
  soak       memory over a steady load; only with --soak SECONDS

Every round runs all peers of its section one after the other, and the next round in the reverse order. Figures are
ratios inside a round; the result is their median. A run that was interrupted goes on where it stopped. The last line on
stdout is one JSON object.""",
    )  # fmt: skip
    parser.add_argument("--pairs", type=int, default=5, help="rounds of each section (default 5)")
    parser.add_argument("--records", type=int, default=300_000, help="records per run (default 300,000; Faust 20,000)")
    parser.add_argument("--entries", type=int, default=500_000, help="table entries to recover (default 500,000)")
    parser.add_argument("--rows", type=int, default=5_000, help="different keys (default 5,000)")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each latency phase (default 12)")
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS", help="also the soak, e.g. 600")
    parser.add_argument("--only", metavar="A,B", help=f"sections: {', '.join(SECTIONS)}")
    parser.add_argument("--peers", metavar="A,B", help="only these peers beside ours (see the names in the output)")
    parser.add_argument(
        "--with", dest="extra", action="append", default=[], metavar="NAME", help="add a peer: ours_uvloop"
    )
    parser.add_argument("--output", choices=("text", "json"), default="text", help="json: nothing but the last line")
    parser.add_argument(
        "--results", type=Path, default=HOME / "engine.json", help="file of results (.bench/engine.json)"
    )
    parser.add_argument("--fresh", action="store_true", help="do not go on with earlier results")
    given = parser.parse_args()
    given.sections = tuple(given.only.split(",")) if given.only else DEFAULT_SECTIONS
    if given.soak and "soak" not in given.sections and not given.only:
        given.sections += ("soak",)
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"unknown section {', '.join(sorted(unknown))}; there are: {', '.join(SECTIONS)}")
    names = {one.name for one in contestants.ALL}
    if unknown := {*given.extra, *(given.peers or "").split(",")} - names - {""}:
        parser.error(f"unknown peer {', '.join(sorted(unknown))}; there are: {', '.join(sorted(names))}")
    if given.pairs < 1 or given.records < 1_000:
        parser.error("at least one pair and 1,000 records")
    given.soak = given.soak or 600.0
    return given


@dataclass(frozen=True, slots=True)
class Bench:
    """See window.Bench."""

    window: Window

    @property
    def given(self) -> argparse.Namespace:
        """The command line."""
        return self.window.given

    def field(self, section: str) -> list[Contestant]:
        """The peers of a section, as asked for."""
        wanted = set(self.given.peers.split(",")) if self.given.peers else None
        field = [
            one for one in FIELDS[section] if wanted is None or one is contestants.OURS or one.name in wanted
        ]  # fmt: skip
        extra = [one for one in contestants.ALL if one.name in self.given.extra and one not in field]
        place = field.index(contestants.OURS)
        return field[:place] + extra + field[place:] if section != "recovery" else field

    def head(self) -> dict[str, Any]:
        """See window.Bench."""
        field = [one for section in self.given.sections if section in FIELDS for one in self.field(section)]
        for library in {one.library for one in field} - {""}:
            library_path(library, say)
        found: dict[str, Any] = {
            "settings": {name: getattr(self.given, name) for name in ("records", "entries", "rows", "seconds", "soak")},
            "source_code": source_code("workers/engine"), "machine": machine(), "kafka": KAFKA_VERSION,
            "versions": versions(interpreter(PRODUCT, say), "aiokafka", "faust-streaming", "msgspec"),
        }  # fmt: skip
        environments = {one.environment for one in field}
        if "quix" in environments:
            found["versions_quix"] = versions(interpreter("quix", say), "quixstreams", "confluent-kafka", "msgspec")
        if "faust" in environments:
            found["versions_faust"] = versions(interpreter("faust", say), "faust-streaming", "aiokafka", "msgspec")
        return found

    async def run(self) -> None:
        """All sections. Raises PeerFailed."""
        for section in self.given.sections:
            missing = self.given.pairs - self.window.results.done(section)
            if section == "soak":
                missing = 1 - self.window.results.done(section)
            if missing > 0:
                say(f"{section}: {missing} rounds to go")
                await getattr(self, section)(missing)

    async def forward(self, missing: int) -> None:
        """Decode and forward."""
        await self._throughput("forward", missing)

    async def table(self, missing: int) -> None:
        """Decode, remember and forward."""
        await self._throughput("table", missing)

    async def _throughput(self, section: str, missing: int) -> None:
        bench = Throughput(self.window.rig, self.window.directory, self.given.rows, say)
        field = self.field(section)
        for number in range(self.given.pairs - missing, self.given.pairs):
            order = field if number % 2 == 0 else field[::-1]
            runs: dict[str, Run] = {}
            for contestant in order:
                runs[contestant.name] = await bench.run(contestant, section, self.given.records)
            self.window.keep(section, list(runs), runs)

    async def recovery(self, missing: int) -> None:
        """Tables back from their changelogs."""
        bench = Recovery(self.window.rig, self.window.directory, self.given.entries, say)
        field = self.field("recovery")
        for contestant in field:
            # Stock Faust waits for ever for the offset of a transaction's marker: its changelog has none.
            await bench.prepare(contestant, transactional=contestant is not contestants.FAUST)
        for number in range(self.given.pairs - missing, self.given.pairs):
            order = field if number % 2 == 0 else field[::-1]
            runs = {contestant.name: await bench.run(contestant) for contestant in order}
            self.window.keep("recovery", list(runs), runs)

    async def latency(self, missing: int) -> None:
        """A steady trickle."""
        schedule = Schedule(LATENCY_RATE, self.given.seconds, self.given.rows, PARTITIONS)

        def keep(order: list[str], runs: dict[str, Run]) -> None:
            self.window.keep("latency", order, runs)

        await Latency(self.window.rig, self.window.directory, schedule, say).rounds(
            missing, keep, self.given.pairs - missing
        )

    async def soak(self, _missing: int) -> None:
        """Memory over time."""
        schedule = Schedule(SOAK_RATE, self.given.soak, self.given.rows, PARTITIONS)
        found = await Soak(self.window.rig, self.window.directory, schedule, say).run()
        self.window.keep("soak", ["ours"], {"ours": found})


def main() -> int:
    """The command."""
    return measure(arguments(), "window", PARTITIONS, Bench, table, summary)


if __name__ == "__main__":
    sys.exit(main())
