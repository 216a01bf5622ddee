"""Values that could be real. Every one that a redaction rule removes is planted as a canary."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sandbox.generator.ledger import Canaries
from sandbox.generator.wire import stamp

FIRST = (
    "Ana",
    "Ben",
    "Chloe",
    "Dario",
    "Elif",
    "Femi",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kira",
    "Liam",
    "Mei",
    "Nora",
)
LAST = ("Silva", "Okafor", "Meyer", "Rossi", "Tanaka", "Novak", "Haddad", "Larsen", "Moreau", "Kowalski", "Ortiz")
ZONES = ("UTC", "Europe/Lisbon", "America/New_York", "Asia/Tokyo")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
T = TypeVar("T")


class Invented:
    """The same `rng` state gives the same values."""

    def __init__(self, rng: random.Random, canaries: Canaries) -> None:
        self.rng = rng
        self._canaries = canaries

    def one_of(self, *choices: T) -> T:
        """Any of them."""
        return self.rng.choice(choices)

    def whole(self, least: int, most: int) -> int:
        """A whole number."""
        return self.rng.randint(least, most)

    def chance(self, share: float) -> bool:
        """True so often."""
        return self.rng.random() < share

    def name(self) -> tuple[str, str]:
        """First and last name of nobody."""
        return self.rng.choice(FIRST), self.rng.choice(LAST)

    def ago(self, at: datetime, most: int) -> str:
        """A time at most so many seconds before."""
        return stamp(at - timedelta(seconds=self.rng.randint(1, most)))

    # redacted

    def secret(self, column: str, length: int = 14) -> str:
        """Letters and digits."""
        return self._canaries.plant(self.letters(length), column)

    def planted(self, column: str, text: str) -> str:
        """A text that is one token, of a column that is redacted."""
        return self._canaries.plant(text, column)

    def email(self, column: str, first: str, last: str) -> str:
        """An address whose local part is a canary."""
        local = self._canaries.plant(f"{first}.{last}.{self.letters(6)}".lower(), column)
        return f"{local}@{self.one_of('corp', 'mail', 'post')}.example"

    def sip(self, column: str) -> str:
        """The address of a telephone; its user part is a canary."""
        return f"sip:{self.email(column, *self.name())}"

    def phone(self, column: str) -> str:
        """A number of the range kept for fiction, made long enough to be nobody's."""
        return self._canaries.plant(f"+1202555{self.digits(7)}", column)

    # plain

    def letters(self, length: int) -> str:
        """Small letters and digits."""
        return "".join(self.rng.choices(_LETTERS, k=length))

    def digits(self, length: int) -> str:
        """Decimal digits."""
        return "".join(self.rng.choices("0123456789", k=length))

    def some(self, choices: dict[str, Any], most: int = 3) -> dict[str, Any]:
        """One to `most` of the columns, each with what its function gives."""
        names: Sequence[str] = self.rng.sample(sorted(choices), self.rng.randint(1, min(most, len(choices))))
        return {name: choices[name]() for name in names}
