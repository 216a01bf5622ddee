"""`cdc table explain`: why a change has the owner it has."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import click

from enrichers.row_view import printable
from workers.cli.columns import columns
from workers.cli.quiet import quiet
from workers.cli.table_options import opened

if TYPE_CHECKING:
    from workers.lookup_tables.explanation import Keys, OwnerStory

EXAMPLES = """\b
Examples:
  cdc table explain evt_1768473060000_866625f58dd8edeb2c64
  cdc table explain orders:41
  cdc table explain orders:41 --output json | jq '.now[0].places'
"""


@click.command(epilog=EXAMPLES)
@click.argument("what", metavar="EVENT_ID|ROW")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="json: one document on stdout.")  # fmt: skip
def explain(*, what: str, output: Literal["table", "json"]) -> None:
    """Say why an event has its owner: which place knew the organisation and the user, and what the others say.

    The places in the order of the search: the record, its before image, the memory of the row, lookup tables, the
    database. Of an event the record it was made of is taken; of a row (orders:41) its last one. The places are asked
    now: where tables have changed since, `then` and `now` differ.

    The database behind the lookups, if there is one, is not asked: only workers ask it. An owner that it alone knows is
    `missing` under `now`, and stands under `then`.

    Exit code: 0, 6 if there is no such table, or if Kafka holds no such event, or no record of the row any more.
    """
    with quiet():
        story = asyncio.run(_explain(what))
    if output == "json":
        click.echo(json.dumps(story.document(), indent=2, ensure_ascii=False))
        return
    for line in story_lines(story):
        click.echo(line)


async def _explain(what: str) -> "OwnerStory":
    from workers.lookup_tables.changelogs import read_keys, read_pins  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.lookup_tables.explanation import explain as explained  # noqa: PLC0415
    from workers.lookup_tables.row_names import InvalidRow, UnknownTable  # noqa: PLC0415

    async with opened() as now:

        async def fetch(keys: "Keys") -> Mapping[tuple[str, bytes], bytes]:
            entries = await read_keys(now.settings, now.kafka, keys, now.tell)
            return {(entry.table, entry.key): entry.value for entry in entries}

        pins = await read_pins(now.settings, now.kafka, now.tell)
        try:
            return await explained(now.settings, now.kafka, now.rows, what, fetch, pins, now.tell)
        except UnknownTable as error:
            raise error.not_found from None
        except InvalidRow as error:
            raise click.UsageError(str(error)) from None


def story_lines(story: "OwnerStory") -> Iterator[str]:
    """For people."""
    yield from map(printable, _lines(story))


def _lines(story: "OwnerStory") -> Iterator[str]:
    record = story.record
    yield f"row    {story.row}, {story.operation}"
    yield f"raw    {record.topic}/{record.partition} offset {record.offset}"
    if story.event is not None:
        made = story.event
        yield f"event  {made.topic}/{made.partition} offset {made.offset}"
        stale = ", the table was younger than the change" if made.stale else ""
        yield f"then   orgId {made.org_id or '-'}, userId {made.user_id or '-'}, from {made.source or '?'}{stale}"
    if not story.rule:
        yield "now    the table has no owner rule: its events have no owner"
        return
    for found in story.ids:
        name = "orgId" if found.which == "org" else "userId"
        stale = ", younger than the change" if found.stale else ""
        where = found.source if found.source in ("missing", "no rule") else f"from {found.source}"
        yield f"now    {name} {found.value or '-'}, {where}{stale}"
        rows = [("", "PLACE", "SAID", name.upper())]
        rows += [(">" if one.decided else "", one.place, one.text, one.value or "-") for one in found.places]
        if found.places:
            yield from (f"       {line}" for line in columns(rows, left=rows[0], indent=7))
    if story.database_left_out and any(found.source == "missing" for found in story.ids):
        yield "note   the database was not asked: workers ask it for what lookups lack"
