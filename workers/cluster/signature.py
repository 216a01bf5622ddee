"""What a worker signs when it asks another one, and when it answers: HMAC-SHA-256 under a key that all of them share.

A call names the worker it is for, so it cannot be played to another one; it is good for 30 s and once. An answer is
signed for its call, so a process that happens to listen on the port is not believed.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

WINDOW_SECONDS = 30.0
MOST_NONCES = 20_000
"""Calls remembered at once; more than that within two windows are refused."""

TIME, NONCE, TO, SIGNATURE = "X-CDC-Time", "X-CDC-Nonce", "X-CDC-To", "X-CDC-Signature"
CALL_HEADERS = (TIME, NONCE, TO, SIGNATURE)
NONCE_LENGTHS = range(16, 65)


class Refusal(StrEnum):
    """Why a call is not answered."""

    KEY = "key"
    CLOCK = "clock"
    REPEATED = "repeated"
    ADDRESSEE = "addressee"
    FLOOD = "flood"


@dataclass(frozen=True, slots=True)
class ClusterKey:
    """The first of the keys signs; all are believed, so that a key can be exchanged worker by worker."""

    accepted: tuple[bytes, ...] = field(repr=False)

    @property
    def signing(self) -> bytes:
        """Key of what this worker says of itself."""
        return self.accepted[0]


def derived_key(secret: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869), one block: the cluster's key out of the redaction key."""
    extracted = hmac.digest(b"cdc-worker/cluster", secret, hashlib.sha256)
    return hmac.digest(extracted, b"calls of workers\x01", hashlib.sha256)


def call_signature(key: bytes, target: str, at_ms: str, nonce: str, to: str) -> str:
    """Of a GET of `target`, path and query as they go over the wire."""
    return _signed(key, "call 1", "GET", target, at_ms, nonce, to)


def answer_signature(key: bytes, nonce: str, to: str, status: int, body: bytes) -> str:
    """Of the answer to the call with that nonce."""
    return _signed(key, "answer 1", nonce, to, str(status), hashlib.sha256(body).hexdigest())


def _signed(key: bytes, *parts: str) -> str:
    text = b"".join(
        len(raw).to_bytes(4, "big") + raw for raw in (part.encode(errors="surrogatepass") for part in parts)
    )
    return hmac.digest(key, text, hashlib.sha256).hex()


def same(one: str, other: str) -> bool:
    """Compared in a time that does not depend on where they differ."""
    return hmac.compare_digest(*(text.encode(errors="surrogatepass") for text in (one, other)))


@dataclass(frozen=True, slots=True)
class Accepted:
    """A call of another worker: what signs its answer."""

    key: bytes = field(repr=False)
    nonce: str
    to: str


@dataclass(slots=True)
class Reception:
    """Judges calls to one worker. `now` gives seconds since the epoch."""

    key: ClusterKey
    me: str
    """How calls must address this worker: its URL with its name behind `#`."""
    now: Callable[[], float]
    _seen: dict[str, float] = field(default_factory=dict)

    def judge(self, target: str, headers: Mapping[str, str]) -> Accepted | Refusal:
        """Whether a GET of `target` (path and query, raw) comes from a worker that has the key."""
        at, nonce, to, signature = (headers.get(name, "") for name in CALL_HEADERS)
        signer = next(
            (key for key in self.key.accepted if same(call_signature(key, target, at, nonce, to), signature)), None
        )
        if signer is None or len(nonce) not in NONCE_LENGTHS:
            return Refusal.KEY
        # From here on the call is one that somebody with the key has made.
        if not same(to, self.me):
            return Refusal.ADDRESSEE
        now = self.now()
        if not at.isdecimal() or abs(int(at) / 1000 - now) > WINDOW_SECONDS:
            return Refusal.CLOCK
        if nonce in self._seen:
            return Refusal.REPEATED
        self._forget(now)
        if len(self._seen) >= MOST_NONCES:
            return Refusal.FLOOD
        self._seen[nonce] = now
        return Accepted(signer, nonce, to)

    def _forget(self, now: float) -> None:
        """A call from a clock that is ahead is good for two windows."""
        for nonce, since in list(self._seen.items()):
            if now - since <= 2 * WINDOW_SECONDS:
                return
            del self._seen[nonce]
