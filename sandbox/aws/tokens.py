"""Opaque tokens (shard iterators, paging): they carry their own state, sealed against made-up ones."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec

SEAL_BYTES = 12


class Tokens:
    """Makes and opens tokens; those of another server process do not open."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def seal(self, kind: str, *state: str | float | None) -> str:
        """A URL-safe token, well under 512 characters for the states used here."""
        content = msgspec.json.encode((kind, *state))
        return urlsafe_b64encode(self._mark(content) + content).decode()

    def open(self, kind: str, token: str) -> list[Any] | None:
        """The state given to `seal`, or None if this is no token of that kind."""
        try:
            raw = urlsafe_b64decode(token.encode())
        except ValueError:
            return None
        content = raw[SEAL_BYTES:]
        if not hmac.compare_digest(raw[:SEAL_BYTES], self._mark(content)):
            return None
        found, *state = msgspec.json.decode(content)
        return state if found == kind else None

    def _mark(self, content: bytes) -> bytes:
        return hashlib.blake2b(content, key=self._secret, digest_size=SEAL_BYTES).digest()
