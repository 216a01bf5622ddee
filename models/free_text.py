"""Expressions that find personal data inside free text, and the proof that none of them takes long to do so.

Expressions of tables.yaml are a part of Python's syntax: characters, classes, groups, alternatives, counted and
possessive quantifiers, `^ $ \\b`. Python's engine tries every way in which an expression may match before it gives up;
so the ways are counted here, and an expression that has too many is refused when the file is read.
"""

import re
from dataclasses import dataclass

BUILT_IN = ("email", "phone", "card", "ip")
MAX_EXPRESSION = 500
MAX_WAYS = 256
"""Ways to match from one place of a text; with `MAX_TEXT` places the worst that a column may cost is tens of ms."""
MAX_TEXT = 8_192
"""Characters of a text that is searched; a longer one is redacted as a whole."""
_COUNT = re.compile(r"\{(\d{0,4})(,?)(\d{0,4})\}")
_ENDLESS = 1 << 30


@dataclass(frozen=True, slots=True)
class RegexRedaction:
    """What to look for in a free text: a built-in finder by its name, or an expression of one's own."""

    name: str
    expression: str | None = None
    """None: the built-in finder of that name."""

    def __post_init__(self) -> None:
        """Raises BadExpressionError."""
        if self.expression is not None:
            check_expression(self.expression)
        elif self.name not in BUILT_IN:
            raise BadExpressionError(f"there is no built-in finder {self.name}")


class BadExpressionError(ValueError):
    """An expression that is not taken, with the reason."""


def check_expression(expression: str) -> None:
    """Raises BadExpressionError if it is no expression, might match nothing at all, or could take long."""
    if len(expression) > MAX_EXPRESSION:
        raise BadExpressionError(f"longer than {MAX_EXPRESSION} characters")
    parser = _Parser(expression)
    shape = parser.alternatives()
    if parser.at < len(expression):
        raise BadExpressionError("a `)` too many")
    try:
        re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadExpressionError(f"no regular expression: {getattr(error, 'msg', 'too large')}") from None
    if shape.least == 0:
        raise BadExpressionError("it also matches an empty text")
    if shape.ways > MAX_WAYS:
        raise BadExpressionError(
            f"{shape.ways} ways to match from one place, at most {MAX_WAYS} are allowed: count less, or use possessive "
            "quantifiers like `++` and `{1,9}+`, which give nothing back"
        )


@dataclass(frozen=True, slots=True)
class _Shape:
    """Ways to match from one place, and the least number of characters."""

    ways: int
    least: int


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def alternatives(self) -> _Shape:
        found = [self.sequence()]
        while self.take("|"):
            found.append(self.sequence())
        return _Shape(min(sum(shape.ways for shape in found), _ENDLESS), min(shape.least for shape in found))

    def sequence(self) -> _Shape:
        ways, least = 1, 0
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            shape = self.quantified(self.atom())
            ways, least = min(ways * shape.ways, _ENDLESS), least + shape.least
        return _Shape(ways, least)

    def atom(self) -> _Shape:
        mark = self.text[self.at]
        self.at += 1
        match mark:
            case "(":
                return self.group()
            case "[":
                return self.character_class()
            case "\\":
                return self.escape()
            case "^" | "$":
                return _Shape(1, 0)
            case "*" | "+" | "?":
                raise BadExpressionError(f"nothing before `{mark}`")
            case _:
                return _Shape(1, 1)

    def group(self) -> _Shape:
        if self.text.startswith("?", self.at) and not self.text.startswith(("?:", "?>"), self.at):
            raise BadExpressionError("of the groups with `?` only (?:…) and (?>…) are allowed")
        if self.take("?"):
            self.at += 1
        shape = self.alternatives()
        if not self.take(")"):
            raise BadExpressionError("a `(` is not closed")
        return shape

    def character_class(self) -> _Shape:
        self.take("^")
        first = True
        while self.at < len(self.text):
            mark = self.text[self.at]
            self.at += 2 if mark == "\\" else 1
            if mark == "]" and not first:
                return _Shape(1, 1)
            if mark == "[" or self.text.startswith(("--", "&&", "||", "~~"), self.at - 1):
                raise BadExpressionError(f"write \\{mark} for {mark} inside of [ ]")
            first = False
        raise BadExpressionError("a `[` is not closed")

    def escape(self) -> _Shape:
        mark = self.text[self.at : self.at + 1]
        self.at += 1
        if not mark or mark.isdigit() or (mark.isalpha() and mark not in "dDsSwWbBtnrfv"):
            raise BadExpressionError(f"\\{mark} is not allowed")
        return _Shape(1, 0 if mark in "bB" else 1)

    def quantified(self, shape: _Shape) -> _Shape:
        bounds = self.bounds()
        if bounds is None:
            return shape
        least, most = bounds
        possessive = self.take("+")
        if not possessive:
            self.take("?")
            if most >= _ENDLESS:
                raise BadExpressionError("`*` and `+` have no end: write `*+` and `++`, or count, like {1,64}")
        if possessive:
            return _Shape(shape.ways, shape.least * least)
        ways = 0
        for count in range(least, most + 1):
            ways = min(ways + shape.ways ** min(count, 31), _ENDLESS)
        return _Shape(ways, shape.least * least)

    def bounds(self) -> tuple[int, int] | None:
        for mark, bounds in (("*", (0, _ENDLESS)), ("+", (1, _ENDLESS)), ("?", (0, 1))):
            if self.take(mark):
                return bounds
        found = _COUNT.match(self.text, self.at)
        if found is None or not (found[1] or found[3]):
            return None
        self.at = found.end()
        least = int(found[1] or 0)
        if not found[2]:
            return least, least
        return least, int(found[3]) if found[3] else _ENDLESS

    def take(self, mark: str) -> bool:
        if self.text.startswith(mark, self.at):
            self.at += len(mark)
            return True
        return False
