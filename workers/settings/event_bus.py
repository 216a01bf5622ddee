"""Settings of the bus that events go to, and of the way there."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from models.event_bus import EventBus, event_bus
from models.source_spec import EXTERNAL_ID, ROLE_ARN
from workers.settings.field_types import OptionalText, env
from workers.settings.kafka import KafkaSettings

ENDPOINT_ID = re.compile(r"(?=.{3,50}$)[A-Za-z0-9-]+\.[A-Za-z0-9-]+", re.ASCII)
"""As PutEvents takes it: the first two labels of a global endpoint's host."""


def _bus(value: str) -> str:
    return event_bus(value).text


BusAddress = Annotated[str, AfterValidator(_bus)]


class EventBusSettings(KafkaSettings):
    """Buses of single tables stand in `tables.yaml`. Whether these fit together: `event_bus_mistakes`."""

    event_bus_name: BusAddress = Field(
        "cdc-events", validation_alias=env("EVENT_BUS_NAME"),
        description="the bus to publish to: name or ARN of a classic bus, ARN of a Custom Event Bus (v2)",
    )  # fmt: skip
    event_bus_role: OptionalText = Field(
        None, validation_alias=env("CDC_EVENT_BUS_ROLE"),
        description="ARN of a role to assume for every bus; unset: the worker's own credentials",
    )  # fmt: skip
    event_bus_external_id: OptionalText = Field(
        None, validation_alias=env("CDC_EVENT_BUS_EXTERNAL_ID"),
        description="what the trust policy of that role may ask for",
    )  # fmt: skip
    event_bus_endpoint_id: OptionalText = Field(
        None, validation_alias=env("CDC_EVENT_BUS_ENDPOINT_ID"),
        description="global endpoint to send to EVENT_BUS_NAME through, e.g. abcde.veo (needs the extra "
        "global-endpoints; classic buses only)",
    )  # fmt: skip

    @property
    def bus(self) -> EventBus:
        """EVENT_BUS_NAME, read."""
        return event_bus(self.event_bus_name)


def event_bus_mistakes(settings: EventBusSettings) -> list[str]:
    """Settings that are wrong or contradict each other, in words without values."""
    found = []
    if settings.event_bus_role is not None and not ROLE_ARN.fullmatch(settings.event_bus_role):
        found.append("CDC_EVENT_BUS_ROLE: not the ARN of a role")
    if settings.event_bus_external_id is not None:
        if settings.event_bus_role is None:
            found.append("CDC_EVENT_BUS_EXTERNAL_ID needs CDC_EVENT_BUS_ROLE")
        if not EXTERNAL_ID.fullmatch(settings.event_bus_external_id):
            found.append("CDC_EVENT_BUS_EXTERNAL_ID: 2 to 1224 letters, digits and _+=,.@:/-")
    if settings.event_bus_endpoint_id is not None:
        if not ENDPOINT_ID.fullmatch(settings.event_bus_endpoint_id):
            found.append("CDC_EVENT_BUS_ENDPOINT_ID: not the id of a global endpoint, such as abcde.veo")
        if settings.bus.custom:
            found.append("CDC_EVENT_BUS_ENDPOINT_ID: Custom Event Buses have no global endpoints")
    return found
