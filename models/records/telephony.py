"""Telephony: numbers of the pool, channels that messages come by, and the profiles that configure both."""

from datetime import datetime
from decimal import Decimal

from pydantic import Field

from models.records.enrichment import ChannelsEnrichment, PoolEnrichment, ProfilesEnrichment
from models.records.row import JsonText, Row, columns_of
from models.tables import Redaction, RedactionAction, TableSpec


class ProfilesRecord(Row):
    """A setting of the whole system, of an organisation, a group or a user, as its scope says."""

    id: int = Field(alias="ID")
    scope_type: str = Field(alias="ScopeType")
    scope_id: int | None = Field(None, alias="ScopeID")
    name: str = Field(alias="Name")
    profile_key: str = Field(alias="ProfileKey")
    value: JsonText | None = Field(None, alias="Value")
    version: int | None = Field(None, alias="Version")


PROFILES = TableSpec(
    name="profiles",
    table="profiles",
    entity="profile",
    key=("ID",),
    columns=columns_of(ProfilesRecord),
    required=frozenset({"ScopeType"}),
    owner=ProfilesEnrichment.rule(),
)


class ChannelsRecord(Row):
    """An address that messages come by; it belongs to a user or to a group."""

    id: int = Field(alias="ID")
    type: str = Field(alias="Type")
    address: str = Field(alias="Address")
    carrier: str | None = Field(None, alias="Carrier")
    channel_group_id: int | None = Field(None, alias="ChannelGroupID")
    owner_type: str | None = Field(None, alias="OwnerType")
    owner_id: int | None = Field(None, alias="OwnerID")
    name: str | None = Field(None, alias="Name")
    status: str = Field(alias="Status")
    config: JsonText | None = Field(None, alias="Config")
    secret: str | None = Field(None, alias="Secret")


CHANNELS = TableSpec(
    name="channels",
    table="channels",
    entity="channel",
    key=("ID",),
    columns=columns_of(ChannelsRecord),
    owner=ChannelsEnrichment.rule(),
    redact={
        "Address": Redaction(RedactionAction.PARTIAL_MASK),
        "Config": Redaction(RedactionAction.REMOVE),
        "Secret": Redaction(RedactionAction.REMOVE),
    },
)


class PoolRecord(Row):
    """A telephone number, and who has it at the moment."""

    id: int = Field(alias="ID")
    number: str = Field(alias="Number")
    org_id: int | None = Field(None, alias="OrgID")
    user_id: int | None = Field(None, alias="UserID")
    country: str | None = Field(None, alias="Country")
    number_type: str | None = Field(None, alias="NumberType")
    status: str = Field(alias="Status")
    provider: str | None = Field(None, alias="Provider")
    billing_plan: str | None = Field(None, alias="BillingPlan")
    monthly_cost: Decimal | None = Field(None, alias="MonthlyCost")
    setup_cost: Decimal | None = Field(None, alias="SetupCost")
    currency: str | None = Field(None, alias="Currency")
    billed_from: datetime | None = Field(None, alias="BilledFrom")
    assigned_at: datetime | None = Field(None, alias="AssignedAt")
    released_at: datetime | None = Field(None, alias="ReleasedAt")


POOL = TableSpec(
    name="pool",
    table="pool",
    entity="pool",
    key=("ID",),
    columns=columns_of(PoolRecord),
    owner=PoolEnrichment.rule(),
    redact={"Number": Redaction(RedactionAction.PARTIAL_MASK, style="phone")},
)
