"""The publish stage beside plain boto3: `python -m bench.publish`. 1 KB events, one process each, a bus that only
counts."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.environments import HOME, PRODUCT, interpreter, versions
from bench.publish_events import ENTITIES
from bench.publish_runs import (
    BARE_CUSTOM,
    BOTO3,
    BOTO3_CUSTOM,
    BOTO3_THREADS,
    OURS,
    OURS_CUSTOM,
    WHOLE_CUSTOM,
    PublishRuns,
    bus_server,
)
from bench.results import Results, Run, machine, source_code
from bench.summary import Ratio, noisy_rounds
from bench.summary import table as any_table
from bench.window import Window, measure, say
from sandbox.kafka.distribution import VERSION as KAFKA_VERSION

PARTITIONS = 4
MEASURED = ("workers", "models")
LATENCY = 0.02
HOT_EVENTS = 250
FROM_KAFKA = (OURS, OURS_CUSTOM, BARE_CUSTOM, WHOLE_CUSTOM)
FIELD = {
    "latency": (OURS, BOTO3, BOTO3_THREADS), "direct": (OURS, BOTO3, BOTO3_THREADS),
    "custom": (OURS_CUSTOM, BARE_CUSTOM, WHOLE_CUSTOM, BOTO3_CUSTOM),
}  # fmt: skip
"""Who is measured in a section, beside those that ours has for itself."""
BOTO3_SHARE = 10
"""The loop sends so many times fewer events: at 20 ms a run of it takes long enough."""

RATIOS: dict[str, Ratio] = {
    "classic_20ms_vs_boto3": ("latency", "rate", OURS.name, BOTO3.name),
    "cpu_vs_boto3": ("latency", "cpu_us", OURS.name, BOTO3.name),
    "classic_20ms_vs_8_threads": ("latency", "rate", OURS.name, BOTO3_THREADS.name),
    "classic_0ms_vs_boto3": ("direct", "rate", OURS.name, BOTO3.name),
    "cpu_0ms_vs_boto3": ("direct", "cpu_us", OURS.name, BOTO3.name),
    # Events per CPU second, so the peer's CPU per event is the dividend.
    "v2_vs_boto3_cpu": ("custom", "cpu_us", BOTO3_CUSTOM.name, OURS_CUSTOM.name),
    "v2_bare_vs_boto3_cpu": ("custom", "cpu_us", BOTO3_CUSTOM.name, BARE_CUSTOM.name),
    "v2_whole_vs_boto3_cpu": ("custom", "cpu_us", BOTO3_CUSTOM.name, WHOLE_CUSTOM.name),
    "v2_0ms_vs_boto3": ("custom", "rate", OURS_CUSTOM.name, BOTO3_CUSTOM.name),
}
REQUIRED = ("classic_20ms_vs_boto3", "cpu_vs_boto3", "v2_vs_boto3_cpu")
FIGURES = ("rate", "cpu_us", "per_request", "reordered")
WORTH = {
    "latency": FIGURES, "direct": FIGURES, "custom": FIGURES, "hot": ("rate", "per_round_trip"),
    "stalled": ("rss_before_mb", "rss_mb", "rss_peak_mb"),
}  # fmt: skip
SECTIONS = tuple(WORTH)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.publish", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""\
sections
  latency  answers take 20 ms: events/s and CPU per event of ours, of a boto3 loop, and of one with 8 threads
  direct   answers come at once: the same
  custom   answers come at once: ours and a boto3 loop with a Custom Event Bus, 100 events to a request; and two
           ceilings: aiokafka and aiohttp with nothing between them, no checks, no answers, no receipts (bare_v2); the
           same with each event checked, answers read, receipts and offsets in transactions (whole_v2)
  hot      all events are about one entity, answers take 20 ms: requests per round trip of ours (1 is the limit)
  stalled  the bus answers nothing while --backlog events wait: memory of ours

Ours reads a real Kafka topic and writes receipts; the loops have their events in memory. Every round runs all peers of
its section one after the other, and the next round in the reverse order. Figures are ratios inside a round; the result
is their median. The last line on stdout is one JSON object.""",
    )  # fmt: skip
    parser.add_argument("--pairs", type=int, default=5, help="rounds of each section (default 5)")
    parser.add_argument("--records", type=int, default=40_000, help="events per run of ours (default 40,000)")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="events of `stalled` (default 1,000,000)")
    parser.add_argument("--only", metavar="A,B", help=f"sections: {', '.join(SECTIONS)}")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="json: nothing but the last line")
    parser.add_argument(
        "--results", type=Path, default=HOME / "publish.json", help="file of results (.bench/publish.json)"
    )
    parser.add_argument("--fresh", action="store_true", help="do not go on with earlier results")
    given = parser.parse_args()
    given.sections = tuple(given.only.split(",")) if given.only else SECTIONS
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"unknown section {', '.join(sorted(unknown))}; there are: {', '.join(SECTIONS)}")
    if given.pairs < 1 or given.records < BOTO3_SHARE * 100 or given.backlog < 1:
        parser.error(f"at least one pair and {BOTO3_SHARE * 100:,} records")
    return given


