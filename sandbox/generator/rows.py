"""Invented rows of the five built-in tables. Every value that a redaction rule removes is planted as a canary."""

import random
from datetime import datetime, timedelta
from typing import Any

from sandbox.generator.documents import Row
from sandbox.generator.ledger import Canaries

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
FIRMS = (
    "Acme Telecom",
    "Blue Harbor",
    "Cobalt Care",
    "Delta Freight",
    "Evergreen Energy",
    "Fjord Bank",
    "Granite Labs",
)
TEAMS = ("Support", "Sales", "Billing", "Night shift", "Onboarding", "Returns", "VIP desk", "Collections")
STATUSES = ("AVAILABLE", "BUSY", "AWAY", "OFFLINE", "ON_CALL")
ROLES = ("AGENT", "SUPERVISOR", "ADMIN")
ZONES = ("UTC", "Europe/Lisbon", "America/New_York", "Asia/Tokyo")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class Inventor:
    """Makes rows up. The same `rng` state gives the same rows."""

    def __init__(self, rng: random.Random, canaries: Canaries) -> None:
        self._rng = rng
        self._canaries = canaries

    def user(self, number: int, org: int, at: datetime) -> Row:
        """A new user account of an organisation."""
        first, last = self._rng.choice(FIRST), self._rng.choice(LAST)
        return {
            "ID": number,
            "HomeOrgID": org,
            "UserName": f"{first[0].lower()}{last.lower()}{number}",
            "FirstName": first,
            "LastName": last,
            "DisplayName": f"{first} {last}",
            "Email": self.email("users.Email", first, last),
            "Phone": self.phone(),
            "Extension": str(self._rng.randint(100, 999)),
            "PasswordHash": self.password_hash(),
            "PIN": self.pin(),
            "SSN": self.ssn(),
            "Status": "ACTIVE",
            "Role": self._rng.choice(ROLES),
            "Locale": self._rng.choice(("en-US", "pt-PT", "de-DE", None)),
            "TimeZone": self._rng.choice(ZONES),
            "MFAEnabled": self._rng.random() < 0.5,
            "LastLoginAt": None,
            # A column nobody declared: masked, because the table has redacted columns.
            "RecoveryCode": self._secret("users.RecoveryCode", _LETTERS, 14),
            "CreatedAt": stamp(at),
            "UpdatedAt": stamp(at),
        }

    def org(self, number: int, at: datetime) -> Row:
        """A new organisation."""
        name = f"{self._rng.choice(FIRMS)} {number}"
        return {
            "ID": number,
            "Name": name,
            "ParentOrgID": None,
            "Domain": f"{name.lower().replace(' ', '-')}.example",
            "AccountNumber": self._account(),
            "Status": "ACTIVE",
            "Plan": self._rng.choice(("BASIC", "PRO", "ENTERPRISE")),
            "BillingEmail": self.email("orgs.BillingEmail", "billing", str(number)),
            "TimeZone": self._rng.choice(ZONES),
            "MaxUsers": self._rng.choice((25, 100, 500)),
            "CreatedAt": stamp(at),
        }

    def group(self, number: int, org: int, at: datetime) -> Row:
        """A new group of an organisation."""
        return {
            "ID": number,
            "OrgID": org,
            "Name": f"{self._rng.choice(TEAMS)} {number}",
            "Type": self._rng.choice(("QUEUE", "TEAM", "HUNT_GROUP")),
            "Description": self._rng.choice(("first line", "second line", "weekends only", None)),
            "OwnerUserID": None,
            "Extension": str(self._rng.randint(2000, 9999)),
            "CreatedAt": stamp(at),
        }

    def availability(self, number: int, org: int, user: int, at: datetime) -> Row:
        """A user was in a status for a while."""
        seconds = self._rng.randint(5, 3600)
        previous, status = self._rng.sample(STATUSES, 2)
        return {
            "ID": number,
            "OrgID": org,
            "UserID": user,
            "Status": status,
            "PreviousStatus": previous,
            "Reason": self._rng.choice(("lunch", "call", "training", None)),
            "StartedAt": stamp(at - timedelta(seconds=seconds)),
            "EndedAt": stamp(at),
            "DurationSec": seconds,
        }

    def group_map(self, number: int, group: int, user: int, at: datetime) -> Row:
        """A user joined or left a group; only the group knows the organisation."""
        return {
            "ID": number,
            "GroupID": group,
            "UserID": user,
            "Action": self._rng.choice(("JOINED", "LEFT")),
            "ActorUserID": None,
            "OccurredAt": stamp(at),
        }

    def changed(self, table: str, row: Row, orgs: list[int], at: datetime) -> Row:
        """The row with one to three columns changed; `orgs` are the organisations a user may move to."""
        choices: dict[str, Any]
        if table == "users":
            choices = {
                "Email": lambda: self.email("users.Email", str(row["FirstName"]), str(row["LastName"])),
                "Phone": self.phone,
                "PasswordHash": self.password_hash,
                "Status": lambda: self._rng.choice(("ACTIVE", "SUSPENDED", "INVITED")),
                "Role": lambda: self._rng.choice(ROLES),
                "TimeZone": lambda: self._rng.choice(ZONES),
                "LastLoginAt": lambda: stamp(at),
                "HomeOrgID": lambda: self._rng.choice(orgs),
                "Locale": lambda: self._rng.choice(("en-GB", None)),
            }
        elif table == "orgs":
            choices = {
                "Plan": lambda: self._rng.choice(("BASIC", "PRO", "ENTERPRISE")),
                "MaxUsers": lambda: self._rng.randint(10, 900),
                "AccountNumber": self._account,
                "BillingEmail": lambda: self.email("orgs.BillingEmail", "accounts", str(row["ID"])),
            }
        else:
            choices = {
                "Name": lambda: f"{self._rng.choice(TEAMS)} {row['ID']}",
                "Description": lambda: self._rng.choice(("overflow", "pilot", None)),
                "Extension": lambda: str(self._rng.randint(2000, 9999)),
            }
        named = self._rng.sample(sorted(choices), self._rng.randint(1, 3))
        return {**row, **{name: choices[name]() for name in named}, "UpdatedAt": stamp(at)}

    def email(self, column: str, first: str, last: str) -> str:
        """An address whose local part is a canary."""
        local = f"{first}.{last}.{self._letters(6)}".lower()
        return f"{self._canaries.plant(local, column)}@{self._rng.choice(('corp', 'mail', 'post'))}.example"

    def phone(self) -> str:
        """A number of the range kept for fiction, made long enough to be nobody's."""
        return self._canaries.plant(f"+1202555{self._digits(7)}", "users.Phone")

    def password_hash(self) -> str:
        """In the form of bcrypt."""
        return self._canaries.plant("$2b$12$" + self._letters(53), "users.PasswordHash")

    def pin(self) -> str:
        """With a dash, so that no id or count is ever taken for it."""
        return self._canaries.plant(f"{self._digits(4)}-{self._digits(4)}", "users.PIN")

    def ssn(self) -> str:
        """In a range that is never issued."""
        return self._canaries.plant(f"9{self._digits(2)}-{self._digits(2)}-{self._digits(4)}", "users.SSN")

    def _account(self) -> str:
        return self._canaries.plant(f"ACC-{self._digits(5)}-{self._digits(5)}", "orgs.AccountNumber")

    def _secret(self, column: str, alphabet: str, length: int) -> str:
        return self._canaries.plant("".join(self._rng.choices(alphabet, k=length)), column)

    def _letters(self, length: int) -> str:
        return "".join(self._rng.choices(_LETTERS, k=length))

    def _digits(self, length: int) -> str:
        return "".join(self._rng.choices("0123456789", k=length))


def stamp(at: datetime) -> str:
    """A timestamp as DMS writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


def canaries_of(row: Row, canaries: Canaries) -> tuple[str, ...]:
    """The planted values of a row."""
    texts = (value.partition("@")[0] for value in row.values() if isinstance(value, str))
    return tuple(text for text in texts if text in canaries.columns)


def owner_of(table: str, row: Row) -> tuple[Any, Any]:
    """(organisation, user) of a row of a table whose rows name both themselves."""
    match table:
        case "users":
            return row["HomeOrgID"], row["ID"]
        case "orgs":
            return row["ID"], None
        case _:
            return row["OrgID"], None
