"""The comparison operators of EventBridge event patterns: each compiled into one test of one leaf of an event.

Source: EventBridge user guide, "Comparison operators for use in event patterns". The words of refusals are those of
Event Ruler (github.com/aws/event-ruler, JsonRuleCompiler), the library that EventBridge publishes its matcher in.
"""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

Test = Callable[[Any], bool]
Value = str | int | float | bool | None

NUMERIC_REACH = 5e9
"""`numeric` compares values between -5.0e9 and +5.0e9 only (user guide, "Numeric matching")."""
LARGEST_MASK = {4: 31, 6: 127}


class InvalidPattern(Exception):
    """The pattern breaks a rule of the language; the text says which, in the words of AWS, and where."""

    def __init__(self, reason: str, path: Sequence[str] = ()) -> None:
        super().__init__(f"{reason} (at {'.'.join(path)})" if path else reason)
        self.reason = reason
        self.path = tuple(path)


def exactly(wanted: Value) -> Test:
    """Numbers compare as numbers; true is not 1, and null is not the empty text."""
    # In Python True equals 1; in JSON it does not.
    if is_number(wanted):
        return lambda value: is_number(value) and value == wanted
    kind = type(wanted)
    return lambda value: type(value) is kind and value == wanted


def any_of(texts: frozenset[str]) -> Test:
    """One of several texts."""
    return lambda value: isinstance(value, str) and value in texts


def operator(name: str, operand: Any) -> Test:
    """Raises InvalidPattern, without a path."""
    compiler = OPERATORS.get(name)
    if compiler is None:
        raise InvalidPattern(f"Unrecognized match type {name}")
    return compiler(operand)


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _prefix(operand: Any) -> Test:
    if isinstance(operand, dict):
        start = _ignoring_case("prefix", operand)
        return lambda value: isinstance(value, str) and value.lower().startswith(start)
    wanted = _text("prefix", operand)
    return lambda value: isinstance(value, str) and value.startswith(wanted)


def _suffix(operand: Any) -> Test:
    if isinstance(operand, dict):
        end = _ignoring_case("suffix", operand)
        return lambda value: isinstance(value, str) and value.lower().endswith(end)
    wanted = _text("suffix", operand)
    return lambda value: isinstance(value, str) and value.endswith(wanted)


def _equals_ignore_case(operand: Any) -> Test:
    wanted = _text("equals-ignore-case", operand).lower()
    return lambda value: isinstance(value, str) and value.lower() == wanted


def _wildcard(operand: Any) -> Test:
    parts = _wildcard_parts(_text("wildcard", operand))
    return lambda value: isinstance(value, str) and _fits(value, parts)


def _exists(operand: Any) -> Test:
    """The test of a leaf that is there; absence has no leaf to test (see `models/event_pattern.py`)."""
    if not isinstance(operand, bool):
        raise InvalidPattern("exists match pattern must be either true or false.")
    return lambda _: operand


