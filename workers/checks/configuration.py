"""Checks that need nobody else: tables, redaction, and how the worker means to reach Kafka."""

import difflib
from collections.abc import Iterator

from enrichers.examples import check_examples
from models.catalogue import Catalogue, load_catalogue
from models.tables import TableSpec
from models.where import columns, parse
from models.yaml_nodes import InvalidFile
from workers.checks.findings import Finding
from workers.engine.ledger import too_many
from workers.failures import ConfigurationError
from workers.kafka.topics import tables_of
from workers.settings.worker import Settings

CLOSE = 0.8
"""How alike two names are that are one typing error apart (difflib): Subjct and Subject are 0.92."""


def check_tables(settings: Settings) -> tuple[Catalogue | None, list[Finding]]:
    """The catalogue, or every mistake in tables.yaml with its line; and whether a worker starts with so many tables."""
    name = str(settings.tables or "built-in tables")
    try:
        catalogue = load_catalogue(settings.catalogue, settings.tables)
    except InvalidFile as error:
        return None, [Finding.of("tables.invalid", name, problem) for problem in error.problems]
    tables = tables_of(catalogue.lookups)
    return catalogue, [Finding.of("tables.lookups", name, why)] if (why := too_many(tables)) else []


def check_examples_of(catalogue: Catalogue, settings: Settings) -> list[Finding]:
    """Examples of tables.yaml that do not hold, and columns whose names look misspelled."""
    file = settings.tables.name if settings.tables is not None else "built-in tables"
    found = [
        Finding.of("tables.example", f"{file}:{mismatch.line}", f"{mismatch.table}: {mismatch.text}")
        for mismatch in check_examples(catalogue)
    ]
    for spec in catalogue.specs:
        for column in sorted(columns(parse(spec.where)) - spec.known) if spec.where is not None else ():
            what = f"where asks for {column}, which nothing else names"
            found.append(Finding.of("tables.where-column", f"{file}: {spec.name}", what))
        found += [Finding.of("tables.redact-column", f"{file}: {spec.name}", what) for what in _misspelled(spec)]
    return found


def _misspelled(spec: TableSpec) -> Iterator[str]:
    """Rules for columns that `columns` does not list, where it lists one of nearly that name without a rule: what was
    to be hidden would be published."""
    open_to_all = {column.lower(): column for column in spec.columns if column not in spec.redact}
    for column in sorted(spec.redact.keys() - spec.columns.keys()):
        for near in difflib.get_close_matches(column.lower(), open_to_all, n=1, cutoff=CLOSE):
            yield f"redact names {column}, `columns` names {open_to_all[near]}, which is published as it is"


def check_redaction(settings: Settings, catalogue: Catalogue) -> list[Finding]:
    """Whether what the tables want to redact can be redacted."""
    if not settings.enable_data_redaction:
        return [Finding.of("redaction.off", "ENABLE_DATA_REDACTION", "values are published as they are")]
    if catalogue.needs_redaction_key:
        try:
            settings.redaction_secret()
            settings.other_redaction_secret()
        except ConfigurationError as error:
            return [Finding.of("redaction.key", "CDC_REDACTION_KEY", str(error))]
    return []


def check_protection(settings: Settings) -> list[Finding]:
    """What others on the network can see or feign."""
    if settings.environment == "LOCAL":
        return []
    found = []
    if not settings.kafka_tls:
        what = "records and credentials travel" if settings.kafka_sasl else "records travel"
        found.append(Finding.of("kafka.plaintext", "CDC_KAFKA_SECURITY_PROTOCOL", f"{what} without encryption"))
    if settings.kafka_tls and not settings.kafka_check_hostname:
        found.append(Finding.of("kafka.hostname", "CDC_KAFKA_CHECK_HOSTNAME", "names in certificates are not checked"))
    return found
