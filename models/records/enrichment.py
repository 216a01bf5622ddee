"""How the owner of a built-in table's rows is found: one named rule per table that has one of its own."""

from abc import ABC, abstractmethod

from models.tables import FromColumn, FromLookup, OwnerRule


class RecordsEnrichment(ABC):
    """The owner rule of one table; `enrichers/owner.py` searches by it."""

    @staticmethod
    @abstractmethod
    def rule() -> OwnerRule:
        """Per id the cases, in the order they are tried."""


class UsersEnrichment(RecordsEnrichment):
    """Direct mapping: the home organisation, and the user is the row."""

    @staticmethod
    def rule() -> OwnerRule:
        """See RecordsEnrichment."""
        return OwnerRule(org=(FromColumn("HomeOrgID"),), user=(FromColumn("ID"),))


class _BothColumns(RecordsEnrichment):
    @staticmethod
    def rule() -> OwnerRule:
        """See RecordsEnrichment."""
        return OwnerRule(org=(FromColumn("OrgID"),), user=(FromColumn("UserID"),))


class UserScopesEnrichment(_BothColumns):
    """Direct extract: both ids stand in the row."""


class CallStatusEnrichment(_BothColumns):
    """Direct extract: both ids stand in the row, the user only if the call is somebody's."""


class AvailabilityLogEnrichment(_BothColumns):
    """Direct extract: both ids stand in the row."""


class PoolEnrichment(_BothColumns):
    """Direct extract: both ids stand in the row while the number is assigned."""


class GroupMapsLogEnrichment(RecordsEnrichment):
    """Lookup: the organisation is that of the group."""

    @staticmethod
    def rule() -> OwnerRule:
        """See RecordsEnrichment."""
        return OwnerRule(org=(FromLookup("groups", by="GroupID"),), user=(FromColumn("UserID"),))


class CallCenterAgentEnrichment(RecordsEnrichment):
    """Conditional: an agent that is a user is referred to by its id; nobody else is a user of ours."""

    @staticmethod
    def rule() -> OwnerRule:
        """See RecordsEnrichment."""
        return OwnerRule(org=(FromColumn("OrgID"),), user=(FromColumn("AgentRef", when={"AgentType": "USER"}),))


class CallCenterQueueEnrichment(RecordsEnrichment):
    """Partial: a queue belongs to an organisation, and to no user."""

    @staticmethod
    def rule() -> OwnerRule:
        """See RecordsEnrichment."""
        return OwnerRule(org=(FromColumn("OrgID"),))


class ProfilesEnrichment(RecordsEnrichment):
    """By scope: the organisation itself, or that of the user or of the group."""

    @staticmethod
    def rule() -> OwnerRule:
        """See RecordsEnrichment."""
        return OwnerRule(
            org=(
                FromColumn("ScopeID", when={"ScopeType": "ORG"}),
                FromLookup("users", by="ScopeID", when={"ScopeType": "USER"}),
                FromLookup("groups", by="ScopeID", when={"ScopeType": "GROUP"}),
            ),
            user=(FromColumn("ScopeID", when={"ScopeType": "USER"}),),
        )


class ChannelsEnrichment(RecordsEnrichment):
    """By owner: the organisation is that of the user or of the group."""

    @staticmethod
    def rule() -> OwnerRule:
        """See RecordsEnrichment."""
        return OwnerRule(
            org=(
                FromLookup("users", by="OwnerID", when={"OwnerType": "User"}),
                FromLookup("groups", by="OwnerID", when={"OwnerType": "Group"}),
            ),
            user=(FromColumn("OwnerID", when={"OwnerType": "User"}),),
        )
