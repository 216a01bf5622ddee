"""Call center: append-only logs of availability and of group membership."""

from datetime import datetime

from pydantic import Field

from models.records.row import Row, columns_of
from models.tables import FromColumn, FromLookup, OwnerRule, TableSpec


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
    owner=OwnerRule(org=(FromColumn("OrgID"),), user=(FromColumn("UserID"),)),
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
    owner=OwnerRule(org=(FromLookup("groups", by="GroupID"),), user=(FromColumn("UserID"),)),
    memory=False,
)
