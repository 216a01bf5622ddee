"""Consumer groups seen from the outside: who is in them, and what they have committed."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.structs import OffsetAndMetadata

from workers.engine.offsets import offset_fetch
from workers.kafka.connection import KafkaConnection

ATTEMPTS = 100
PAUSE = 0.2
NOT_YET = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
GONE = ("Dead", "Empty")


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a group, which is one stage of one worker."""

    id: str
    client_id: str
    told: bytes = b""
    """What it told the group with its subscription; empty while the group rebalances."""


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group as its coordinator describes it."""

    state: str
    """Kafka's word: Stable, PreparingRebalance, CompletingRebalance, Empty, Dead (it does not exist)."""
    members: tuple[str, ...]
    """Client ids: names of workers."""
    holders: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """Client id by (topic, partition)."""
    entries: tuple[Member, ...] = ()

    @property
    def idle(self) -> bool:
        """Nobody is in it."""
        return not self.members and self.state in GONE


async def describe_group(admin: AIOKafkaAdminClient, group: str) -> GroupState:
    """Raises KafkaError, after about 20 s while the group's coordinator is not there."""
    error: KafkaError = KafkaError("no answer")
    for _ in range(ATTEMPTS):
        try:
            (response,) = await admin.describe_consumer_groups([group])
            code, _, state, _, _, members, *_ = response.groups[0]
            if not code:
                names = tuple(sorted(member[1] for member in members))
                return GroupState(state, names, _holders(members), tuple(map(_member, members)))
            error = for_code(code)()
        except NOT_YET as raised:
            error = raised
        if not isinstance(error, NOT_YET):
            raise error
        await asyncio.sleep(PAUSE)
    raise error


def _member(described: Any) -> Member:
    member_id, client_id, _, metadata, _ = described
    told = ConsumerProtocolMemberMetadata.decode(metadata).user_data if metadata else b""
    return Member(member_id, client_id, told or b"")


def _holders(members: Iterable[Any]) -> dict[tuple[str, int], str]:
    """Out of what the leader assigned, which follows Kafka's consumer protocol; empty during a rebalance."""
    return {
        (topic, partition): client_id
        for _, client_id, _, _, assignment in members
        if assignment
        for topic, partitions in ConsumerProtocolMemberAssignment.decode(assignment).assignment
        for partition in partitions
    }


async def committed_offsets(
    connection: KafkaConnection, group: str, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata]:
    """Offsets and metadata of a group that we do not join; partitions without an offset are left out. Raises
    KafkaError."""
    wanted = list(partitions)
    client: dict[str, Any] = connection.client("cdc-status")
    consumer = AIOKafkaConsumer(**client, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(wanted)
        return await offset_fetch(consumer, wanted)
    finally:
        await consumer.stop()
