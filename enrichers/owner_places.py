"""The owner search of `enrichers.owner` for rows that are tuples: what a new row decides by itself, mostly all.

Everything else (a column the row lacks, a lookup without an entry) is left to `find_owner`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET

from enrichers.state import LookupEntry, State
from models.catalogue import Catalogue
from models.enrichment import Enrichment
from models.routing import key_text
from models.sources.plain_objects import Values
from models.tables import FromColumn, OwnerCase, TableSpec

UNDECIDED: Final = object()
_ABSENT: Final = UNSET
_Enrichment: Final = Enrichment
_SURE: Final = frozenset({int, str})
"""Types of what is an id as it stands there."""


class OwnerPlaces:
    """The owner rule of one table, for rows with these columns."""

    def __init__(self, spec: TableSpec, columns: Sequence[str], catalogue: Catalogue) -> None:
        places = {name: place for place, name in enumerate(columns)}
        rule = spec.owner
        self._org = tuple(_Case(case, places, catalogue) for case in (rule.org if rule is not None else ()))
        self._user = tuple(_Case(case, places, catalogue) for case in (rule.user if rule is not None else ()))
        self._plain = _plain(self._org, self._user)

    def find(self, row: Values, state: State, schema: str, committed_ms: int) -> Enrichment | None:
        """The owner, if the row names it, or a lookup that knows it. None: search on."""
        if self._plain is not None:
            org, user = row[self._plain[0]], row[self._plain[1]]
            if type(org) in _SURE and type(user) in _SURE and org != "" and user != "":
                return _Enrichment(key_text(org), key_text(user))
        entries: dict[tuple[str, int], LookupEntry | None] = {}
        org = _decided(self._org, row, state, schema, entries)
        user = _decided(self._user, row, state, schema, entries)
        if org is UNDECIDED or user is UNDECIDED:
            return None
        if type(org) is not tuple and type(user) is not tuple:
            return _Enrichment(org, user)
        stale = False
        leads_table = type(org if self._org else user) is tuple
        if type(org) is tuple:
            org, since_ms = org
            stale = since_ms > committed_ms
        if type(user) is tuple:
            user, since_ms = user
            stale = stale or since_ms > committed_ms
        return _Enrichment(org, user, "table" if leads_table else "record", stale)


class _Case:
    """One case of a rule, its columns as places; None: no row has it."""

    __slots__ = ("lookup", "place", "provider", "takes_org", "when")

    def __init__(self, case: OwnerCase, places: Mapping[str, int], catalogue: Catalogue) -> None:
        self.when = tuple((places.get(name), wanted) for name, wanted in case.when.items())
        self.lookup: str | None = None
        self.takes_org = True
        if isinstance(case, FromColumn):
            self.place = places.get(case.column)
            return
        self.place = places.get(case.by)
        self.lookup = case.lookup
        self.provider = catalogue.lookup_provider(case.lookup)
        self.takes_org = case.take == "org"


def _plain(org: tuple[_Case, ...], user: tuple[_Case, ...]) -> tuple[int, int] | None:
    """The two places of a rule that is nothing but two columns."""
    if len(org) != 1 or len(user) != 1 or org[0].when or user[0].when or org[0].lookup or user[0].lookup:
        return None
    if org[0].place is None or user[0].place is None:
        return None
    return org[0].place, user[0].place


def _decided(
    cases: tuple[_Case, ...], row: Values, state: State, schema: str, entries: dict[tuple[str, int], LookupEntry | None]
) -> Any:
    """As `owner.first_match`: an id (text), None (every case is decided and gives none) or UNDECIDED; a lookup's id
    with the time since when it is that: (id, since_ms). `entries`: what this row found by its columns already, since
    organisation and user mostly stand in one entry."""
    for case in cases:
        for place, wanted in case.when:
            value = _ABSENT if place is None else row[place]
            if value is _ABSENT:
                return UNDECIDED
            if value is None or key_text(value) != wanted:
                break
        else:
            at = case.place
            value = _ABSENT if at is None else row[at]
            if at is None or value is _ABSENT:
                return UNDECIDED
            if value is None or value == "":
                continue
            if case.lookup is None:
                return key_text(value)
            found = case.lookup, at
            if found not in entries:
                provider = case.provider
                key = provider.row_key(state.pinned_schema(provider.name) or schema, (value,))
                entries[found] = state.lookup(case.lookup, key)
            entry = entries[found]
            if entry is None:
                return UNDECIDED
            return entry.org_id if case.takes_org else entry.user_id, entry.since_ms
    return None
