"""Diff: which columns changed, by value. 3 equals 3.0; JSON text is compared parsed."""

from collections.abc import Iterable
from typing import Any, Final

from enrichers.compiled import CompiledTable
from models.change import Change, Operation, Row
from models.strict_json import JsonError, decode

Changes = dict[str, dict[str, Any]]
"""Column -> {"old": …, "new": …}; a side that is unknown or does not exist is left out."""
_ABSENT: Final = object()
_NESTED = (dict, list)


def diff(change: Change, table: CompiledTable) -> tuple[Changes, bool]:
    """Changed columns, and whether the before image allowed to tell (False: every column is listed with its new
    value). A column missing in one image of an update counts as unchanged (docs/decisions/0011)."""
    match change.operation:
        case Operation.CREATE:
            return {name: {"new": value} for name, value in included(change.after, table)}, True
        case Operation.DELETE:
            return {name: {"old": value} for name, value in included(change.before, table)}, True
        case _:
            return _of_update(change, table)


def _of_update(change: Change, table: CompiledTable) -> tuple[Changes, bool]:
    before = change.before or {}
    keys = change.keys
    comparable = not before.keys() <= keys.keys()
    changes: Changes = {}
    for name, new in included(change.after, table):
        old = before.get(name, _ABSENT)
        if old is _ABSENT:
            if not comparable and name not in keys:
                changes[name] = {"new": new}
        elif old == new and type(old) is type(new) and type(new) not in _NESTED:
            continue  # most values are plain and equal: only the others are looked at more closely
        elif not same(old, new, is_json=name in table.json_columns):
            changes[name] = {"old": old, "new": new}
    return changes, comparable


def same(old: Any, new: Any, *, is_json: bool = False) -> bool:
    """Equal as values of a database. True is not 1, and text is not a number."""
    if isinstance(old, bool) is not isinstance(new, bool):
        return False
    if old == new:
        return not isinstance(old, list | dict) or _same_nested(old, new)
    if is_json and isinstance(old, str) and isinstance(new, str):
        try:
            return same(decode(old.encode()), decode(new.encode()))
        except (JsonError, UnicodeEncodeError):
            return False
    return False


def _same_nested(old: Any, new: Any) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return all(same(old[name], new[name]) for name in old)
    if isinstance(old, list) and isinstance(new, list):
        return all(same(left, right) for left, right in zip(old, new, strict=True))
    return True


def included(row: Row | None, table: CompiledTable) -> Iterable[tuple[str, Any]]:
    """The columns of a row that `include_fields` lets into the event."""
    if row is None:
        return ()
    if table.includes is None:
        return row.items()
    return [(name, value) for name, value in row.items() if name in table.includes]
