"""`python -m workers.reference.events`: writes the generated pages under `docs/`; a test holds them current."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from models.catalogue import load_catalogue
from models.column_types import CHECKS, EXAMPLES, KINDS, NATIVE, WRONG
from models.strict_json import encode
from workers.schemas.pages import event_pages

TELEPHONY = load_catalogue("telephony", None)

COLUMN_TYPES = """# Types of columns, and what becomes of other values

A column with a declared type (`columns:` of `tables.yaml`, or a row model) takes values of that type, and those of
another kind that say the same: they are put right without loss, counted in `cdc_retyped_values_total`, and reported
once by `cdc schema drift`. Anything else ends the record as a dead letter `VALIDATION_ERROR`, which names the column
and the type, never the value. `null` is allowed everywhere but in key columns and required ones. `json` and `any` take
everything. Numbers keep every digit; integers beyond int64 and fractions travel as text.

PostgreSQL's `numeric` knows `NaN` and infinities. In a column of decimals they travel as the texts `NaN`, `Infinity`
and `-Infinity`, however the source spells them: DMS and Aurora DSQL as PostgreSQL does, Debezium with
`decimal.handling.mode` `string` (`NAN`, `POSITIVE_INFINITY`) or `double`. Its mode `precise` has no such values; what
stands in their place and is no number is a dead letter. A `transform` to DECIMAL has no form for them and makes a dead
letter `TRANSFORMATION_ERROR`; in `where:` they are null. Without quotes they are no JSON: `PARSE_ERROR`. Neighbours of
such records go on ([ADR 61](decisions/0061-no-numbers.md)).

| type | given | kind | result |
|---|---|---|---|
"""


def column_types_page() -> str:
    """`docs/column-types.md`: what the checks answer to examples."""
    lines = []
    for kind, given in EXAMPLES:
        found = CHECKS[kind](given)
        if found is WRONG:
            result = "dead letter `VALIDATION_ERROR`"
        elif type(given) not in NATIVE.get(kind, frozenset({type(given)})):
            result = f"`{_shown(found)}`, put right" if type(found) is not type(given) else "as it is, counted"
        else:
            result = f"`{_shown(found)}`" if found != given else "as it is"
        lines.append(f"| {kind.value} | `{_shown(given)}` | {KINDS[type(given)]} | {result} |\n")
    return COLUMN_TYPES + "".join(lines)


def _shown(value: Any) -> str:
    return str(value) if type(value) is Decimal else encode(value).decode()


def pages() -> Mapping[str, str]:
    """Path below `docs/` -> content of every generated page."""
    events = event_pages(TELEPHONY, TELEPHONY.specs)
    return {"column-types.md": column_types_page()} | {f"events/{name}": page for name, page in events.items()}


def main() -> None:
    """Write the pages."""
    for name, content in pages().items():
        path = Path("docs") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    main()
