"""Filters of commands and of the page: JMESPath over a document, never code, and bounded.

A filter that is expensive ends, whatever it is asked of: its text, the documents it is asked of, the steps it takes and
what it builds on its way are limited. Steps instead of seconds, so that the same filter always ends at the same place;
the most a document can cost is about a second.

P6: ask it of what may be shown, never of the row behind it: yes or no, asked often enough, tells any value.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from jmespath.visitor import Options, TreeInterpreter

from enrichers.filter import ExactFunctions
from models.where import InvalidExpression, parse_any

MAX_TEXT = 1_000
"""Characters of an expression."""
MAX_DOCUMENT = 1 << 20
"""Characters and values of one document."""
MAX_STEPS = 100_000
"""Nodes looked at for one document; of what a function or a comparison reads, CHEAP characters are one step."""
MAX_BUILT = 1 << 22
"""Characters and values of anything an expression builds on its way."""
CHEAP = 16

TOO_LARGE = "the document is too large for a filter"
TOO_LONG = "the filter takes too many steps"
WRONG_TYPE = "a value is not of the type the filter needs"

_FAULTS = (ValueError, TypeError, ArithmeticError, AttributeError, LookupError, RecursionError)
"""What evaluating an expression raises for values it was not made for."""


class InvalidFilter(ValueError):
    """The text is no filter; the message says why, and quotes no document."""


class Filter:
    """One expression, asked of many documents."""

    def __init__(self, text: str) -> None:
        """Raises InvalidFilter."""
        if len(text) > MAX_TEXT:
            raise InvalidFilter(f"a filter has at most {MAX_TEXT:,} characters, this one has {len(text):,}")
        try:
            self._expression = parse_any(text).parsed
        except InvalidExpression as error:
            raise InvalidFilter(str(error)) from None
        self.text = text
        self.troubles: Counter[str] = Counter()
        """Documents that could not be decided, by the reason. Such a document does not match."""

    def matches(self, document: Any) -> bool:
        """Whether a document of JSON values lets the expression say yes: anything but false, null and empty things."""
        try:
            answer = _Search(document).answer(self._expression)
        except _Exceeded as error:
            self.troubles[str(error)] += 1
            return False
        except _FAULTS:
            # The exception's text may quote the document (P6).
            self.troubles[WRONG_TYPE] += 1
            return False
        return not (answer is None or answer is False or answer in ("", [], {}))

    def told(self) -> Iterator[str]:
        """Sentences about the documents that could not be decided, for people."""
        for reason, count in self.troubles.most_common():
            yield f"{count:,} {'was' if count == 1 else 'were'} not decided and left out: {reason}"


class _Exceeded(Exception):
    """A limit was reached."""


class _Functions(ExactFunctions):
    """Says what a call reads before it does, and looks at what it gives."""

    def __init__(self, search: "_Search") -> None:
        super().__init__()
        self._search = search

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        given = list(resolved_args)
        sizes = [self._search.size(argument) for argument in given]
        self._search.spend(1 + sum(sizes) // CHEAP)
        if function_name == "join" and len(given) > 1 and isinstance(given[1], list):
            self._search.allow(sizes[0] * len(given[1]))
        return self._search.built(super().call_function(function_name, given))


class _Search(TreeInterpreter):
    """One expression asked of one document."""

    def __init__(self, document: Any) -> None:
        super().__init__(Options(custom_functions=_Functions(self)))
        self._steps = 0
        self._sizes: dict[int, tuple[Any, int]] = {}
        """Of lists and objects, by identity; they are held, so that nothing else gets the identity of one of them."""
        self._document = _exact(document, [MAX_DOCUMENT])

    def answer(self, expression: Any) -> Any:
        return self.visit(expression, self._document)

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self.spend(1)
        return super().visit(node, *args, **kwargs)

    def visit_comparator(self, node: Any, value: Any) -> Any:
        left, right = (self.visit(child, value) for child in node["children"])
        self.spend(min(self.size(left), self.size(right)) // CHEAP)
        # Both sides are known: asking the children again would take their steps a second time.
        known: Any = {**node, "children": [{"type": "literal", "value": side} for side in (left, right)]}
        return super().visit_comparator(known, value)

    def visit_multi_select_list(self, node: Any, value: Any) -> Any:
        return self.built(super().visit_multi_select_list(node, value))

    def visit_multi_select_dict(self, node: Any, value: Any) -> Any:
        return self.built(super().visit_multi_select_dict(node, value))

    def visit_flatten(self, node: Any, value: Any) -> Any:
        return self.built(super().visit_flatten(node, value))

    def visit_slice(self, node: Any, value: Any) -> Any:
        return self.built(super().visit_slice(node, value))

    def visit_projection(self, node: Any, value: Any) -> Any:
        return self.built(super().visit_projection(node, value))

    def visit_value_projection(self, node: Any, value: Any) -> Any:
        return self.built(super().visit_value_projection(node, value))

    def visit_filter_projection(self, node: Any, value: Any) -> Any:
        return self.built(super().visit_filter_projection(node, value))

    def spend(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise _Exceeded(TOO_LONG)

    def allow(self, size: int) -> None:
        if size > MAX_BUILT:
            raise _Exceeded(TOO_LONG)

    def built(self, value: Any) -> Any:
        size = self.size(value)
        self.spend(size // CHEAP)
        self.allow(size)
        return value

    def size(self, value: Any) -> int:
        """Characters and values, as if nothing in it were shared: `[@, @]` is twice what it is made of."""
        if isinstance(value, str):
            return 1 + len(value)
        if not isinstance(value, list | dict):
            return 1
        known = self._sizes.get(id(value))
        if known is not None:
            return known[1]
        parts = value if isinstance(value, list) else value.values()
        size = 1 + sum(map(self.size, parts))
        if isinstance(value, dict):
            size += sum(map(len, value))
        self._sizes[id(value)] = (value, size)
        return size


def _exact(value: Any, left: list[int]) -> Any:
    """The document with fractions as the expression has them. `left`: what its size may still be."""
    left[0] -= 1 + (len(value) if isinstance(value, str) else 0)
    if left[0] < 0:
        raise _Exceeded(TOO_LARGE)
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, list | tuple):
        return [_exact(item, left) for item in value]
    if isinstance(value, dict):
        left[0] -= sum(map(len, value))
        return {name: _exact(item, left) for name, item in value.items()}
    return value
