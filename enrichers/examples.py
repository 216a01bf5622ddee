"""Examples of tables, run as records are: what differs from what they promise.

They run with a key of their own, so that hashes in an example are the same everywhere, and always with redaction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from enrichers.enriched import Enriched
from enrichers.in_memory import InMemoryState
from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.routing import route
from models.catalogue import Catalogue
from models.example import Buried, Dropped, Example, Expected, Published
from models.outcome import Dead, Drop, Miss, Ok
from models.raw import Origin, RawRecord
from models.strict_json import decode, encode
from models.tables import FromColumn, TableSpec

EXAMPLE_KEY = b"the key of all examples"
SOURCE = "example"
_OWNERS = {"orgId": "org", "userId": "user"}
_KEYED = frozenset({"entityId", "keys", "previousKeys"})


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One example that does not hold. `text` names fields; what a rule redacts is not in it (P6)."""

    table: str
    line: int
    text: str


def check_examples(catalogue: Catalogue) -> Iterator[Mismatch]:
    """Run every example of every table."""
    if not any(spec.examples for spec in catalogue.specs):
        return
    pipeline = example_pipeline(catalogue)
    for spec in catalogue.specs:
        for example in spec.examples:
            ended = ending(pipeline, spec, example)
            differences = list(_differences(spec, example.expected, ended))
            if differences:
                name = f"{example.name}: " if example.name else ""
                yield Mismatch(spec.name, example.line, name + "; ".join(differences))


def example_pipeline(catalogue: Catalogue) -> Pipeline:
    """What examples run through."""
    return Pipeline(catalogue, PipelineOptions(redaction_key=EXAMPLE_KEY))


def ending(pipeline: Pipeline, spec: TableSpec, example: Example) -> Enriched:
    """How the last record of an example ends. Every example begins with empty tables."""
    state = InMemoryState()
    ended = Enriched(Drop("tombstone"))
    for number, content in enumerate(example.records):
        routed = route(content, f"{SOURCE}-{number}", pipeline.catalogue, spec.adapter)
        origin = Origin("", "", str(number))
        record = RawRecord(
            content, routed.key if routed.table else None, origin, SOURCE, 0, number, 0, SOURCE,
            adapter=routed.adapter, table=routed.table,
        )  # fmt: skip
        ended = pipeline.run(record, state, patient=False)
        state.apply(ended.effects)
        if routed.retired_key is not None:
            marker = RawRecord(
                None, routed.retired_key, origin, SOURCE, 0, number, 0, SOURCE, table=routed.table, retired=True
            )
            state.apply(pipeline.run(marker, state).effects)
    return ended


def _differences(spec: TableSpec, expected: Expected, ended: Enriched) -> Iterator[str]:
    outcome = ended.outcome
    if ended.table is not None and ended.table != spec.name:
        yield f"the last record is one of {ended.table}"
        return
    match expected, outcome:
        case Published(fields), Ok(event):
            yield from _compare(spec, fields, decode(event.value), ())
        case Dropped(reason), Drop(found):
            if reason != found:
                yield f"it is dropped for {found}, expected {reason}"
        case Buried(code), Dead(failure, reason):
            if code is not failure:
                yield f"it is dead with {failure} ({reason}), expected {code}"
        case _, Ok(event):
            yield f"it is published as {event.event_type}, expected to be {_told(expected)}"
        case _, Drop(found):
            yield f"it is dropped for {found}, expected to be {_told(expected)}"
        case _, Dead(failure, reason):
            yield f"it is dead with {failure} ({reason}), expected to be {_told(expected)}"
        case _, Miss(lookup=lookup):
            raise AssertionError(f"an impatient pipeline waits for {lookup}")


def _told(expected: Expected) -> str:
    match expected:
        case Published():
            return "published"
        case Dropped(reason):
            return f"dropped for {reason}"
        case Buried(code):
            return f"dead with {code}"
        case _:
            assert_never(expected)


def _compare(
    spec: TableSpec, wanted: Mapping[str, Any], found: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[str]:
    for name, value in wanted.items():
        here = (*path, name)
        there = found.get(name)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            yield from _compare(spec, value, there, here)
        elif not _same(value, there):
            is_what = f"is {encode(there).decode()}" if name in found else "is not there"
            yield f"{'.'.join(here)} {is_what}{_expectation(spec, here, value)}"


def _same(wanted: Any, found: Any) -> bool:
    return type(wanted) is type(found) and wanted == found


def _expectation(spec: TableSpec, path: tuple[str, ...], value: Any) -> str:
    """What the file says, unless a raw value may stand there by mistake: then its line has to do."""
    if value is None:
        return ", expected to be absent or null"
    return ", expected something else" if _is_hidden(spec, path) else f", expected {encode(value).decode()}"


def _is_hidden(spec: TableSpec, path: tuple[str, ...]) -> bool:
    top = path[0]
    if top in _OWNERS:
        cases = getattr(spec.owner, _OWNERS[top]) if spec.owner is not None else ()
        return any(not isinstance(case, FromColumn) or case.column in spec.redact for case in cases)
    if top in _KEYED and any(column in spec.redact for column in spec.key):
        return True
    if top in ("changes", "before", "after", "keys", "previousKeys"):
        column = path[1] if len(path) > 1 else None
        return column is None or column in spec.redact or column not in spec.known
    return False
