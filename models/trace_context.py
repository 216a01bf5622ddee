"""The trace of a record (W3C Trace Context, version 00): ids that follow from the record, so that every run, and every
worker that does a piece of it again, gives the same ones (P3).

The first four bytes of a trace id are a time, as AWS X-Ray wants it; any W3C reader takes the whole as one number.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

HEADER_TRACEPARENT = "traceparent"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_NOTHING = "0"
SAMPLED = 1
"""Bit of the flags."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One span of one trace; ids in hex."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @classmethod
    def parse(cls, header: bytes | None) -> "TraceContext | None":
        """None for what is no traceparent: a foreign header never stops a record."""
        found = _TRACEPARENT.fullmatch(header.decode("ascii", "replace")) if header is not None else None
        if found is None or not found[1].strip(_NOTHING) or not found[2].strip(_NOTHING):
            return None
        return cls(found[1], found[2], bool(int(found[3], 16) & SAMPLED))

    def header(self) -> bytes:
        """`parse` reads it back."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}".encode()

    def child(self, *names: object) -> "TraceContext":
        """A span below this one; the same names give the same one."""
        return TraceContext(self.trace_id, _digest((self.span_id, *names), 8), self.sampled)

    def x_ray(self) -> str:
        """As AWS X-Ray writes it. Source: AWS X-Ray developer guide, "Tracing header"."""
        root = f"1-{self.trace_id[:8]}-{self.trace_id[8:]}"
        return f"Root={root};Parent={self.span_id};Sampled={int(self.sampled)}"


def root_of(time_ms: int, *names: object) -> TraceContext:
    """The first span of the record that has these names; `time_ms` of its arrival, since the epoch."""
    trace_id = f"{time_ms // 1000 & 0xFFFFFFFF:08x}{_digest(names, 12)}"
    return TraceContext(trace_id, _digest((trace_id, "root"), 8))


def is_sampled(context: TraceContext, share: float) -> bool:
    """Whether a trace is among the `share` (0 to 1) that is kept: by its id, so that everybody says the same."""
    return int(context.trace_id[16:], 16) < share * (1 << 64)


def traceparent_of(headers: Iterable[tuple[str, bytes]]) -> TraceContext | None:
    """The span that a record belongs to; None if it has none."""
    for name, content in headers:
        if name == HEADER_TRACEPARENT:
            return TraceContext.parse(content)
    return None


def _digest(names: Iterable[object], size: int) -> str:
    text = "\x00".join(map(str, names)).encode()
    return hashlib.blake2b(text, digest_size=size, person=b"cdc-trace").hexdigest()
