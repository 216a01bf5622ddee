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


def exact_text(value: Any) -> str:
    """What they work on where only equal values are one thing: equal as keys are, so 7 and 7.0 have one text."""
    return text_of(value) if isinstance(value, list | dict) else key_text(value)


def partial_mask(text: str, rule: Redaction) -> str:
    """Part of the value stays readable, by style; what does not look like its style is masked whole. A mask of the
    same rule stays what it is."""
    return _style(rule)(text)


def partial_masker(rule: Redaction) -> Callable[[Any], Any]:
    """`partial_mask` of any value of a row. Null stays null."""
    styled = _style(rule)
    return lambda value: None if value is None else styled(text_of(value))


def _style(rule: Redaction) -> Callable[[str], str]:
    keep = VISIBLE[rule.style] if rule.visible_chars is None else rule.visible_chars
    mark = rule.mask_char
    match rule.style:
        case "email":
            return lambda text: _email(text, keep, mark)
        case "phone":
            return lambda text: _phone(text, keep, mark)
        case "card":
            return lambda text: _card(text, keep, mark)
        case "ip":
            return lambda text: _ip(text, keep, mark)
        case "text":
            return lambda text: text[:keep] + _mask(len(text) - keep, mark) if len(text) > keep else _whole(text, mark)
        case _:
            assert_never(rule.style)


def _email(text: str, keep: int, mark: str) -> str:
    local, at, domain = text.strip().rpartition("@")
    if at and local and _DOMAIN.fullmatch(domain):
        return f"{local[: min(keep, 1)] if len(local) <= keep else local[:keep]}{mark * 2}@{domain}"
    return _whole(text, mark)


def _phone(text: str, keep: int, mark: str) -> str:
    digits = _digits(text)
    plus = "+" if text.lstrip().startswith("+") else ""
    if len(digits) > 2 * keep:
        return plus + _mask(len(digits) - keep, mark) + _last(digits, keep)
    return text if _is_mask(text.removeprefix(plus), keep, mark) else _whole(text, mark)


def _card(text: str, keep: int, mark: str) -> str:
    digits = _digits(text)
    if len(digits) > 2 * keep:
        return _mask(len(digits) - keep, mark) + _last(digits, keep)
    return text if _is_mask(text, keep, mark) else _whole(text, mark)


def _ip(text: str, keep: int, mark: str) -> str:
    for between, (fewest, part) in _ADDRESS.items():
        parts = text.strip().split(between)
        whole = len(parts) >= max(keep + 1, fewest)
        if not (whole or (len(parts) == keep + 1 and parts[-1] == mark)):
            continue
        if all(part.fullmatch(shown) for shown in parts[:keep]):
            return between.join([*parts[:keep], mark])
    return _whole(text, mark)


def _whole(text: str, mark: str) -> str:
    return _mask(max(len(text), 1), mark)


def _mask(count: int, mark: str) -> str:
    return mark * min(count, MAX_MASK)


def _digits(text: str) -> str:
    return "".join(filter(_IS_DIGIT, text))


def _last(digits: str, count: int) -> str:
    return digits[-count:] if count else ""


def _is_mask(text: str, keep: int, mark: str) -> bool:
    """True if the text is what a mask of digits looks like: more masked characters than readable digits."""
    hidden = text[: len(text) - keep]
    return (
        min(keep + 1, MAX_MASK) <= len(hidden) <= MAX_MASK
        and set(hidden) == {mark}
        and all(character in _DIGITS for character in text[len(hidden) :])
    )
