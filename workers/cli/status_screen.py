"""`cdc status` as one screen: stages, troubles with what mends them, and what waits."""

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime

from workers.cli.checkpoint_lines import utc
from workers.cli.columns import columns
from workers.overview.judgement import ALARM_AT, WARN_AT, Overview, StageView, Trouble, behind_seconds

LEAST_WIDTH = 60
SHOWN = 5
"""Troubles and pauses that are shown; a screen has 24 lines."""
MINUTE, HOUR, DAY = 60, 3_600, 86_400
NEAR_SECONDS = 10 * HOUR


def screen(found: Overview, width: int | None) -> Iterator[str]:
    """Lines of at most `width` characters; None: as long as they are."""
    head = f"cdc status {utc(found.at_ms)}   app {found.app}, topics {found.prefix}*"
    yield _cut(head, width)
    yield ""
    rows: list[tuple[str, ...]] = [
        ("STAGE", "STATE", "WORKERS", "RATE/S", "LAG", "BEHIND", "RETENTION", "SINCE", "WHY")
    ]
    rows += [_row(stage, found.at_ms) for stage in found.stages]
    for line in columns(rows, left=("STAGE", "STATE", "SINCE", "WHY")):
        yield _cut(line, width)
    yield ""
    yield from (_cut(line, width) for line in _facts(found))
    troubles = found.troubles()
    if troubles:
        yield ""
    for trouble in troubles[:SHOWN]:
        yield from _trouble(trouble, found.at_ms, width)
    if len(troubles) > SHOWN:
        yield f"  and {len(troubles) - SHOWN} more: cdc status --output json"
    for text in found.unseen:
        yield _cut(f"not seen: {text}", width)


def _row(stage: StageView, now_ms: int) -> tuple[str, ...]:
    figures = stage.figures
    lag = "-" if figures.lag is None else f"{figures.lag:,}"
    rate = "-" if figures.rate is None else f"{figures.rate:,.0f}" if figures.rate >= 10 else f"{figures.rate:.1f}"
    seconds = behind_seconds(figures, now_ms)
    behind = "-" if seconds is None else span(seconds) if seconds else "-"
    used = f"{figures.danger:.0%}"
    if figures.danger >= WARN_AT:
        used += "!!" if figures.danger >= ALARM_AT else "!"
    return (figures.stage, stage.state.value, f"{figures.members}", rate, lag, behind, used,
            since(stage.since_ms, now_ms), stage.why or "-")  # fmt: skip


def _facts(found: Overview) -> Iterator[str]:
    letters = found.dead_letters
    if letters is not None:
        more = "" if letters.whole else "at least "
        told = f"{more}{letters.last_hour:,} in the last hour, {more}{letters.waiting:,} waiting"
        yield _fact("dead letters", told, "cdc dlq stats" if letters.waiting else "")
    for stage in found.stages:
        if stage.figures.bus:
            yield _fact("bus", f"{stage.figures.bus_name}: {stage.figures.bus}", "")
    again = [f"{stage.figures.stage}: {stage.figures.redriven:,}" for stage in found.stages if stage.figures.redriven]
    yield _fact("redrives", f"{', '.join(again)} to be read" if again else "none", "")
    yield _fact("pauses", f"{len(found.pauses)}" if found.pauses else "none", "cdc pause list" if found.pauses else "")
    for pause in found.pauses[:SHOWN]:
        ends = f", until {since(pause.until_ms, found.at_ms)}" if pause.until_ms else ""
        yield f"  {pause.target}: since {since(pause.since_ms, found.at_ms)} by {pause.by}{ends}: {pause.why}"


def _fact(name: str, told: str, command: str) -> str:
    return f"{name:<13} {told:<44} {command}".rstrip()


def _trouble(trouble: Trouble, now_ms: int, width: int | None) -> Iterator[str]:
    began = f" (since {since(trouble.since_ms, now_ms)})" if trouble.since_ms else ""
    yield from _wrapped(f"! {trouble.stage}: {trouble.what}{began}", "  ", width)
    yield from _wrapped(f"    -> {trouble.mend}   {trouble.see}", "       ", width)


def _wrapped(text: str, indent: str, width: int | None) -> list[str]:
    if width is None or len(text) <= width:
        return [text]
    return textwrap.wrap(text, max(LEAST_WIDTH, width), subsequent_indent=indent, break_on_hyphens=False)


def _cut(line: str, width: int | None) -> str:
    return line if width is None or len(line) <= width else line[: max(LEAST_WIDTH, width) - 1] + "…"


def span(seconds: float) -> str:
    """In one unit: 40 s, 12 min, 5.2 h, 3.1 d."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h" if seconds < 2 * DAY else f"{seconds / DAY:.1f} d"


def since(moment_ms: int, now_ms: int) -> str:
    """UTC: the time of day if it is near, else the date, too."""
    if not moment_ms:
        return "-"
    at = datetime.fromtimestamp(moment_ms / 1000, UTC)
    near = abs(now_ms - moment_ms) < NEAR_SECONDS * 1000
    return at.strftime("%H:%M:%SZ" if near else "%Y-%m-%d %H:%MZ")
