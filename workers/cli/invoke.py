"""`cdc invoke`: change records from files through the enrich pipeline, without a broker and without AWS."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

import click

from enrichers.enriched import Enriched
from enrichers.in_memory import InMemoryState
from enrichers.pipeline import Pipeline
from enrichers.redact import MissingKeyError
from enrichers.routing import route
from enrichers.state import Pin
from enrichers.trace import Trace
from models.catalogue import Catalogue
from models.change import SourceRow
from models.dead_letter import dead_letter
from models.documents import pieces
from models.kinesis_event import Delivery, deliveries
from models.lambda_response import LambdaResponse
from models.outcome import Dead, Drop, Miss, Ok
from models.raw import RawRecord
from models.routing import Route
from models.sources import adapters
from models.sources.reading import PLAIN
from models.strict_json import lenient
from workers.cli.expected import Document, differences, read_expected
from workers.cli.files import read_input, shown_name
from workers.cli.invoke_output import event_table, line, step_lines, steps_document
from workers.cli.sources import named_source
from workers.contract import pipeline_options, read_catalogue
from workers.failures import CommandError, ConfigurationError, PartialError
from workers.settings.worker import Settings, load_settings

STAGE = "enrich"
KEY_HINT = "set CDC_REDACTION_KEY or CDC_REDACTION_KEY_FILE; `openssl rand -hex 32` makes a good one"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one record."""

    where: str
    """File and line, for people."""
    delivery: Delivery
    record: RawRecord
    enriched: Enriched
    trace: Trace | None = None
    """What each step said, if that was asked for."""


@dataclass(slots=True)
class Invocation:
    """One call: the pipeline and what it remembers over all files, so that later records find earlier owners."""

    catalogue: Catalogue
    pipeline: Pipeline
    source: str
    steps: bool
    state: InMemoryState = field(default_factory=InMemoryState)
    count: int = 0
    told: set[tuple[str, str]] = field(default_factory=set)

    def run(self, name: str, data: bytes) -> Iterator[Result]:
        """Every record of one file, in order."""
        for place, piece in enumerate(pieces(data)):
            for number, delivery in enumerate(deliveries(piece.content, str(place))):
                where = f"{name}:{piece.line}" + (f" Records[{number}]" if delivery.wrapped else "")
                yield self._one(where, delivery)

    def _one(self, where: str, delivery: Delivery) -> Result:
        content = delivery.content
        routed = self._route(content, delivery.partition_key) if isinstance(content, bytes) else None
        record = RawRecord(
            value=content if isinstance(content, bytes) else None,
            key=routed.key if routed and routed.table else None,
            origin=delivery.origin,
            topic="invoke",
            partition=0,
            offset=self.count,
            timestamp_ms=delivery.origin.arrival_ms,
            source=self.source,
            adapter=routed.adapter if routed else None,
            table=routed.table if routed else None,
        )
        self.count += 1
        if isinstance(content, Dead):
            return Result(where, delivery, record, Enriched(content), Trace() if self.steps else None)
        trace = Trace() if self.steps else None
        self._follow_schema(where, routed, content)
        # No other file will bring a missing owner while we wait, so nothing waits.
        enriched = self.pipeline.run(record, self.state, patient=False, trace=trace)
        self.state.apply(enriched.effects)
        if routed is not None and routed.retired_key is not None:
            self._retire(routed.retired_key, record)
        return Result(where, delivery, record, enriched, trace)

    def _route(self, content: bytes, partition_key: str) -> Route:
        reading = self.pipeline.options.readings.get(self.source, PLAIN)
        return route(content, partition_key, self.catalogue, reading=reading)

    def _follow_schema(self, where: str, routed: Route | None, content: bytes) -> None:
        """Pin a table to the schema of the record at hand: records of several databases may stand in one call."""
        if routed is None or routed.table is None:
            return
        schema = _schema_of(content)
        pinned = self.state.pinned_schema(routed.table)
        if schema is None or pinned is None or pinned == schema:
            return
        self.state.apply([Pin(routed.table, schema)])
        if (routed.table, schema) not in self.told:
            self.told |= {(routed.table, schema), (routed.table, pinned)}
            click.echo(
                f"{where}: note: {routed.table} stands in schema {schema} too; a worker serves only the first it sees "
                f"({pinned}) unless tables.yaml names the schema",
                err=True,
            )

    def _retire(self, key: bytes, record: RawRecord) -> None:
        """What the marker does that the bridge writes for the former key of a row."""
        marker = RawRecord(
            None, key, record.origin, record.topic, 0, record.offset, 0, record.source, table=record.table, retired=True
        )
        self.state.apply(self.pipeline.run(marker, self.state).effects)


