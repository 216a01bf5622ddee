"""YAML nodes as values of JSON: numbers exact, times and words like `yes` as the text they are written as."""

import re
from decimal import Decimal
from typing import Any, Final

import yaml

from models.yaml_nodes import Reader

MAX_DEPTH = 50
WRONG: Final = object()
"""In place of a value that is none; the mistake is noted."""
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,400})", re.ASCII)
_FRACTION = re.compile(r"-?(0|[1-9][0-9]{0,400})\.[0-9]{1,400}([eE][+-]?[0-9]{1,2})?", re.ASCII)


def value_of(reader: Reader, node: yaml.Node, what: str, depth: int = 0) -> Any:
    """None, bool, int, Decimal, str, list or dict; WRONG if there is something else in it."""
    if depth > MAX_DEPTH:
        reader.problems.at(node, f"{what} is nested deeper than {MAX_DEPTH}")
        return WRONG
    match node:
        case yaml.ScalarNode():
            return _scalar(reader, node, what)
        case yaml.SequenceNode():
            items = [value_of(reader, item, what, depth + 1) for item in node.value]
            return WRONG if any(item is WRONG for item in items) else items
        case _:
            entries = reader.mapping(node, what)
            found = {
                name: value_of(reader, value, f"{what}.{name}", depth + 1)
                for name, (_, value) in (entries or {}).items()
            }
            return WRONG if entries is None or any(item is WRONG for item in found.values()) else found


def _scalar(reader: Reader, node: yaml.ScalarNode, what: str) -> Any:
    text = str(node.value)
    if node.style is not None or node.tag.endswith(":str"):
        return text
    if node.tag.endswith(":null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FRACTION.fullmatch(text):
        return Decimal(text)
    if text.lower().lstrip("+-") in (".inf", ".nan"):
        reader.problems.at(node, f"{what}: no row holds {text}")
        return WRONG
    return text