def _cidr(operand: Any) -> Test:
    if not isinstance(operand, str):
        raise InvalidPattern("prefix match pattern must be a string")
    address, slash, bits = operand.partition("/")
    if not slash or "/" in bits:
        raise InvalidPattern("Malformed CIDR, one '/' required")
    try:
        mask = int(bits)
    except ValueError:
        raise InvalidPattern("Malformed CIDR, mask bits must be an integer") from None
    if mask < 0:
        raise InvalidPattern("Malformed CIDR, mask bits must not be negative")
    try:
        base = ipaddress.ip_address(address)
    except ValueError:
        raise InvalidPattern(f"Nonstandard IP address: {address}") from None
    if mask > LARGEST_MASK[base.version]:
        raise InvalidPattern(f"IPv{base.version} mask bits must be < {LARGEST_MASK[base.version] + 1}")
    shift = base.max_prefixlen - mask
    network = int(base) >> shift

    def within(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        try:
            found = ipaddress.ip_address(value)
        except ValueError:
            return False
        return found.version == base.version and int(found) >> shift == network

    return within


def _numeric(operand: Any) -> Test:
    """`["=", x]`, one bound, or a lower bound followed by an upper one."""
    if not isinstance(operand, list):
        raise InvalidPattern("Value of numeric must be an array.")
    match operand:
        case ["=", wanted, *rest]:
            number = _reachable("equals", wanted)
            _no_more(rest)
            return lambda value: is_number(value) and value == number
        case [">" | ">=" as lower, low]:
            return _between(lower, _reachable(lower, low), "<=", NUMERIC_REACH)
        case ["<" | "<=" as upper, high, *rest]:
            _no_more(rest)
            return _between(">=", -NUMERIC_REACH, upper, _reachable(upper, high))
        case [">" | ">=" as lower, low, "<" | "<=" as upper, high, *rest]:
            bottom, top = _reachable(lower, low), _reachable(upper, high)
            if rest:
                raise InvalidPattern("Too many terms in numeric range expression")
            if bottom >= top:
                raise InvalidPattern("Bottom must be less than top")
            return _between(lower, bottom, upper, top)
        case [">" | ">=", _, "<" | "<=" as upper]:
            raise InvalidPattern(f"Value of {upper} must be numeric")
        case [">" | ">=", _, str(upper), *_]:
            raise InvalidPattern(f"Bad numeric range operator: {upper}")
        case [">" | ">=", _, bad, *_]:
            raise InvalidPattern(f"Bad value in numeric range: {bad}")
        case ["=" | "<" | "<=" | ">" | ">=" as name]:
            raise InvalidPattern(f"Value of {'equals' if name == '=' else name} must be numeric")
        case [str(name), *_]:
            raise InvalidPattern(f"Unrecognized numeric range operator: {name}")
        case _:
            raise InvalidPattern(f"Invalid member in numeric match: {operand[0] if operand else ']'}")


def _between(lower: str, low: float, upper: str, high: float) -> Test:
    def within(value: Any) -> bool:
        if not is_number(value):
            return False
        return (value > low or (lower == ">=" and value == low)) and (value < high or (upper == "<=" and value == high))

    return within


def _anything_but(operand: Any) -> Test:
    match operand:
        case dict():
            return _anything_but_operator(operand)
        case list():
            unwanted = operand
        case _ if isinstance(operand, str) or is_number(operand):
            unwanted = [operand]
        case _:
            raise InvalidPattern("Value of anything-but must be an array or single string/number value.")
    texts = [value for value in unwanted if isinstance(value, str)]
    numbers = [value for value in unwanted if is_number(value)]
    if len(texts) + len(numbers) < len(unwanted):
        raise InvalidPattern("Inside anything but list, start|null|boolean is not supported.")
    if bool(texts) == bool(numbers):
        raise InvalidPattern(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )
    if texts:
        named = any_of(frozenset(texts))
        return lambda value: not named(value)
    return lambda value: not (is_number(value) and value in numbers)


def _anything_but_operator(operand: dict[str, Any]) -> Test:
    [name, given] = _single(
        operand, "Anything-But expression name not found", "Too many elements in numeric expression"
    )
    values = given if isinstance(given, list) else [given]
    if not isinstance(given, list | str) and not is_number(given):
        raise InvalidPattern("Value of anything-but must be an array or single string/number value.")
    match name:
        case "prefix" | "suffix":
            if not all(isinstance(value, str) for value in values):
                raise InvalidPattern("prefix/suffix match pattern must be a string")
            if "" in values:
                raise InvalidPattern("Null prefix/suffix not allowed")
        case "equals-ignore-case":
            if not all(isinstance(value, str) for value in values):
                raise InvalidPattern(
                    "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
                )
        case "wildcard":
            pass  # it refuses what is no text in the same words
        case _:
            raise InvalidPattern(f"Unsupported anything-but pattern: {name}")
    if not values:
        raise InvalidPattern("Empty arrays are not allowed")
    tests = [OPERATORS[name](value) for value in values]
    return lambda value: not any(test(value) for test in tests)


def _wildcard_parts(text: str) -> tuple[str, ...]:
    r"""The literal parts around each `*`; `\*` and `\\` stand for themselves."""
    parts, part, place = [], "", 0
    while place < len(text):
        match text[place]:
            case "*":
                if text[place + 1 : place + 2] == "*":
                    raise InvalidPattern(f"Consecutive wildcard characters at pos {place + 1}")
                parts.append(part)
                part = ""
            case "\\":
                escaped = text[place + 1 : place + 2]
                if escaped not in ("*", "\\"):
                    raise InvalidPattern(f"Invalid escape character at pos {place + 1}")
                part += escaped
                place += 1
            case character:
                part += character
        place += 1
    return (*parts, part)


def _fits(value: str, parts: Sequence[str]) -> bool:
    """In time linear to the value: the parts between must follow each other, each as early as it can."""
    first, *between = parts
    if not between:
        return value == first
    last = between.pop()
    if len(value) < len(first) + len(last) or not (value.startswith(first) and value.endswith(last)):
        return False
    place, end = len(first), len(value) - len(last)
    for part in between:
        place = value.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True


def _text(name: str, operand: Any) -> str:
    if not isinstance(operand, str):
        raise InvalidPattern(f"{name} match pattern must be a string")
    return operand


def _ignoring_case(name: str, operand: dict[str, Any]) -> str:
    """The operand of `{"equals-ignore-case": …}` within prefix or suffix, in lower case."""
    absent = f"{name.capitalize()} expression name not found"
    [inner, given] = _single(operand, absent, "Only one key allowed in match expression")
    if inner != "equals-ignore-case":
        raise InvalidPattern(f"Unsupported {name} pattern: {inner}")
    return _text(inner, given).lower()


def _single(operand: dict[str, Any], none: str, several: str) -> tuple[str, Any]:
    if len(operand) != 1:
        raise InvalidPattern(several if operand else none)
    [item] = operand.items()
    return item


def _reachable(name: str, value: Any) -> float:
    if not is_number(value):
        raise InvalidPattern(f"Value of {name} must be numeric")
    if not -NUMERIC_REACH <= value <= NUMERIC_REACH:
        raise InvalidPattern(f"Value must be between {-NUMERIC_REACH:.1e} and {NUMERIC_REACH:.1e}, inclusive")
    number: float = value
    return number


def _no_more(rest: list[Any]) -> None:
    if rest:
        raise InvalidPattern("Too many elements in numeric expression")


OPERATORS: dict[str, Callable[[Any], Test]] = {
    "anything-but": _anything_but,
    "cidr": _cidr,
    "equals-ignore-case": _equals_ignore_case,
    "exists": _exists,
    "numeric": _numeric,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
}