@click.command(
    short_help="Turn change records into events, without Kafka and without AWS.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--source", metavar="NAME", help="Of which source they are: part of every eventId. Default: the first one."
)
@click.option(
    "--steps",
    is_flag=True,
    help="Show what each step did, and by which rule: on stderr, with --output json in the document. Never a value.",
)
@click.option(
    "--expect",
    metavar="FILE",
    help="Compare with what an earlier call printed: differences on stderr, exit code 1. The order of keys and the "
    "form of the file do not matter. A dead letter that is expected is no failure.",
)
@click.option(
    "--ignore", multiple=True, metavar="FIELD", help="Of --expect: a field that may differ, as deadLetter.fingerprint."
)
@click.option("--lambda", "as_lambda", is_flag=True, help="Print the Lambda response instead of the events.")
@click.option(
    "--output",
    type=click.Choice(["table", "json", "jsonl"]),
    default="jsonl",
    show_default=True,
    help="Form of stdout.",
)
def invoke(
    files: tuple[str, ...],
    source: str | None,
    steps: bool,
    expect: str | None,
    ignore: tuple[str, ...],
    as_lambda: bool,
    output: str,
) -> None:
    """Turn change records from FILE... (- is stdin) into events, without Kafka and without AWS.

    A file holds any sequence of JSON documents (pretty-printed, lines, arrays) or AWS Lambda Kinesis events. Events go
    to stdout; dead letters too, as {"deadLetter": ...}, and make the exit code 7; drops are told on stderr. Lookups fed
    by earlier records serve later ones.

    \b
    Examples:
      cdc invoke events/sample-cdc-event.json
      cdc invoke --steps events/sample-cdc-event.json
      cdc invoke --steps --output json events/sample-cdc-event.json
      cdc invoke events/sample-cdc-event.json > expected.jsonl
      cdc invoke --expect expected.jsonl events/sample-cdc-event.json
      cdc invoke --lambda events/sample-cdc-event.json
    """
    if ignore and expect is None:
        raise click.UsageError("--ignore is about --expect FILE")
    expected = read_expected(expect) if expect is not None else None
    settings = load_settings()
    spec = named_source(settings, source) if source is not None else settings.sources[0]
    invocation = _prepare(settings, spec.name, steps=steps)
    documents: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    failed: list[str] = []
    for name in files:
        for result in _results(invocation, name):
            if result.trace is not None and output != "json":
                click.echo("\n".join(step_lines(result.where, result.trace)), err=True)
            document = _document(result, invocation.catalogue.fingerprint)
            if isinstance(result.enriched.outcome, Dead):
                failed.append(result.record.origin.sequence)
            if result.trace is not None and output == "json":
                shown.append(steps_document(result.where, result.record, result.trace) | _outcome(result, document))
            if document is None:
                continue
            documents.append(document)
            if output == "jsonl" and not as_lambda:
                click.echo(line(document))
    if as_lambda:
        click.echo(LambdaResponse.of(failed).model_dump_json(by_alias=True))
    elif output == "json":
        click.echo(json.dumps(shown if steps else documents, ensure_ascii=False, indent=2))
    elif output == "table":
        click.echo("\n".join(event_table(documents)))
    if expected is not None:
        _compare(str(expect), expected, documents, ignore)
    elif failed:
        raise PartialError(f"{len(failed)} of {invocation.count} records became dead letters")


def _outcome(result: Result, document: dict[str, Any] | None) -> dict[str, Any]:
    outcome = result.enriched.outcome
    if isinstance(outcome, Drop) or document is None:
        return {"dropped": outcome.reason if isinstance(outcome, Drop) else ""}
    return document if "deadLetter" in document else {"event": document}


def _compare(name: str, expected: Sequence[Document], documents: Sequence[Document], ignore: tuple[str, ...]) -> None:
    """Raises CommandError if anything differs."""
    came = json.loads(json.dumps(documents))
    found = list(differences(expected, came, ignore))
    for difference in found:
        click.echo(str(difference), err=True)
    if found:
        raise CommandError(
            f"{len(found)} difference{'' if len(found) == 1 else 's'} from {name}",
            hint="if they are meant, write the file anew from what is printed now",
        )
    click.echo(f"{len(documents)} documents, all as expected", err=True)


def _schema_of(content: bytes) -> str | None:
    try:
        decoded = adapters.decode(lenient(content))
    except (ValueError, RecursionError, OverflowError):
        return None
    return decoded.schema if isinstance(decoded, SourceRow) else None


def _prepare(settings: Settings, source: str, *, steps: bool) -> Invocation:
    catalogue = read_catalogue(settings)
    options = pipeline_options(settings, settings.redaction_secret() if settings.has_redaction_key else None)
    return Invocation(catalogue, Pipeline(catalogue, options), source, steps)


def _results(invocation: Invocation, name: str) -> Iterator[Result]:
    try:
        yield from invocation.run(shown_name(name), read_input(name))
    except MissingKeyError as error:
        raise ConfigurationError(str(error), hint=KEY_HINT) from None


def _document(result: Result, fingerprint: str) -> dict[str, Any] | None:
    """What stdout gets of a result. Drops are told on stderr."""
    match result.enriched.outcome:
        case Ok(event):
            document: dict[str, Any] = json.loads(event.value)
            return document
        case Drop(reason):
            click.echo(f"{result.where}: dropped ({reason})", err=True)
            return None
        case Dead() as dead:
            letter = dead_letter(
                dead,
                result.record,
                stage=STAGE,
                failed_ms=result.record.timestamp_ms,  # no clock: the same file gives the same documents
                fingerprint=fingerprint,
                table=result.enriched.table,
            )
            click.echo(f"{result.where}: dead letter, {dead.failure}: {dead.reason}", err=True)
            return {"deadLetter": letter.to_json()}
        case Miss(lookup=lookup):
            raise AssertionError(f"an impatient pipeline waits for {lookup}")
        case _:
            assert_never(result.enriched.outcome)
