"""Settings of topics and brokers as DescribeConfigs tells them."""

from collections.abc import Iterable, Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

Config = Mapping[str, str]


async def topic_configs(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, Config | None]:
    """{topic: its settings}; None for one we may not read. Raises KafkaError."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    return await _described(admin, resources) if resources else {}


async def broker_config(admin: AIOKafkaAdminClient, node: int) -> Config | None:
    """Settings of one broker; None if we may not read them. Raises KafkaError."""
    found = await _described(admin, [ConfigResource(ConfigResourceType.BROKER, str(node))])
    return next(iter(found.values()), None)


async def _described(admin: AIOKafkaAdminClient, resources: list[ConfigResource]) -> dict[str, Config | None]:
    found: dict[str, Config | None] = {}
    for response in await admin.describe_configs(resources):
        for code, _, _, name, entries in response.resources:
            found[name] = None if code else {entry[0]: entry[1] or "" for entry in entries}
    return found
