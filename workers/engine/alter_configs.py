"""Kafka's IncrementalAlterConfigs (KIP-339), which aiokafka lacks: its AlterConfigs resets all it does not name."""

from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

TOPIC = 2
SET = 0


class IncrementalAlterConfigsResponse_v0(Response):  # noqa: N801  as aiokafka names them
    """https://kafka.apache.org/protocol#The_Messages_IncrementalAlterConfigs"""

    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "responses",
            Array(
                ("error_code", Int16), ("error_message", String("utf-8")), ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )  # fmt: skip


class IncrementalAlterConfigsRequest_v0(RequestStruct):  # noqa: N801
    """Version 0: all that setting values needs."""

    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = IncrementalAlterConfigsResponse_v0
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8), ("resource_name", String("utf-8")),
                ("configs", Array(("name", String("utf-8")), ("operation", Int8), ("value", String("utf-8")))),
            ),
        ),
        ("validate_only", Boolean),
    )  # fmt: skip


class IncrementalAlterConfigsRequest(Request[IncrementalAlterConfigsRequest_v0]):
    """Set these settings of topics, {topic: {setting: value}}, and leave all others as they are."""

    API_KEY = 44

    def __init__(self, topics: Mapping[str, Mapping[str, str]]) -> None:
        self._topics = topics

    def build(self, request_struct_class: Any) -> Any:
        """See Request."""
        resources = [
            (TOPIC, topic, [(name, SET, value) for name, value in settings.items()])
            for topic, settings in self._topics.items()
        ]
        return request_struct_class(resources, False)


async def alter_topics(
    admin: AIOKafkaAdminClient, topics: Mapping[str, Mapping[str, str]]
) -> dict[str, type[KafkaError]]:
    """Set settings of topics. {topic: what it failed with}, of those that failed. Raises KafkaError."""
    response = await admin._send_request(IncrementalAlterConfigsRequest(topics))
    return {name: for_code(code) for code, _, _, name in response.responses if code}
