"""Redact: what each action makes of a value. Runs once, over the whole envelope, before anything leaves (P6)."""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, assert_never

from models.strict_json import encode, wire
from models.tables import MaskStyle, Redaction, RedactionAction

REMOVED: Final = object()
"""What REMOVE makes of a value: the column is not published at all."""
MAX_MASK = 10
"""Most mask characters: the length of a long value is not told."""
VISIBLE: dict[MaskStyle, int] = {"text": 3, "email": 1, "phone": 3, "card": 4, "ip": 2}
UNKNOWN_COLUMN = Redaction(RedactionAction.FULL_MASK)
"""The rule for columns nobody named, under `unknown_columns: mask`."""

Redactor = Callable[[Any], Any]
_PHONE = re.compile(r"(\+|00)[0-9][0-9 ().\-/]{5,24}", re.ASCII)


class MissingKeyError(Exception):
    """A rule needs the redaction key and there is none."""


@dataclass(frozen=True, slots=True)
class Secret:
    """The redaction key and the version that marks its output, so that keys can be changed."""

    key: bytes
    version: int = 1


def redactor(rule: Redaction, table: str, field: str, secret: Secret | None) -> Redactor:
    """The function of a rule for one column. A keyed rule without a key raises MissingKeyError when it is used."""
    match rule.action:
        case RedactionAction.REMOVE:
            return lambda value: REMOVED  # noqa: ARG005
        case RedactionAction.FULL_MASK:
            return lambda value: None if value is None else rule.replacement
        case RedactionAction.PARTIAL_MASK:
            return lambda value: None if value is None else partial_mask(text_of(value), rule)
        case RedactionAction.HASH:
            return _keyed(rule, table, field, secret, prefix="h", mark=".", digits=32)
        case RedactionAction.TOKENIZE:
            return _keyed(rule, table, field, secret, prefix="tok", mark="_", digits=24)
        case _:
            assert_never(rule.action)


def text_of(value: Any) -> str:
    """Text of any value of a row, the same for numbers however the source spelled them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, int):
        return str(value)
    return encode(wire(value)).decode()


def normalised(value: Any, style: MaskStyle) -> str:
    """What HASH and TOKENIZE work on, so that one thing has one token: trimmed, lower-case e-mail, E.164 phone."""
    text = text_of(value).strip()
    if style == "email" or (style == "text" and text.count("@") == 1 and " " not in text):
        return text.lower()
    if style == "phone" or (style == "text" and _PHONE.fullmatch(text)):
        digits = "".join(character for character in text if character in "0123456789")
        if text.startswith("00"):
            return "+" + digits[2:]
        return "+" + digits if text.startswith("+") else digits
    if style == "card":
        return text.replace(" ", "").replace("-", "")
    return text


def partial_mask(text: str, rule: Redaction) -> str:
    """Part of the value stays readable, by style; what does not look like its style is masked as text."""
    keep = VISIBLE[rule.style] if rule.visible_chars is None else rule.visible_chars
    match rule.style:
        case "email":
            local, at, domain = text.strip().rpartition("@")
            if at and local and domain:
                return f"{local[: min(keep, 1)] if len(local) <= keep else local[:keep]}{rule.mask_char * 2}@{domain}"
        case "phone":
            digits = sum(character in "0123456789" for character in text)
            if digits > 2 * keep:
                plus = "+" if text.lstrip().startswith("+") else ""
                return plus + _mask(digits - keep, rule) + _last_digits(text, keep)
        case "card":
            digits = sum(character in "0123456789" for character in text)
            if digits > 2 * keep:
                return _mask(digits - keep, rule) + _last_digits(text, keep)
        case "ip":
            for mark in (".", ":"):
                parts = text.strip().split(mark)
                if len(parts) > max(keep, 2):
                    return mark.join([*parts[:keep], rule.mask_char])
        case "text":
            if len(text) > keep:
                return text[:keep] + _mask(len(text) - keep, rule)
        case _:
            assert_never(rule.style)
    return _mask(max(len(text), 1), rule)


def _mask(count: int, rule: Redaction) -> str:
    return rule.mask_char * min(count, MAX_MASK)


def _last_digits(text: str, count: int) -> str:
    return "".join(character for character in text if character in "0123456789")[-count:] if count else ""


def derive(secret: Secret, purpose: list[Any]) -> bytes:
    """HKDF-SHA-256 (RFC 5869), one block: a key of its own per table and column, or per link group."""
    extracted = hmac.digest(b"cdc-worker/redaction", secret.key, hashlib.sha256)
    return hmac.digest(extracted, encode(purpose) + b"\x01", hashlib.sha256)


def _keyed(
    rule: Redaction, table: str, field: str, secret: Secret | None, *, prefix: str, mark: str, digits: int
) -> Redactor:
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
        text = normalised(value, rule.style).encode()
        return head + hmac.digest(key, text, "sha256").hex()[:digits]

    return keyed
