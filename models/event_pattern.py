"""EventBridge event patterns: compiled once, then asked for every event, or asked why an event does not match.

Fields of an object are ANDed, the values of a list ORed, and so are the objects of `$or`. Operators see leaves only: an
object is no leaf, a list stands for its members, and a list of objects matches if one of them fits all fields. Source
of the rules: the EventBridge user guide, "Creating event patterns" and the pages below it; where it is silent, Event
Ruler (github.com/aws/event-ruler).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from models.pattern_operators import InvalidPattern, Test, any_of, exactly, operator

LONGEST_PATTERN = 2_048
"""Characters, by default; the quota can be raised to LONGEST_RAISED (EventBridge quotas page, "Event pattern size")."""
LONGEST_RAISED = 4_096
OR = "$or"
RESERVED = frozenset({
    "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
    "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after",
    "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range",
})  # fmt: skip
"""Names that are no fields within `$or`."""
ABSENT = object()  # the value of a field that is not there; no event holds it

Field = tuple[str, "Leaf | Node"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule of a pattern and what an event has there.

    `path` is dotted, with the place in a list of objects (`detail.orders[1].sku`) and in an `$or` (`detail.$or[0].id`).
    `expected` is the rule as JSON. `found` are the leaves in question: none if the field is absent, several if it is a
    list. The line of an `$or` itself says whether one of its objects matched, and has nothing `found`. `objects`: the
    field is there and holds objects alone, of which a rule sees nothing.
    """

    path: str
    expected: str
    found: tuple[Any, ...]
    matched: bool
    objects: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    """Tests of one field: any may pass. `absent_passes` is exists:false; `rule` is what was written."""

    path: tuple[str, ...]
    tests: tuple[Test, ...]
    absent_passes: bool
    rule: list[Any]


@dataclass(frozen=True, slots=True)
class Node:
    """Fields that must all match within one object, and groups of alternatives of which each must have one."""

    fields: tuple[Field, ...]
    choices: tuple[tuple["Node", ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled event pattern."""

    root: Node

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether a rule with this pattern takes the event, which is the whole envelope."""
        return _node_matches(self.root, event, event)

    def explain(self, event: Mapping[str, Any]) -> tuple[Finding, ...]:
        """Every rule of the pattern, in its order, with what the event has there."""
        return tuple(_explain_node(self.root, event, event, ""))


def compile_pattern(text: str) -> Pattern:
    """Raises InvalidPattern. The length is not looked at."""
    try:
        given = msgspec.json.decode(text)
        if not isinstance(given, dict):
            raise InvalidPattern("Filter is not an object")
        return Pattern(_compile_node(given, ()))
    except msgspec.DecodeError:
        raise InvalidPattern("The pattern is not JSON") from None
    except RecursionError:
        raise InvalidPattern("The pattern is nested too deeply") from None


def _compile_node(given: dict[str, Any], path: tuple[str, ...], *, chosen: bool = False) -> Node:
    """`chosen`: somewhere within an `$or`."""
    if not given:
        raise InvalidPattern("Empty objects are not allowed", path)
    fields: list[Field] = []
    choices = []
    for name, value in given.items():
        if name == OR:
            choices.append(_compile_choice(value, path))
            continue
        if chosen and name in RESERVED:
            raise InvalidPattern(f"{name} is Ruler reserved fieldName which cannot be used inside $or.", path)
        fields.append((name, _compile_field(name, value, (*path, name), chosen=chosen)))
    return Node(tuple(fields), tuple(choices))


def _compile_choice(given: Any, path: tuple[str, ...]) -> tuple[Node, ...]:
    if not isinstance(given, list):
        raise InvalidPattern("It must be an Array followed with $or.", path)
    if not all(isinstance(one, dict) for one in given):
        raise InvalidPattern("Only JSON object is allowed in array of $or relationship.", path)
    if len(given) < 2:
        raise InvalidPattern("There must have at least 2 Objects in $or relationship.", path)
    return tuple(_compile_node(one, path, chosen=True) for one in given)


def _compile_field(name: str, given: Any, path: tuple[str, ...], *, chosen: bool) -> Leaf | Node:
    match given:
        case dict():
            return _compile_node(given, path, chosen=chosen)
        case []:
            raise InvalidPattern("Empty arrays are not allowed", path)
        case list():
            return Leaf(path, tuple(_compile_values(given, path)), {"exists": False} in given, given)
        case _:
            raise InvalidPattern(f'"{name}" must be an object or an array', path[:-1])


def _compile_values(given: list[Any], path: tuple[str, ...]) -> Iterator[Test]:
    if texts := [value for value in given if isinstance(value, str)]:
        yield any_of(frozenset(texts))
    for value in given:
        match value:
            case str():
                continue
            case list():
                raise InvalidPattern("Match value must be String, number, true, false, or null", path)
            case dict():
                yield _compile_operator(value, path)
            case _:
                yield exactly(value)


def _compile_operator(given: dict[str, Any], path: tuple[str, ...]) -> Test:
    if len(given) != 1:
        reason = "Only one key allowed in match expression" if given else "Match expression name not found"
        raise InvalidPattern(reason, path)
    [(name, operand)] = given.items()
    try:
        return operator(name, operand)
    except InvalidPattern as refusal:
        raise InvalidPattern(refusal.reason, path) from None


def _node_matches(node: Node, value: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    for name, field in node.fields:
        found = value.get(name, ABSENT)
        if isinstance(field, Leaf):
            if not _leaf_matches(field, found, event):
                return False
        elif not any(_node_matches(field, item, event) for item in _objects(found)):
            return False
    return not node.choices or all(any(_node_matches(one, value, event) for one in choice) for choice in node.choices)


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


def _explain_node(node: Node, value: Mapping[str, Any], event: Mapping[str, Any], where: str) -> Iterator[Finding]:
    for name, field in node.fields:
        found = value.get(name, ABSENT)
        path = f"{where}.{name}" if where else name
        if isinstance(field, Leaf):
            matched = _leaf_matches(field, found, event)
            leaves = tuple(_leaves(found))
            objects = not leaves and (isinstance(found, dict) or any(_objects(found)))
            yield Finding(path, msgspec.json.encode(field.rule).decode(), leaves, matched, objects)
        else:
            yield from _nearest(field, found, event, path)
    for choice in node.choices:
        path = f"{where}.{OR}" if where else OR
        matched = any(_node_matches(one, value, event) for one in choice)
        yield Finding(path, f"one of {len(choice)}", (), matched)
        for place, one in enumerate(choice):
            yield from _explain_node(one, value, event, f"{path}[{place}]")


def _nearest(node: Node, found: Any, event: Mapping[str, Any], path: str) -> list[Finding]:
    """Of a list of objects, the first that comes nearest to a match."""
    objects = _objects(found)
    several = isinstance(found, list) and len(objects) > 1
    explained = [
        list(_explain_node(node, item, event, f"{path}[{place}]" if several else path))
        for place, item in enumerate(objects)
    ]
    fitting = [_node_matches(node, item, event) for item in objects]
    scores = [(fits, sum(finding.matched for finding in one)) for fits, one in zip(fitting, explained, strict=True)]
    return explained[scores.index(max(scores))]
