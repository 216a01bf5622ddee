"""One record of `cdc.events` as an entry of PutEvents, whatever the bus: checked before it is sent, and made to fit.

Sources: EventBridge API reference, PutEvents (members, depth, integers); "Calculating PutEvents event entry size".
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from enrichers.oversize import NO_LADDER, Claim, Fitted, Ladder, Step, fitted
from models.event import EventEnvelope, read_envelope
from models.event_address import address_mistake, source_of
from models.outcome import Failure
from models.strict_json import INT64_MAX, INT64_MIN
from models.trace_context import TraceContext
from workers.engine.delivery import Undeliverable

MAX_DEPTH = 1_000
SHALLOW = 500
"""Levels that the decoder reads in any stack."""
TIME_BYTES = 14
INT64_DIGITS = 19
NO_EVENT = (
    "the record is no event: it needs eventId, eventType, entityType and a timestamp of RFC 3339, in JSON and UTF-8; "
    "something else writes to this topic"
)
TOO_DEEP = f"the event is nested deeper than {MAX_DEPTH} levels: leave the column out with include_fields"
TOO_LONG = "an integer of the event does not fit 64 bits: it must travel as text"

# One byte for every digit and the minus, and one for all that stands before a number: a long one is found by one
# search, in C.
_ALIKE = bytes.maketrans(b"123456789- \t\r\n,[", b"0" * 10 + b":" * 6)
_LONG = b":" + b"0" * INT64_DIGITS
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_TEXT_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_LONG_INTEGER = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")
_XRAY = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}", re.ASCII)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What the bus is told of one event. The same record is always the same entry, byte for byte (P3)."""

    event_id: str
    group: str
    """Key of the entity, `<entityType>:<entityId>`: what is kept in order."""
    source: str
    detail_type: str
    detail: bytes
    """UTF-8; of an event that fits, the record's own."""
    time: float
    """Commit time, seconds since the epoch."""
    size: int
    """Bytes by AWS's formula."""
    replay: int = 0
    """How often the raw record was redriven or replayed: `metadata.replay`."""
    redriven: int = 0
    """How often this record of `cdc.events` was."""
    written_ms: int = 0
    """When the record came into `cdc.events`, milliseconds since the epoch: what `cdc replay --from` asks for."""
    trace_header: str | None = None
    """Of AWS X-Ray, if the event belongs to one of its traces."""
    step: Step | None = None
    """What made it fit, if it was too large."""
    claim: Claim | None = None
    """What must stand in S3 before it is sent."""
    span: TraceContext | None = None
    """The hop to the bus, and the one before it, if the event is traced."""
    parent: TraceContext | None = None
    again: str = ""
    """Which record of the redrive topics it comes from: `.e17` of enrich, `.p4` of publish, or both; their offsets."""


@dataclass(frozen=True, slots=True)
class EntryRules:
    """`source`: Source is `<source>.<entity type>`. `max_bytes`: of one entry by AWS's formula. `ladder`: what may be
    done about an event that is larger."""

    source: str
    max_bytes: int
    ladder: Ladder = NO_LADDER


@dataclass(frozen=True, slots=True)
class _Address:
    """Source and detail type of a table's events; `size`: bytes of an entry without its detail."""

    source: str
    detail_type: str
    size: int


def entry_of(
    key: bytes | None, value: bytes | None, rules: EntryRules, *, redriven: int = 0, written_ms: int = 0,
    parent: TraceContext | None = None,
) -> Entry | Undeliverable:  # fmt: skip
    """The entry of one record, or why no bus would ever take it: in words that say what to do, and without a value of
    the record (P6). `redriven`, `written_ms`: as in Entry; `parent`: the hop that wrote it. Never raises."""
    data = value or b""
    depth, top = _outermost(data)
    if depth > MAX_DEPTH:
        return Undeliverable(Failure.EVENTBRIDGE_ERROR, TOO_DEEP)
    try:
        envelope = read_envelope(top)
        group = (key or b"").decode()
        if not data.isascii():
            data.decode()  # what the decoder leaves out is UTF-8, too
    except ValueError:
        return Undeliverable(Failure.VALIDATION_ERROR, NO_EVENT)
    address = _address(rules.source, envelope.entity_type, envelope.detail_type or envelope.event_type)
    if isinstance(address, Undeliverable):
        return address
    return _checked(envelope, group, address, data, rules, redriven, written_ms, parent)


