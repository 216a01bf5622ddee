"""`cdc topics`: what the cluster lacks, and bringing it to what is planned."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import click

from workers.cli.columns import columns
from workers.cli.quiet import quiet
from workers.failures import ExitCode, RefusedError

if TYPE_CHECKING:
    from workers.kafka.topic_apply import TopicLook
    from workers.kafka.topic_changes import TopicChange

PLAN_EXAMPLES = """\b
Examples:
  cdc topics plan
  cdc topics plan --output json | jq -r '.changes[] | select(.action == "by hand") | .why'
  cdc topics plan --acls
"""
APPLY_EXAMPLES = """\b
Examples:
  cdc topics apply           # shows the plan and asks
  cdc topics apply --yes     # in scripts
"""
OUTPUT = click.option(
    "--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
    help="json: one document; jsonl: one change per line.",
)  # fmt: skip
Output = Literal["table", "json", "jsonl"]
HEAD = ("ACTION", "TOPIC", "SETTING", "NOW", "WANTED")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def topics() -> None:
    """Topics: compare them with the plan, create and mend them."""


@topics.command(epilog=PLAN_EXAMPLES)
@click.option("--acls", is_flag=True, help="Print what Kafka has to allow instead, as kafka-acls commands.")
@click.option("--principal", metavar="TYPE:NAME", help="With --acls: whom the worker is to Kafka, e.g. User:cdc.")
@OUTPUT
@click.pass_context
def plan(ctx: click.Context, acls: bool, principal: str | None, output: Output) -> None:
    """Show what differs between the planned topics and those of the cluster.

    Compared are partitions, replicas, cleanup.policy, retention, the largest record, segments, min.insync.replicas and
    unclean elections. What keeps more or takes more than planned is no difference. Nothing is written.

    \b
      create   the topic is missing; `cdc topics apply` makes it
      alter    a setting that can be put right without losing a record; apply does it
      by hand  all else, with the reason and what to do

    Exit code: 0 if nothing differs, 7 if anything does.
    """
    if principal is not None and not acls:
        raise click.UsageError("--principal goes with --acls")
    if acls:
        _print_acls(principal)
        return
    with quiet():
        found = asyncio.run(_look())
    _print(found, output)
    click.echo(f"cdc topics: {_summary(found)}", err=True)
    ctx.exit(int(ExitCode.PARTIAL if found.changes else ExitCode.OK))


@topics.command(epilog=APPLY_EXAMPLES)
@click.option("--yes", is_flag=True, help="Do not ask; needed without a terminal.")
@OUTPUT
@click.pass_context
def apply(ctx: click.Context, yes: bool, output: Output) -> None:
    """Create missing topics, and put right what can be without losing a record.

    Partition counts are never changed: the keys of what comes later would have other partitions than those of what is
    there, so order, tables and positions would be lost. Running it again does nothing more. New topics have
    CDC_REPLICATION_FACTOR replicas if it is set; else 3, and 1 with ENVIRONMENT=LOCAL.

    Exit code: 0 if all is as planned now, 7 if something is left to do by hand, 8 if --yes is needed.
    """
    from workers.kafka.topic_changes import Action  # noqa: PLC0415

    with quiet():
        found = asyncio.run(_look())
    _print(found, output)
    todo = found.of(Action.CREATE, Action.ALTER)
    if todo:
        click.echo(f"cdc topics: {_summary(found)}", err=True)
        _confirm(len(todo), yes=yes)
        with quiet():
            asyncio.run(_apply(found))
    left = found.of(Action.BY_HAND)
    told = f"{_counted(len(todo), 'change')} made" if todo else "nothing to do"
    click.echo(f"cdc topics: {told}" + (f"; {len(left)} left to do by hand" if left else ""), err=True)
    ctx.exit(int(ExitCode.PARTIAL if left else ExitCode.OK))


def _confirm(number: int, *, yes: bool) -> None:
    stdin = click.get_text_stream("stdin")
    if yes:
        return
    if not stdin.isatty() or not click.confirm(f"Make {_counted(number, 'change')}?", default=False, err=True):
        raise RefusedError(
            f"{_counted(number, 'change')} would be made", hint="look at the plan, then run it again with --yes"
        )


async def _look() -> "TopicLook":
    from workers.kafka.access import kafka_access  # noqa: PLC0415  importing aiokafka takes half a second
    from workers.kafka.topic_apply import look_at_topics  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    async with kafka_access(settings) as kafka:
        return await look_at_topics(settings, kafka)


async def _apply(found: "TopicLook") -> None:
    """What was shown, and nothing that differs since."""
    from workers.kafka.access import kafka_access  # noqa: PLC0415
    from workers.kafka.topic_apply import apply_changes  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    async with kafka_access(load_settings()) as kafka:
        await apply_changes(kafka, found)


def _print_acls(principal: str | None) -> None:
    from workers.kafka.topic_acls import acl_lines, principal_of  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    who = principal or principal_of(settings)
    for line in acl_lines(settings, who, who):
        click.echo(line)
    click.echo("cdc topics: the last two lines are for whoever runs `cdc topics apply`; workers do without", err=True)


def _print(found: "TopicLook", output: Output) -> None:
    match output:
        case "json":
            document = {
                "ok": not found.changes, "topics": len(found.plans),
                "changes": [change.document() for change in found.changes],
            }  # fmt: skip
            click.echo(json.dumps(document, indent=2))
        case "jsonl":
            for change in found.changes:
                click.echo(json.dumps(change.document()))
        case "table" if found.changes:
            for line in _lines(found.changes):
                click.echo(line)
        case "table":
            pass


def _lines(found: "Sequence[TopicChange]") -> Iterable[str]:
    rows = [HEAD, *((c.action, c.topic, c.setting or "-", c.now or "-", c.wanted or "-") for c in found)]
    table = columns(rows, left=HEAD)
    yield next(table)
    told: set[str] = set()
    for change, line in zip(found, table, strict=True):
        yield line
        if change.why and change.why not in told:
            told.add(change.why)
            yield f"         -> {change.why}"


def _summary(found: "TopicLook") -> str:
    from workers.kafka.topic_changes import Action  # noqa: PLC0415

    if not found.changes:
        return f"all {len(found.plans)} topics are as planned"
    words = {Action.CREATE: "to create", Action.ALTER: "to alter", Action.BY_HAND: "by hand"}
    told = ", ".join(f"{len(found.of(action))} {word}" for action, word in words.items())
    return f"{len(found.plans)} topics are planned: {told}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
