"""Spans as OpenTelemetry's own exporters get them."""

import subprocess
import sys
import threading
from typing import Any

import pytest

from models.trace_context import root_of
from workers.failures import ConfigurationError
from workers.settings.worker import Settings
from workers.tracing import switch
from workers.tracing.spans import Span

ROOT = root_of(1_768_473_060_500, "a")
CHILD = ROOT.child("enrich")


def test_spans_keep_their_ids_times_and_links() -> None:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from workers.tracing.otlp import OtelExporter

    memory = InMemorySpanExporter()
    exporter = OtelExporter(SimpleSpanProcessor(memory), "worker-1", "0.1.0")
    exporter.export(Span("enrich", CHILD, ROOT, 1_000, 2_000, {"cdc.table": "users"}, [ROOT]))
    (span,) = memory.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == ROOT.trace_id
    assert f"{span.context.span_id:016x}" == CHILD.span_id
    assert f"{span.parent.span_id:016x}" == ROOT.span_id
    assert (span.start_time, span.end_time, dict(span.attributes or {})) == (1_000, 2_000, {"cdc.table": "users"})
    assert [f"{link.context.span_id:016x}" for link in span.links] == [ROOT.span_id]
    assert span.resource.attributes["service.instance.id"] == "worker-1"


def test_an_exporter_that_fails_stops_nothing_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    from workers.tracing.otlp import OtelExporter

    class Broken:
        def on_end(self, span: Any) -> None:
            raise RuntimeError("jane@acme.test")

        def shutdown(self) -> None: ...

    exporter = OtelExporter(Broken(), "worker-1", "0.1.0")
    for _ in range(2):
        exporter.export(Span("enrich", CHILD, ROOT, 1, 2))
    assert [record.getMessage() for record in caplog.records] == ["spans cannot be told: RuntimeError"]


def test_the_end_of_a_process_waits_for_its_spans_but_not_for_a_collector_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed, away = threading.Event(), threading.Event()

    class Exporter:
        def __init__(self, wait: bool) -> None:
            self.wait = wait

        def close(self) -> None:
            closed.set()
            if self.wait:
                away.wait()

    settings = Settings(_env_file=None, traces="otlp")
    for wait, seconds in ((False, 60.0), (True, 0.01)):
        closed.clear()
        monkeypatch.setattr(switch, "_exporter", lambda _worker, wait=wait: Exporter(wait))
        switch.send_rest(settings, seconds)
        assert closed.wait(60)
    away.set()


def test_without_traces_nothing_of_it_is_imported() -> None:
    code = "import sys, workers.app; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert switch.hop_spans(Settings(_env_file=None), "enrich") is None


def test_traces_without_the_extra_are_a_mistake_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("opentelemetry.sdk", "workers.tracing.otlp"):
        monkeypatch.setitem(sys.modules, name, None)
    switch._exporter.cache_clear()
    with pytest.raises(ConfigurationError, match="otel extra") as refused:
        switch.hop_spans(Settings(_env_file=None, traces="otlp"), "enrich")
    assert refused.value.hint == "pip install 'cdc-worker[otel]'"
