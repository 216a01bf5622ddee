"""Finds personal data in free text: e-mail addresses, telephone and card numbers, IP addresses, and what own
expressions describe. Each finder needs a time that is bounded by the length of the text, whatever the text says."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from models.free_text import RegexRedaction
from models.tables import MaskStyle

_LOCAL = r"""[^\s@,;:<>()\[\]"=]"""
_EMAIL = re.compile(rf"{_LOCAL}++(?:@[\w\-]++(?:\.[\w\-]++)*+)++")
_EMAILS = re.compile(rf"(?<!{_LOCAL})(?:{_LOCAL}++(?:@[\w\-]++(?:\.[\w\-]++)*+)++)++")
"""Addresses with nothing but a mark between them, as in `a@x.test/b@x.test`: one begins where the one before ends."""
_GAP = " \u00a0\u2009\u202f\\-\u2010-\u2013"
"""Spaces and hyphens within a number, also those at which no line is broken."""
_NUMBERS = re.compile(
    rf"(?<![\w+])(?<!\d[\-./])(?!\d{{4}}-\d\d-\d\d(?!\d))\+?+\(?+\d(?:[{_GAP}()./]{{0,3}}+\d)*+", re.ASCII
)
_GROUP = re.compile(r"\d++", re.ASCII)
_WORD = re.compile(r"\w", re.ASCII)
_PHONE_DIGITS = range(7, 16)
_DIGITS = re.compile(rf"\d(?:[{_GAP}]?+\d){{12,}}+", re.ASCII)
_IP4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)", re.ASCII)
_IP6 = re.compile(r"(?<![\w:.])(?=[\da-fA-F.]*:)[\da-fA-F:.]{2,}+", re.ASCII)
_CARD_LENGTHS = range(19, 12, -1)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

Span = tuple[int, int]
Finder = Callable[[str], Iterable[Span]]


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a text that holds personal data, from `start` to before `end`."""

    start: int
    end: int
    style: MaskStyle


def finder(pattern: RegexRedaction) -> tuple[MaskStyle, Finder]:
    """What a pattern finds, and in which style a mask shows it. The loader of tables.yaml has checked expressions."""
    if pattern.expression is not None:
        return "text", _of(re.compile(pattern.expression))
    return _BUILT_IN[pattern.name]


def find(text: str, finders: Iterable[tuple[MaskStyle, Finder]]) -> list[Found]:
    """Every part that any finder finds, in order. Parts that overlap are one, in the style of the first."""
    spans = sorted((start, -end, style) for style, search in finders for start, end in search(text))
    found: list[Found] = []
    for start, negative, style in spans:
        if found and start < found[-1].end:
            last = found[-1]
            found[-1] = Found(last.start, max(last.end, -negative), last.style)
        else:
            found.append(Found(start, -negative, style))
    return found


def _of(expression: re.Pattern[str]) -> Finder:
    return lambda text: [match.span() for match in expression.finditer(text) if match.end() > match.start()]


def _emails(text: str) -> Iterator[Span]:
    for match in _EMAILS.finditer(text):
        for found in _EMAIL.finditer(text, *match.span()):
            mark = found.start() > match.start() and not text[found.start()].isalnum()
            yield found.start() + mark, found.end()


def _phones(text: str) -> Iterator[Span]:
    """Numbers of 7 to 15 digits. What follows a number is no part of it if that makes too many digits (the next number,
    a date), or goes on as a word (`10am`)."""
    for match in _NUMBERS.finditer(text):
        groups = [found.span() for found in _GROUP.finditer(text, *match.span())]
        if _WORD.match(text, match.end()):
            groups.pop()
        start = end = match.start()
        digits = 0
        for begins, ends in groups:
            size = ends - begins
            if digits and digits + size > _PHONE_DIGITS[-1]:
                if digits in _PHONE_DIGITS:
                    yield start, end
                start, digits = begins, 0
            end, digits = ends, digits + size
        if digits in _PHONE_DIGITS:
            yield start, end


def _cards(text: str) -> Iterator[Span]:
    """Card numbers by their check digit, also beside other groups of digits."""
    for match in _DIGITS.finditer(text):
        places = [place for place in range(*match.span()) if text[place].isdigit()]
        digits = [int(text[place]) for place in places]
        begins = [n == 0 or places[n] - places[n - 1] > 1 for n in range(len(places))]
        n = 0
        while n < len(digits):
            length = _card_at(digits, begins, n) if begins[n] else 0
            if length:
                yield places[n], places[n + length - 1] + 1
            n += length or 1


def _card_at(digits: list[int], begins: list[bool], start: int) -> int:
    """Digits of the longest card number that begins here and fills whole groups; 0: none."""
    for length in _CARD_LENGTHS:
        end = start + length
        if end <= len(digits) and (end == len(digits) or begins[end]) and _checks(digits[start:end]):
            return length
    return 0


def _checks(digits: list[int]) -> bool:
    """Luhn's check; a row of zeros passes it and is no card."""
    odd, even = digits[-1::-2], digits[-2::-2]
    return any(digits) and (sum(odd) + sum(_DOUBLED[digit] for digit in even)) % 10 == 0


def _addresses(text: str) -> Iterator[Span]:
    for match in _IP4.finditer(text):
        if all(int(part) <= 255 for part in match.group().split(".")):
            yield match.span()
    for match in _IP6.finditer(text):
        start, end = match.span()
        for stop in (end, end - 1):  # a colon or full stop of the sentence may follow it
            if _is_address(text[start:stop]):
                yield start, stop
                break


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return text != "::"


_BUILT_IN: dict[str, tuple[MaskStyle, Finder]] = {
    "email": ("email", _emails),
    "phone": ("phone", _phones),
    "card": ("card", _cards),
    "ip": ("ip", _addresses),
}
