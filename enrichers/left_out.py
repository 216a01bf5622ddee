"""Why a valid change does not become an event."""

from typing import Literal

from enrichers import remember
from enrichers.compiled import CompiledTable
from enrichers.diff import diff
from enrichers.filter import REASON as FILTERED
from enrichers.state import RowMemory, State
from models.change import Change, Operation
from models.outcome import Dead, Drop
from models.raw import RawRecord
from models.tables import TableSpec


def is_past(
    change: Change, spec: TableSpec, record: RawRecord, memory: RowMemory | None, digest: str, state: State
) -> Literal["resent", "late"] | None:
    """Why a change says nothing new of its row. The row knows its last changes for a month, the slot those of all its
    rows as long as they are recent. Whoever replays asks for it all the same."""
    if record.replay or spec.duplicates == "pass":
        return None
    if change.identity is not None and ((memory and digest in memory.changes) or state.is_recent(digest)):
        return "resent"
    return "late" if memory is not None and remember.is_late(change, memory) else None


def kept_back_by(change: Change, table: CompiledTable) -> Drop | Dead | None:
    """Why a change is not published, although it is remembered."""
    spec = table.spec
    if change.snapshot and not spec.publish_snapshots:
        return Drop("snapshot")
    if change.operation is not Operation.UNKNOWN and change.operation not in spec.operations:
        return Drop("operation_not_listed")
    if table.where is None:
        return None
    match table.where.check(change, lambda: diff(change, table)[0]):
        case True:
            return None
        case False:
            return Drop(FILTERED)
        case Dead() as dead:
            return dead
