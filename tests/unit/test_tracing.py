"""A record's trace, from the shard to the bus: the same ids every time, nothing of a row, and nothing at all if it is
not traced."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.routing import Router
from models.raw import HEADER_SEQUENCE
from models.routing import entity_key
from models.shard import Shard
from models.trace_context import HEADER_TRACEPARENT, TraceContext, is_sampled, root_of, traceparent_of
from tests.unit.changes import KEY, TELEPHONY, dms
from tests.unit.packed import read_headers
from workers.agents.enrich import Enrich, add_enrich
from workers.engine.app import StageApp
from workers.engine.delivery import Delivered, Retry
from workers.engine.options import EngineOptions
from workers.engine.testing import Input, StageKit
from workers.eventbridge.classic import ClassicBus
from workers.eventbridge.entry import EntryRules
from workers.eventbridge.sink import EventBridgeSink
from workers.kafka.topics import Topics
from workers.kinesis.cursor import Part
from workers.kinesis.forwarding import Destination, forward, forward_plain
from workers.kinesis.pages import Record
from workers.tracing.spans import Hop, HopSpans, Span

TOPICS = Topics("config", "slots", "checkpoints", {"core": "raw"}, "events", "dead", "receipts")
SHARD = Shard("shardId-1", 0, 99, ())
TO = Destination("core", "raw", 2, "checkpoints", "dead", Router(TELEPHONY), trace_share=1.0)
ROOT = root_of(1_768_473_060_500, "s", "shardId-1", "9", 0)
ROW = {"ID": 7, "OrgID": 3, "Name": "jane@acme.test", "Type": "QUEUE"}
RECORD = Record("9", dms("insert", ROW, table="groups"), "k", 1_768_473_060.5)


@dataclass
class Unit:
    """Of the bridge."""

    sent: list[dict[str, bytes]] = field(default_factory=list)
    traced: list[Hop] = field(default_factory=list)
    notes: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def send(self, topic: str, key: Any, value: Any, headers: Any, *, partition: int) -> None:
        self.sent.append(read_headers(headers))

    def send_all(self, topic: str, partition: int, records: Iterable[Any]) -> None:
        for key, value, headers in records:
            self.send(topic, key, value, headers, partition=partition)

    def took(self, records: int) -> None:
        """Counted elsewhere."""


class Spans:
    """Keeps what is exported."""

    def __init__(self) -> None:
        self.found: list[Span] = []

    def export(self, span: Span) -> None:
        self.found.append(span)

    def close(self) -> None:
        """Nothing is left."""

    def of(self, stage: str) -> HopSpans:
        return HopSpans(stage, self, lambda: 1_768_473_070_000_000_000)


def bridged(share: float = 1.0, *, plain: bool = True) -> Unit:
    unit: Any = Unit()
    part = Part(SHARD, (RECORD,), len(RECORD.data), None, 77)
    (forward_plain if plain else forward)(unit, replace(TO, trace_share=share), "arn:aws:x:y:z:stream/s", part, None)
    return unit


async def enriched(spans: Spans | None, *headers: tuple[str, bytes]) -> Any:
    """The event of the record."""

    def make() -> StageApp:
        app = StageApp("cdc-enrich", EngineOptions("nowhere:9092", 2))
        app.tell_traced = spans.of("enrich").committed if spans is not None else None
        add_enrich(app, Enrich(Pipeline(TELEPHONY, PipelineOptions(redaction_key=KEY)), TOPICS, 2, "", lambda: 0))
        return app

    async with StageKit(make) as kit:
        await kit.feed("raw", [Input(entity_key("core", "groups", (7,)), RECORD.data, 0, headers=headers)])
        (event,) = kit.records("events")
    return event


class Bus:
    """Answers what it is told to."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    async def call(self, operation: str, request: bytes) -> bytes:
        self.requests.append(msgspec.json.decode(request))
        return b'{"FailedEntryCount":0,"Entries":[{"EventId":"bus-1"}]}'

    async def close(self) -> None: ...


def sink(spans: Spans | None = None) -> EventBridgeSink:
    bus = ClassicBus(Bus(), "bus", 262_144)
    return EventBridgeSink(bus, EntryRules("cdc", 262_144), spans=spans.of("publish") if spans is not None else None)


@pytest.mark.parametrize("plain", [True, False])
def test_a_trace_begins_with_the_record_of_the_stream_and_is_the_same_every_time(plain: bool) -> None:
    first, again = bridged(plain=plain), bridged(plain=plain)
    assert first.sent == again.sent
    assert TraceContext.parse(first.sent[0][HEADER_TRACEPARENT]) == first.traced[0].context == ROOT
    assert first.sent[0][HEADER_SEQUENCE] == b"9"


def test_a_record_that_is_not_traced_has_no_header_of_it() -> None:
    unit = bridged(0.0)
    assert (HEADER_TRACEPARENT in unit.sent[0], unit.traced) == (False, [])


