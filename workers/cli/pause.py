"""`cdc pause` and `cdc resume`: hold back a stage, a table or a partition, and let it go on."""

import asyncio
import functools
import getpass
import json
import socket
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from models.pause import WHY_CHARACTERS, Change, Pause, PauseBook, Target
from workers.cli.checkpoint_lines import utc
from workers.cli.columns import columns
from workers.cli.dlq_options import now_ms
from workers.cli.option_group import option_group
from workers.cli.quiet import quiet
from workers.cli.writing_options import writing
from workers.failures import ExitCode, RefusedError

if TYPE_CHECKING:
    from workers.pauses.writing import Obedience
    from workers.settings.worker import Settings

STAGES = ("bridge", "enrich", "publish", "archive")
LIST = "list"
WAIT_SECONDS = 60.0
TELL_SECONDS = 5
HISTORY_SHOWN = 20
PAUSE_EXAMPLES = """\b
Examples:
  cdc pause                          # what is paused, as `cdc pause list`
  cdc pause publish --reason "bus is moved, OPS-7" --yes
  cdc pause publish --reason "deploy of the consumer" --for 30m --yes
  cdc pause enrich --table users --reason "bad migration" --dry-run
  cdc pause enrich --partition 3 --reason "look at offset 1841" --yes
  cdc pause list --history --output json
"""
RESUME_EXAMPLES = """\b
Examples:
  cdc resume publish --yes
  cdc resume enrich --table users --reason "migration is repaired" --yes
  cdc resume enrich --all --yes      # the stage, its tables and partitions
  cdc resume --all --dry-run
"""
_waiting = click.option(
    "--wait", "seconds", type=click.FloatRange(0), default=WAIT_SECONDS, show_default=True, metavar="SECONDS",
    help="How long to wait until all workers obey; 0: not at all.",
)  # fmt: skip
_writes = writing("Only say what would be done.")
_part = option_group(
    click.option("--table", metavar="NAME", help="Only this table; of enrich or publish."),
    click.option("--partition", type=click.IntRange(0), metavar="N",
                 help="Only this partition of all topics that the stage reads; of bridge: this source slot."),
)  # fmt: skip


@click.command(epilog=PAUSE_EXAMPLES)
@click.argument("stage", type=click.Choice([*STAGES, LIST]), default=LIST, metavar="[STAGE|list]")
@_part
@click.option("--reason", default="", metavar="TEXT", help="Why; whoever is called next reads it. Needed to pause.")
@click.option("--for", "lasts", metavar="TIME", help="It ends by itself: after 90s, 30m, 2h, 7d, or at a moment (UTC).")
@click.option("--history", is_flag=True, help="With list: also who paused and resumed what before.")
@_waiting
@_writes
@click.pass_context
def pause(
    ctx: click.Context, /, *, stage: str, table: str | None, partition: int | None, reason: str, lasts: str | None,
    history: bool, seconds: float, dry_run: bool, yes: bool, output: Literal["table", "json"],
) -> None:  # fmt: skip
    """Hold back a stage (bridge, enrich, publish, archive), one of its tables, or one of its partitions.

    Nothing is lost, repeated or reordered by it: what has begun ends and is committed, what follows waits where it
    stands. A pause is a record in Kafka: it outlives restarts, holds for workers that start later, and everybody can
    see who made it and why. A paused stage is not ready; a worker that is stopped meanwhile ends with exit code 0.

    \b
    A table    at enrich: each partition stops at the first record of the table.
               Everything behind it in that partition waits too, other tables
               included: order per row allows no overtaking. Records in other
               partitions that look up rows of the table may find them missing.
               at publish: the entities of the table wait, the others go on
               until the window is full (CDC_PUBLISH_WINDOW_RECORDS); then they
               wait, too.
               at bridge and archive: refused, they do not look into what they
               pass on.
    Retention  goes on while a stage is paused. What it has not read is deleted
               when its time is over; `cdc status` warns at 50 % and 80 %.

    The command waits until every worker says that it obeys. Exit code: 0, 6 if the table or partition does not exist or
    the stage is off, 7 if it is written and not all workers have said so in time, 8 without --yes.
    """
    if stage == LIST:
        _list(output, history=history)
        return
    if not reason.strip():
        raise click.UsageError("--reason is missing: it is all that whoever is called next will know")
    write = yes and not dry_run
    with quiet():
        asked, found = asyncio.run(_pause(stage, table, partition, reason, lasts, seconds, write=write))
    target = str(asked.target)
    if output == "json":
        _print({"written": write, "pause": asked.document(), "workers": _documents(found)})
    else:
        click.echo(f"{target}: {_until(asked)}: {asked.why}")
    if not (write or dry_run):
        raise RefusedError(f"{target} would be paused", hint="run it with --yes")
    click.echo(f"cdc pause: {target} {'is' if write else 'would be'} paused", err=True)
    ctx.exit(int(_tell(found, "cdc pause")))


