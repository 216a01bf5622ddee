"""Which records are traced."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from workers.settings.field_types import env


class TraceSettings(BaseSettings):
    """Traces of records. Where they are sent say the OTEL_EXPORTER_OTLP_* variables of OpenTelemetry."""

    traces: Literal["off", "otlp"] = Field(
        "off", validation_alias=env("CDC_TRACES"),
        description="off, or otlp: spans of records to where OTEL_EXPORTER_OTLP_ENDPOINT says (extra: otel)",
    )  # fmt: skip
    trace_share: float = Field(
        0.01, ge=0, le=1, validation_alias=env("CDC_TRACE_SHARE"),
        description="share of the records whose trace begins here, 0 to 1; the same records on every worker",
    )  # fmt: skip
