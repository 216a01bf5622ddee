"""Identity: users, organisations and groups, which feed the lookups that other tables read; and what users may do."""

from datetime import datetime

from pydantic import Field

from models.records.enrichment import UserScopesEnrichment, UsersEnrichment
from models.records.row import Row, columns_of
from models.tables import FromColumn, OwnerRule, Provides, Redaction, RedactionAction, TableSpec


class UsersRecord(Row):
    """A user account, owned by its home organisation."""

    id: int = Field(alias="ID")
    home_org_id: int = Field(alias="HomeOrgID")
    user_name: str = Field(alias="UserName")
    first_name: str | None = Field(None, alias="FirstName")
    last_name: str | None = Field(None, alias="LastName")
    display_name: str | None = Field(None, alias="DisplayName")
    email: str | None = Field(None, alias="Email")
    phone: str | None = Field(None, alias="Phone")
    extension: str | None = Field(None, alias="Extension")
    password_hash: str | None = Field(None, alias="PasswordHash")
    pin: str | None = Field(None, alias="PIN")
    ssn: str | None = Field(None, alias="SSN")
    status: str = Field(alias="Status")
    role: str | None = Field(None, alias="Role")
    locale: str | None = Field(None, alias="Locale")
    time_zone: str | None = Field(None, alias="TimeZone")
    mfa_enabled: bool | None = Field(None, alias="MFAEnabled")
    last_login_at: datetime | None = Field(None, alias="LastLoginAt")


USERS = TableSpec(
    name="users",
    table="users",
    entity="user",
    key=("ID",),
    columns=columns_of(UsersRecord),
    required=frozenset({"HomeOrgID"}),
    owner=UsersEnrichment.rule(),
    provides=(Provides("users", key="ID", org="HomeOrgID", user="ID"),),
    redact={
        "Email": Redaction(RedactionAction.PARTIAL_MASK, style="email"),
        "Phone": Redaction(RedactionAction.PARTIAL_MASK, style="phone"),
        "PasswordHash": Redaction(RedactionAction.REMOVE),
        "PIN": Redaction(RedactionAction.REMOVE),
        "SSN": Redaction(RedactionAction.REMOVE),
    },
)


class OrgsRecord(Row):
    """An organisation; it owns itself."""

    id: int = Field(alias="ID")
    name: str = Field(alias="Name")
    parent_org_id: int | None = Field(None, alias="ParentOrgID")
    domain: str | None = Field(None, alias="Domain")
    account_number: str | None = Field(None, alias="AccountNumber")
    status: str = Field(alias="Status")
    plan: str | None = Field(None, alias="Plan")
    billing_email: str | None = Field(None, alias="BillingEmail")
    time_zone: str | None = Field(None, alias="TimeZone")
    max_users: int | None = Field(None, alias="MaxUsers")


ORGS = TableSpec(
    name="orgs",
    table="orgs",
    entity="org",
    key=("ID",),
    columns=columns_of(OrgsRecord),
    owner=OwnerRule(org=(FromColumn("ID"),)),
    provides=(Provides("orgs", key="ID", org="ID"),),
    redact={
        "AccountNumber": Redaction(RedactionAction.TOKENIZE),
        "BillingEmail": Redaction(RedactionAction.PARTIAL_MASK, style="email"),
    },
)


class GroupsRecord(Row):
    """A group of users inside one organisation."""

    id: int = Field(alias="ID")
    org_id: int = Field(alias="OrgID")
    name: str = Field(alias="Name")
    type: str = Field(alias="Type")
    description: str | None = Field(None, alias="Description")
    owner_user_id: int | None = Field(None, alias="OwnerUserID")
    extension: str | None = Field(None, alias="Extension")


GROUPS = TableSpec(
    name="groups",
    table="groups",
    entity="group",
    key=("ID",),
    columns=columns_of(GroupsRecord),
    required=frozenset({"OrgID"}),
    owner=OwnerRule(org=(FromColumn("OrgID"),)),
    provides=(Provides("groups", key="ID", org="OrgID"),),
)


class UserScopesRecord(Row):
    """A user was given a right in an organisation."""

    id: int = Field(alias="ID")
    user_id: int = Field(alias="UserID")
    org_id: int = Field(alias="OrgID")
    scope: str = Field(alias="Scope")
    granted_by: int | None = Field(None, alias="GrantedBy")
    expires_at: datetime | None = Field(None, alias="ExpiresAt")


USER_SCOPES = TableSpec(
    name="user_scopes",
    table="user_scopes",
    entity="user_scope",
    key=("ID",),
    columns=columns_of(UserScopesRecord),
    required=frozenset({"OrgID", "UserID"}),
    owner=UserScopesEnrichment.rule(),
)
