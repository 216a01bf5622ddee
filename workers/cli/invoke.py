"""`cdc invoke`: change records from files through the enrich pipeline, without a broker and without AWS."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

import click

from enrichers.pipeline import Enriched, Pipeline, Trace
from enrichers.redact import MissingKeyError
from enrichers.routing import route
from enrichers.state import InMemoryState, Pin
from models.catalogue import Catalogue
from models.change import SourceRow
from models.dead_letter import dead_letter
from models.documents import pieces
from models.kinesis_event import Delivery, deliveries
from models.outcome import Dead, Drop, Miss, Ok
from models.raw import RawRecord
from models.routing import Route
from models.sources import adapters
from models.sources.reading import PLAIN
from models.strict_json import lenient
from workers.cli.sources import named_source
from workers.contract import pipeline_options, read_catalogue
from workers.failures import CommandError, ConfigurationError, NotFoundError, PartialError
from workers.settings import Settings, load_settings

STAGE = "enrich"
STDIN = "-"
KEY_HINT = "set CDC_REDACTION_KEY or CDC_REDACTION_KEY_FILE; `openssl rand -hex 32` makes a good one"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one record."""

    where: str
    """File and line, for people."""
    delivery: Delivery
    record: RawRecord
    enriched: Enriched


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
            return Result(where, delivery, record, Enriched(content))
        trace: Trace | None = [] if self.steps else None
        self._follow_schema(where, routed, content)
        # No other file will bring a missing owner while we wait, so nothing waits.
        enriched = self.pipeline.run(record, self.state, patient=False, trace=trace)
        self.state.apply(enriched.effects)
        if routed is not None and routed.retired_key is not None:
            self._retire(routed.retired_key, record)
        for step, text in trace or ():
            click.echo(f"{where}: {step:<9} {text}", err=True)
        return Result(where, delivery, record, enriched)

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


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--source", metavar="NAME", help="Of which source they are: part of every eventId. Default: the first one."
)
@click.option("--steps", is_flag=True, help="Show every step of every record on stderr.")
@click.option("--lambda", "as_lambda", is_flag=True, help="Print the Lambda response instead of the events.")
@click.option(
    "--output",
    type=click.Choice(["table", "json", "jsonl"]),
    default="jsonl",
    show_default=True,
    help="Form of stdout.",
)
def invoke(files: tuple[str, ...], source: str | None, steps: bool, as_lambda: bool, output: str) -> None:
    """Turn change records from FILE... (- is stdin) into events, without Kafka and without AWS.

    A file holds any sequence of JSON documents (pretty-printed, lines, arrays) or AWS Lambda Kinesis events. Events go
    to stdout; dead letters too, as {"deadLetter": ...}, and make the exit code 7; drops are told on stderr. Lookups fed
    by earlier records serve later ones.

    \b
    Try:  cdc invoke events/sample-cdc-event.json
    """
    settings = load_settings()
    spec = named_source(settings, source) if source is not None else settings.sources[0]
    invocation = _prepare(settings, spec.name, steps=steps)
    shown: list[dict[str, Any]] = []
    failed: list[str] = []
    for name in files:
        for result in _results(invocation, name):
            document = _document(result, invocation.catalogue.fingerprint)
            if isinstance(result.enriched.outcome, Dead):
                failed.append(result.record.origin.sequence)
            if document is None or as_lambda:
                continue
            if output == "jsonl":
                click.echo(_line(document))
            else:
                shown.append(document)
    if as_lambda:
        click.echo(_line({"batchItemFailures": [{"itemIdentifier": item} for item in failed]}))
    elif output == "json":
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    elif output == "table":
        _table(shown)
    if failed:
        raise PartialError(f"{len(failed)} of {invocation.count} records became dead letters")


def _schema_of(content: bytes) -> str | None:
    try:
        decoded = adapters.decode(lenient(content))
    except (ValueError, RecursionError, OverflowError):
        return None
    return decoded.schema if isinstance(decoded, SourceRow) else None


def _prepare(settings: Settings, source: str, *, steps: bool) -> Invocation:
    catalogue = read_catalogue(settings)
    has_key = settings.redaction_key is not None or settings.redaction_key_file is not None
    options = pipeline_options(settings, settings.redaction_secret() if has_key else None)
    return Invocation(catalogue, Pipeline(catalogue, options), source, steps)


def _results(invocation: Invocation, name: str) -> Iterator[Result]:
    try:
        yield from invocation.run("stdin" if name == STDIN else name, _read(name))
    except MissingKeyError as error:
        raise ConfigurationError(str(error), hint=KEY_HINT) from None


def _read(name: str) -> bytes:
    if name == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name}") from None
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}") from None


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
                failed_ms=time.time_ns() // 1_000_000,
                fingerprint=fingerprint,
                table=result.enriched.table,
            )
            click.echo(f"{result.where}: dead letter, {dead.failure}: {dead.reason}", err=True)
            return {"deadLetter": letter.to_json()}
        case Miss(lookup=lookup):
            raise AssertionError(f"an impatient pipeline waits for {lookup}")
        case _:
            assert_never(result.enriched.outcome)


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _table(documents: list[dict[str, Any]]) -> None:
    rows = [("EVENT", "ENTITY", "ORG", "USER", "CHANGED")]
    for document in documents:
        letter = document.get("deadLetter")
        if letter is not None:
            rows.append(("dead letter", letter["code"], "", "", letter["message"]))
            continue
        names = ",".join(document["changedFields"])
        entity = f"{document['entityType']}:{document['entityId']}"
        rows.append((document["eventType"], entity, document.get("orgId", ""), document.get("userId", ""), names))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        click.echo("  ".join([*cells, row[4]]).rstrip())
