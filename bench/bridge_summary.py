"""What a file of the bridge's results says."""

from typing import Any

from bench.results import Results
from bench.summary import Ratio, noisy_rounds
from bench.summary import table as any_table

RATIOS: dict[str, Ratio] = {
    "throughput_vs_b": ("throughput", "rate", "ours", "aiohttp_aiokafka"),
    "cpu_vs_b": ("throughput", "cpu_per_1k", "ours", "aiohttp_aiokafka"),
    "vs_boto3": ("throughput", "rate", "ours", "boto3_loop"),
    "cpu_vs_boto3": ("throughput", "cpu_per_1k", "ours", "boto3_loop"),
    "confluent_vs_ours": ("throughput", "rate", "ours_confluent", "ours"),
    "confluent_cpu_vs_ours": ("throughput", "cpu_per_1k", "ours_confluent", "ours"),
    "throughput_vs_c": ("throughput", "rate", "ours", "aiohttp_confluent"),
    "cpu_vs_c": ("throughput", "cpu_per_1k", "ours", "aiohttp_confluent"),
    "visible_vs_b": ("throughput", "rate_visible", "ours", "aiohttp_aiokafka"),
    "visible_vs_boto3": ("throughput", "rate_visible", "ours", "boto3_loop"),
    "shards_64_vs_1": ("shards", "cpu_per_1k", "ours_64_shards", "ours_1_shard"),
}
REQUIRED = ("throughput_vs_b", "cpu_vs_b", "vs_boto3", "shards_64_vs_1")
FIGURES = ("rate", "rate_visible", "cpu_per_1k", "broker_cpu_per_1k", "server_cpu_per_1k", "rss_peak_mb", "per_marker")
WORTH = {
    "throughput": FIGURES, "backlog": FIGURES, "shards": FIGURES,
    "restart": ("restart_seconds", "duplicates", "lost"),
}  # fmt: skip
SECTIONS = tuple(WORTH)


def summary(results: Results) -> dict[str, Any]:
    """One flat object; a figure that was not measured is null. What was repeated or lost is the sum of all rounds."""
    found: dict[str, Any] = {key: results.ratio(*of) for key, of in RATIOS.items()}
    found = {key: value for key, value in found.items() if value is not None or key in REQUIRED}
    found["rss_mb"] = results.median("backlog", "rss_peak_mb", "ours")
    found["restart_seconds"] = results.median("restart", "restart_seconds", "ours")
    for figure in ("duplicates", "lost"):
        of_rounds = [one["runs"]["ours"][figure] for one in results.of("restart")]
        found[f"restart_{figure}"] = sum(of_rounds) if of_rounds else None
    found["rounds"] = {section: results.done(section) for section in SECTIONS}
    found["noisy_rounds"] = noisy_rounds(results, "throughput", "backlog", "shards")
    return found


def table(results: Results) -> str:
    """For a reader."""
    return any_table(results, WORTH, RATIOS)
