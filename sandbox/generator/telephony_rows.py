"""Rows of profiles, channels and the number pool."""

import json
from datetime import datetime
from decimal import Decimal

from sandbox.generator.identity_rows import org_and_user
from sandbox.generator.invented import Invented
from sandbox.generator.population import Owner, Population, Table
from sandbox.generator.wire import Row, stamp

SCOPES = {"USER": "users", "GROUP": "groups"}
OWNERS = {"User": "users", "Group": "groups"}


def _new_profile(make: Invented, people: Population, number: int, at: datetime) -> Row:
    kind = make.one_of("GLOBAL", "ORG", *(kind for kind, table in SCOPES.items() if people.settled[table]))
    match kind:
        case "GLOBAL":
            scope = None
        case "ORG":
            scope = people.org()
        case _:
            scope = make.rng.choice(people.settled[SCOPES[kind]])
    return {
        "ID": number, "ScopeType": kind, "ScopeID": scope, "Name": f"profile {number}",
        "ProfileKey": make.one_of("ring.timeout", "voicemail.greeting", "recording.keep"), "Value": _setting(make),
        "Version": 1, "CreatedAt": stamp(at), "UpdatedAt": stamp(at),
    }  # fmt: skip


def _profile_change(make: Invented, _: Population, row: Row, at: datetime) -> Row:
    return {"Value": _setting(make), "Version": row["Version"] + 1, "UpdatedAt": stamp(at)}


def _setting(make: Invented) -> str:
    return json.dumps({"seconds": make.whole(5, 90), "enabled": make.chance(0.5)})


def _profile_owner(people: Population, row: Row) -> Owner:
    match row["ScopeType"]:
        case "USER":
            return people.org_of("users", row["ScopeID"]), row["ScopeID"]
        case "GROUP":
            return people.org_of("groups", row["ScopeID"]), None
        case _:
            return row["ScopeID"], None


def _new_channel(make: Invented, people: Population, number: int, at: datetime) -> Row:
    kinds = [kind for kind, table in OWNERS.items() if people.settled[table]]
    kind = make.rng.choice(kinds) if kinds else None
    return {
        "ID": number, "Type": make.one_of("SIP", "SMS", "EMAIL"), "Address": make.sip("channels.Address"),
        "Carrier": make.one_of("north", "south", None), "ChannelGroupID": None, "OwnerType": kind,
        "OwnerID": make.rng.choice(people.settled[OWNERS[kind]]) if kind else None, "Name": f"channel {number}",
        "Status": "ACTIVE", "Config": json.dumps({"token": make.secret("channels.Config", 20)}),
        "Secret": make.secret("channels.Secret", 24), "CreatedAt": stamp(at), "UpdatedAt": stamp(at),
    }  # fmt: skip


def _channel_change(make: Invented, _: Population, _row: Row, at: datetime) -> Row:
    return make.some({
        "Status": lambda: make.one_of("ACTIVE", "SUSPENDED"),
        "Secret": lambda: make.secret("channels.Secret", 24),
        "Address": lambda: make.sip("channels.Address"),
        "Config": lambda: json.dumps({"token": make.secret("channels.Config", 20)}),
    }) | {"UpdatedAt": stamp(at)}  # fmt: skip


def _channel_owner(people: Population, row: Row) -> Owner:
    kind = row["OwnerType"]
    if kind is None:
        return None, None
    return people.org_of(OWNERS[kind], row["OwnerID"]), row["OwnerID"] if kind == "User" else None


def _new_number(make: Invented, _: Population, number: int, at: datetime) -> Row:
    return {
        "ID": number, "Number": make.phone("pool.Number"), "OrgID": None, "UserID": None, "Country": "US",
        "NumberType": make.one_of("LOCAL", "TOLL_FREE"), "Status": "FREE", "Provider": make.one_of("north", "south"),
        "BillingPlan": None, "MonthlyCost": Decimal(make.whole(100, 999)).scaleb(-2), "SetupCost": Decimal("0.00"),
        "Currency": "USD", "BilledFrom": None, "AssignedAt": None, "ReleasedAt": None, "CreatedAt": stamp(at),
    }  # fmt: skip


def _number_change(make: Invented, people: Population, row: Row, at: datetime) -> Row:
    """A free number is assigned, an assigned one goes back into the pool."""
    if row["OrgID"] is not None:
        return {"OrgID": None, "UserID": None, "Status": "FREE", "ReleasedAt": stamp(at)}
    user, org = people.user()
    return {
        "OrgID": org, "UserID": user if make.chance(0.7) else None, "Status": "ASSIGNED", "AssignedAt": stamp(at),
        "BilledFrom": stamp(at), "ReleasedAt": None,
    }  # fmt: skip


TABLES = (
    # What the whole system has belongs to nobody: a delete with the key alone would look like one with a lost owner.
    Table("profiles", _new_profile, _profile_owner, _profile_change, goes=lambda row: row["ScopeType"] != "GLOBAL"),
    Table("channels", _new_channel, _channel_owner, _channel_change, goes=lambda row: row["OwnerType"] is not None),
    Table("pool", _new_number, org_and_user, _number_change, goes=lambda _: False),
)
