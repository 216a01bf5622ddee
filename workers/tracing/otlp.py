"""Spans to a collector, through OpenTelemetry's SDK. Imported only if traces are switched on."""

import logging
import os
from typing import Any, Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from models.trace_context import TraceContext
from workers.tracing.spans import Span

log = logging.getLogger("cdc.traces")


class Processor(Protocol):
    """OpenTelemetry's SpanProcessor, as far as it is used."""

    def on_end(self, span: Any) -> None:
        """Take a span."""

    def shutdown(self) -> None:
        """Send what is left."""


class OtelExporter:
    """Spans with our own ids: the SDK's tracer would draw them by lot."""

    def __init__(self, processor: Processor, worker: str, version: str) -> None:
        self._processor = processor
        self._scope = InstrumentationScope("cdc-worker", version)
        self._resource = Resource.create(
            {"service.name": os.environ.get("OTEL_SERVICE_NAME", "cdc-worker"), "service.version": version,
             "service.instance.id": worker}
        )  # fmt: skip
        self._failed = False

    def export(self, span: Span) -> None:
        """See Exporter."""
        try:
            self._processor.on_end(self._readable(span))
        except Exception as error:  # noqa: BLE001  a trace never stops a record
            if not self._failed:
                log.warning("spans cannot be told: %s", type(error).__name__)
            self._failed = True

    def close(self) -> None:
        """Send what is left."""
        self._processor.shutdown()

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name, context=_context(span.context), parent=_context(span.parent) if span.parent else None,
            resource=self._resource, attributes=dict(span.attributes), links=[Link(_context(to)) for to in span.links],
            kind=SpanKind.CONSUMER, status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
            start_time=span.start_ns, end_time=span.end_ns, instrumentation_scope=self._scope,
        )  # fmt: skip


def over_http(worker: str, version: str) -> OtelExporter:
    """To OTEL_EXPORTER_OTLP_ENDPOINT (default http://localhost:4318), in batches, by a thread."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    return OtelExporter(BatchSpanProcessor(OTLPSpanExporter()), worker, version)


def _context(context: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=False, trace_flags=flags)
