"""Rules that tables must keep together and each of its own: what would give wrong owners, ids or leaks is refused."""

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from models.exact_values import contradictions
from models.tables import FromColumn, FromLookup, Redaction, TableSpec, fold
from models.where import columns, parse
from models.yaml_nodes import suggestion

TAKEN = frozenset({"schemas", "owners", "recent"})
"""Names of the worker's own tables: a lookup of that name would be one of them."""
_LOOKUP = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)


def check_together(specs: Iterable[TableSpec], *, read_lookups: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """(table name, mistake). `read_lookups` are also those of entries that could not be used."""
    known = tuple(specs)
    providers: dict[str, str] = {}
    for spec in known:
        yield from ((spec.name, text) for text in _alone(spec))
        for rule in spec.provides:
            other = providers.setdefault(rule.lookup, spec.name)
            if other != spec.name:
                yield spec.name, f"{spec.name} and {other} both provide the lookup {rule.lookup}"
            if not _LOOKUP.fullmatch(rule.lookup):
                wanted = "at most 100 letters (a-z), digits, dots, dashes and underscores"
                yield spec.name, f"{spec.name}: the lookup {rule.lookup} is part of a topic's name: {wanted}"
            if rule.lookup in TAKEN:
                yield spec.name, f"{spec.name}: {rule.lookup} is a table of the worker: give the lookup another name"
    for spec in known:
        for case in (*spec.owner.org, *spec.owner.user) if spec.owner else ():
            if isinstance(case, FromLookup) and case.lookup not in providers and case.lookup not in read_lookups:
                hint = suggestion(case.lookup, providers)
                yield spec.name, f"{spec.name}: no table provides the lookup {case.lookup}{hint}"
    yield from contradictions(known)
    yield from _clear_references(known)
    yield from _same_source(known)


def _alone(spec: TableSpec) -> Iterator[str]:
    if not spec.key:
        yield f"{spec.name}: key is empty"
    if not spec.operations:
        yield f"{spec.name}: operations is empty"
    for column in spec.key:
        rule = spec.redact.get(column)
        if rule is not None and rule.lossy:
            yield (
                f"{spec.name}: {_named(rule)} of the key column {column} would give two rows one entityId; "
                "use HASH or TOKENIZE"
            )
        elif rule is not None and rule.unless:
            yield (
                f"{spec.name}: `unless` on the key column {column} would give one row two entityIds; "
                "redact it always or never"
            )
        if column in spec.transform:
            yield f"{spec.name}: the key column {column} cannot be transformed"
    yield from _conditions(spec)
    yield from _owners(spec)
    for operation in sorted(spec.event_types.keys() - spec.operations):
        yield f"{spec.name}: an event type for {operation.wire}, which is not among its operations"
    for provided in spec.provides:
        if (provided.key,) != spec.key:
            yield f"{spec.name}: provides.key must be the table's one key column, {', '.join(spec.key)}"
        if provided.org is None and provided.user is None:
            yield f"{spec.name}: provides needs `org` or `user`"
        if provided.query is not None and "$1" not in provided.query:
            yield f"{spec.name}: provides.query needs $1, the array of keys: … WHERE id = ANY($1)"
    if spec.where is not None:
        for column in sorted(columns(parse(spec.where)) - spec.known):
            if fold(column) in spec.folded:
                yield f"{spec.name}: where: columns are asked by the table's spelling, {spec.folded[fold(column)]}"
    spelled: dict[str, str] = {}
    for name in sorted(spec.known):
        other = spelled.setdefault(fold(name), name)
        if other != name and (name in spec.columns) != (other in spec.columns):
            yield f"{spec.name}: {name} and {other} look like one column"


def _conditions(spec: TableSpec) -> Iterator[str]:
    for column, rule in spec.redact.items():
        for asked in sorted(rule.unless.keys() & spec.redact.keys()):
            yield (
                f"{spec.name}: `unless` of {column} asks {asked}, which is redacted itself: whether {column} is "
                "masked would tell its value"
            )


def _owners(spec: TableSpec) -> Iterator[str]:
    """A mask as orgId or userId names nobody, or several at once; REMOVE leaves none."""
    cases = (*spec.owner.org, *spec.owner.user) if spec.owner else ()
    for case in cases:
        rule = spec.redact.get(case.column) if isinstance(case, FromColumn) else None
        if rule is not None and isinstance(case, FromColumn) and rule.lossy and not rule.never_meets(case.when):
            yield _lossy_owner(spec, rule, case.column)
    for provided in spec.provides:
        for column in (provided.org, provided.user):
            rule = spec.redact.get(column) if column is not None else None
            if rule is not None and column is not None and rule.lossy:
                yield _lossy_owner(spec, rule, column)


def _lossy_owner(spec: TableSpec, rule: Redaction, column: str) -> str:
    return (
        f"{spec.name}: {_named(rule)} of the owner column {column} would leave no usable orgId or userId; use "
        "HASH or TOKENIZE, or an `unless` that the owner's `when` fulfils"
    )


def _named(rule: Redaction) -> str:
    return rule.action.value + (" with patterns" if rule.patterns else "")


def _clear_references(specs: tuple[TableSpec, ...]) -> Iterator[tuple[str, str]]:
    """A column that names rows of another table by their key holds that key: what hides one must hide the other."""
    providers = {rule.lookup: (spec, rule.key) for spec in specs for rule in spec.provides}
    for spec in specs:
        cases = (*spec.owner.org, *spec.owner.user) if spec.owner else ()
        for column, lookup in dict.fromkeys((case.by, case.lookup) for case in cases if isinstance(case, FromLookup)):
            provider, key = providers.get(lookup, (None, ""))
            if provider is not None and key in provider.redact and column not in spec.redact:
                told = (
                    f"{spec.name}: {column} is the key {key} of {provider.name}, which is redacted there and would be "
                )
                yield (
                    spec.name,
                    told + "published here; redact it, too (rules with the same `link_group` can be joined)",
                )


def _same_source(specs: tuple[TableSpec, ...]) -> Iterator[tuple[str, str]]:
    for place, spec in enumerate(specs):
        for other in specs[:place]:
            same = (
                spec.table.lower() == other.table.lower()
                and (spec.schema or "").lower() == (other.schema or "").lower()
                and (spec.adapter is None or other.adapter is None or spec.adapter == other.adapter)
            )
            if same and spec.name != other.name:
                yield spec.name, f"{spec.name} and {other.name} describe the same source table {spec.table}"