def test_the_id_of_a_trace_says_whether_it_is_kept() -> None:
    roots = [root_of(1_768_473_060_500, number) for number in range(2_000)]
    kept = [root for root in roots if is_sampled(root, 0.1)]
    assert 120 < len(kept) < 280
    assert all(is_sampled(root, 0.2) for root in kept)
    assert not any(is_sampled(root, 0.0) for root in roots)
    assert all(is_sampled(root, 1.0) for root in roots)


async def test_an_event_goes_on_with_the_trace_of_its_record_whether_anybody_listens_or_not() -> None:
    header = (HEADER_TRACEPARENT, ROOT.header())
    told, untold = await enriched(Spans(), header), await enriched(None, header)
    assert (told.headers, told.value) == (untold.headers, untold.value)
    context = traceparent_of(told.headers)
    assert context is not None
    assert (context.trace_id, context.span_id != ROOT.span_id) == (ROOT.trace_id, True)
    assert msgspec.json.decode(told.value)["metadata"]["correlationId"] == ROOT.trace_id


async def test_an_event_of_no_trace_has_none() -> None:
    spans = Spans()
    event = await enriched(spans)
    assert (traceparent_of(event.headers), spans.found) == (None, [])


async def test_a_hop_and_its_unit_are_told_when_the_unit_has_committed() -> None:
    spans = Spans()
    event = await enriched(spans, (HEADER_TRACEPARENT, ROOT.header()))
    hop, unit = spans.found
    assert (hop.name, hop.context, hop.parent) == ("enrich", traceparent_of(event.headers), ROOT)
    assert hop.start_ns <= hop.end_ns
    assert (unit.name, unit.links, unit.parent) == ("enrich unit", [hop.context], None)
    assert unit.context.trace_id != ROOT.trace_id


async def test_a_trace_that_is_not_kept_is_passed_on_and_not_told() -> None:
    spans = Spans()
    event = await enriched(spans, (HEADER_TRACEPARENT, replace(ROOT, sampled=False).header()))
    context = traceparent_of(event.headers)
    assert context is not None
    assert (context.sampled, spans.found) == (False, [])


async def test_spans_hold_nothing_of_the_row() -> None:
    spans = Spans()
    unit = bridged()
    spans.of("bridge").committed(unit.traced, 0.1, "cdc-bridge-0")
    event = await enriched(spans, (HEADER_TRACEPARENT, ROOT.header()))
    await deliver(sink(spans), event)
    assert len(spans.found) == 6
    assert [word for word in ("jane", "acme", "QUEUE") if word in repr(spans.found)] == []


async def deliver(to: EventBridgeSink, event: Any) -> Any:
    prepared: Any = to.prepare(event)
    return prepared, await to.put([prepared])


async def test_the_bus_is_told_the_same_trace_header_for_the_same_record() -> None:
    event = await enriched(None, (HEADER_TRACEPARENT, ROOT.header()))
    spans = Spans()
    (traced, _), (untraced, _) = await deliver(sink(spans), event), await deliver(sink(), event)
    assert traced.wire == untraced.wire
    header = msgspec.json.decode(traced.wire[0])["TraceHeader"]
    span = spans.found[0]
    assert header == f"Root=1-{ROOT.trace_id[:8]}-{ROOT.trace_id[8:]};Parent={span.context.span_id};Sampled=1"
    assert (span.parent, len(header) <= 500) == (traceparent_of(event.headers), True)


async def test_an_event_that_is_sent_again_is_told_when_it_has_arrived() -> None:
    event = await enriched(None, (HEADER_TRACEPARENT, ROOT.header()))
    spans = Spans()
    to = sink(spans)
    prepared: Any = to.prepare(event)
    answers = [[Retry("Throttled")], [Delivered()]]

    async def put(_prepared: Any) -> Any:
        return answers.pop(0)

    to.buses = {"bus": SimpleNamespace(put=put)}
    await to.put([prepared])
    assert spans.found == []
    await to.put([prepared])
    assert [span.name for span in spans.found] == ["publish", "PutEvents"]


@pytest.mark.parametrize(
    "header",
    [
        None, b"", b"00-1-2-01", b"\xff", b"01-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01",
        b"00-" + b"0" * 32 + b"-" + b"b" * 16 + b"-01", b"00-" + b"a" * 32 + b"-" + b"0" * 16 + b"-01",
    ],
)  # fmt: skip
def test_a_header_that_is_no_traceparent_counts_as_none(header: bytes | None) -> None:
    assert TraceContext.parse(header) is None


@pytest.mark.parametrize("sampled", [True, False])
def test_a_header_is_read_back(sampled: bool) -> None:
    context = replace(ROOT, sampled=sampled)
    assert TraceContext.parse(context.header()) == context


def test_a_trace_id_begins_with_the_time_of_the_record() -> None:
    assert int(ROOT.trace_id[:8], 16) == 1_768_473_060
