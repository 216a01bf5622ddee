"""Settings of how events name where they come from, and of the looks at their bus."""

from pydantic import Field

from workers.settings.field_types import env
from workers.settings.kafka import KafkaSettings


class PreflightSettings(KafkaSettings):
    """Whether what is sent can arrive."""

    event_source: str = Field(
        "cdc-pipeline", validation_alias=env("EVENT_SOURCE"),
        description="Source of an entry is <this>.<table name>",
    )  # fmt: skip
    preflight_interval: float = Field(
        300, ge=1, le=3_600, validation_alias=env("CDC_PREFLIGHT_INTERVAL"),
        description="seconds between looks whether rules take the events; the bus is looked for every 30 s at least",
    )  # fmt: skip
