"""Find the owner (orgId, userId) of a change. An owner is found or missing, never guessed.

Order: record, before image, memory of the row, lookup table, database. Where a new or changed row itself names the row
to look up, the lookup decides and memory is not asked: the reference may just have changed, and memory would then
answer with the former owner (docs/decisions/0012). What the database says is of now, not of the change: `stale` (0031).
"""

from collections.abc import Mapping
from typing import Any, Final, assert_never

import msgspec

from enrichers.state import Answer, LookupEntry, RowMemory, State
from models.catalogue import Catalogue
from models.change import Change, Operation, Row
from models.enrichment import Enrichment, OwnerSource
from models.outcome import Miss
from models.routing import key_text
from models.tables import FromColumn, FromLookup, OwnerCase, TableSpec

ABSENT: Final = object()


class Named(msgspec.Struct, frozen=True, gc=False):
    """A rule names a row of a lookup."""

    case: FromLookup
    value: Any


class Found(msgspec.Struct, frozen=True, gc=False):
    """An id, or the certainty that there is none (`value` None)."""

    value: str | None
    source: OwnerSource
    stale: bool = False


class Nowhere(msgspec.Struct, frozen=True, gc=False):
    """No place knows the id; `miss` says which lookup may learn it."""

    miss: Miss | None = None


def find_owner(
    change: Change,
    spec: TableSpec,
    catalogue: Catalogue,
    state: State,
    memory: RowMemory | None,
    *,
    patient: bool,
    ask: bool,
) -> Enrichment | Miss:
    """The owner by the table's rule, or the lookup the database has to be asked for (only if `ask`), or to wait for
    (only if `patient`). `source` is that of the organisation, of the user if the rule has no organisation; `missing`
    where nothing knows it."""
    rule = spec.owner
    if rule is None:
        return Enrichment()
    search = Search(change, spec, catalogue, state, ask=ask)
    org = search.id_of(rule.org, memory.org_id if memory else None)
    user = search.id_of(rule.user, memory.user_id if memory else None)
    misses = [result.miss for result in (org, user) if isinstance(result, Nowhere) and result.miss is not None]
    for miss in misses:
        if miss.unasked:
            return miss
    if patient:
        for miss in misses:
            if miss.wait_seconds > 0:
                return miss
    return _combined(org, user, has_org=bool(rule.org), has_user=bool(rule.user))


def _combined(org: Found | Nowhere, user: Found | Nowhere, *, has_org: bool, has_user: bool) -> Enrichment:
    leading = org if has_org else user
    org_id = org.value if isinstance(org, Found) and has_org else None
    user_id = user.value if isinstance(user, Found) and has_user else None
    match leading:
        case Found(source=source):
            stale = any(isinstance(result, Found) and result.stale for result in (org, user))
            return Enrichment(org_id, user_id, source, stale)
        case Nowhere():
            return Enrichment(org_id, user_id, "missing")
        case _:
            assert_never(leading)


class Search:
    """The search for the owner of one change."""

    def __init__(self, change: Change, spec: TableSpec, catalogue: Catalogue, state: State, *, ask: bool) -> None:
        self.change = change
        self.spec = spec
        self.catalogue = catalogue
        self.state = state
        self.ask = ask

    def heard(self, place: str, found: object, cases: tuple[OwnerCase, ...], image: Row) -> None:
        """What an image said of an id, for who explains the search (`enrichers.explain`)."""

    def id_of(self, cases: tuple[OwnerCase, ...], remembered: str | None) -> Found | Nowhere:
        """The id, or that no place knows it. `remembered`: what the memory of the row holds."""
        change = self.change
        if not cases:
            return Found(None, "record")
        found: object = ABSENT
        if change.after is not None:
            found = first_match(cases, change.after)
            self.heard("record", found, cases, change.after)
            if isinstance(found, str):
                return Found(found, "record")
            if found is None:
                return Found(None, "record")  # every case is decided, and none gives an id
        image = {**(change.before or {}), **(change.after or {})}
        if found is ABSENT and change.before:
            found = first_match(cases, image)
            self.heard("before", found, cases, image)
            if isinstance(found, str):
                return Found(found, "before")
        if remembered is not None and (not isinstance(found, Named) or change.operation is Operation.DELETE):
            return Found(remembered, "memory")
        if not isinstance(found, Named):  # DMS leaves null columns out by default: the next case may still decide
            found = first_match(cases, image, absent_is_null=True)
            self.heard("absent columns as null", found, cases, image)
            if isinstance(found, str):
                return Found(found, "record")
        return self.look_up(found) if isinstance(found, Named) else Nowhere()

    def look_up(self, named: Named) -> Found | Nowhere:
        """What the lookup holds of the row that was named, or a place behind it."""
        provider = self.catalogue.lookup_provider(named.case.lookup)
        schema = self.state.pinned_schema(provider.name) or self.change.schema
        entry = self.state.lookup(named.case.lookup, provider.row_key(schema, (named.value,)))
        if entry is None:
            return self.look_further(named, schema)
        return Found(_taken(entry, named), "table", stale=entry.since_ms > self.change.committed_ms)

    def look_further(self, named: Named, schema: str) -> Found | Nowhere:
        """What the database says of it."""
        key, policy = key_text(named.value), self.spec.missing_owner
        said = self.state.database(named.case.lookup, schema, key) if self.ask else Answer.NO_DATABASE
        if isinstance(said, LookupEntry):
            return Found(_taken(said, named), "database", stale=True)
        # P7: an outage never makes a dead letter, whatever else it may be allowed to do.
        unasked = said is Answer.UNASKED or (said is Answer.AWAY and policy.then == "dead")
        return Nowhere(Miss(named.case.lookup, key, policy.wait_seconds, unasked))


def _taken(entry: LookupEntry, named: Named) -> str | None:
    return entry.org_id if named.case.take == "org" else entry.user_id


def first_match(cases: tuple[OwnerCase, ...], row: Mapping[str, Any], *, absent_is_null: bool = False) -> object:
    """The first case that gives an id (str) or names a row to look up (Named). ABSENT: it depends on a column this
    row lacks. None: every case is decided and gives nothing."""
    missing = None if absent_is_null else ABSENT
    for case in cases:
        if case.when:
            applies = _applies(case.when, row)
            if applies is None and not absent_is_null:
                return ABSENT
            if not applies:
                continue
        value = row.get(case.column if isinstance(case, FromColumn) else case.by, missing)
        if value is ABSENT:
            return ABSENT
        if value is None or value == "" or isinstance(value, list | dict):
            continue
        match case:
            case FromColumn():
                return key_text(value)
            case FromLookup():
                return Named(case, value)
            case _:
                assert_never(case)
    return None


def _applies(when: Mapping[str, str], row: Mapping[str, Any]) -> bool | None:
    for column, wanted in when.items():
        value = row.get(column, ABSENT)
        if value is ABSENT:
            return None
        if value is None or isinstance(value, list | dict) or key_text(value) != wanted:
            return False
    return True
