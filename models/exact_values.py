"""Which columns are hashed by their exact value: those whose tokens name a row or an owner, and those joined with them.

HASH and TOKENIZE take ` Bob@x` and `bob@x` for one thing. As a key or an owner they are two, and two rows must never
have one entityId (docs/decisions/0060). Columns of one link group hash alike, so one exact column makes all exact.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from models.tables import FromColumn, Redaction, TableSpec

Place = tuple[str, str]
"""Name of a table, and a column of it."""


def resolved(specs: Iterable[TableSpec]) -> tuple[TableSpec, ...]:
    """The same tables, each rule of a column that is hashed exactly saying so. A table without any is the same one."""
    known = tuple(specs)
    why = _reasons(known)
    found = []
    for spec in known:
        exact = {
            name: replace(rule, exact=True)
            for name, rule in spec.redact.items()
            if (spec.name, name) in why and not rule.exact
        }
        found.append(replace(spec, redact={**spec.redact, **exact}) if exact else spec)
    return tuple(found)


def contradictions(specs: Iterable[TableSpec]) -> Iterator[tuple[str, str]]:
    """(table name, mistake) of rules that ask for something else than the exact value their column needs."""
    known = tuple(specs)
    why = _reasons(known)
    for spec in known:
        for name, rule in spec.redact.items():
            if (reason := why.get((spec.name, name))) is None or rule.patterns:
                continue
            if rule.exact is False:
                yield spec.name, f"{spec.name}: {name} cannot be `exact: false`: {reason}"
            if rule.style != "text":
                told = f"{spec.name}: `style: {rule.style}` of {name} would hash values alike that are not the same: "
                yield spec.name, f"{told}{reason}; leave `style` out"


def _reasons(specs: tuple[TableSpec, ...]) -> dict[Place, str]:
    """Why a column is hashed by its exact value, for each that is."""
    why: dict[Place, str] = {}
    groups: dict[tuple[str, str], str] = {}
    for spec in specs:
        reasons = _of_one(spec)
        for name, rule in spec.redact.items():
            if name not in reasons or not rule.action.keyed:
                continue
            why[spec.name, name] = reasons[name]
            if rule.link_group:
                groups.setdefault(
                    (rule.action.value, rule.link_group),
                    f"it is joined by `link_group: {rule.link_group}` with {spec.name}.{name}, and {reasons[name]}",
                )
    for spec in specs:
        for name, rule in spec.redact.items():
            if rule.action.keyed and (reason := groups.get((rule.action.value, rule.link_group or ""))) is not None:
                why.setdefault((spec.name, name), reason)
    return why


def _of_one(spec: TableSpec) -> dict[str, str]:
    """The same for what the table says by itself."""
    reasons = {name: f"the rule of {name} says `exact: true`" for name, rule in spec.redact.items() if rule.exact}
    reasons |= {name: f"{name} gives orgId or userId, which name one owner" for name in owner_columns(spec)}
    return reasons | {name: f"{name} is a key column, which names one row" for name in spec.key}


def owner_columns(spec: TableSpec) -> Iterator[str]:
    """Columns whose redacted values are orgId or userId, here or by a lookup."""
    for case in (*spec.owner.org, *spec.owner.user) if spec.owner else ():
        if isinstance(case, FromColumn) and not _spared(spec.redact.get(case.column), case):
            yield case.column
    for provided in spec.provides:
        yield from (column for column in (provided.org, provided.user) if column is not None)


def _spared(rule: Redaction | None, case: FromColumn) -> bool:
    return rule is not None and rule.never_meets(case.when)
