"""`cdc checkpoint`: where the shards stand, and moving them."""

import asyncio
import json
from typing import TYPE_CHECKING, Literal

import click

from workers.cli.checkpoint_lines import status_lines, status_summary
from workers.cli.progress import Progress
from workers.cli.quiet import quiet
from workers.failures import ExitCode

if TYPE_CHECKING:
    from workers.positions.look import Look

NAME = "cdc checkpoint"
STATUS_EXAMPLES = """\b
Examples:
  cdc checkpoint status
  cdc checkpoint status --output jsonl | jq -r 'select(.state == "BLOCKED") | .shard'
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def checkpoint() -> None:
    """Positions of the shards, which stand in Kafka (cdc.checkpoints)."""


@checkpoint.command(epilog=STATUS_EXAMPLES)
@click.option("--all", "everything", is_flag=True, help="Also shards that were read to their end and left the stream.")
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
              help="json: one document; jsonl: one shard per line.")  # fmt: skip
@click.pass_context
def status(ctx: click.Context, everything: bool, output: Literal["table", "json", "jsonl"]) -> None:
    """Show where every shard of the stream stands.

    \b
    READING    its slot is held by OWNER (a client id: CDC_WORKER_NAME)
    IDLE       it could go on, but nobody holds its slot
    NOT_BEGUN  nothing of it stands in raw yet, and nothing is in its way
    BLOCKED    its parents are not read to their end
    ENDED      closed, and read to its end
    LOST       it, or a parent of it, left the stream before it was read

    BEHIND is how long ago everything that had arrived was forwarded, RETENTION its share of the time the stream keeps
    records: at 100 % they are deleted unread. Whether a worker has stopped a shard is on its web view only. POSITION is
    the last record that was forwarded.

    AWS is asked for the listing and the retention. If it does not answer, what Kafka knows is shown.

    Exit code: 0, or 7 if AWS did not answer, if a shard is LOST or at 100 % of the retention, if the stream was made
    anew, or a reset or import was cut off. Gaps that are on record (GAPS) do not change it: they cannot be mended.
    """
    with quiet():
        found = asyncio.run(_look(everything=everything))
    match output:
        case "json":
            click.echo(json.dumps(found.document(), indent=2))
        case "jsonl":
            for shard in found.shards:
                click.echo(json.dumps(shard.document()))
        case "table":
            for line in status_lines(found):
                click.echo(line)
    click.echo(f"{NAME}: {status_summary(found)}", err=True)
    if not found.sound:
        ctx.exit(int(ExitCode.PARTIAL))


async def _look(*, everything: bool) -> "Look":
    from workers.kafka_access import kafka_access  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.positions.look import look  # noqa: PLC0415
    from workers.settings import load_settings  # noqa: PLC0415
    from workers.topics import Topics  # noqa: PLC0415

    settings = load_settings()
    async with kafka_access(settings) as kafka:
        await kafka.require({Topics.of(settings).checkpoints: settings.source_slots})
        return await look(settings, kafka, Progress(NAME), everything=everything)