@click.command(epilog=RESUME_EXAMPLES)
@click.argument("stage", type=click.Choice(STAGES), required=False, metavar="[STAGE]")
@_part
@click.option("--all", "everything", is_flag=True, help="All pauses of the stage; without a stage, all there are.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in the history.")
@_waiting
@_writes
@click.pass_context
def resume(
    ctx: click.Context, /, *, stage: str | None, table: str | None, partition: int | None, everything: bool,
    reason: str, seconds: float, dry_run: bool, yes: bool, output: Literal["table", "json"],
) -> None:  # fmt: skip
    """End a pause: the stage, table or partition goes on where it stood.

    Name what was paused as it was paused: a stage and a table of it are two pauses, and end one by one or with --all.

    Exit code: 0, 6 if that is not paused, 7 if it is written and not all workers have said so in time, 8 without --yes.
    """
    if (stage is None and not everything) or (everything and (table or partition is not None)):
        raise click.UsageError("say what: a STAGE, with --table or --partition or --all; or --all alone")
    write = yes and not dry_run
    with quiet():
        ended, found = asyncio.run(_resume(stage, table, partition, everything, reason, seconds, write=write))
    if output == "json":
        _print({"written": write, "resumed": [target.text for target in ended], "workers": _documents(found)})
    else:
        for target in ended:
            click.echo(str(target))
    names = "; ".join(map(str, ended)) or "nothing"
    if ended and not (write or dry_run):
        raise RefusedError(f"{names} would go on", hint="run it with --yes")
    click.echo(f"cdc resume: {names} {'goes' if write else 'would go'} on", err=True)
    ctx.exit(int(_tell(found, "cdc resume")))


async def _pause(
    stage: str, table: str | None, partition: int | None, reason: str, lasts: str | None, seconds: float, *, write: bool
) -> "tuple[Pause, list[Obedience]]":
    from workers.contract import read_catalogue  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.kafka.access import kafka_access  # noqa: PLC0415
    from workers.pauses.writing import pause_of, read_pauses, refuse_off, target_of, write_pauses  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    target = target_of(settings, read_catalogue(settings), stage, table, partition)
    asked = pause_of(target, by=_me(), why=reason, lasts=lasts, now_ms=now_ms())
    async with kafka_access(settings) as kafka:
        await refuse_off(settings, kafka, stage)
        if not write:
            await read_pauses(settings, kafka)
            return asked, []
        offset = await write_pauses(settings, kafka, [asked])
        return asked, await _wait(settings, kafka, [stage], offset, seconds)


async def _resume(
    stage: str | None, table: str | None, partition: int | None, everything: bool, reason: str, seconds: float, *,
    write: bool,
) -> "tuple[list[Target], list[Obedience]]":  # fmt: skip
    from workers.kafka.access import kafka_access  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.pauses.writing import chosen_pauses, read_pauses, write_resumes  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings, at = load_settings(), now_ms()
    # Not looked up in today's tables: a pause may outlive the table it was made for.
    target = Target(stage, table or "", -1 if partition is None else partition) if stage is not None else None
    choose = functools.partial(chosen_pauses, target=target, everything=everything, now_ms=at)
    async with kafka_access(settings) as kafka:
        ended = choose(await read_pauses(settings, kafka))
        if not write or not ended:
            return ended, []
        why = " ".join(reason.split())[:WHY_CHARACTERS]
        offset = await write_resumes(settings, kafka, choose, by=_me(), why=why, now_ms=at)
        return ended, await _wait(settings, kafka, sorted({one.stage for one in ended}), offset, seconds)


