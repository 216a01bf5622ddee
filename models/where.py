"""`where:` of a table: a JMESPath expression over a change, read and looked through before the first record.

Raises what is wrong with the expression itself; `enrichers/filter.py` runs it.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError, ParseError
from jmespath.functions import Functions

from models.yaml_nodes import suggestion

NAMES = ("operation", "before", "after", "keys", "changed", "snapshot", "schema", "table")
"""What an expression may ask of a change."""
IMAGES = ("before", "after", "keys")
_FIRST_ONLY = frozenset({
    "subexpression", "index_expression", "projection", "value_projection", "filter_projection", "flatten", "pipe",
})  # fmt: skip
"""Nodes whose later parts are asked of what the first one gave, not of the change."""

Node = dict[str, Any]


class InvalidExpression(ValueError):
    """The text is no expression over a change; the message says why."""


def parse(text: str) -> Any:
    """The expression over a change, ready to be searched with. Fractions in it are exact. Raises InvalidExpression."""
    parsed = parse_any(text)
    unknown = next(_unknown_names(parsed.parsed), None)
    if unknown is not None:
        raise InvalidExpression(unknown)
    return parsed


def parse_any(text: str) -> Any:
    """The same for an expression over any document."""
    try:
        parsed = jmespath.compile(text)
    except ParseError as error:
        where = f" at column {error.lex_position + 1}" if isinstance(error.lex_position, int) else ""
        raise InvalidExpression(f"no JMESPath{where}") from None
    except (JMESPathError, RecursionError, ValueError):
        raise InvalidExpression("no JMESPath") from None
    root: Any = parsed.parsed
    problem = next(_calls(root), None)
    if problem is not None:
        raise InvalidExpression(problem)
    _make_exact(root)
    return parsed


def names(parsed: Any) -> frozenset[str]:
    """Which of NAMES it asks for."""
    return frozenset(str(node["value"]) for node in _of_change(parsed.parsed))


def columns(parsed: Any) -> frozenset[str]:
    """Columns of the row that it names directly, as in `after.status`."""
    return frozenset(_columns(parsed.parsed))


def _columns(node: Node) -> Iterator[str]:
    children = _children(node)
    if node["type"] == "subexpression" and len(children) > 1:
        image, column = children[:2]
        if image["type"] == "field" and image["value"] in IMAGES and column["type"] == "field":
            yield str(column["value"])
    for child in children:
        yield from _columns(child)


def _unknown_names(node: Node) -> Iterator[str]:
    for field in _of_change(node):
        if field["value"] not in NAMES:
            yield f"a change has no {field['value']}{suggestion(str(field['value']), NAMES)}"


def _calls(node: Node) -> Iterator[str]:
    if node["type"] == "function_expression":
        known = Functions.FUNCTION_TABLE
        name, given = str(node["value"]), len(node["children"])
        if name not in known:
            yield f"there is no function {name}(){suggestion(name, known)}"
        else:
            wanted = known[name]["signature"]
            variadic = bool(wanted and wanted[-1].get("variadic"))
            if given < len(wanted) or (given > len(wanted) and not variadic):
                yield f"{name}() takes {len(wanted)}{' or more' if variadic else ''} arguments, not {given}"
    for child in _children(node):
        yield from _calls(child)


def _of_change(node: Node) -> Iterator[Node]:
    """The fields that are asked of the change itself."""
    if node["type"] == "field":
        yield node
    elif node["type"] != "expref":
        children = _children(node)
        for child in children[:1] if node["type"] in _FIRST_ONLY else children:
            yield from _of_change(child)


def _children(node: Node) -> list[Node]:
    return [child for child in node.get("children", ()) if isinstance(child, dict) and "type" in child]


def _make_exact(node: Node) -> None:
    """`0.1` in the text is one tenth, as it is in a row: rows have no binary fractions."""
    if node["type"] == "literal":
        node["value"] = _exact(node["value"])
    for child in _children(node):
        _make_exact(child)


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, list):
        return [_exact(item) for item in value]
    if isinstance(value, dict):
        return {name: _exact(item) for name, item in value.items()}
    return value
