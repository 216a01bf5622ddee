"""`cdc status` as one screen: stages, troubles with what mends them, and what waits."""

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime

from workers.cli.checkpoint_lines import utc
from workers.cli.columns import columns
from workers.overview.judgement import ALARM_AT, WARN_AT, Overview, StageView, Trouble, behind_seconds

LEAST_WIDTH = 60
HEAD = ("STAGE", "STATE", "WORKERS", "RATE/S", "LAG", "BEHIND", "RETENTION", "SINCE", "WHY")
MINUTE, HOUR, DAY = 60, 3_600, 86_400
NEAR_SECONDS = 10 * HOUR


def screen(found: Overview, size: tuple[int, int] | None) -> Iterator[str]:
    """Lines for a terminal of (columns, lines), the last of which stays free; None: everything, as long as it is."""
    width, height = size or (None, None)
    rows: list[tuple[str, ...]] = [HEAD, *(_row(stage, found.at_ms) for stage in found.stages)]
    top = [f"cdc status {utc(found.at_ms)}   app {found.app}, topics {found.prefix}*", ""]
    top += [*columns(rows, left=("STAGE", "STATE", "SINCE", "WHY")), ""]
    facts = [*_facts(found), *(f"not seen: {text}" for text in found.unseen)]
    room = None if height is None else height - 1 - len(top) - len(facts)
    troubles = list(_troubles(found, width, room))
    pauses = list(_pauses(found))
    if room is not None:
        pauses = pauses[: max(0, room - len(troubles))]
    yield from (_cut(line, width) for line in top)
    yield from troubles
    yield from (_cut(line, width) for line in (*facts, *pauses))


def _troubles(found: Overview, width: int | None, room: int | None) -> Iterator[str]:
    """The first one in any case; of the others what fits into so many lines."""
    troubles, used = found.troubles(), 2
    for number, trouble in enumerate(troubles):
        lines = list(_trouble(trouble, found.at_ms, width))
        if number and room is not None and used + len(lines) > room:
            yield f"and {len(troubles) - number} more: cdc status --output json"
            break
        used += len(lines)
        yield from lines
    if troubles:
        yield ""


def _row(stage: StageView, now_ms: int) -> tuple[str, ...]:
    figures = stage.figures
    lag = "-" if figures.lag is None else short(figures.lag)
    rate = "-" if figures.rate is None else short(figures.rate) if figures.rate >= 10 else f"{figures.rate:.1f}"
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
        more = "" if letters.whole else "+"
        told = f"{letters.last_hour:,}{more} in the last hour, {letters.waiting:,}{more} waiting"
        yield _fact("dead letters", told, "cdc dlq stats" if letters.waiting else "")
    for stage in found.stages:
        if stage.figures.bus:
            yield _fact("bus", f"{stage.figures.bus_name}: {stage.figures.bus}", "")
    again = [f"{stage.figures.stage}: {stage.figures.redriven:,}" for stage in found.stages if stage.figures.redriven]
    yield _fact("redrives", f"{', '.join(again)} to be read" if again else "none", "")
    yield _fact("pauses", f"{len(found.pauses)}" if found.pauses else "none", "cdc pause list" if found.pauses else "")


def _pauses(found: Overview) -> Iterator[str]:
    for pause in found.pauses:
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


def short(number: float) -> str:
    """With at most six characters: 99,999, 123 k, 12.3 M."""
    if number < 100_000:
        return f"{number:,.0f}"
    return f"{number / 1e3:.0f} k" if number < 1e6 else f"{number / 1e6:.1f} M"


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
    return at.strftime("%H:%MZ" if near else "%Y-%m-%d %H:%MZ")
