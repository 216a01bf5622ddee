"""A draft of `tables.yaml`: it loads without mistakes, and says of each guess that it is one."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.tables import ColumnType, fold
from workers.drafts.personal import KEYED, Personal, by_name, singular
from workers.drafts.seen import SeenTable

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_WORDS = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null", "none"})
"""YAML, or the loader, takes them for something else."""
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)
_ORGS = ("orgid", "homeorgid", "organizationid", "organisationid", "tenantid", "companyid")
_USERS = ("userid", "owneruserid", "ownerid", "accountuserid")
WIDTH = 38
"""Where comments stand, unless a line is longer."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A file, and what was left out of it."""

    text: str
    guesses: int
    """Lines that somebody has to look at."""


def draft(tables: Sequence[SeenTable], *, origin: str) -> Draft:
    """The file. `origin` says what it was drafted from; names and counts only."""
    lines = [
        f"# Drafted by `cdc tables init` from {origin}. Lines with a question mark are guesses: look at them, then run",
        "# `cdc check`. What is not named here is masked (`unknown_columns: mask`).",
        "version: 1",
        "tables:" if tables else "tables: []",
    ]
    taken: set[str] = set()
    sources: set[tuple[str, str]] = set()
    for table in tables:
        source = (table.schema.lower(), table.table.lower())
        if source in sources:
            lines.append("  # One more table was seen whose name differs only in upper and lower case: left out?")
        else:
            sources.add(source)
            lines += _entry(table, _unique(table, taken))
    text = "\n".join(lines) + "\n"
    return Draft(text, sum("?" in line.partition("  # ")[2] for line in lines))


def _unique(table: SeenTable, taken: set[str]) -> str:
    plain = _NOT_IN_A_NAME.sub("_", table.table).strip("_") or "table"
    name, number = plain, 2
    if name in taken and table.schema:
        name = plain = _NOT_IN_A_NAME.sub("_", f"{table.schema}_{table.table}").strip("_") or plain
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    taken.add(name)
    return name


def _entry(table: SeenTable, name: str) -> Iterator[str]:
    key = table.key or _guessed_key(table)
    told_by = table.key_told_by or "by its name?"
    yield f"  - table: {scalar(table.table)}"
    if name != table.table:
        yield f"    name: {scalar(name)}"
    if table.schema:
        yield f"    schema: {scalar(table.schema)}"
    yield f"    entity: {scalar(singular(name).lower())}"
    yield _line(f"    key: [{', '.join(scalar(column) for column in key)}]", told_by)
    yield "    columns:"
    for column in _distinct(table):
        yield f"      {scalar(column)}: {table.columns[column].type}"
    rules = dict(_rules(table, key))
    yield from _owner(table, key, rules)
    if rules:
        yield "    redact:"
        for column, found in rules.items():
            yield _line(f"      {scalar(column)}: {found.rule}", f"{found.why}?")


def _line(text: str, comment: str) -> str:
    return f"{text:<{WIDTH}}  # {comment}"


def _distinct(table: SeenTable) -> list[str]:
    """Columns in their order; of two that look like one the first."""
    found: dict[str, str] = {}
    for name in [*table.key, *table.columns]:
        found.setdefault(fold(name), name)
    return list(found.values())


def _guessed_key(table: SeenTable) -> tuple[str, ...]:
    single = fold(singular(table.table))
    folded = {fold(name): name for name in reversed(table.columns)}
    for wanted in ("id", f"{fold(table.table)}id", f"{single}id", "uuid", "guid", f"{single}key", "key", "pk"):
        if wanted in folded:
            return (folded[wanted],)
    names = list(table.columns)
    return (next((name for name in names if fold(name).endswith("id")), names[0]),)


def _rules(table: SeenTable, key: tuple[str, ...]) -> Iterator[tuple[str, Personal]]:
    for name in _distinct(table):
        column = table.columns[name]
        found = by_name(name, table.table)
        if column.type in (ColumnType.BOOL, ColumnType.TIMESTAMP) and found is not None and not found.of_birth:
            found = None  # `email_checked` says when or whether, and not what
        found = found or column.personal
        if found is not None and name in key:
            found = Personal(KEYED, f"{found.why}; a key stays unique, with CDC_REDACTION_KEY")
        if found is not None:
            yield name, found


def _owner(table: SeenTable, key: tuple[str, ...], rules: dict[str, Personal]) -> Iterator[str]:
    folded = {fold(name): name for name in _distinct(table) if name not in rules}
    single = fold(singular(table.table))
    found = {
        "org": next((folded[name] for name in _ORGS if name in folded), None),
        "user": next((folded[name] for name in _USERS if name in folded), None),
    }
    if len(key) == 1 and key[0] not in rules:
        if single in ("org", "organization", "organisation", "tenant", "company"):
            found["org"] = key[0]
        if single == "user":
            found["user"] = key[0]
    if not any(found.values()):
        yield _line("    owner: none", "no column looks like an organisation's or a user's id?")
        return
    yield _line("    owner:", "by the names of columns?")
    for whose, column in found.items():
        if column is not None:
            yield f"      {whose}: [{{column: {scalar(column)}}}]"


def scalar(text: str) -> str:
    """A text that YAML reads as this text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08X}" for letter in quoted)