def _checked(
    envelope: EventEnvelope,
    group: str,
    address: _Address,
    data: bytes,
    rules: EntryRules,
    redriven: int,
    written_ms: int,
    parent: TraceContext | None,
) -> Entry | Undeliverable:
    size, step, claim = address.size + len(data), None, None
    if size > rules.max_bytes:
        smaller = _fitted(data, rules.max_bytes - address.size, rules.ladder)
        if smaller is None:
            return Undeliverable(Failure.EVENTBRIDGE_ERROR, _too_large(size, rules))
        data, step, claim = smaller.detail, smaller.step, smaller.claim
        size = address.size + len(data)
    # `find` takes half of the time of `in` (measured).
    if data.translate(_ALIKE).find(_LONG) >= 0 and _beyond_int64(data):
        return Undeliverable(Failure.EVENTBRIDGE_ERROR, TOO_LONG)
    metadata = envelope.metadata
    span = parent.child("publish", envelope.event_id, redriven) if parent is not None else None
    header = trace_header(metadata.correlation_id) if span is None else span.x_ray()
    return Entry(
        envelope.event_id, group, address.source, address.detail_type, data, envelope.time.timestamp(), size,
        metadata.replay, redriven, written_ms, header, step, claim, span, parent,
    )  # fmt: skip


@lru_cache(maxsize=4_096)
def _address(prefix: str, entity_type: str, detail_type: str) -> _Address | Undeliverable:
    mistake = address_mistake(prefix, entity_type, detail_type)
    if mistake is not None:
        return Undeliverable(Failure.EVENTBRIDGE_ERROR, mistake)
    source = source_of(prefix, entity_type)
    return _Address(source, detail_type, TIME_BYTES + len(source.encode()) + len(detail_type.encode()))


def _outermost(data: bytes) -> tuple[int, bytes]:
    """(levels of nesting, at least where they matter; what the envelope can be read from). The decoder counts the
    frames above it, too, and what it reads must not depend on them."""
    # A level takes two bytes, if it ends.
    if len(data) <= 2 * SHALLOW or data.count(b"{") + data.count(b"[") <= SHALLOW:
        return 0, data
    depth, outermost = _unwrapped(data)
    return depth, outermost if depth > SHALLOW else data


def _unwrapped(data: bytes) -> tuple[int, bytes]:
    """(levels of nesting, the outermost object with nothing in all that is nested in it). Looks no further where it is
    too deep for a bus."""
    depth = deepest = start = 0
    parts: list[bytes] = []
    for found in _TEXT_OR_BRACKET.finditer(data):
        mark = found[0]
        if mark in (b"{", b"["):
            depth += 1
            deepest = max(deepest, depth)
            if depth > MAX_DEPTH:
                break
            if depth == 2:
                parts.append(data[start : found.end()])
        elif mark in (b"}", b"]"):
            if depth == 2:
                start = found.start()
            depth -= 1
    return deepest, b"".join([*parts, data[start:]])


def _beyond_int64(detail: bytes) -> bool:
    for found in _LONG_INTEGER.finditer(_TEXT.sub(b'""', detail)):
        number = found[0]
        if len(number.lstrip(b"-")) > INT64_DIGITS or not INT64_MIN <= int(number) <= INT64_MAX:
            return True
    return False


def _fitted(data: bytes, limit: int, ladder: Ladder) -> Fitted | None:
    try:
        return fitted(data, limit, ladder)
    except (ValueError, RecursionError):
        return None


def _too_large(size: int, rules: EntryRules) -> str:
    ways = ["raise CDC_PUT_EVENTS_MAX_BYTES if every target takes more"] if rules.max_bytes < 1_000_000 else []
    ways += [] if rules.ladder.bucket else ["set CDC_CLAIM_CHECK_BUCKET"]
    return f"the entry has {size} bytes, {rules.max_bytes} fit: {', '.join([*ways, 'publish fewer columns'])}"


def trace_header(correlation_id: str | None) -> str | None:
    """TraceHeader for the id of an X-Ray trace; None for any other id. Source: AWS X-Ray, "Tracing header"."""
    if correlation_id is None or _XRAY.fullmatch(correlation_id) is None:
        return None
    return f"Root={correlation_id}"
