"""Transform and redact the whole content of a change: keys, changes, images and owner ids, never only a part (P6)."""

from collections.abc import Mapping
from typing import Any

from enrichers.compiled import CompiledTable
from enrichers.diff import Changes, included
from enrichers.normalize import Content
from enrichers.redact import REMOVED, UNKNOWN_COLUMN, Redactor
from enrichers.transform import BadValueError
from models.change import Change, Row
from models.enrichment import Enrichment
from models.outcome import Dead, Failure, Ok


def transform(changes: Changes, images: dict[str, dict[str, Any]], table: CompiledTable) -> Ok[None] | Dead:
    """Apply the table's transformations in place."""
    for name, change_form in table.transformers.items():
        places = [changes[name]] if name in changes else []
        sides = [(place, side) for place in places for side in place]
        sides += [(image, name) for image in images.values() if name in image]
        for place, side in sides:
            try:
                place[side] = change_form(place[side])
            except BadValueError:
                rule = table.spec.transform[name].value
                return Dead(Failure.TRANSFORMATION_ERROR, f"column {name} has no {rule} form")
    return Ok(None)


def images_of(change: Change, table: CompiledTable) -> dict[str, dict[str, Any]]:
    """The whole rows a table asks for, as copies."""
    rows: dict[str, Row | None] = {"before": change.before, "after": change.after}
    return {
        name: dict(included(row, table))
        for name in sorted(table.spec.published_images)
        if (row := rows[name]) is not None
    }


def redact(
    change: Change,
    changes: Changes,
    images: Mapping[str, Row],
    enrichment: Enrichment,
    table: CompiledTable,
    *,
    compared: bool,
) -> Content:
    """What may be published of the change."""
    redaction = _Redaction(table)
    return Content(
        keys=redaction.row(change.keys),
        previous_keys=None if change.previous_keys is None else redaction.row(change.previous_keys),
        changes=redaction.sides(changes),
        images={name: redaction.row(image) for name, image in images.items()},
        redacted=tuple(sorted(redaction.touched)),
        org_id=_id(enrichment.org_id, table.org_redactor),
        user_id=_id(enrichment.user_id, table.user_redactor),
        compared=compared,
    )


def _id(value: str | None, rule: Redactor | None) -> Any:
    if rule is None or value is None:
        return value
    redacted = rule(value)
    return None if redacted is REMOVED else redacted


def _mask_unknown(value: Any) -> Any:
    return None if value is None else UNKNOWN_COLUMN.replacement


def _drop_unknown(_: Any) -> Any:
    return REMOVED


class _Redaction:
    def __init__(self, table: CompiledTable) -> None:
        self.rules = table.redactors
        self.known = table.spec.known
        self.touched: set[str] = set()
        self.dropped = table.spec.unknown_columns == "drop"
        match table.spec.unknown_columns:
            case "drop":
                self.unknown: Redactor | None = _drop_unknown
            case "mask":
                self.unknown = _mask_unknown if table.redacts else None
            case "publish":
                self.unknown = None

    def rule_for(self, name: str) -> Redactor | None:
        rule = self.rules.get(name)
        if rule is not None:
            self.touched.add(name)
            return rule
        if self.unknown is None or name in self.known:
            return None
        if not self.dropped:
            self.touched.add(name)
        return self.unknown

    def row(self, row: Row) -> dict[str, Any]:
        found = {}
        for name, value in row.items():
            rule = self.rule_for(name)
            published = value if rule is None else rule(value)
            if published is not REMOVED:
                found[name] = published
        return found

    def sides(self, changes: Changes) -> Changes:
        found: Changes = {}
        for name, sides in changes.items():
            rule = self.rule_for(name)
            if rule is None:
                found[name] = sides
                continue
            published = {side: rule(value) for side, value in sides.items()}
            if REMOVED not in published.values():
                found[name] = published
        return found
