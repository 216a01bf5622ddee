"""Call center: agents, queues, calls, and the append-only logs of availability and of group membership."""

from datetime import datetime

from pydantic import Field

from models.records.enrichment import (
    AvailabilityLogEnrichment,
    CallCenterAgentEnrichment,
    CallCenterQueueEnrichment,
    CallStatusEnrichment,
    GroupMapsLogEnrichment,
)
from models.records.row import Row, columns_of
from models.tables import Redaction, RedactionAction, TableSpec


class AvailabilityLogRecord(Row):
    """A user was available, or not, for a while."""

    id: int = Field(alias="ID")
    org_id: int = Field(alias="OrgID")
    user_id: int = Field(alias="UserID")
    status: str = Field(alias="Status")
    previous_status: str | None = Field(None, alias="PreviousStatus")
    reason: str | None = Field(None, alias="Reason")
    started_at: datetime = Field(alias="StartedAt")
    ended_at: datetime | None = Field(None, alias="EndedAt")
    duration_sec: int | None = Field(None, alias="DurationSec")


AVAILABILITY_LOG = TableSpec(
    name="availability_log",
    table="availability_log",
    entity="availability",
    key=("ID",),
    columns=columns_of(AvailabilityLogRecord),
    required=frozenset({"OrgID", "UserID"}),
    owner=AvailabilityLogEnrichment.rule(),
    memory=False,
)


class GroupMapsLogRecord(Row):
    """A user joined or left a group. The organisation is known only through the group."""

    id: int = Field(alias="ID")
    group_id: int = Field(alias="GroupID")
    user_id: int | None = Field(None, alias="UserID")
    action: str = Field(alias="Action")
    actor_user_id: int | None = Field(None, alias="ActorUserID")
    occurred_at: datetime = Field(alias="OccurredAt")


GROUP_MAPS_LOG = TableSpec(
    name="group_maps_log",
    table="group_maps_log",
    entity="group_map",
    key=("ID",),
    columns=columns_of(GroupMapsLogRecord),
    required=frozenset({"GroupID"}),
    owner=GroupMapsLogEnrichment.rule(),
    memory=False,
)


class CallCenterAgentRecord(Row):
    """Somebody who takes calls of a queue: a user of ours, somebody outside, or a shared device."""

    id: int = Field(alias="ID")
    org_id: int = Field(alias="OrgID")
    queue_id: int | None = Field(None, alias="QueueID")
    agent_type: str = Field(alias="AgentType")
    agent_ref: str = Field(alias="AgentRef")
    name: str | None = Field(None, alias="Name")
    status: str = Field(alias="Status")
    state: str | None = Field(None, alias="State")
    skill: int | None = Field(None, alias="Skill")
    penalty: int | None = Field(None, alias="Penalty")
    wrap_up_sec: int | None = Field(None, alias="WrapUpSec")
    last_call_at: datetime | None = Field(None, alias="LastCallAt")


CALL_CENTER_AGENTS = TableSpec(
    name="call_center_agents",
    table="call_center_agents",
    entity="call_center_agent",
    key=("ID",),
    columns=columns_of(CallCenterAgentRecord),
    required=frozenset({"AgentType", "OrgID"}),
    owner=CallCenterAgentEnrichment.rule(),
    # Of a user it is the id; of anybody else a telephone number or an address.
    redact={"AgentRef": Redaction(RedactionAction.PARTIAL_MASK, unless={"AgentType": ("USER",)})},
)


class CallCenterQueueRecord(Row):
    """Callers wait in it. It belongs to an organisation, and to no user."""

    id: int = Field(alias="ID")
    org_id: int = Field(alias="OrgID")
    name: str = Field(alias="Name")
    strategy: str | None = Field(None, alias="Strategy")
    max_wait_sec: int | None = Field(None, alias="MaxWaitSec")
    max_callers: int | None = Field(None, alias="MaxCallers")
    callback_enabled: bool = Field(alias="CallbackEnabled")
    callback_number: str | None = Field(None, alias="CallbackNumber")
    callback_timeout_sec: int | None = Field(None, alias="CallbackTimeoutSec")
    callback_max_tries: int | None = Field(None, alias="CallbackMaxTries")
    status: str | None = Field(None, alias="Status")


CALL_CENTER_QUEUES = TableSpec(
    name="call_center_queues",
    table="call_center_queues",
    entity="call_center_queue",
    key=("ID",),
    columns=columns_of(CallCenterQueueRecord),
    required=frozenset({"OrgID"}),
    owner=CallCenterQueueEnrichment.rule(),
    redact={"CallbackNumber": Redaction(RedactionAction.PARTIAL_MASK, style="phone")},
)


class CallStatusRecord(Row):
    """A call, from its first ring to its end. Its key is the call's own id."""

    call_id: str = Field(alias="CallID")
    org_id: int = Field(alias="OrgID")
    user_id: int | None = Field(None, alias="UserID")
    sip_call_id: str | None = Field(None, alias="SIPCallID")
    from_uri: str | None = Field(None, alias="FromURI")
    to_uri: str | None = Field(None, alias="ToURI")
    from_tag: str | None = Field(None, alias="FromTag")
    to_tag: str | None = Field(None, alias="ToTag")
    direction: str = Field(alias="Direction")
    state: str = Field(alias="State")
    caller_number: str | None = Field(None, alias="CallerNumber")
    callee_number: str | None = Field(None, alias="CalleeNumber")
    queue_id: int | None = Field(None, alias="QueueID")
    agent_id: int | None = Field(None, alias="AgentID")
    sip_status: int | None = Field(None, alias="SIPStatus")
    codec: str | None = Field(None, alias="Codec")
    started_at: datetime = Field(alias="StartedAt")
    answered_at: datetime | None = Field(None, alias="AnsweredAt")
    ended_at: datetime | None = Field(None, alias="EndedAt")


CALL_STATUS = TableSpec(
    name="call_status",
    table="call_status",
    entity="call_status",
    key=("CallID",),
    columns=columns_of(CallStatusRecord),
    required=frozenset({"OrgID"}),
    owner=CallStatusEnrichment.rule(),
    redact={
        "FromURI": Redaction(RedactionAction.PARTIAL_MASK),
        "ToURI": Redaction(RedactionAction.PARTIAL_MASK),
        "CallerNumber": Redaction(RedactionAction.PARTIAL_MASK, style="phone"),
        "CalleeNumber": Redaction(RedactionAction.PARTIAL_MASK, style="phone"),
    },
)
