"""Pages for the people who read events: one per table, with what leaves of each column, and an example."""

import json
from collections.abc import Iterable

from models.catalogue import Catalogue
from models.change import Operation
from models.tables import TABLE_CHANGE, ColumnType, FromColumn, OwnerCase, OwnerRule, RedactionAction, TableSpec
from workers.schemas.columns import redaction_named
from workers.schemas.events import EventType, event_types
from workers.schemas.examples import example_event

HEAD = """<!-- generated: `cdc schema docs`; those of the built-in tables: `python -m workers.reference.events` -->

"""
INDEX = """# Events

One page per source table: its event types, what they say of each column, and an example. The same for your own tables:
`cdc schema docs --out DIR`. Schemas for validators: `cdc schema export`.

| table | event types | entity | owner |
|---|---|---|---|
"""
_FORMS = {
    RedactionAction.REMOVE: "never published",
    RedactionAction.HASH: "keyed hash, `h<version>.` and 32 hex digits",
    RedactionAction.TOKENIZE: "keyed token, `tok<version>_` and 24 hex digits",
    RedactionAction.PARTIAL_MASK: "masked in part",
    RedactionAction.FULL_MASK: "masked whole",
}
_UNKNOWN = {
    "mask": "are published masked",
    "publish": "are published as they are",
    "drop": "are left out",
}


def event_pages(catalogue: Catalogue, specs: Iterable[TableSpec]) -> dict[str, str]:
    """File name -> content: `README.md` and `<table>.md`."""
    chosen = list(specs)
    types = event_types(chosen)
    of = {spec.name: [event for event in types if event.spec is spec] for spec in chosen}
    rows = [
        f"| [{spec.name}]({spec.name}.md) | {_listed(event.name for event in of[spec.name])} | {spec.entity} | "
        f"{_owner_columns(spec.owner)} |\n"
        for spec in chosen
    ]
    pages = {f"{spec.name}.md": _page(catalogue, spec, of[spec.name]) for spec in chosen}
    return {"README.md": HEAD + INDEX + "".join(rows), **pages}


def _page(catalogue: Catalogue, spec: TableSpec, events: list[EventType]) -> str:
    lines = [HEAD, f"# {spec.name}\n\n"]
    lines += [
        f"- `{event.name}`: {' or '.join(operation.wire for operation in event.operations)}\n" for event in events
    ]
    lines.append(f"\nKey: {_listed(spec.key)}. {_owner(spec.owner)} {_missing(spec)}\n")
    lines.append("\n| column | type | in events |\n|---|---|---|\n")
    lines += [f"| {name} | {_type(spec, name)} | {_form(spec, name)} |\n" for name in _keys_first(spec)]
    lines.append(f"\nColumns that are not named here {_UNKNOWN[spec.unknown_columns]}.")
    if "*" not in spec.include_fields:
        lines.append(f" Changes are told of {_listed(sorted({*spec.include_fields, *spec.key}))} only.")
    if spec.where is not None:
        lines.append(f" Only changes are published that fulfil `{spec.where}`.")
    if spec.published_images:
        lines.append(f" Events carry the whole row, too: {_listed(sorted(spec.published_images))}.")
    if spec.detail_type_style == "table-change":
        lines.append(f" Their detail type on the bus is `{TABLE_CHANGE}`.")
    lines.append(" Initial loads are published.\n" if spec.publish_snapshots else " Initial loads are not published.\n")
    if events:
        shown = next((event for event in events if Operation.UPDATE in event.operations), events[0])
        operation = Operation.UPDATE if Operation.UPDATE in shown.operations else shown.operations[0]
        example = example_event(catalogue, spec, operation)
        shown_as = json.dumps(example, indent=2, ensure_ascii=False)
        lines.append(f"\n## Example: `{shown.name}`\n\n```json\n{shown_as}\n```\n")
    return "".join(lines)


def _keys_first(spec: TableSpec) -> list[str]:
    return [*spec.key, *sorted(spec.known - {*spec.key})]


def _type(spec: TableSpec, name: str) -> str:
    kind = spec.columns.get(name, ColumnType.ANY).value
    return f"{kind}, key" if name in spec.key else f"{kind}, required" if name in spec.required else kind


def _form(spec: TableSpec, name: str) -> str:
    rule = spec.redact.get(name)
    if rule is not None:
        form = f"what is found is {_FORMS[rule.action]}" if rule.patterns else _FORMS[rule.action]
        style = f" ({rule.style})" if rule.action is RedactionAction.PARTIAL_MASK and rule.style != "text" else ""
        linked = f", the same in all columns of `{rule.link_group}`" if rule.link_group and rule.action.keyed else ""
        return f"{redaction_named(rule)}: {form}{style}{linked}"
    change = spec.transform.get(name)
    return change.value if change is not None else "as it is"


def _owner_columns(rule: OwnerRule | None) -> str:
    if rule is None or not (rule.org or rule.user):
        return "none"
    return ", ".join(name for name, cases in (("orgId", rule.org), ("userId", rule.user)) if cases)


def _owner(rule: OwnerRule | None) -> str:
    if rule is None or not (rule.org or rule.user):
        return "Events name no owner."
    told = [f"`{name}` is {_cases(cases)}." for name, cases in (("orgId", rule.org), ("userId", rule.user)) if cases]
    return " ".join(told)


def _cases(cases: tuple[OwnerCase, ...]) -> str:
    return ", else ".join(_case(case) for case in cases)


def _case(case: OwnerCase) -> str:
    when = " and ".join(f"{column} is {value}" for column, value in case.when.items())
    if isinstance(case, FromColumn):
        said = case.column
    else:
        said = (
            f"the {'organisation' if case.take == 'org' else 'user'} of the row of {case.lookup} that {case.by} names"
        )
    return f"{said} (if {when})" if when else said


def _missing(spec: TableSpec) -> str:
    if spec.owner is None or not (spec.owner.org or spec.owner.user):
        return ""
    policy = spec.missing_owner
    waits = f"waits up to {policy.wait_seconds:g} s and then " if policy.wait_seconds else ""
    ends = "is published without it" if policy.then == "publish" else "is a dead letter"
    return f"An event whose owner is not known {waits}{ends}."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
