"""Settings of the looks at a bus."""

from pydantic import Field

from workers.kafka_settings import KafkaSettings
from workers.setting_types import env


class PreflightSettings(KafkaSettings):
    """How often it is looked whether what is sent can arrive."""

    preflight_interval: float = Field(
        300, ge=1, le=3_600, validation_alias=env("CDC_PREFLIGHT_INTERVAL"),
        description="seconds between looks whether the bus exists and rules take its events",
    )  # fmt: skip
