"""The rows there are, and which of them others may refer to."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.generator.invented import Invented
from sandbox.generator.wire import Row

FIRST_ID = {"users": 1_000, "groups": 200}
FIRST_OTHER_ID = 10
Owner = tuple[Any, Any]
"""(organisation, user); None for nobody."""


class Population:
    """What the source holds at a moment."""

    def __init__(self, rng: random.Random, first: int = 0) -> None:
        """`first` is added to every key: rows of an earlier population are others."""
        self._rng, self._first = rng, first
        self.rows: dict[str, dict[Any, Row]] = defaultdict(dict)
        """Table -> key -> row."""
        self.orgs: list[int] = []
        """Organisations of the beginning."""
        self.settled: dict[str, list[int]] = {"users": [], "groups": []}
        """Rows others are found by: known long enough, never deleted, and they keep their organisation."""
        self._next_id: dict[str, int] = {}

    def take_id(self, table: str) -> int:
        """A number that no row of the table has had."""
        self._next_id[table] = self._next_id.get(table, self._first + FIRST_ID.get(table, FIRST_OTHER_ID)) + 1
        return self._next_id[table]

    def org(self) -> int:
        """An organisation that stays."""
        return self._rng.choice(self.orgs)

    def user(self) -> tuple[int, int]:
        """(user, organisation); the organisation's first number if there are no users."""
        users = self.rows["users"]
        if not users:
            return self.orgs[0], self.orgs[0]
        number = self._rng.choice(list(users))
        return number, int(users[number]["HomeOrgID"])

    def is_settled(self, table: str, number: Any) -> bool:
        """Whether others may be found by it."""
        return number in self.settled.get(table, ())

    def org_of(self, table: str, number: Any) -> int:
        """The organisation of a user or a group."""
        return int(self.rows[table][number]["HomeOrgID" if table == "users" else "OrgID"])


def _always(_row: Row) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Table:
    """How rows of a table come, change and go, and whose they are."""

    name: str
    new: Callable[[Invented, Population, int, datetime], Row]
    owner: Callable[[Population, Row], Owner]
    change: Callable[[Invented, Population, Row, datetime], Row] | None = None
    """The columns that change. None: rows never do."""
    changes: Callable[[Row], bool] = _always
    """Whether a row changes any more."""
    goes: Callable[[Row], bool] = _always
    """Whether a row may be deleted."""
    key: str = "ID"