async def _wait(
    settings: "Settings", kafka: Any, stages: Collection[str], offset: int, seconds: float
) -> "list[Obedience]":
    from workers.pauses.writing import wait_until_obeyed  # noqa: PLC0415

    if not seconds:
        return []
    told = now_ms()

    def tell(found: "list[Obedience]") -> None:
        nonlocal told
        if now_ms() - told > TELL_SECONDS * 1_000:
            told = now_ms()
            for text in _missing(found):
                click.echo(f"cdc: waiting: {text}", err=True)

    return await wait_until_obeyed(settings, kafka, stages, offset, seconds, tell)


def _me() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _missing(found: "Sequence[Obedience]") -> Iterator[str]:
    for one in found:
        if not one.complete:
            slots = f"slots {', '.join(map(str, sorted(one.missing)))}" if one.missing else "its group is changing"
            yield f"{one.stage}: {one.members} workers, not all have said that they obey ({slots})"


def _workers(members: int) -> str:
    return "its worker obeys" if members == 1 else f"all {members} workers obey"


def _tell(found: "Sequence[Obedience]", name: str) -> ExitCode:
    for one in found:
        if not one.members:
            click.echo(f"{name}: {one.stage}: no worker runs; the next one obeys from its first record on", err=True)
        elif one.complete:
            click.echo(f"{name}: {one.stage}: {_workers(one.members)}", err=True)
    missing = list(_missing(found))
    for text in missing:
        click.echo(f"{name}: {text}; it is written, they follow as soon as they reach Kafka", err=True)
    return ExitCode.PARTIAL if missing else ExitCode.OK


def _documents(found: "Sequence[Obedience]") -> list[dict[str, Any]]:
    return [
        {"stage": one.stage, "workers": one.members, "obey": one.complete, "missing_slots": sorted(one.missing)}
        for one in found
    ]


def _print(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _list(output: str, *, history: bool) -> None:
    with quiet():
        book = asyncio.run(_look())
    now = now_ms()
    pauses = book.now(now)
    changes = [change for _, change in sorted(book.history.items(), reverse=True)] if history else []
    if output == "json":
        told = {"history": [change.document() for change in changes]} if history else {}
        _print({"pauses": [one.document() for one in pauses], **told})
        return
    for line in _lines(pauses, changes[:HISTORY_SHOWN]):
        click.echo(line)
    if not pauses:
        click.echo("cdc pause: nothing is paused", err=True)


async def _look() -> PauseBook:
    from workers.kafka.access import kafka_access  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.pauses.writing import read_pauses  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    async with kafka_access(settings) as kafka:
        return await read_pauses(settings, kafka)


def _lines(pauses: Sequence[Pause], changes: Sequence[Change]) -> Iterator[str]:
    if pauses:
        rows = [("STAGE", "WHAT", "SINCE", "UNTIL", "BY", "WHY")]
        rows += [
            (one.target.stage, one.target.part, utc(one.since_ms), _end(one), one.by or "-", one.why) for one in pauses
        ]
        yield from columns(rows, left=rows[0], least=("BY",))
    if changes:
        if pauses:
            yield ""
        told = [("AT", "WHAT", "TARGET", "BY", "WHY")]
        told += [(utc(one.at_ms), one.action, str(one.target), one.by or "-", one.why or "-") for one in changes]
        yield from columns(told, left=told[0], least=("BY",))


def _end(pause: Pause) -> str:
    return utc(pause.until_ms) if pause.until_ms else "cdc resume"


def _until(pause: Pause) -> str:
    return f"paused until {utc(pause.until_ms)}" if pause.until_ms else "paused until `cdc resume`"
