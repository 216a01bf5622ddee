"""Rows of users, organisations, groups, and of what users may do."""

from datetime import datetime
from typing import Any

from sandbox.generator.invented import ZONES, Invented
from sandbox.generator.population import Owner, Population, Table
from sandbox.generator.wire import Row, stamp

FIRMS = (
    "Acme Telecom", "Blue Harbor", "Cobalt Care", "Delta Freight", "Evergreen Energy", "Fjord Bank", "Granite Labs",
)  # fmt: skip
TEAMS = ("Support", "Sales", "Billing", "Night shift", "Onboarding", "Returns", "VIP desk", "Collections")
ROLES = ("AGENT", "SUPERVISOR", "ADMIN")
PLANS = ("BASIC", "PRO", "ENTERPRISE")


def _new_user(make: Invented, people: Population, number: int, at: datetime) -> Row:
    first, last = make.name()
    return {
        "ID": number, "HomeOrgID": people.org(), "UserName": f"{first[0].lower()}{last.lower()}{number}",
        "FirstName": first, "LastName": last, "DisplayName": f"{first} {last}",
        "Email": make.email("users.Email", first, last), "Phone": make.phone("users.Phone"),
        "Extension": str(make.whole(100, 999)), "PasswordHash": _password_hash(make),
        # With dashes, so that no id or count is ever taken for one; the SSN's range is never issued.
        "PIN": make.planted("users.PIN", f"{make.digits(4)}-{make.digits(4)}"),
        "SSN": make.planted("users.SSN", f"9{make.digits(2)}-{make.digits(2)}-{make.digits(4)}"),
        "Status": "ACTIVE", "Role": make.one_of(*ROLES), "Locale": make.one_of("en-US", "pt-PT", "de-DE", None),
        "TimeZone": make.one_of(*ZONES), "MFAEnabled": make.chance(0.5), "LastLoginAt": None,
        # A column nobody declared: masked, because the table has redacted columns.
        "RecoveryCode": make.secret("users.RecoveryCode"), "CreatedAt": stamp(at), "UpdatedAt": stamp(at),
    }  # fmt: skip


def _user_change(make: Invented, people: Population, row: Row, at: datetime) -> Row:
    choices: dict[str, Any] = {
        "Email": lambda: make.email("users.Email", row["FirstName"], row["LastName"]),
        "Phone": lambda: make.phone("users.Phone"),
        "PasswordHash": lambda: _password_hash(make),
        "Status": lambda: make.one_of("ACTIVE", "SUSPENDED", "INVITED"),
        "Role": lambda: make.one_of(*ROLES),
        "TimeZone": lambda: make.one_of(*ZONES),
        "LastLoginAt": lambda: stamp(at),
        "HomeOrgID": people.org,
        "Locale": lambda: make.one_of("en-GB", None),
    }
    if people.is_settled("users", row["ID"]):
        del choices["HomeOrgID"]
    return make.some(choices)


def _password_hash(make: Invented) -> str:
    """In the form of bcrypt."""
    return make.planted("users.PasswordHash", "$2b$12$" + make.letters(53))


def _user_owner(_: Population, row: Row) -> Owner:
    return row["HomeOrgID"], row["ID"]


def _new_org(make: Invented, _: Population, number: int, at: datetime) -> Row:
    name = f"{make.one_of(*FIRMS)} {number}"
    return {
        "ID": number, "Name": name, "ParentOrgID": None, "Domain": f"{name.lower().replace(' ', '-')}.example",
        "AccountNumber": _account(make), "Status": "ACTIVE", "Plan": make.one_of(*PLANS),
        "BillingEmail": make.email("orgs.BillingEmail", "billing", str(number)), "TimeZone": make.one_of(*ZONES),
        "MaxUsers": make.one_of(25, 100, 500), "CreatedAt": stamp(at),
    }  # fmt: skip


def _org_change(make: Invented, _: Population, row: Row, _at: datetime) -> Row:
    return make.some({
        "Plan": lambda: make.one_of(*PLANS),
        "MaxUsers": lambda: make.whole(10, 900),
        "AccountNumber": lambda: _account(make),
        "BillingEmail": lambda: make.email("orgs.BillingEmail", "accounts", str(row["ID"])),
    })  # fmt: skip


def _account(make: Invented) -> str:
    return make.planted("orgs.AccountNumber", f"ACC-{make.digits(5)}-{make.digits(5)}")


def _new_group(make: Invented, people: Population, number: int, at: datetime) -> Row:
    return {
        "ID": number, "OrgID": people.org(), "Name": f"{make.one_of(*TEAMS)} {number}",
        "Type": make.one_of("QUEUE", "TEAM", "HUNT_GROUP"),
        "Description": make.one_of("first line", "second line", "weekends only", None), "OwnerUserID": None,
        "Extension": str(make.whole(2000, 9999)), "CreatedAt": stamp(at),
    }  # fmt: skip


def _group_change(make: Invented, _: Population, row: Row, _at: datetime) -> Row:
    return make.some({
        "Name": lambda: f"{make.one_of(*TEAMS)} {row['ID']}",
        "Description": lambda: make.one_of("overflow", "pilot", None),
        "Extension": lambda: str(make.whole(2000, 9999)),
    })  # fmt: skip


def _new_scope(make: Invented, people: Population, number: int, at: datetime) -> Row:
    user, org = people.user()
    return {
        "ID": number, "UserID": user, "OrgID": org, "Scope": make.one_of("reports:read", "queues:write", "billing"),
        "GrantedBy": people.user()[0], "ExpiresAt": None, "CreatedAt": stamp(at),
    }  # fmt: skip


def org_and_user(_: Population, row: Row) -> Owner:
    """Owner of rows that name both."""
    return row["OrgID"], row["UserID"]


def org_alone(_: Population, row: Row) -> Owner:
    """Owner of rows that belong to no user."""
    return row["OrgID"], None


TABLES = (
    Table("users", _new_user, _user_owner, _user_change),
    Table("orgs", _new_org, lambda _, row: (row["ID"], None), _org_change),
    Table("groups", _new_group, org_alone, _group_change),
    Table("user_scopes", _new_scope, org_and_user),
)
