"""Who the workers are: read from the consumer groups of all stages, which know every member that lives.

A member tells the group where its web server is (`url` in the metadata of its subscription, as Faust has it; the range
assignor of the bridge does the same). Behind `#` stands the worker's name, so that two workers on loopback of different
machines are two.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from yarl import URL

from workers.cluster.peers import Peer
from workers.failures import CommandError
from workers.kafka.connection import kafka_connection
from workers.kafka.groups import GroupState, Member, describe_group
from workers.kafka.topics import group_of
from workers.settings.worker import Settings

log = logging.getLogger("cdc.cluster")

STAGES = ("bridge", "enrich", "publish", "archive")
CACHED_SECONDS = 3.0
DESCRIBE_SECONDS = 4.0
Groups = Mapping[str, GroupState]
"""State of a stage's group by stage."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The workers seen, and why that may not be all of them."""

    peers: tuple[Peer, ...]
    trouble: str | None = None


class _Told(msgspec.Struct):
    url: str = ""


def address_of(url: str, name: str) -> str:
    """What a worker tells its groups: its URL, and its name behind `#`."""
    return str(URL(url).with_fragment(name))


def peers_of(groups: Groups, known: Mapping[str, str]) -> tuple[Peer, ...]:
    """One peer per process, by name. `known` is what a member said earlier, by member id: while a group rebalances
    Kafka does not repeat it."""
    stages: dict[str, list[str]] = {}
    silent: dict[str, list[str]] = {}
    for stage, group in groups.items():
        for member in group.entries:
            address = told_address(member) or known.get(member.id, "")
            found = stages if address else silent
            found.setdefault(address or member.client_id, []).append(stage)
    peers = [_peer(address, tuple(dict.fromkeys(of))) for address, of in stages.items()]
    for client_id, of in silent.items():
        mine = next((at for at, peer in enumerate(peers) if peer.name == client_id), None)
        if mine is None:
            peers.append(Peer(client_id, None, tuple(dict.fromkeys(of))))
        else:
            peers[mine] = Peer(client_id, peers[mine].url, tuple(dict.fromkeys((*peers[mine].stages, *of))))
    return tuple(sorted(peers, key=lambda peer: (peer.name, peer.url or "")))


def told_address(member: Member) -> str:
    """Out of the metadata of its subscription; empty if there is none, or none that could be asked."""
    try:
        url = msgspec.json.decode(member.told, type=_Told).url
        return url if URL(url).host else ""
    except (msgspec.MsgspecError, ValueError):
        return ""


def _peer(address: str, stages: tuple[str, ...]) -> Peer:
    url = URL(address)
    return Peer(url.fragment or url.authority, str(url.with_fragment(None)).rstrip("/"), stages)


@dataclass(slots=True)
class GroupDirectory:
    """Remembers what it read for some seconds. Never raises."""

    describe: Callable[[], Awaitable[Groups]]
    now: Callable[[], float] = monotonic
    _known: dict[str, str] = field(default_factory=dict)
    _sight: Sight = field(default_factory=lambda: Sight(()))
    _read_at: float | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> Sight:
        """All workers, as they were at most 3 s ago; the last ones known if Kafka does not say."""
        async with self._reading:
            if self._read_at is None or self.now() - self._read_at > CACHED_SECONDS:
                self._sight = await self._read()
                self._read_at = self.now()
            return self._sight

    async def _read(self) -> Sight:
        try:
            groups = await asyncio.wait_for(self.describe(), DESCRIBE_SECONDS)
        except (KafkaError, OSError, TimeoutError, CommandError) as error:
            log.info("who the workers are is not known now: %s", type(error).__name__)
            return Sight(self._sight.peers, f"Kafka does not say who the workers are ({type(error).__name__})")
        told = {member.id: told_address(member) for group in groups.values() for member in group.entries}
        self._known = {id_: address or self._known.get(id_, "") for id_, address in told.items()}
        return Sight(peers_of(groups, self._known))


@dataclass(slots=True)
class KafkaGroups:
    """Describes the groups of all stages through one admin client, which it opens when it is first asked."""

    settings: Settings
    _admin: AIOKafkaAdminClient | None = None

    async def __call__(self) -> Groups:
        """Raises KafkaError, OSError or ConfigurationError."""
        if self._admin is None:
            client = f"{self.settings.worker_name or 'cdc'}.directory"
            admin = AIOKafkaAdminClient(**kafka_connection(self.settings).client(client))
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        admin = self._admin
        try:
            found = await asyncio.gather(*(describe_group(admin, group_of(self.settings, of)) for of in STAGES))
        except BaseException:
            await self.close()  # the next question finds its brokers anew
            raise
        return dict(zip(STAGES, found, strict=True))

    async def close(self) -> None:
        """Safe to repeat."""
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(KafkaError, OSError):
                await admin.close()
