"""Asks the workers of a cluster, all at once, and believes only answers that are signed. Only ever GET."""

import asyncio
import json
import ssl
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
from yarl import URL

from workers.cluster.directory import Sight, address_of
from workers.cluster.key import WITHOUT
from workers.cluster.peers import OTHERS, SECONDS, Answer, Peer
from workers.cluster.signature import (
    NONCE,
    SIGNATURE,
    TIME,
    TO,
    ClusterKey,
    Refusal,
    answer_signature,
    call_signature,
    same,
)  # fmt: skip
from workers.settings.web import is_loopback

MOST_BYTES = 32 << 20
"""Of one answer."""
REFUSED = {
    Refusal.KEY: "it has another cluster key: give all workers the same CDC_CLUSTER_KEY or redaction key",
    Refusal.CLOCK: "its clock and this one's are more than 30 s apart",
    Refusal.REPEATED: "it has seen this call before",
    Refusal.ADDRESSEE: "another worker answers at its address",
    Refusal.FLOOD: "it gets too many calls",
}
AWAY = (
    "listens on loopback, and does not answer on this machine: it has ended, or it runs elsewhere and needs "
    "CDC_WEB_BIND and CDC_WEB_TOKEN_FILE"
)
FOREIGN = "something else answers at its address"


class Directory(Protocol):
    """Who the workers are."""

    async def look(self) -> Sight:
        """Never raises."""


@dataclass(frozen=True, slots=True)
class Alone:
    """The directory of a worker that knows nobody else."""

    async def look(self) -> Sight:
        """Nobody."""
        return Sight(())


@dataclass(frozen=True, slots=True)
class SignedCluster:
    """All workers seen from one of them, or from a command. `now` gives seconds since the epoch."""

    me: Peer | None
    """None: a command asks, which is no worker."""
    own_url: str
    """Where this process reaches its own server; without meaning if `me` is None."""
    directory: Directory
    key: ClusterKey | None
    """None: other workers cannot be asked."""
    own_key: ClusterKey
    """Of calls of this process to itself."""
    now: Callable[[], float]
    authorities: ssl.SSLContext | None = None
    nonce: Callable[[], str] = field(default=lambda: uuid.uuid4().hex)

    @property
    def here(self) -> str:
        """Name of this worker."""
        return self.me.name if self.me is not None else "command"

    async def peers(self) -> tuple[Peer, ...]:
        """This one, and all others that a group knows."""
        return (await self._sight()).peers

    async def ask(
        self, path: str, query: Mapping[str, str] | None = None, *, seconds: float = SECONDS
    ) -> tuple[Answer, ...]:
        """GET `path` from every worker; see `Cluster`."""
        sight = await self._sight()
        target = URL(path).with_query(dict(query)) if query else URL(path)
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            answers = list(await asyncio.gather(*(self._answer(session, peer, target) for peer in sight.peers)))
        if sight.trouble is not None:
            answers.append(Answer(OTHERS, error=sight.trouble))
        return tuple(answers)

    async def _sight(self) -> Sight:
        sight = await self.directory.look()
        me = self.me
        if me is None:
            return sight
        # While a group rebalances it knows members without their addresses, this one among them.
        others = (peer for peer in sight.peers if peer.name != me.name or peer.url not in (me.url, None))
        return Sight((me, *others), sight.trouble)

    async def _answer(self, session: aiohttp.ClientSession, peer: Peer, target: URL) -> Answer:
        mine = peer is self.me
        key = self.own_key if mine else self.key
        if key is None:
            return Answer(peer.name, error=f"cannot be asked: {WITHOUT}")
        if peer.url is None:
            return Answer(peer.name, error="has not said yet where it listens (its group rebalances, or it is older)")
        url = URL(self.own_url if mine else peer.url).join(target)
        try:
            # Our own certificate need not name our own address; the answer is signed all the same.
            trust: ssl.SSLContext | bool = False if mine else (self.authorities or True)
            return await self._signed(session, peer, url, key, trust)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Answer(peer.name, error=self._why(peer, error, mine=mine))

    async def _signed(
        self, session: aiohttp.ClientSession, peer: Peer, url: URL, key: ClusterKey, trust: ssl.SSLContext | bool
    ) -> Answer:
        to, nonce = address_of(peer.url or "", peer.name), self.nonce()
        at = str(int(self.now() * 1000))
        signature = call_signature(key.signing, url.raw_path_qs, at, nonce, to)
        headers = {TIME: at, NONCE: nonce, TO: to, SIGNATURE: signature}
        async with session.get(url, headers=headers, ssl=trust, allow_redirects=False) as response:
            body = await _read(response)
            told = response.headers.get(SIGNATURE, "")
            if not same(told, answer_signature(key.signing, nonce, to, response.status, body)):
                return Answer(peer.name, error=_unsigned(peer, response.status, body))
            if response.status != 200:
                return Answer(peer.name, error=f"answers {response.status}: {_reason(body)}")
            return Answer(peer.name, body=json.loads(body))

    def _why(self, peer: Peer, error: Exception, *, mine: bool) -> str:
        if isinstance(error, TimeoutError):
            return "does not answer in time"
        if isinstance(error, aiohttp.ClientSSLError):
            return "its certificate is not trusted here: set CDC_CLUSTER_CA_FILE"
        if not mine and is_loopback(URL(peer.url or "").host or ""):
            return AWAY
        if isinstance(error, ValueError):
            return "its answer is no JSON"
        return f"cannot be reached at {peer.url} ({type(error).__name__})"


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Raises ValueError beyond 32 MiB."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > MOST_BYTES:
            raise ValueError
        pieces.append(piece)
    return b"".join(pieces)


def _unsigned(peer: Peer, status: int, body: bytes) -> str:
    """Whoever answered has not proved to be the worker: what it says is not shown, only a reason of our own."""
    refusal = _field(body, "refusal")
    if status == 401 and refusal in set(Refusal):
        return REFUSED[Refusal(refusal)]
    return AWAY if is_loopback(URL(peer.url or "").host or "") else FOREIGN


def _reason(body: bytes) -> str:
    told = _field(body, "error")
    return told[:200] if told else "no reason given"


def _field(body: bytes, name: str) -> str:
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""
