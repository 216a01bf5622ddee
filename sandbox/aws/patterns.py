"""EventBridge event patterns: compiled once, then asked for every event.

Fields of an object are ANDed, the values of a list ORed. Operators see leaves only: an object is no leaf, a list stands
for its members, and a list of objects matches if one of them fits all fields. Source of the rules: the EventBridge user
guide, "Comparison operators for use in event patterns". Exact numbers compare as numbers; `numeric` reaches ±5e9.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

NUMERIC_REACH = 5e9
ABSENT = object()  # the value of a leaf that is not there; no event holds it

Test = Callable[[Any], bool]
Field = tuple[str, "Leaf | Node"]


class InvalidPattern(Exception):
    """The pattern breaks a rule of the language; the text says which."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """Tests of one field: any may pass. `absent_passes` is exists:false."""

    path: tuple[str, ...]
    tests: tuple[Test, ...]
    absent_passes: bool


@dataclass(frozen=True, slots=True)
class Node:
    """Fields that must all match within one object."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled event pattern."""

    root: Node

    def matches(self, event: Mapping[str, Any]) -> bool:
        return _node_matches(self.root, event, event)


def compile_pattern(text: str) -> Pattern:
    """Raises InvalidPattern."""
    try:
        given = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidPattern("the pattern is not JSON") from None
    if not isinstance(given, dict):
        raise InvalidPattern("the pattern is not a JSON object")
    return Pattern(_compile_node(given, ()))


def _compile_node(given: dict[str, Any], path: tuple[str, ...]) -> Node:
    if not given:
        raise InvalidPattern(f"{_say(path)} is an empty object")
    return Node(tuple((name, _compile_field(value, (*path, name))) for name, value in given.items()))


def _compile_field(given: Any, path: tuple[str, ...]) -> Leaf | Node:
    match given:
        case dict():
            return _compile_node(given, path)
        case []:
            raise InvalidPattern(f"{_say(path)} is an empty list")
        case list():
            return Leaf(
                path,
                tuple(_compile_value(value, path) for value in given),
                any(value == {"exists": False} for value in given),
            )
        case _:
            raise InvalidPattern(f"{_say(path)} must be an object or a list")


def _compile_value(value: Any, path: tuple[str, ...]) -> Test:
    match value:
        case list():
            raise InvalidPattern(f"{_say(path)} has a list within a list")
        case dict():
            if len(value) != 1:
                raise InvalidPattern(f"{_say(path)} has an object that is not one operator")
            [(operator, operand)] = value.items()
            compiler = OPERATORS.get(operator)
            if compiler is None:
                raise InvalidPattern(f"{_say(path)} has an unknown operator {operator}")
            return compiler(operand)
        case _:
            return _exactly(value)


def _exactly(wanted: Any) -> Test:
    # In Python True equals 1; in JSON it does not.
    if isinstance(wanted, int | float) and not isinstance(wanted, bool):
        return lambda value: _is_number(value) and value == wanted
    kind = type(wanted)
    return lambda value: type(value) is kind and value == wanted


def _prefix(operand: Any) -> Test:
    if not isinstance(operand, str):
        raise InvalidPattern("prefix needs a string")
    return lambda value: isinstance(value, str) and value.startswith(operand)


def _exists(operand: Any) -> Test:
    if not isinstance(operand, bool):
        raise InvalidPattern("exists needs true or false")
    return lambda value: operand and value is not ABSENT


def _anything_but(operand: Any) -> Test:
    match operand:
        case {"prefix": unwanted, **others} if not others:
            return _no_prefix_of(unwanted if isinstance(unwanted, list) else [unwanted])
        case []:
            raise InvalidPattern("anything-but needs at least one value")
        case list():
            unwanted = operand
        case _:
            unwanted = [operand]
    if not (all(isinstance(value, str) for value in unwanted) or all(_is_number(value) for value in unwanted)):
        raise InvalidPattern("anything-but needs a string, a number, or a list of only one of both")
    tests = [_exactly(value) for value in unwanted]
    return lambda value: value is not ABSENT and not any(test(value) for test in tests)


def _no_prefix_of(unwanted: list[Any]) -> Test:
    if not unwanted or not all(isinstance(prefix, str) and prefix for prefix in unwanted):
        raise InvalidPattern("anything-but prefix needs a string or a list of strings, none of them empty")
    prefixes = tuple(unwanted)
    return lambda value: value is not ABSENT and not (isinstance(value, str) and value.startswith(prefixes))


def _numeric(operand: Any) -> Test:
    """`["=", x]`, one bound, or a lower bound followed by an upper one."""
    match operand:
        case ["=", wanted] if _reachable(wanted):
            return lambda value: _is_number(value) and value == wanted
        case [">" | ">=" as lower, low] if _reachable(low):
            return _between(lower, low, "<=", NUMERIC_REACH)
        case ["<" | "<=" as upper, high] if _reachable(high):
            return _between(">=", -NUMERIC_REACH, upper, high)
        case [">" | ">=" as lower, low, "<" | "<=" as upper, high] if (
            _reachable(low) and _reachable(high) and low < high
        ):
            return _between(lower, low, upper, high)
        case _:
            raise InvalidPattern("numeric needs one comparison, or a lower bound and then a higher upper bound")


def _between(lower: str, low: float, upper: str, high: float) -> Test:
    def within(value: Any) -> bool:
        if not _is_number(value):
            return False
        return (value > low or (lower == ">=" and value == low)) and (value < high or (upper == "<=" and value == high))

    return within


OPERATORS: dict[str, Callable[[Any], Test]] = {
    "prefix": _prefix,
    "exists": _exists,
    "anything-but": _anything_but,
    "numeric": _numeric,
}


def _node_matches(node: Node, value: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    for name, field in node.fields:
        found = value.get(name, ABSENT)
        if isinstance(field, Leaf):
            if not _leaf_matches(field, found, event):
                return False
        elif not any(_node_matches(field, item, event) for item in _objects(found)):
            return False
    return True


def _leaf_matches(leaf: Leaf, found: Any, event: Mapping[str, Any]) -> bool:
    for value in _leaves(found):
        for test in leaf.tests:
            if test(value):
                return True
    # Absence is asked of the whole event: another member of a list of objects may hold the field.
    return leaf.absent_passes and not _has_leaf(event, leaf.path)


def _leaves(found: Any) -> Iterator[Any]:
    if isinstance(found, list):
        for item in found:
            yield from _leaves(item)
    elif found is not ABSENT and not isinstance(found, dict):
        yield found


def _objects(found: Any) -> list[Mapping[str, Any]]:
    """The objects a field's value offers; without any, an empty one, in which every field is absent."""
    if isinstance(found, dict):
        return [found]
    if isinstance(found, list):
        return [inner for item in found if isinstance(item, dict | list) for inner in _objects(item)] or [{}]
    return [{}]


def _has_leaf(value: Any, path: tuple[str, ...]) -> bool:
    if not path:
        return any(True for _ in _leaves(value))
    return any(path[0] in item and _has_leaf(item[path[0]], path[1:]) for item in _objects(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reachable(value: Any) -> bool:
    return _is_number(value) and -NUMERIC_REACH <= value <= NUMERIC_REACH


def _say(path: tuple[str, ...]) -> str:
    return ".".join(path) or "the pattern"
