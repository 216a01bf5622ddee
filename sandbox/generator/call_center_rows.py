"""Rows of the call center: calls from ring to end, queues, agents, and the two logs."""

from datetime import datetime
from typing import Any

from sandbox.generator.identity_rows import TEAMS, org_alone, org_and_user
from sandbox.generator.invented import Invented
from sandbox.generator.population import Owner, Population, Table
from sandbox.generator.wire import Row, stamp

STATUSES = ("AVAILABLE", "BUSY", "AWAY", "OFFLINE", "ON_CALL")


def _new_call(make: Invented, people: Population, number: int, at: datetime) -> Row:
    tag = f"{number}-{make.letters(8)}"
    return {
        "CallID": f"call-{tag}", "OrgID": people.org(), "UserID": None, "SIPCallID": f"sip-{tag}",
        "FromURI": make.sip("call_status.FromURI"), "ToURI": make.sip("call_status.ToURI"), "FromTag": make.letters(6),
        "ToTag": None, "Direction": make.one_of("INBOUND", "OUTBOUND"), "State": "RINGING",
        "CallerNumber": make.phone("call_status.CallerNumber"), "CalleeNumber": make.phone("call_status.CalleeNumber"),
        "QueueID": None, "AgentID": None, "SIPStatus": 180, "Codec": None, "StartedAt": stamp(at), "AnsweredAt": None,
        "EndedAt": None,
    }  # fmt: skip


def _call_change(make: Invented, people: Population, row: Row, at: datetime) -> Row:
    """Ringing, answered, ended; one in five rings out."""
    if row["State"] == "RINGING" and make.chance(0.8):
        return {
            "State": "ANSWERED", "UserID": people.user()[0], "SIPStatus": 200, "ToTag": make.letters(6),
            "Codec": make.one_of("opus", "PCMU"), "AnsweredAt": stamp(at),
        }  # fmt: skip
    return {"State": "ENDED", "SIPStatus": 487 if row["State"] == "RINGING" else 200, "EndedAt": stamp(at)}


def _new_queue(make: Invented, people: Population, number: int, at: datetime) -> Row:
    return {
        "ID": number, "OrgID": people.org(), "Name": f"{make.one_of(*TEAMS)} queue {number}",
        "Strategy": make.one_of("ring-all", "longest-idle", "round-robin"), "MaxWaitSec": make.whole(60, 900),
        "MaxCallers": make.whole(5, 80), "CallbackEnabled": True,
        "CallbackNumber": make.phone("call_center_queues.CallbackNumber"), "CallbackTimeoutSec": 120,
        "CallbackMaxTries": 3, "Status": "OPEN", "CreatedAt": stamp(at),
    }  # fmt: skip


def _queue_change(make: Invented, _: Population, _row: Row, _at: datetime) -> Row:
    return make.some({
        "MaxWaitSec": lambda: make.whole(60, 900),
        "Status": lambda: make.one_of("OPEN", "CLOSED"),
        "CallbackNumber": lambda: make.phone("call_center_queues.CallbackNumber"),
    })  # fmt: skip


def _new_agent(make: Invented, people: Population, number: int, at: datetime) -> Row:
    kind = make.one_of("USER", "EXTERNAL", "SHARED")
    user, org = people.user()
    # Of a user it is the id, which stays readable; of anybody else a number.
    ref = str(user) if kind == "USER" else make.phone("call_center_agents.AgentRef")
    return {
        "ID": number, "OrgID": org, "QueueID": None, "AgentType": kind, "AgentRef": ref, "Name": f"agent {number}",
        "Status": "AVAILABLE", "State": "WAITING", "Skill": make.whole(1, 9), "Penalty": 0, "WrapUpSec": 30,
        "LastCallAt": None, "CreatedAt": stamp(at),
    }  # fmt: skip


def _agent_change(make: Invented, _: Population, _row: Row, at: datetime) -> Row:
    return make.some({
        "Status": lambda: make.one_of(*STATUSES),
        "State": lambda: make.one_of("WAITING", "IN_CALL", "WRAP_UP"),
        "Skill": lambda: make.whole(1, 9),
        "LastCallAt": lambda: stamp(at),
    })  # fmt: skip


def _agent_owner(_: Population, row: Row) -> Owner:
    return row["OrgID"], row["AgentRef"] if row["AgentType"] == "USER" else None


def _new_availability(make: Invented, people: Population, number: int, at: datetime) -> Row:
    user, org = people.user()
    previous, status = make.rng.sample(STATUSES, 2)
    seconds = make.whole(5, 3600)
    return {
        "ID": number, "OrgID": org, "UserID": user, "Status": status, "PreviousStatus": previous,
        "Reason": make.one_of("lunch", "call", "training", None), "StartedAt": make.ago(at, seconds),
        "EndedAt": stamp(at), "DurationSec": seconds,
    }  # fmt: skip


def group_map(make: Invented, people: Population, number: int, group: int, at: datetime) -> Row:
    """A user joined or left this group; only the group knows the organisation."""
    return {
        "ID": number, "GroupID": group, "UserID": people.user()[0], "Action": make.one_of("JOINED", "LEFT"),
        "ActorUserID": None, "OccurredAt": stamp(at),
    }  # fmt: skip


def _new_group_map(make: Invented, people: Population, number: int, at: datetime) -> Row:
    return group_map(make, people, number, make.rng.choice(people.settled["groups"]), at)


def _group_map_owner(people: Population, row: Row) -> tuple[Any, Any]:
    return people.org_of("groups", row["GroupID"]), row["UserID"]


TABLES = (
    Table("call_status", _new_call, org_and_user, _call_change, lambda row: row["State"] != "ENDED", key="CallID"),
    Table("call_center_queues", _new_queue, org_alone, _queue_change),
    Table("call_center_agents", _new_agent, _agent_owner, _agent_change),
    Table("availability_log", _new_availability, org_and_user),
    Table("group_maps_log", _new_group_map, _group_map_owner),
)