@dataclass(frozen=True, slots=True)
class Bench:
    """See window.Bench."""

    window: Window

    def head(self) -> dict[str, Any]:
        """See window.Bench."""
        return {
            "settings": {name: getattr(self.window.given, name) for name in ("records", "backlog")},
            "source_code": source_code(*MEASURED), "machine": machine(), "kafka": KAFKA_VERSION,
            "versions": versions(interpreter(PRODUCT, say), "aiokafka", "aiohttp", "boto3", "msgspec"),
        }  # fmt: skip

    async def run(self) -> None:
        """See window.Bench."""
        given = self.window.given
        with bus_server(self.window.directory / "bus.log") as server:
            runs = PublishRuns(self.window.rig, self.window.directory, server, say)
            for section in given.sections:
                for number in range(self.window.results.done(section), given.pairs):
                    say(f"{section}: round {number + 1} of {given.pairs}")
                    found = await self._round(runs, section, number)
                    self.window.keep(section, list(found), found)

    async def _round(self, runs: PublishRuns, section: str, number: int) -> dict[str, Run]:
        records = self.window.given.records
        if section == "stalled":
            return {OURS.name: await runs.stalled(self.window.given.backlog, ENTITIES)}
        if section == "hot":
            hot = await runs.ours(OURS, section, HOT_EVENTS, 1, LATENCY)
            return {OURS.name: hot | {"per_round_trip": round(hot["rate"] * LATENCY, 3)}}
        latency = LATENCY if section == "latency" else 0.0
        share = BOTO3_SHARE if section == "latency" else 1
        found: dict[str, Run] = {}
        field = (
            (OURS_CUSTOM, BARE_CUSTOM, WHOLE_CUSTOM, BOTO3_CUSTOM)
            if section == "custom"
            else (OURS, BOTO3, BOTO3_THREADS)
        )
        for one in field if number % 2 == 0 else field[::-1]:
            found[one.name] = (
                await runs.ours(one, section, records, ENTITIES, latency) if one in FROM_KAFKA
                else await runs.boto3(one, section, records // share, ENTITIES, latency)
            )  # fmt: skip
        return found


def summary(results: Results) -> dict[str, Any]:
    """One flat object; a figure that was not measured is null."""
    found: dict[str, Any] = {key: results.ratio(*of) for key, of in RATIOS.items()}
    found = {key: value for key, value in found.items() if value is not None or key in REQUIRED}
    found["hot_per_round_trip"] = results.median("hot", "per_round_trip", OURS.name)
    found["stalled_rss_mb"] = results.median("stalled", "rss_mb", OURS.name)
    found["boto3_8_threads_reordered"] = results.median("latency", "reordered", BOTO3_THREADS.name)
    found["rounds"] = {section: results.done(section) for section in SECTIONS}
    found["noisy_rounds"] = noisy_rounds(results, "latency", "direct", "custom")
    return found


def table(results: Results) -> str:
    """For a reader."""
    return any_table(results, WORTH, RATIOS)


def main() -> int:
    """The command."""
    return measure(arguments(), "publish-window", PARTITIONS, Bench, table, summary)


if __name__ == "__main__":
    sys.exit(main())
