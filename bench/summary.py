"""What a file of results says: the ratios the goals are set in, and a table to read."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.latency import PLAIN, limit_ms
from bench.results import Results

Ratio = tuple[str, str, str, str]
"""(section, figure, dividend, divisor)."""

RATIOS: dict[str, Ratio] = {
    "forward_vs_quix": ("forward", "rate", "ours", "quix_exactly_once"),
    "cpu_vs_quix": ("forward", "cpu_us", "ours", "quix_exactly_once"),
    "table_vs_quix": ("table", "rate", "ours", "quix_exactly_once"),
    "table_cpu_vs_quix": ("table", "cpu_us", "ours", "quix_exactly_once"),
    "forward_vs_quix_at_least_once": ("forward", "rate", "ours", "quix_at_least_once"),
    "forward_vs_faust": ("forward", "rate", "ours", "faust"),
    "forward_vs_ceiling": ("forward", "rate", "ours", "loop_transactions"),
    "cpu_vs_ceiling": ("forward", "cpu_us", "ours", "loop_transactions"),
    "forward_vs_slots": ("forward", "rate", "ours", "loop_slots"),
    "forward_vs_idempotent": ("forward", "rate", "ours", "loop_idempotent"),
    "table_vs_ceiling": ("table", "rate", "ours", "loop_transactions"),
    "uvloop_rate": ("forward", "rate", "ours_uvloop", "ours"),
    "uvloop_cpu": ("forward", "cpu_us", "ours_uvloop", "ours"),
    "recovery_vs_faust": ("recovery", "rate", "ours", "faust"),
}
"""By key of the summary."""

REQUIRED = ("forward_vs_quix", "cpu_vs_quix", "table_vs_quix", "forward_vs_ceiling", "recovery_vs_faust")
WORTH = {
    "forward": ("rate", "cpu_us", "broker_cpu_us", "rss_peak_mb", "per_marker"),
    "table": ("rate", "cpu_us", "broker_cpu_us", "rss_peak_mb", "per_marker"),
    "recovery": ("rate", "seconds", "cpu_us", "rss_peak_mb"),
    "latency": ("p50_ms", "p99_ms", "cpu_share"),
}
"""The figures shown per section."""


def summary(results: Results) -> dict[str, Any]:
    """One flat object; a figure that was not measured is null."""
    found: dict[str, Any] = {key: results.ratio(*of) for key, of in RATIOS.items()}
    found = {key: value for key, value in found.items() if value is not None or key in REQUIRED}
    found["p99_ms"] = results.median("latency", "p99_ms", "ours")
    found["plain_p99_ms"] = plain = results.median("latency", "p99_ms", PLAIN)
    found["p50_ms"] = results.median("latency", "p50_ms", "ours")
    found["p99_limit_ms"] = round(limit_ms(plain), 2) if plain is not None else None
    found["rss_mb"] = results.median("forward", "rss_peak_mb", "ours")
    for one in results.of("soak"):
        run = one["runs"]["ours"]
        found |= {"soak_seconds": run["seconds"], "soak_mb_per_hour": run["mb_per_hour"], "soak_flat": run["flat"]}
    found["rounds"] = {
        section: results.done(section) for section in ("forward", "table", "recovery", "latency", "soak")
    }
    found["noisy_rounds"] = noisy_rounds(results, "forward", "table")
    return found


def table(results: Results, worth: Mapping[str, Sequence[str]] = WORTH, ratios: Mapping[str, Ratio] = RATIOS) -> str:
    """Medians per peer, and for each ratio the values of all rounds."""
    lines = []
    for section, figures in worth.items():
        names = dict.fromkeys(name for one in results.of(section) for name in one["runs"])
        if names:
            lines += ["", f"{section} (medians of {results.done(section)} rounds; compare ratios, not these)"]
            lines.append("  " + f"{'':22}" + "".join(f"{figure:>18}" for figure in figures))
        for name in names:
            values = [results.median(section, figure, name) for figure in figures]
            shown = [f"{_short(value):>18}" for value in values if value is not None]
            lines.append("  " + f"{name:22}" + "".join(shown))
    lines += ["", "ratios (median, and every round)"]
    for key, of in ratios.items():
        if (ratio := results.ratio(*of)) is not None:
            lines.append(f"  {key:32}{ratio:8.3f}   {' '.join(f'{one:.2f}' for one in results.spread(*of))}")
    return "\n".join([*lines, ""])


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.2f}" if value >= 1 else f"{value:.4f}"


def noisy_rounds(results: Results, *sections: str) -> int:
    """Rounds in which others kept the machine busy during one of the runs."""
    rounds = [one for one in results.rounds if one["section"] in sections]
    return sum(1 for one in rounds if not all(run["quiet"] for run in one["runs"].values()))
