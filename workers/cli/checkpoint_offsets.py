"""`cdc checkpoint status` and `reset` for the stages whose positions are offsets."""

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from workers.cli.columns import columns
from workers.cli.progress import Progress
from workers.cli.quiet import quiet
from workers.cli.sources import one_source
from workers.failures import CommandError, RefusedError

if TYPE_CHECKING:
    from workers.positions.offsets import Aim, StageOffset, StageOffsets

NAME = "cdc checkpoint"
STAGES = ("bridge", "enrich", "publish", "archive")


def show_offsets(stage: str, source: str | None, output: str) -> bool:
    """Print where the partitions stand, of one source if it is named; whether all of them can go on there. Raises
    UsageError, NotFoundError."""
    with quiet():
        found = asyncio.run(_work(stage, source, None, dry_run=True, write=False))
    _print(found, output)
    outside = [_name(found, row) for row in found.partitions if not row.in_log]
    lag = sum(row.lag or 0 for row in found.partitions)
    told = f"; no position in the log: {', '.join(outside)}" if outside else ""
    click.echo(f"{NAME}: {stage}: {len(found.partitions)} partitions, lag {lag:,}{told}", err=True)
    return not outside


def set_offsets(stage: str, source: str | None, aim: "Aim", *, dry_run: bool, yes: bool, output: str) -> None:
    """Print what changes, and change it, of one source if it is named. Raises RefusedError without `yes`, UsageError,
    NotFoundError."""
    write = yes and not dry_run
    with quiet():
        found = asyncio.run(_work(stage, source, aim, dry_run=dry_run, write=write))
    _print(found, output, written=write)
    changed = sum(row.changed for row in found.partitions)
    if not (write or dry_run):
        raise RefusedError(f"{changed} partitions would be set", hint="look at them, then run it again with --yes")
    click.echo(f"{NAME}: {changed} partitions {'are' if write else 'would be'} set", err=True)


def offsets_of(texts: tuple[str, ...]) -> dict[int, int]:
    """`P=N`, each partition once. Raises CommandError."""
    found: dict[int, int] = {}
    for text in texts:
        partition, _, offset = text.partition("=")
        if not (partition.isdecimal() and offset.isdecimal()) or int(partition) in found:
            raise CommandError(f"{text}: not PARTITION=OFFSET, or named twice")
        found[int(partition)] = int(offset)
    return found


async def _work(
    stage: str, source: str | None, aim: "Aim | None", *, dry_run: bool, write: bool
) -> "StageOffsets":  # fmt: skip
    from workers.kafka.access import kafka_access  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.positions.look import refuse_members  # noqa: PLC0415
    from workers.positions.offsets import look_at_offsets, topics_read, write_offsets  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    if stage in ("publish", "archive") and source is not None:
        raise click.UsageError(f"--stage {stage}: it reads what all sources have in common, leave --source out")
    if stage == "enrich" and (source is not None or (aim is not None and aim.kind == "offsets")):
        source = one_source(settings, source).name
    async with kafka_access(settings) as kafka:
        await kafka.require(dict.fromkeys(topics_read(settings, stage, source), settings.partitions))
        found = await look_at_offsets(settings, kafka, stage, aim, source=source)
        if not dry_run:
            refuse_members(found.group, stage)
        if write:
            await write_offsets(settings, kafka, found, Progress(NAME))
    return found


def _print(found: "StageOffsets", output: str, *, written: bool | None = None) -> None:
    if output == "json":
        document = found.document() | ({"written": written} if written is not None else {})
        click.echo(json.dumps(document, indent=2))
    elif output == "jsonl":
        for row in found.partitions:
            click.echo(json.dumps(row.document()))
    else:
        for line in _lines(found, targets=written is not None):
            click.echo(line)


def _lines(found: "StageOffsets", *, targets: bool) -> Iterator[str]:
    topics = ", ".join(found.topics)
    yield f"{found.stage}: {topics}, group {found.group.state}, {len(found.group.members)} members"
    yield ""
    last = "AFTER" if targets else "OWNER"
    rows: list[tuple[str, ...]] = [("TOPIC", "PARTITION", "OFFSET", "LAG", "SINCE", "START", "END", last)]
    rows += [_row(row, targets=targets) for row in found.partitions]
    if len(found.topics) == 1:
        rows = [row[1:] for row in rows]
    yield from columns(rows, left=("TOPIC", "PARTITION", "OWNER"))


def _name(found: "StageOffsets", row: "StageOffset") -> str:
    return str(row.partition) if len(found.topics) == 1 else f"{row.topic}/{row.partition}"


def _row(row: "StageOffset", *, targets: bool) -> tuple[str, ...]:
    numbers = (row.offset, row.lag, row.since, row.start, row.end)
    last = _number(row.target) if targets else row.owner or "-"
    return (row.topic, str(row.partition), *map(_number, numbers), last)


def _number(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
