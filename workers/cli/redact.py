"""`cdc redact`: what the rules of a table make of rows, for a look before a worker does it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import click

from enrichers.compiled import CompiledTable, WrongType
from enrichers.redact import MissingKeyError, RedactedRow, RowRedactor, Secret, UnredactableError
from enrichers.transform import BadValueError
from models.change import Control, Operation, Row, SourceRow
from models.documents import pieces
from models.kinesis_event import deliveries
from models.outcome import Dead
from models.sources import adapters, dms
from models.strict_json import JsonError, decode, wire
from workers.cli.columns import columns
from workers.cli.files import read_input, shown_name
from workers.cli.refused import RefusedDocuments
from workers.contract import pipeline_options, read_catalogue
from workers.failures import CommandError, ConfigurationError, PartialError, unknown_name
from workers.settings.redaction import KEY_HINT
from workers.settings.worker import Settings, load_settings

EXAMPLES = """\b
Examples:
  cdc redact --table users rows.json
  cdc redact --steps change.json          # of the table that the record names
  cdc redact --table orgs --key-version 2 rows.json     # with the other key
  psql -c 'select to_json(o) from orgs o' -At | cdc redact --table orgs -
"""


class _NotRedacted(Exception):
    """A document that is not shown. `failed` False: it has no row that these rules are for. `is_object` False: it can
    be no row and no record at all."""

    def __init__(self, why: str, *, failed: bool = True, is_object: bool = True) -> None:
        super().__init__(why)
        self.failed = failed
        self.is_object = is_object


@dataclass(frozen=True, slots=True)
class _Image:
    """One row of a document: a plain one, or an image of a change (`before`, `after`)."""

    where: str
    side: Literal["", "before", "after"]
    redacted: RedactedRow


class _Redaction:
    def __init__(self, settings: Settings, table: str | None, key_version: int | None) -> None:
        self.catalogue = read_catalogue(settings)
        if table is not None and self.catalogue.named(table) is None:
            raise unknown_name("table", table, (spec.name for spec in self.catalogue.specs))
        self.table = table
        options = pipeline_options(settings, settings.redaction_secret() if settings.has_redaction_key else None)
        self.secret, self.other = _keys(
            [
                Secret(key, version)
                for key, version in (
                    (options.redaction_key, options.redaction_key_version),
                    (options.other_redaction_key, options.other_redaction_key_version),
                )
                if key
            ],
            key_version,
        )
        self.tables: dict[str, tuple[CompiledTable, RowRedactor]] = {}
        self.zone = options.time_zone

    def documents(self, name: str) -> Iterator[tuple[str, bytes | Dead]]:
        """Every document of a file, with where it stands."""
        for place, piece in enumerate(pieces(read_input(name))):
            for number, delivery in enumerate(deliveries(piece.content, str(place))):
                where = f"{shown_name(name)}:{piece.line}" + (f" Records[{number}]" if delivery.wrapped else "")
                yield where, delivery.content

    def images(self, where: str, content: bytes | Dead) -> list[_Image]:
        """The redacted rows of a document. Raises _NotRedacted, MissingKeyError."""
        if isinstance(content, Dead):
            raise _NotRedacted(content.reason)
        try:
            document = decode(content)
        except JsonError as error:
            raise _NotRedacted(f"not acceptable JSON: {error}", is_object=False) from None
        if not isinstance(document, dict):
            raise _NotRedacted("neither a row nor a change record: no JSON object", is_object=False)
        if adapters.adapter_of(document) is None:
            if self.table is None:
                raise click.UsageError(f"{where} is a plain row: say of which table with --table")
            return [_Image(where, "", self._redact(self.table, document, dms.ADAPTER))]
        match adapters.decode(document):
            case Dead(reason=reason):
                raise _NotRedacted(reason)
            case Control():
                raise _NotRedacted("a control record has no row", failed=False)
            case SourceRow() as source:
                table = self._table_of(source)
                last = "before" if source.operation is Operation.DELETE and not source.before else "after"
                rows: list[tuple[Literal["before", "after"], Row | None]] = [
                    ("before", source.before), ("before" if last == "before" else "after", source.row),
                ]  # fmt: skip
                return [_Image(where, side, self._redact(table, row, source.adapter)) for side, row in rows if row]

    def _table_of(self, source: SourceRow) -> str:
        spec = self.catalogue.match(source.adapter, source.schema, source.table)
        if spec is None and self.table is None:
            raise _NotRedacted(f"{source.place} is no table that is known; choose rules with --table")
        if spec is not None and self.table not in (None, spec.name):
            raise _NotRedacted(f"a record of {spec.name}", failed=False)
        return self.table or (spec.name if spec is not None else "")

    def _redact(self, name: str, row: Row, adapter: str) -> RedactedRow:
        compiled, redactor = self._rules(name)
        read = compiled.read(row, [])
        if isinstance(read, WrongType):
            raise _NotRedacted(f"column {read.column} is not of type {read.expected.value}")
        formed = dict(read)
        transformers = compiled.transformers_of(adapter)
        for column in transformers.keys() & formed.keys():
            try:
                formed[column] = transformers[column](formed[column])
            except BadValueError:
                rule = compiled.spec.transform[column].value
                raise _NotRedacted(f"column {column} has no {rule} form") from None
        try:
            return redactor.redact(formed, read)
        except UnredactableError as error:
            raise _NotRedacted(str(error)) from None

    def _rules(self, name: str) -> tuple[CompiledTable, RowRedactor]:
        if name not in self.tables:
            spec = self.catalogue.named(name)
            assert spec is not None  # noqa: S101  from the catalogue itself
            compiled = CompiledTable(spec, self.catalogue, secret=None, redact=False, zone=self.zone)
            self.tables[name] = compiled, RowRedactor(spec, secret=self.secret, other=self.other)
        return self.tables[name]


@click.command(
    short_help="Print rows as redaction leaves them, without Kafka and AWS.",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXAMPLES,
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--table", metavar="NAME", help="Whose rules. Needed for plain rows; records of other tables are left out."
)
@click.option("--key-version", type=click.IntRange(1), metavar="N",
              help="Hash and tokenize with the key of this version; default: CDC_REDACTION_KEY_VERSION.")  # fmt: skip
@click.option("--steps", is_flag=True, help="Say on stderr which rule did what to which column.")
@click.option("--output", type=click.Choice(["table", "json", "jsonl"]), default="jsonl", show_default=True,
              help="Form of stdout.")  # fmt: skip
def redact(files: tuple[str, ...], table: str | None, key_version: int | None, steps: bool, output: str) -> None:
    """Print the rows of FILE... (- is stdin) as redaction leaves them, without Kafka and AWS.

    A file holds any sequence of JSON documents: plain rows of one table (--table), or change records of any source,
    whose images are shown as "before" and "after". Values are checked and transformed as in the pipeline, so that
    hashes and tokens are those of its events. Redaction is applied even if ENABLE_DATA_REDACTION is false.

    Exit code: 0, or 7 if a document could not be shown (stderr says of the first few of a file which and why, never a
    value, and how many more), 1 if no file holds a JSON object, 3 if a rule needs a key that is not set, 6 if there is
    no such table or file.
    """
    work = _Redaction(load_settings(), table, key_version)
    shown: list[list[_Image]] = []
    read: list[RefusedDocuments] = []
    no_json: list[str] = []
    for name in files:
        refused = RefusedDocuments(shown_name(name))
        read.append(refused)
        for where, content in work.documents(name):
            refused.documents += 1
            try:
                images = work.images(where, content)
            except MissingKeyError as error:
                raise ConfigurationError(
                    str(error), hint=f"set CDC_REDACTION_KEY or CDC_REDACTION_KEY_FILE; {KEY_HINT}"
                ) from None
            except _NotRedacted as error:
                refused.objects = refused.objects or error.is_object
                refused.note(where, str(error), failed=error.failed)
                continue
            refused.is_json()
            for image in images if steps else ():
                for column, step in image.redacted.steps:
                    click.echo(" ".join(filter(None, (f"{where}:", image.side, f"{column}: {step}"))), err=True)
            if output == "jsonl":
                click.echo(json.dumps(_document(images), ensure_ascii=False, separators=(",", ":")))
            else:
                shown.append(images)
        if (told := refused.end()) is not None:
            no_json.append(told)
    if output == "json":
        click.echo(json.dumps([_document(images) for images in shown], ensure_ascii=False, indent=2))
    elif output == "table":
        for line in _table(shown):
            click.echo(line)
    _judge(read, no_json)


def _judge(read: list[RefusedDocuments], no_json: list[str]) -> None:
    """Raises PartialError or CommandError if something could not be shown."""
    if no_json and len(no_json) == len(read):
        for told in no_json[:-1]:
            click.echo(f"cdc: {told}", err=True)
        raise CommandError(
            no_json[-1], hint="rows and records may stand on lines, pretty-printed or in arrays, but only as JSON"
        )
    for told in no_json:
        click.echo(f"cdc: {told}", err=True)
    json_files = [file for file in read if not file.is_no_json]
    failed, count = sum(file.failed for file in json_files), sum(file.documents for file in json_files)
    others = [f"{len(no_json)} of {len(read)} files hold no JSON"] if no_json else []
    if failed or no_json:
        raise PartialError(
            "; ".join([*([f"{failed} of {count} documents could not be shown"] if failed else []), *others])
        )


def _keys(known: list[Secret], wanted: int | None) -> tuple[Secret | None, Secret | None]:
    """The key to use and the other one. Raises ConfigurationError if no key has the version."""
    if wanted is None:
        return (known[0] if known else None), (known[1] if len(known) > 1 else None)
    chosen = next((secret for secret in known if secret.version == wanted), None)
    if chosen is None:
        there = ", ".join(str(secret.version) for secret in known) or "none"
        raise ConfigurationError(
            f"there is no redaction key of version {wanted}; versions: {there}",
            hint="set CDC_REDACTION_KEY_OTHER and CDC_REDACTION_KEY_OTHER_VERSION",
        )
    return chosen, next((secret for secret in known if secret is not chosen), None)


def _document(images: list[_Image]) -> dict[str, Any]:
    rows: dict[str, Any] = {image.side: wire(image.redacted.row) for image in images}
    plain: dict[str, Any] | None = rows.get("")
    return rows if plain is None else plain


def _table(shown: list[list[_Image]]) -> Iterator[str]:
    rows = [("WHERE", "IMAGE", "COLUMN", "VALUE", "RULE")]
    for image in (image for images in shown for image in images):
        steps = dict(image.redacted.steps)
        names = [*image.redacted.row, *(name for name in steps if name not in image.redacted.row)]
        for name in names:
            value = json.dumps(wire(image.redacted.row[name]), ensure_ascii=False) if name in image.redacted.row else ""
            rows.append((image.where, image.side, name, value, steps.get(name, "")))
    yield from columns(rows, left=rows[0])
