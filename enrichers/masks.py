"""What of a value stays readable, and what of it a hash is taken of."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, assert_never

from models.routing import key_text
from models.strict_json import encode, wire
from models.tables import MaskStyle, Redaction

MAX_MASK: Final = 10
"""Most mask characters: the length of a long value is not told."""
VISIBLE: Final[dict[MaskStyle, int]] = {"text": 3, "email": 1, "phone": 3, "card": 4, "ip": 2}
_PHONE: Final = re.compile(r"(\+|00)[0-9][0-9 ().\-/]{5,24}", re.ASCII)
_DOMAIN: Final = re.compile(r"[\w.\-]+")
"""What may stand readable behind the @ of an address: no space, hence no second thing that somebody wrote behind it."""
_ADDRESS: Final = {".": (4, re.compile("[0-9]{1,3}", re.ASCII)), ":": (3, re.compile("[0-9A-Fa-f]{0,4}", re.ASCII))}
"""Of IP addresses, by what stands between their parts: the fewest parts, and what one is."""
_DIGITS: Final = "0123456789"
_IS_DIGIT: Final = frozenset(_DIGITS).__contains__


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
        digits = _digits(text)
        if text.startswith("00"):
            return "+" + digits[2:]
        return "+" + digits if text.startswith("+") else digits
    if style == "card":
        return text.replace(" ", "").replace("-", "")
    return text


def partial_masker(rule: Redaction) -> Callable[[Any], Any]:
    """`partial_mask` of any value of a row. Null stays null."""
    return lambda value: None if value is None else partial_mask(text_of(value), rule)


def exact_text(value: Any) -> str:
    """What they work on where only equal values are one thing: equal as keys are, so 7 and 7.0 have one text."""
    return text_of(value) if isinstance(value, list | dict) else key_text(value)


def partial_mask(text: str, rule: Redaction) -> str:
    """Part of the value stays readable, by style; what does not look like its style is masked whole. A mask of the
    same rule stays what it is."""
    keep = VISIBLE[rule.style] if rule.visible_chars is None else rule.visible_chars
    match rule.style:
        case "email":
            local, at, domain = text.strip().rpartition("@")
            if at and local and _DOMAIN.fullmatch(domain):
                return f"{local[: min(keep, 1)] if len(local) <= keep else local[:keep]}{rule.mask_char * 2}@{domain}"
        case "phone":
            digits = _digits(text)
            plus = "+" if text.lstrip().startswith("+") else ""
            if len(digits) > 2 * keep:
                return plus + _mask(len(digits) - keep, rule) + _last(digits, keep)
            if _is_mask(text.removeprefix(plus), keep, rule):
                return text
        case "card":
            digits = _digits(text)
            if len(digits) > 2 * keep:
                return _mask(len(digits) - keep, rule) + _last(digits, keep)
            if _is_mask(text, keep, rule):
                return text
        case "ip":
            for mark, (fewest, part) in _ADDRESS.items():
                parts = text.strip().split(mark)
                whole = len(parts) >= max(keep + 1, fewest)
                if not (whole or (len(parts) == keep + 1 and parts[-1] == rule.mask_char)):
                    continue
                if all(part.fullmatch(shown) for shown in parts[:keep]):
                    return mark.join([*parts[:keep], rule.mask_char])
        case "text":
            if len(text) > keep:
                return text[:keep] + _mask(len(text) - keep, rule)
        case _:
            assert_never(rule.style)
    return _mask(max(len(text), 1), rule)


def _mask(count: int, rule: Redaction) -> str:
    return rule.mask_char * min(count, MAX_MASK)


def _digits(text: str) -> str:
    return "".join(filter(_IS_DIGIT, text))


def _last(digits: str, count: int) -> str:
    return digits[-count:] if count else ""


def _is_mask(text: str, keep: int, rule: Redaction) -> bool:
    """True if the text is what a mask of digits looks like: more masked characters than readable digits."""
    hidden = text[: len(text) - keep]
    return (
        min(keep + 1, MAX_MASK) <= len(hidden) <= MAX_MASK
        and set(hidden) == {rule.mask_char}
        and all(character in _DIGITS for character in text[len(hidden) :])
    )
