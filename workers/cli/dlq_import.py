"""`cdc dlq import`: failed records that a Lambda pipeline left in an SQS queue become dead letters of this one."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import click

from workers.cli.columns import columns
from workers.cli.dlq_options import NAME, counted
from workers.cli.progress import Progress
from workers.cli.quiet import quiet
from workers.cli.sources import one_source
from workers.cli.stopping import to_the_end
from workers.dead_letters.queue import HIDDEN_SECONDS
from workers.failures import ExitCode, RefusedError

if TYPE_CHECKING:
    from workers.dead_letters.queue_import import ImportTally

GO_ON = "run it again: it goes on with the messages that are left"
EXAMPLES = """\b
Examples:
  QUEUE=https://sqs.us-east-1.amazonaws.com/111122223333/cdc-dlq
  cdc dlq import --sqs "$QUEUE" --dry-run
  cdc dlq import --sqs "$QUEUE" --max 100 --yes
  cdc dlq import --sqs "$QUEUE" --source orders --yes
  cdc dlq redrive --since 10m --dry-run
"""


@click.command(name="import", epilog=EXAMPLES)
@click.option("--sqs", "url", required=True, metavar="URL", help="URL of the queue.")
@click.option("--source", metavar="NAME", help="Whose records these are, if there are several sources.")
@click.option("--max", "limit", type=click.IntRange(1), metavar="N", help="At most N messages.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Write, and delete from the queue; without it the command ends with exit "
              "code 8.")  # fmt: skip
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: one document on stdout.")  # fmt: skip
@click.pass_context
def import_(
    ctx: click.Context, /, *, url: str, source: str | None, limit: int | None, dry_run: bool, yes: bool,
    output: Literal["table", "json"],
) -> None:  # fmt: skip
    """Take failed records of a Lambda pipeline over, from its SQS queue into the dead letters (cdc.dead).

    Read are messages with `originalEvent`, Lambda events, single records of Kinesis, what Lambda writes to a
    destination, and changes by themselves, also inside of messages of SNS and SQS. They become letters of the stage
    enrich with the original bytes; `cdc dlq redrive` sends them on. Their events count as older than everything in the
    raw topic, so they never pass for the latest state of a row. Texts of errors are not taken over.

    A message is deleted behind the commit of its letters, and known by its id should the command be killed in between:
    its letters are there once, as long as cdc.dead keeps them. What cannot be read stays in the queue. Looking makes
    SQS count a message as received: mind the maxReceiveCount of a queue with a redrive policy.

    Exit code: 0, 7 if messages stay in the queue or are hidden, or it was stopped before the end, 8 without --yes, or
    if another `cdc dlq` or `cdc replay` has taken over.
    """
    write = yes and not dry_run
    with quiet():
        tally = asyncio.run(to_the_end(_import(url, source, limit, write=write), GO_ON if write else None))
    if output == "json":
        click.echo(json.dumps(_document(tally, written=write), indent=2))
    else:
        for line in _lines(tally):
            click.echo(line)
    letters = tally.letters.total()
    if (letters or tally.known) and not (write or dry_run):
        raise RefusedError(
            f"{counted(letters)} of {counted(tally.messages, 'message')} would be imported",
            hint="look at them, then run it with --yes",
        )
    done = "were" if write else "would be"
    told = f"{counted(letters)} of {counted(tally.messages, 'message')} {done} imported"
    click.echo(f"{NAME}: {told if tally.messages else 'nothing to import: the queue shows no message'}", err=True)
    if tally.hidden is None:
        click.echo(f"{NAME}: are messages hidden? That may not be asked: allow sqs:GetQueueAttributes", err=True)
    elif tally.hidden:
        click.echo(
            f"{NAME}: about {counted(tally.hidden, 'message')} hidden: an import that was killed had them, and they "
            f"come back within {HIDDEN_SECONDS // 60} minutes; or another reader has them. Run it again then", err=True,
        )  # fmt: skip
    if tally.known:
        click.echo(f"{NAME}: {counted(tally.known, 'message')} had been imported before", err=True)
    if tally.undeleted:
        click.echo(f"{NAME}: SQS did not delete {counted(tally.undeleted, 'message')}; the next import does", err=True)
    if tally.refused:
        click.echo(f"{NAME}: left in the queue: {counted(tally.refused.total(), 'message')}", err=True)
    if tally.refused or tally.undeleted or tally.hidden:
        ctx.exit(int(ExitCode.PARTIAL))


async def _import(url: str, source: str | None, limit: int | None, *, write: bool) -> "ImportTally":
    from enrichers.routing import Router  # noqa: PLC0415
    from workers.contract import read_catalogue  # noqa: PLC0415
    from workers.dead_letters.marks import sole_writer  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.dead_letters.queue import LetterQueue  # noqa: PLC0415
    from workers.dead_letters.queue_import import QueueImport  # noqa: PLC0415
    from workers.kafka.access import kafka_access  # noqa: PLC0415
    from workers.kafka.topics import Topics  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    spec = one_source(settings, source)
    router = Router(read_catalogue(settings), spec.adapter, spec.reading)
    work = QueueImport(settings, LetterQueue(settings, url), spec, router, limit)
    async with contextlib.AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(kafka_access(settings))
        await kafka.require({Topics.of(settings).dead: settings.partitions})
        producer = await stack.enter_async_context(sole_writer(settings, kafka)) if write else None
        return await work.run(kafka, producer, Progress(NAME))


def _document(tally: "ImportTally", *, written: bool) -> dict[str, Any]:
    return {
        "written": written, "messages": tally.messages, "letters": tally.letters.total(), "known": tally.known,
        "kinds": [
            {"code": code, "table": table or None, "letters": count}
            for (code, table), count in tally.letters.most_common()
        ],
        "refused": [{"reason": reason, "messages": count} for reason, count in tally.refused.most_common()],
        "undeleted": tally.undeleted, "hidden": tally.hidden,
    }  # fmt: skip


def _lines(tally: "ImportTally") -> Iterator[str]:
    if tally.letters:
        rows = [("LETTERS", "CODE", "TABLE")]
        rows += [(f"{count:,}", code, table or "-") for (code, table), count in tally.letters.most_common()]
        yield from columns(rows, left=("CODE", "TABLE"))
    if tally.refused:
        if tally.letters:
            yield ""
        rows2 = [("MESSAGES", "STAY, BECAUSE")]
        rows2 += [(f"{count:,}", reason) for reason, count in tally.refused.most_common()]
        yield from columns(rows2, left=("STAY, BECAUSE",))
