"""JSON Schema of one column as it leaves: its type, then its transformation, then its redaction."""

from typing import Any, assert_never

from enrichers.redact import UNKNOWN_COLUMN
from models.strict_json import INT64_MAX, INT64_MIN
from models.tables import ColumnType, Redaction, RedactionAction, TableSpec, Transformation

Schema = dict[str, Any]

REDACTION = "x-cdc-redaction"
"""Annotation: the rule that made the value what it is."""
ISO_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3,6}Z$"
_INTEGER = r"^-?[0-9]+$"
_NUMBER = r"^([+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|NaN|-?Infinity)$"


def column_schema(spec: TableSpec, name: str, *, nullable: bool = True) -> Schema | None:
    """What an event says of a column; None for one that is removed."""
    rule = spec.redact.get(name)
    if rule is None:
        return _clear(spec, name, nullable=nullable)
    redacted = _in_text(spec, name, nullable=nullable) if rule.patterns else _redacted(rule, nullable=nullable)
    mark = {REDACTION: redaction_named(rule)}
    if rule.unless:
        clear = _clear(spec, name, nullable=nullable)
        return (clear if redacted is None else {"anyOf": [clear, redacted]}) | mark
    return None if redacted is None else redacted | mark


def redaction_named(rule: Redaction) -> str:
    """`PARTIAL_MASK`, `PARTIAL_MASK in text (email, phone)`, `PARTIAL_MASK unless AgentType is USER`."""
    found = f" in text ({', '.join(pattern.name for pattern in rule.patterns)})" if rule.patterns else ""
    spared = " and ".join(f"{name} is {' or '.join(values)}" for name, values in rule.unless.items())
    return rule.action.value + found + (f" unless {spared}" if spared else "")


def unknown_schema(spec: TableSpec) -> Schema | bool:
    """What an event says of columns nobody named: a schema, True for anything, False for nothing."""
    if "*" not in spec.include_fields:
        return False
    match spec.unknown_columns:
        case "drop":
            return False
        case "publish":
            return True
        case "mask":
            return (_redacted(UNKNOWN_COLUMN, nullable=True) or {}) | {REDACTION: redaction_named(UNKNOWN_COLUMN)}
        case _:
            assert_never(spec.unknown_columns)


def published_columns(spec: TableSpec) -> list[str]:
    """Named columns that an event may show."""
    names = sorted(spec.known)
    if "*" not in spec.include_fields:
        names = [name for name in names if name in spec.include_fields or name in spec.key]
    return [name for name in names if column_schema(spec, name) is not None]


def _clear(spec: TableSpec, name: str, *, nullable: bool) -> Schema:
    form = spec.transform.get(name)
    if form is not None:
        return _transformed(form, nullable=nullable)
    return _typed(spec.columns.get(name, ColumnType.ANY), nullable=nullable)


def _in_text(spec: TableSpec, name: str, *, nullable: bool) -> Schema:
    """Parts of the text are other texts; a number or a time in which something was found is text, too."""
    clear = _clear(spec, name, nullable=nullable)
    if "type" not in clear:
        return {}
    kinds = clear["type"] if isinstance(clear["type"], list) else [clear["type"]]
    return {"type": sorted({*kinds, "string"})}


def _typed(kind: ColumnType, *, nullable: bool) -> Schema:
    match kind:
        case ColumnType.INT:  # beyond int64 as text
            found: Schema = {"type": ["integer", "string"], "minimum": INT64_MIN, "maximum": INT64_MAX}
            return _with_null(found | {"pattern": _INTEGER}, nullable=nullable)
        case ColumnType.TEXT:
            return _with_null({"type": "string"}, nullable=nullable)
        case ColumnType.BOOL:
            return _with_null({"type": "boolean"}, nullable=nullable)
        case ColumnType.TIMESTAMP:
            return _with_null({"type": ["string", "integer"]}, nullable=nullable)
        case ColumnType.DECIMAL:
            return _with_null({"type": ["string", "integer"], "pattern": _NUMBER}, nullable=nullable)
        case ColumnType.JSON | ColumnType.ANY:
            return {}
        case _:
            assert_never(kind)


def _transformed(form: Transformation, *, nullable: bool) -> Schema:
    match form:
        case Transformation.ISO_DATE:
            return _with_null({"type": "string", "pattern": ISO_TIME}, nullable=nullable)
        case Transformation.DECIMAL:
            return _with_null({"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{2}$"}, nullable=nullable)
        case Transformation.UPPERCASE | Transformation.LOWERCASE:
            return _with_null({"type": "string"}, nullable=nullable)
        case _:
            assert_never(form)


def _redacted(rule: Redaction, *, nullable: bool) -> Schema | None:
    match rule.action:
        case RedactionAction.REMOVE:
            return None
        case RedactionAction.HASH:
            return _with_null({"type": "string", "pattern": r"^h[0-9]+\.[0-9a-f]{32}$"}, nullable=nullable)
        case RedactionAction.TOKENIZE:
            return _with_null({"type": "string", "pattern": r"^tok[0-9]+_[0-9a-f]{24}$"}, nullable=nullable)
        case RedactionAction.PARTIAL_MASK:
            return _with_null({"type": "string"}, nullable=nullable)
        case RedactionAction.FULL_MASK:
            return {"enum": [rule.replacement, *([None] if nullable else [])]}
        case _:
            assert_never(rule.action)


def _with_null(schema: Schema, *, nullable: bool) -> Schema:
    if not nullable:
        return schema
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return schema | {"type": [*kinds, "null"]}
