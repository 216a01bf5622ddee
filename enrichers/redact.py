"""Redact: what each action makes of a value. Runs once, over the whole envelope, before anything leaves (P6)."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, assert_never

from enrichers.free_text import find, finder
from enrichers.guarded import GuardedColumns
from enrichers.masks import exact_text, normalised, partial_masker, text_of
from models.exact_values import resolved
from models.free_text import MAX_TEXT
from models.sources.reading import Reading
from models.strict_json import encode
from models.tables import Redaction, RedactionAction, TableSpec, spellings

REMOVED: Final = object()
"""What REMOVE makes of a value: the column is not published at all."""
UNKNOWN_COLUMN = Redaction(RedactionAction.FULL_MASK)
"""The rule for columns nobody named, under `unknown_columns: mask`."""

MAX_REPEATS = 16
"""Times that a text is searched, for what only appears when parts of it are gone or masked."""

_FORMS = {RedactionAction.HASH: ("h", ".", 32), RedactionAction.TOKENIZE: ("tok", "_", 24)}
"""What a keyed action gives: prefix, key version, mark, hex digits."""
_HEX = frozenset("0123456789abcdef")


class IRedactor(Protocol):
    """Makes of a value what may be published of it: the compiled rule of one column."""

    def __call__(self, value: Any, /) -> Any:
        """The redacted value, or REMOVED. Null stays null."""


Redactor = IRedactor
"""What the code calls it."""


class MissingKeyError(Exception):
    """A rule needs the redaction key and there is none."""


class UnredactableError(Exception):
    """A column holds something that is no value of a row. Says its name and type, never the value (P6)."""


@dataclass(frozen=True, slots=True)
class Secret:
    """The redaction key and the version that marks its output, so that keys can be changed."""

    key: bytes
    version: int = 1


def redactor(rule: Redaction, table: str, field: str, secret: Secret | None) -> Redactor:
    """The function of a rule for one column. A keyed rule without a key raises MissingKeyError when it is used."""
    whole = _whole(rule, table, field, secret)
    return _in_text(rule, table, field, secret, whole) if rule.patterns else whole


def unknown_column(spec: TableSpec) -> Redactor | None:
    """What happens to columns that the spec does not name. None: they are published."""
    match spec.unknown_columns:
        case "drop":
            return lambda value: REMOVED  # noqa: ARG005
        case "mask":
            return lambda value: None if value is None else UNKNOWN_COLUMN.replacement
        case "publish":
            return None
        case _:
            assert_never(spec.unknown_columns)


def _whole(rule: Redaction, table: str, field: str, secret: Secret | None) -> Redactor:
    match rule.action:
        case RedactionAction.REMOVE:
            return lambda value: REMOVED  # noqa: ARG005
        case RedactionAction.FULL_MASK:
            return lambda value: None if value is None else rule.replacement
        case RedactionAction.PARTIAL_MASK:
            return partial_masker(rule)
        case RedactionAction.HASH | RedactionAction.TOKENIZE:
            return _keyed(rule, table, field, secret)
        case _:
            assert_never(rule.action)


def _in_text(rule: Redaction, table: str, field: str, secret: Secret | None, whole: Redactor) -> Redactor:
    """The action for what the rule's patterns find, in texts at any depth of a value. A text that is too long to be
    searched, or in which there is always more to find, is redacted as a whole."""
    finders = [finder(pattern) for pattern in rule.patterns]
    styled = {
        style: _whole(rule if rule.style != "text" else replace(rule, style=style), table, field, secret)
        for style, _ in finders
    }

    def once(text: str) -> str:
        pieces, at = [], 0
        for found in find(text, finders):
            part = styled[found.style](text[found.start : found.end])
            pieces += [text[at : found.start], "" if part is REMOVED else part]
            at = found.end
        return "".join([*pieces, text[at:]])

    def in_text(text: str) -> Any:
        redacted = text
        for _ in range(1 if rule.action.keyed else MAX_REPEATS):
            before = redacted
            if len(before) > MAX_TEXT:
                break
            redacted = once(before)
            if redacted == before or rule.action.keyed:
                return redacted
        return rule.replacement if rule.action is RedactionAction.PARTIAL_MASK else whole(text)

    def in_value(value: Any) -> Any:
        if isinstance(value, str):
            return in_text(value)
        if isinstance(value, list):
            return [item for item in map(in_value, value) if item is not REMOVED]
        if isinstance(value, dict):
            pairs = [(in_text(name), in_value(item)) for name, item in value.items()]
            return {name: item for name, item in pairs if name is not REMOVED and item is not REMOVED}
        if value is None or isinstance(value, bool):
            return value
        text = text_of(value)
        redacted = in_text(text)
        return value if redacted == text else redacted

    return in_value


def derive(secret: Secret, purpose: list[Any]) -> bytes:
    """HKDF-SHA-256 (RFC 5869), one block: a key of its own per table and column, or per link group."""
    extracted = hmac.digest(b"cdc-worker/redaction", secret.key, hashlib.sha256)
    return hmac.digest(extracted, encode(purpose) + b"\x01", hashlib.sha256)


def key_check(secret: Secret) -> str:
    """8 hex digits that tell two keys apart without telling either."""
    return derive(secret, ["check"]).hex()[:8]


def _keyed(rule: Redaction, table: str, field: str, secret: Secret | None) -> Redactor:
    prefix, mark, digits = _FORMS[rule.action]
    if secret is None:

        def refuse(value: Any) -> Any:
            if value is None:
                return None
            raise MissingKeyError(f"{table}.{field} is to be {rule.action} and there is no redaction key")

        return refuse
    whose = ["group", rule.link_group] if rule.link_group else ["column", table, field]
    key = derive(secret, [rule.action.value, *whose])
    head = f"{prefix}{secret.version}{mark}"

    def keyed(value: Any) -> Any:
        if value is None:
            return None
        text = (exact_text(value) if rule.exact else normalised(value, rule.style)).encode()
        return head + hmac.digest(key, text, "sha256").hex()[:digits]

    return keyed


def redact_sensitive_fields(
    row: Mapping[str, Any],
    table: TableSpec | Mapping[str, Redaction],
    *,
    secret: Secret | None = None,
    other: Secret | None = None,
) -> "RedactedRow":
    """A redacted copy of a row, and the names of the columns that rules applied to. Nothing of `row` is changed.

    `table` is a table of the catalogue (`Catalogue.named`), or rules by column; with rules alone, columns without one
    are copied as they are. Redacting the copy again gives the same row: masks, and hashes and tokens of `secret`'s and
    `other`'s versions, stay what they are. Raises MissingKeyError (a rule hashes and `secret` is None) and
    UnredactableError.
    """
    if not isinstance(table, TableSpec):
        table = TableSpec(name="", table="", entity="", key=(), redact=table, unknown_columns="publish")
    return RowRedactor(table, secret=secret, other=other).redact(row)


@dataclass(frozen=True, slots=True)
class RedactedRow:
    """What may be shown of a row."""

    row: dict[str, Any]
    fields: tuple[str, ...]
    """Columns that a rule or the policy for unknown columns took something from, sorted."""
    steps: tuple[tuple[str, str], ...] = ()
    """(column, the rule and what it did), in the order of the row."""


class ObjectRedaction:
    """The rules of one table, made ready for rows that are no part of a change."""

    def __init__(
        self, table: TableSpec, *, secret: Secret | None = None, other: Secret | None = None,
        readings: Iterable[Reading] = (), again: bool = True,
    ) -> None:  # fmt: skip
        """`readings`: of the sources of its rows. `again`: a row may be redacted already; False: a value that looks
        like a token is hashed like any other, as in events."""
        (self.table,) = (table,) = resolved([table])
        self.versions = [known.version for known in (secret, other) if known is not None] if again else []
        self.rules = {name: redactor(rule, table.name, name, secret) for name, rule in table.redact.items()}
        self.unknown = unknown_column(table)
        self.guarded = GuardedColumns(table, readings)
        self._asks = any(rule.unless for rule in table.redact.values())
        """Whether there are conditions at all."""

    def redact(self, row: Mapping[str, Any], asked: Mapping[str, Any] | None = None) -> RedactedRow:
        """See redact_sensitive_fields. `asked`: the row that conditions are asked of, if it is another one."""
        known = _spelled(self.table, row)
        image: Mapping[str, Any] = {}
        if self._asks:
            whole = row if asked is None else asked
            image = {column or name: whole[name] for name, column in _spelled(self.table, whole).items()}
        found: dict[str, Any] = {}
        steps: list[tuple[str, str]] = []
        touched: set[str] = set()
        for name, value in row.items():
            column = known[name] or self.guarded.find(name)
            rule = self.table.redact.get(column) if column is not None else None
            step: str | None
            try:
                copied = _copied(value)
                if rule is not None:
                    published, step = self._by_rule(rule, column or name, copied, image)
                else:
                    published, step = self._by_policy(known[name], copied)
            except (TypeError, ValueError, RecursionError, OverflowError):
                raise UnredactableError(f"column {name} holds no value of a row: {type(value).__name__}") from None
            if published is not REMOVED:
                found[name] = published
            if step is not None:
                steps.append((name, step))
                if step != SPARED:
                    touched.add(name)
        return RedactedRow(found, tuple(sorted(touched)), tuple(steps))

    def _by_rule(self, rule: Redaction, column: str, value: Any, image: Mapping[str, Any]) -> tuple[Any, str]:
        if rule.spares(image):
            return value, SPARED
        named = str(rule)
        if rule.action.keyed and not rule.patterns and is_token(value, rule.action, self.versions):
            return value, f"{named}, it already is one"
        return self.rules[column](value), named

    def _by_policy(self, column: str | None, value: Any) -> tuple[Any, str | None]:
        if column is not None or self.unknown is None:
            return value, None
        return self.unknown(value), f"unknown column, {self.table.unknown_columns}"


RowRedactor = ObjectRedaction
"""What the code calls it."""

SPARED: Final = "spared by `unless`"


def is_token(value: Any, action: RedactionAction, versions: Iterable[int]) -> bool:
    """True if the value looks like what a keyed action gives under one of these key versions."""
    prefix, mark, digits = _FORMS[action]
    return isinstance(value, str) and any(
        value.startswith(head := f"{prefix}{version}{mark}")
        and len(value) == len(head) + digits
        and set(value[len(head) :]) <= _HEX
        for version in versions
    )


def _spelled(table: TableSpec, row: Mapping[str, Any]) -> dict[str, str | None]:
    return dict(zip(row, spellings(table, tuple(row)), strict=True))


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value
