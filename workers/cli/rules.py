"""`cdc rules`: which rule of EventBridge takes which event, without AWS."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import click

from models.documents import pieces
from models.event_pattern import LONGEST_PATTERN, LONGEST_RAISED, Finding, Pattern, compile_pattern
from models.pattern_operators import InvalidPattern
from workers.cli.columns import columns
from workers.cli.files import read_input, shown_name
from workers.eventbridge.rules_file import NamedPattern, read_patterns
from workers.failures import CommandError, ExitCode

if TYPE_CHECKING:
    from models.catalogue import Catalogue
    from workers.settings.worker import Settings

EXAMPLES = """\b
Examples:
  cdc rules test deploy/eventbridge/template.yaml --examples
  cdc invoke records.json | cdc rules test rule.json -
  cdc rules test '{"detail": {"changedFields": ["Email"]}}' events.jsonl
  aws events list-rules --event-bus-name cdc-events > rules.json
  cdc rules test rules.json --examples --strict
"""
INLINE = "pattern"
LONGEST = 60
"""Characters of a value in a table."""
MOST_FOUND = 3
Output = Literal["table", "json", "jsonl"]


@dataclass(frozen=True, slots=True)
class _Rule:
    named: NamedPattern
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class _Verdict:
    """One event beside one rule. `broken`: what did not match, empty if it matches. `near`: it matches, or the source
    does, so that the rule may have been meant for the event."""

    event: str
    detail_type: str
    rule: str
    takes: bool
    """Matches, and is an enabled rule: an archive keeps the event but brings it to nobody."""
    matches: bool
    near: bool
    broken: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        broken = [
            {"path": one.path, "expected": json.loads(one.expected), "found": list(one.found)}
            | ({"why": _unseen(one)} if one.objects else {})
            for one in self.broken
        ]
        return {
            "event": self.event, "detailType": self.detail_type, "rule": self.rule, "matches": self.matches,
            "why": broken,
        }  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def rules() -> None:
    """Rules of EventBridge: which events they match, and why not."""


@rules.command(epilog=EXAMPLES)
@click.argument("pattern")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--examples", is_flag=True, help="Look at an example of every event type of the configured tables.")
@click.option("--why", is_flag=True, help="In the table, show why not even for rules that are far from matching.")
@click.option("--strict", is_flag=True, help="Exit code 1 if an event matches no enabled rule (archives are none).")
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True,
              help="json: one document; jsonl: one line per event and rule.")  # fmt: skip
@click.pass_context
def test(
    ctx: click.Context, pattern: str, files: tuple[str, ...], examples: bool, why: bool, strict: bool, output: Output
) -> None:
    """Say which events match PATTERN, and of those that do not, which part of it is the reason.

    PATTERN is an event pattern (JSON text, or a file), a CloudFormation template with rules, or what `aws events
    describe-rule` and `list-rules` print. FILE holds events: as EventBridge delivers them, as `cdc invoke` prints them,
    or as they stand in cdc.events; - is stdin. Patterns are matched as EventBridge does; nothing is sent.

    Exit code: 0, with --strict 1 if an event matches no rule, 2 for a pattern that EventBridge would refuse, 6 if there
    is no such file.
    """
    if not files and not examples:
        raise click.UsageError("say which events: FILE... (- is stdin), or --examples")
    found = _rules(pattern)
    events = [event for name in files for event in _of_file(name)] + (_of_tables() if examples else [])
    if not events:
        raise CommandError("there are no events to test")
    by_event = [[_verdict(name, event, rule) for rule in found] for name, event in events]
    if output == "table":
        rows = [row for verdicts in by_event for row in _cells(verdicts, whole=why or len(found) == 1)]
        head = ("EVENT", "RULE", "MATCHES", "WHY NOT")
        for line in columns([head, *rows], left=head):
            click.echo(line)
    elif output == "json":
        click.echo(json.dumps([one.to_json() for one in chain(*by_event)], ensure_ascii=False, indent=2))
    else:
        for one in chain(*by_event):
            click.echo(json.dumps(one.to_json(), ensure_ascii=False))
    nowhere = sum(not any(one.takes for one in verdicts) for verdicts in by_event)
    click.echo(f"cdc rules: {len(events)} events, {len(found)} patterns; {nowhere} events match no enabled rule"
               + (": EventBridge would drop them" if nowhere else ""), err=True)  # fmt: skip
    if strict and nowhere:
        ctx.exit(int(ExitCode.ERROR))


def _rules(given: str) -> list[_Rule]:
    inline = given.lstrip().startswith("{")
    text = given if inline else read_input(given).decode("utf-8", "replace")
    name = INLINE if inline else shown_name(given)
    try:
        return [_rule(named) for named in read_patterns(text, name)]
    except InvalidPattern as error:
        raise click.UsageError(f"{name}: EventBridge would refuse the pattern: {error}") from None


def _rule(named: NamedPattern) -> _Rule:
    """Raises UsageError."""
    try:
        compiled = compile_pattern(named.pattern)
    except InvalidPattern as error:
        raise click.UsageError(f"{named.name}: EventBridge would refuse the pattern: {error}") from None
    size = len(json.dumps(json.loads(named.pattern), ensure_ascii=False, separators=(",", ":")))
    told = f"{named.name}: the pattern has {size:,} characters"
    if size > LONGEST_RAISED:
        raise click.UsageError(f"{told}: EventBridge would refuse it, at most {LONGEST_RAISED:,} fit")
    if size > LONGEST_PATTERN:
        raised = f"unless the quota of your account was raised, up to {LONGEST_RAISED:,}"
        click.echo(f"cdc rules: {told}: EventBridge takes {LONGEST_PATTERN:,}, {raised}", err=True)
    return _Rule(named, compiled)


def _of_file(name: str) -> list[tuple[str, dict[str, Any]]]:
    """(what to call it, envelope) of every event. Raises CommandError."""
    settings, _ = _configured()
    found = []
    for piece in pieces(read_input(name)):
        where = f"{shown_name(name)}:{piece.line}"
        try:
            document = json.loads(piece.content)
        except ValueError:
            document = None
        match document:
            case {"detail": dict(), "source": str(), "detail-type": str()}:
                found.append((_called(document["detail"], where), document))
            case {"eventType": str(), "entityType": str()}:
                found.append((_called(document, where), _delivered(document, settings)))
            case {"deadLetter": _}:
                click.echo(f"{where}: left out: a dead letter, which is never sent to a bus", err=True)
            case _:
                raise CommandError(
                    f"{where} is no event", hint="events come from `cdc invoke`, cdc.events or a queue behind a rule"
                )
    return found


def _of_tables() -> list[tuple[str, dict[str, Any]]]:
    """An example of every event type."""
    from models.change import Operation  # noqa: PLC0415
    from workers.schemas.examples import example_event  # noqa: PLC0415  the pipeline takes a while to import

    settings, catalogue = _configured()
    found = []
    for spec in catalogue.specs:
        for operation in (Operation.CREATE, Operation.UPDATE, Operation.DELETE):
            if operation in spec.operations:
                detail = example_event(catalogue, spec, operation)
                found.append((_called(detail, spec.name), _delivered(detail, settings)))
    return found


def _configured() -> "tuple[Settings, Catalogue]":
    from workers.contract import read_catalogue  # noqa: PLC0415
    from workers.settings.worker import load_settings  # noqa: PLC0415

    settings = load_settings()
    return settings, read_catalogue(settings)


def _called(detail: dict[str, Any], where: str) -> str:
    kind, entity = detail.get("eventType"), detail.get("entityId")
    return f"{kind} {entity}" if kind and entity else where


def _delivered(detail: dict[str, Any], settings: "Settings") -> dict[str, Any]:
    """The envelope EventBridge would put around it."""
    return {
        "version": "0", "id": "00000000-0000-0000-0000-000000000000", "resources": [],
        "source": f"{settings.event_source}.{detail['entityType']}", "region": settings.aws_region,
        "account": settings.aws_account_id or "000000000000", "time": detail.get("timestamp", ""),
        "detail-type": detail.get("detailType") or detail["eventType"], "detail": detail,
    }  # fmt: skip


def _verdict(name: str, event: dict[str, Any], rule: _Rule) -> _Verdict:
    named = rule.named
    label = (
        f"{named.name} (archive)" if named.is_archive else named.name if named.enabled else f"{named.name} (disabled)"
    )
    if rule.pattern.matches(event):
        takes = named.enabled and not named.is_archive
        return _Verdict(name, event["detail-type"], label, takes, True, True, ())
    leaves = [one for one in rule.pattern.explain(event) if one.expected.startswith("[")]
    near = {_branch(one.path) for one in leaves if one.matched}
    broken = [one for one in leaves if not one.matched]
    # Of several alternatives those count that fit in part; if none does, all.
    nearest = tuple(one for one in broken if _branch(one.path) in near) or tuple(broken)
    meant = bool(near) and not any(one.path.rpartition(".")[2] == "source" for one in nearest)
    return _Verdict(name, event["detail-type"], label, False, False, meant, nearest)


def _branch(path: str) -> str:
    """The alternatives of `$or` that a path goes through."""
    return path[: path.rfind("]", path.rfind("$or[")) + 1] if "$or[" in path else ""


def _cells(verdicts: list[_Verdict], *, whole: bool) -> Iterator[tuple[str, str, str, str]]:
    """Rows of one event."""
    shown = [one for one in verdicts if one.matches or one.near or whole]
    for one in shown:
        reason = "; ".join(_why(finding) for finding in one.broken)
        yield one.event, one.rule, "yes" if one.matches else "no", reason
    if not shown:
        yield verdicts[0].event, "-", "no", "no rule is for it; --why says more"


def _why(finding: Finding) -> str:
    if finding.objects:
        return f"{finding.path} is {_unseen(finding)}"
    there = ", ".join(_short(value) for value in finding.found[:MOST_FOUND]) if finding.found else "absent"
    there += ", …" if len(finding.found) > MOST_FOUND else ""
    return f"{finding.path} is {there}; wanted {_short(json.loads(finding.expected))}"


def _unseen(finding: Finding) -> str:
    """What to ask instead of a field that holds objects: in `changes` a changed column has one, with old and new."""
    of_change = re.search(r"(?:^|\.)detail\.changes(?:\.[^.\[]+)?$", finding.path)
    ask = "a field in it" if of_change is None else "detail.changedFields, or a field in it"
    return f"an object: patterns see values only; ask {ask}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
