"""Consumer groups seen from the outside: who is in them, and what they have committed."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
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
from yarl import URL

from workers.engine.offsets import offset_fetch
from workers.kafka.connection import KafkaConnection

ATTEMPTS = 100
PAUSE = 0.2
NOT_YET = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
GONE = ("Dead", "Empty")


class _Told(msgspec.Struct):
    url: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a group, which is one stage of one worker."""

    id: str
    client_id: str
    told: bytes = b""
    """What it told the group with its subscription; empty while the group rebalances."""

    @property
    def address(self) -> str:
        """Where its web server is, and behind `#` the name of the worker; empty if it told nothing that could be
        asked."""
        try:
            url = msgspec.json.decode(self.told, type=_Told).url
            return url if URL(url).host else ""
        except (msgspec.MsgspecError, ValueError):
            return ""

    @property
    def name(self) -> str:
        """Of the worker; its client id, which workers without a name of their own share, if it told nothing."""
        return URL(self.address).fragment or self.client_id


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group as its coordinator describes it."""

    state: str
    """Kafka's word: Stable, PreparingRebalance, CompletingRebalance, Empty, Dead (it does not exist)."""
    members: tuple[str, ...]
    """Names of workers, of strangers their client ids; one for each member."""
    holders: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """Name of the worker by (topic, partition)."""
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
                entries = tuple(map(_member, members))
                return GroupState(state, tuple(sorted(one.name for one in entries)), _holders(members), entries)
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
        (topic, partition): _member(member).name
        for member in members
        if (assignment := member[-1])
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
