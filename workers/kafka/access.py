"""The way of a command to Kafka: connected and with topics that exist, or ended with the exit code that says why."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from workers.engine.errors import BootRefused
from workers.failures import ConfigurationError, DeniedError, NotFoundError, UnreachableError
from workers.kafka.connection import KafkaConnection, kafka_connection, refuse_wrong_credentials
from workers.kafka.groups import GroupState, describe_group
from workers.kafka.topics import describe_topics
from workers.settings.worker import Settings

DENIED = (
    ClusterAuthorizationFailedError, GroupAuthorizationFailedError, TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)  # fmt: skip
CLIENT = "cdc-command"


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """Connection arguments, and an admin client that is connected."""

    connection: KafkaConnection
    admin: AIOKafkaAdminClient

    async def group(self, name: str) -> GroupState:
        """Who is in a group."""
        return await describe_group(self.admin, name)

    async def require(self, topics: dict[str, int]) -> None:
        """Raises NotFoundError for missing topics, ConfigurationError for other partition counts than {topic: n}."""
        states = await describe_topics(self.admin, topics)
        missing = [name for name in topics if not states[name].partitions]
        if missing:
            raise NotFoundError(
                f"topics do not exist: {', '.join(missing)}",
                hint="is CDC_TOPIC_PREFIX right, and has a worker been started? `cdc check` lists every topic",
            )
        wrong = [f"{name} has {states[name].partitions}" for name, n in topics.items() if states[name].partitions != n]
        if wrong:
            raise ConfigurationError(
                f"partition counts differ from the settings: {', '.join(wrong)}",
                hint="see CDC_PARTITIONS and CDC_SOURCE_SLOTS",
            )


@contextlib.asynccontextmanager
async def kafka_access(settings: Settings) -> AsyncIterator[KafkaAccess]:
    """Connect; what goes wrong inside ends as DeniedError or UnreachableError."""
    connection = kafka_connection(settings)
    try:
        await refuse_wrong_credentials(connection)
        admin = AIOKafkaAdminClient(**connection.client(CLIENT))
        await admin.start()
        try:
            yield KafkaAccess(connection, admin)
        finally:
            await admin.close()
    except BootRefused as error:
        raise DeniedError(str(error)) from None
    except DENIED as error:
        raise DeniedError(
            f"Kafka says {type(error).__name__}", hint="the command needs the rights of the worker it speaks of"
        ) from None
    except (KafkaError, OSError) as error:
        told = str(error) if not isinstance(error, OSError) else (error.strerror or type(error).__name__)
        name = "" if told.startswith(type(error).__name__) else f"{type(error).__name__} "
        raise UnreachableError(f"Kafka: {name}{told}".rstrip(), hint="try `cdc check`") from None
