"""Reading the members of a request body: types, lengths and ranges as the service models state them."""

import re
from datetime import datetime
from typing import Any

from sandbox.aws.errors import constraint, serialization

Body = dict[str, Any]


def optional_text(body: Body, name: str, *, shortest: int = 1, longest: int = 1_048_576) -> str | None:
    """A string member, or None if absent or null. Raises SerializationException or ValidationException."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise serialization(f"{name} must be a string")
    if len(value) < shortest:
        raise constraint(name, f"have length greater than or equal to {shortest}")
    if len(value) > longest:
        raise constraint(name, f"have length less than or equal to {longest}")
    return value


def text(body: Body, name: str, *, shortest: int = 1, longest: int = 1_048_576) -> str:
    """A string member that must be there."""
    value = optional_text(body, name, shortest=shortest, longest=longest)
    if value is None:
        raise constraint(name, "not be null")
    return value


def named(body: Body, name: str, pattern: re.Pattern[str], *, longest: int) -> str:
    """A required string that matches `pattern` as a whole."""
    return matching(text(body, name, longest=longest), name, pattern)


def matching(value: str, name: str, pattern: re.Pattern[str]) -> str:
    if pattern.fullmatch(value) is None:
        raise constraint(name, f"satisfy regular expression pattern: {pattern.pattern}")
    return value


def choice(body: Body, name: str, choices: frozenset[str], default: str | None = None) -> str:
    """One of an enumeration."""
    value = optional_text(body, name) or default
    if value is None:
        raise constraint(name, "not be null")
    if value not in choices:
        raise constraint(name, f"satisfy enum value set: [{', '.join(sorted(choices))}]")
    return value


def whole(body: Body, name: str, low: int, high: int, default: int | None = None) -> int:
    """An integer between `low` and `high`, both included; it must be there if there is no default."""
    value = body.get(name)
    if value is None and default is not None:
        return default
    if value is None:
        raise constraint(name, "not be null")
    if not isinstance(value, int) or isinstance(value, bool):
        raise serialization(f"{name} must be an integer")
    if value < low:
        raise constraint(name, f"have value greater than or equal to {low}")
    if value > high:
        raise constraint(name, f"have value less than or equal to {high}")
    return value


def moment(body: Body, name: str) -> float | None:
    """A timestamp as seconds since 1970: AWS JSON sends a number, some clients an ISO 8601 string."""
    value = body.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            raise serialization(f"{name} is not a timestamp") from None
    if value is None:
        return None
    raise serialization(f"{name} must be a timestamp")


def structure(body: Body, name: str) -> Body | None:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise serialization(f"{name} must be a structure")
    return value


def entries(body: Body, name: str, *, most: int | None = None) -> list[Body]:
    """A required list of structures with 1 to `most` members (None: the service counts them itself)."""
    values = body.get(name)
    if values is None:
        raise constraint(name, "not be null")
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise serialization(f"{name} must be a list of structures")
    if most is not None and not values:
        raise constraint(name, "have length greater than or equal to 1")
    if most is not None and len(values) > most:
        raise constraint(name, f"have length less than or equal to {most}")
    return values


def texts(body: Body, name: str) -> list[str]:
    """A list of strings; absent is empty."""
    values = body.get(name)
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise serialization(f"{name} must be a list of strings")
    return values
