"""Compares two sets of event schemas as a consumer would: what was promised must still hold, and look the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workers.schemas.columns import REDACTION, Schema

SIDES = frozenset({"old", "new"})
_FORM = ("anyOf", "const", "enum", "pattern", "minimum", "maximum", "format")


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One change of one field of one event type."""

    event: str
    field: str
    """Dotted; empty for the event type itself."""
    what: str
    breaking: bool


def compare(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> list[Difference]:
    """All differences, each once though a column stands in several places; breaking ones first."""
    found: dict[tuple[str, str, str], Difference] = {}
    for event in sorted({*old, *new}):
        if event not in new:
            differences = [Difference(event, "", "event type removed", True)]
        elif event not in old:
            differences = [Difference(event, "", "event type added", False)]
        else:
            differences = [Difference(event, *one) for one in _of_object(old[event], new[event], ())]
        for difference in differences:
            found.setdefault((event, difference.field, difference.what), difference)
    return sorted(found.values(), key=lambda one: (not one.breaking, one))


def _of_object(old: Schema, new: Schema, path: tuple[str, ...]) -> Iterator[tuple[str, str, bool]]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in sorted({*before, *after}):
        here = (*path, name)
        if name not in after:
            yield _field(here), "removed", True
        elif name not in before:
            yield _field(here), "added", False
        else:
            yield from _of_value(before[name], after[name], here)
            was, now = name in old.get("required", ()), name in new.get("required", ())
            if was != now:
                yield _field(here), "no longer always there" if was else "always there now", was
    yield from _of_others(old.get("additionalProperties", True), new.get("additionalProperties", True), path)


def _of_others(old: Schema | bool, new: Schema | bool, path: tuple[str, ...]) -> Iterator[tuple[str, str, bool]]:
    """Columns nobody named."""
    here = (*path, "*")
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _of_value(old, new, here)
    elif old != new:
        yield (
            _field(here),
            "added" if old is False else "removed" if new is False else "published in another form",
            (old is not False),
        )


def _of_value(old: Schema, new: Schema, path: tuple[str, ...]) -> Iterator[tuple[str, str, bool]]:
    was, now = old.get(REDACTION), new.get(REDACTION)
    if was != now:
        what = f"newly redacted: {now}" if was is None else f"redaction {was} became {now or 'none'}"
        # The clear value instead of a mask is text, too; another token or mask is another value for those who join.
        joinable = was is not None and was.split()[0] in ("HASH", "TOKENIZE")
        yield _field(path), what, now is not None or _kinds(old) != _kinds(new) or joinable
        return
    if _kinds(old) != _kinds(new):
        yield _field(path), f"type {_named(old)} became {_named(new)}", True
    elif any(old.get(form) != new.get(form) for form in _FORM):
        yield _field(path), "another form", True
    if "properties" in old or "properties" in new:
        yield from _of_object(old, new, path)
    elif "items" in old and "items" in new:
        yield from _of_value(old["items"], new["items"], (*path, "[]"))


def _kinds(schema: Mapping[str, Any]) -> frozenset[str]:
    kinds = schema.get("type", ())
    return frozenset([kinds] if isinstance(kinds, str) else kinds)


def _named(schema: Schema) -> str:
    if "const" in schema or "enum" in schema:
        return "constant"
    return " | ".join(sorted(_kinds(schema))) or "any"


def _field(path: tuple[str, ...]) -> str:
    """Both sides of a change are one field."""
    if len(path) == 3 and path[0] == "changes" and path[2] in SIDES:
        path = path[:2]
    return ".".join(path)
