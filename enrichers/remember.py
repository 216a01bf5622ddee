"""Remember: what later records need of this one. Lookups first of all, also from records that are not published."""

from typing import Final

from msgspec.structs import replace

from enrichers.state import REMEMBERED_CHANGES, Effect, LookupEntry, Memorize, Note, Pin, Remember, RowMemory, State
from models.change import Change, Operation
from models.enrichment import Enrichment
from models.routing import key_text
from models.tables import Provides, TableSpec

REFRESH_MS: Final = 24 * 3_600_000
"""An unchanged memory is written again after a day, so that its age tells when the row last changed."""
_NOTHING: Final = RowMemory()
_Memorize: Final = Memorize
_RowMemory: Final = RowMemory


def pin(change_schema: str, spec: TableSpec, state: State) -> tuple[Effect, ...]:
    """Bind a spec without schema to the first schema that is seen."""
    if spec.schema is None and state.pinned_schema(spec.name) is None:
        return (Pin(spec.name, change_schema),)
    return ()


def is_outdated(change: Change, known: RowMemory | None, digest: str) -> bool:
    """Of a change that comes again: whether a later one of its row may have been here (docs/decisions/0039). Where the
    source does not name its changes, a memory may be a day older than it says."""
    if known is None:
        return False
    if known.changes and known.changes[-1] == digest:
        return False  # it is the last one itself
    latest = known.updated_ms if change.identity is not None else known.updated_ms + REFRESH_MS
    return change.committed_ms <= latest


def lookups(
    change: Change, spec: TableSpec, row: bytes, state: State, *, replay: bool, outdated: bool = False
) -> tuple[Effect, ...]:
    """Entries this table provides for others. A change that is old, by replay or because its source has no order, never
    overwrites what is newer; nor does a replay what nobody can date, where rows are not remembered."""
    if outdated:
        return ()
    effects: list[Effect] = []
    for rule in spec.provides:
        known = state.lookup(rule.lookup, row)
        if (replay or change.order is not None) and known is not None and known.since_ms > change.committed_ms:
            continue
        if replay and known is not None and not spec.memory:
            continue
        if change.operation is Operation.DELETE:
            effects.append(Remember(rule.lookup, row, None))
            continue
        entry = _entry(change, rule, known or _before_the_key_changed(change, spec, rule, state))
        if known is None or (entry.org_id, entry.user_id) != (known.org_id, known.user_id):
            effects.append(Remember(rule.lookup, row, entry))
    return tuple(effects)


def memorize(
    change: Change, owner: Enrichment, row: bytes, known: RowMemory | None, digest: str, *, outdated: bool = False,
    provides: bool = False,
) -> tuple[Effect, ...]:  # fmt: skip
    """The memory of the row after this change: its last owner and, if the source names changes, their ids. A deleted
    row is forgotten, but where an older change may still come and do harm: its place in the order stays
    (docs/decisions/0028), and its time if others look it up (docs/decisions/0039). `outdated`: of a replay."""
    deleted = change.operation is Operation.DELETE
    if deleted and change.order is None and not provides and not outdated:
        return (Memorize(row, None),)
    named = None if change.identity is None else digest
    if change.order is None and not deleted and not outdated:
        return memorize_in_turn(owner, row, known, named, change.committed_ms)
    before = known or _NOTHING
    late = is_late(change, before)
    found = owner.source != "missing"
    memory = RowMemory(
        org_id=None if deleted else owner.org_id if found else before.org_id,
        user_id=None if deleted else owner.user_id if found else before.user_id,
        changes=_changes(before.changes, named),
        updated_ms=max(change.committed_ms, before.updated_ms),
        order=before.order if change.order is None or late else change.order,
    )
    return _memorized(row, known, memory, old=outdated or late or before.updated_ms > change.committed_ms)


def memorize_in_turn(
    owner: Enrichment, row: bytes, known: RowMemory | None, named: str | None, committed_ms: int
) -> tuple[Effect, ...]:
    """The same for a row that is there, of a source that delivers its changes in order. `named`: the change's digest,
    if the source names changes."""
    before = known or _NOTHING
    found = owner.source != "missing"
    latest, former = before.updated_ms, before.changes
    old = latest > committed_ms
    changes = _changes(former, named)
    memory = _RowMemory(
        org_id=owner.org_id if found else before.org_id,
        user_id=owner.user_id if found else before.user_id,
        changes=changes,
        updated_ms=latest if old else committed_ms,
        order=before.order,
    )
    if not old and changes is not former:  # a new change is news
        return (_Memorize(row, memory),)
    return _memorized(row, known, memory, old=old)


def _changes(changes: tuple[str, ...], named: str | None) -> tuple[str, ...]:
    return changes if named is None or named in changes else (*changes, named)[-REMEMBERED_CHANGES:]


def _memorized(row: bytes, known: RowMemory | None, memory: RowMemory, *, old: bool) -> tuple[Effect, ...]:
    if known is None:
        return (_Memorize(row, memory),)
    if (
        memory.changes == known.changes
        and memory.updated_ms - known.updated_ms < REFRESH_MS
        and replace(memory, updated_ms=known.updated_ms) == known
    ):
        return ()
    # An old change came again, by replay or by a source that lost order: its id counts, its owner does not.
    return (_Memorize(row, replace(known, changes=memory.changes) if old else memory),)


def is_late(change: Change, known: RowMemory) -> bool:
    """Whether a later change of the row was here already. Of two that the source calls simultaneous the one that comes
    last counts."""
    return change.order is not None and known.order is not None and change.order < known.order


def note(change: Change, spec: TableSpec, digest: str, *, replay: bool) -> tuple[Effect, ...]:
    """A change that the source may send again. A replay reads what is old, and would push out what is not."""
    return () if change.identity is None or replay or spec.duplicates == "pass" else (Note(digest),)


def forget(spec: TableSpec | None, row: bytes) -> tuple[Effect, ...]:
    """The row of a retired key is gone from every table."""
    if spec is None:
        return ()
    gone: list[Effect] = [Remember(rule.lookup, row, None) for rule in spec.provides]
    if spec.memory:
        gone.append(Memorize(row, None))
    return tuple(gone)


def _entry(change: Change, rule: Provides, known: LookupEntry | None) -> LookupEntry:
    image = {**(change.before or {}), **(change.after or {})}

    def text(column: str | None, former: str | None) -> str | None:
        if column is None:
            return None
        if column not in image:
            return former
        value = image[column]
        return None if value is None or value == "" or isinstance(value, list | dict) else key_text(value)

    return LookupEntry(
        org_id=text(rule.org, known.org_id if known else None),
        user_id=text(rule.user, known.user_id if known else None),
        since_ms=change.committed_ms,
    )


def _before_the_key_changed(change: Change, spec: TableSpec, rule: Provides, state: State) -> LookupEntry | None:
    if change.previous_keys is None:
        return None
    return state.lookup(rule.lookup, spec.row_key(change.schema, tuple(change.previous_keys.values())))
