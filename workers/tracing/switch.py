"""Whether this process traces, and with what."""

import functools
import os
import socket
import threading
import time
from importlib import metadata

from workers.failures import ConfigurationError
from workers.settings.worker import Settings
from workers.tracing.spans import Exporter, HopSpans

END_SECONDS = 2.0


def hop_spans(settings: Settings, stage: str) -> HopSpans | None:
    """What tells the hops of a stage; None if traces are off. Raises ConfigurationError without the extra."""
    if settings.traces == "off":
        return None
    return HopSpans(stage, _exporter(_worker(settings)), time.time_ns)


def send_rest(settings: Settings, seconds: float = END_SECONDS) -> None:
    """At the end of the process: what is told and not sent. A collector that does not answer holds nobody up."""
    if settings.traces == "off":
        return
    sending = threading.Thread(target=_exporter(_worker(settings)).close, daemon=True)
    sending.start()
    sending.join(seconds)


def _worker(settings: Settings) -> str:
    return settings.worker_name or f"{socket.gethostname()}-{os.getpid()}"


@functools.cache
def _exporter(worker: str) -> Exporter:
    """One for all stages of the process: it has a thread and a queue."""
    try:
        from workers.tracing.otlp import over_http  # noqa: PLC0415  without the extra there is nothing to import
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"CDC_TRACES=otlp needs the otel extra ({error.name} is missing)", hint="pip install 'cdc-worker[otel]'"
        ) from None
    return over_http(worker, metadata.version("cdc-worker"))
