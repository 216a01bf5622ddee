"""Transform and redact the whole content of a change: keys, changes, images and owner ids, never only a part (P6)."""

from collections.abc import Mapping
from typing import Any

from enrichers.compiled import CompiledTable
from enrichers.content import Content
from enrichers.diff import Changes, included
from enrichers.redact import REMOVED, Redactor
from enrichers.transform import BadValueError
from models.change import Change, Row
from models.enrichment import Enrichment
from models.outcome import Dead, Failure, Ok
from models.routing import key_text


def transform(
    changes: Changes, images: dict[str, dict[str, Any]], table: CompiledTable, adapter: str
) -> Ok[None] | Dead:
    """Apply the table's transformations in place."""
    for name, change_form in table.transformers_of(adapter).items():
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
    redaction = _Redaction(table, change)
    return Content(
        keys=redaction.row(change.keys),
        previous_keys=None if change.previous_keys is None else redaction.row(change.previous_keys),
        changes=redaction.sides(changes),
        images={name: redaction.row(image, name) for name, image in images.items()},
        redacted=tuple(sorted(redaction.touched)),
        org_id=redaction.owner(enrichment.org_id, table.org_redactor, table.org_alias),
        user_id=redaction.owner(enrichment.user_id, table.user_redactor, table.user_alias),
        compared=compared,
        aliases=redaction.found,
    )


_SIDE_OF = {"before": "old", "after": "new"}


class _Redaction:
    def __init__(self, table: CompiledTable, change: Change) -> None:
        self.spared_owners = table.spared_owners
        self.rules = table.redactors
        self.conditional = table.conditional
        self.aliases = table.aliases
        self.found: dict[str, str] = {}
        """Token -> the same under the other key version."""
        self.raw: dict[str, Row] = {"old": change.before or {}, "new": change.after or {}}
        """What conditions are asked of: a value is redacted as the row image demands that it stands in."""
        self.known = table.spec.known
        self.touched: set[str] = set()
        self.dropped = table.spec.unknown_columns == "drop"
        self.rule_of_unknown = table.rule_of_unknown

    def rule_for(self, name: str) -> Redactor | None:
        rule = self.rules.get(name)
        if rule is not None:
            self.touched.add(name)
            return rule
        if name in self.known:
            return None
        rule = self.rule_of_unknown(name)
        if rule is not None and not self.dropped:
            self.touched.add(name)
        return rule

    def published(self, name: str, rule: Redactor, value: Any) -> Any:
        redacted = rule(value)
        if name in self.aliases and value is not None:
            self.found[redacted] = self.aliases[name](value)
        return redacted

    def spared(self, name: str, side: str) -> bool:
        """True if a condition of the column's rule leaves its value in this image alone."""
        condition = self.conditional.get(name)
        return condition is not None and condition.spares(self.raw[side])

    def row(self, row: Row, image: str = "after") -> dict[str, Any]:
        found = {}
        side = _SIDE_OF[image]
        for name, value in row.items():
            rule = None if self.spared(name, side) else self.rule_for(name)
            published = value if rule is None else self.published(name, rule, value)
            if published is not REMOVED:
                found[name] = published
        return found

    def sides(self, changes: Changes) -> Changes:
        found: Changes = {}
        for name, sides in changes.items():
            spared = [side for side in sides if self.spared(name, side)] if name in self.conditional else ()
            rule = None if len(spared) == len(sides) else self.rule_for(name)
            if rule is None:
                found[name] = sides
                continue
            published = {
                side: value if side in spared else self.published(name, rule, value) for side, value in sides.items()
            }
            if REMOVED not in published.values():
                found[name] = published
        return found

    def owner(self, value: str | None, rule: Redactor | None, alias: Redactor | None) -> Any:
        """An id as it may leave: by the rule of the column it comes from, and never what a conditional rule takes from
        the image it stands in (which may lack what the owner search found elsewhere)."""
        if value is None:
            return None
        if rule is not None:
            redacted = rule(value)
            if alias is not None:
                self.found[redacted] = alias(value)
            return None if redacted is REMOVED else redacted
        for name in self.spared_owners:
            side = "new" if name in self.raw["new"] else "old"
            held = self.raw[side].get(name)
            if held is None or isinstance(held, list | dict) or self.spared(name, side):
                continue
            if key_text(held) == value:
                return None
        return value
