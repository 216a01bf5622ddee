"""Who has signed in with a browser, and who has failed to. Both in memory: a restart ends every session."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from workers.web.tokens import Token

IDLE_SECONDS = 3_600.0
LONGEST_SECONDS = 8 * 3_600.0
MOST_SESSIONS = 100
"""Of one token: whoever has it ends no sessions of others."""

FAILURES = 10
FAILURE_SECONDS = 60.0
MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Session:
    token: Token
    since: float
    used: float


@dataclass(slots=True)
class Sessions:
    """Ends an hour after its last use, and after eight hours at the latest. `now` gives seconds."""

    now: Callable[[], float]
    draw: Callable[[], str] = field(default=lambda: secrets.token_urlsafe(32))
    _open: dict[bytes, _Session] = field(default_factory=dict)

    def begin(self, token: Token) -> str:
        """The name of a new session, which goes into the cookie. If its token has too many, the eldest of them ends."""
        self._forget()
        same = [name for name, session in self._open.items() if session.token.digest == token.digest]
        if len(same) >= MOST_SESSIONS:
            del self._open[same[0]]
        name, now = self.draw(), self.now()
        self._open[_digest(name)] = _Session(token, now, now)
        return name

    def find(self, name: str) -> Token | None:
        """Whose session it is; None if it has ended or there never was one."""
        session = self._open.get(_digest(name))
        if session is None or self._over(session):
            return None
        session.used = self.now()
        return session.token

    def end(self, name: str) -> None:
        """Safe to repeat."""
        self._open.pop(_digest(name), None)

    def _over(self, session: _Session) -> bool:
        now = self.now()
        return now - session.used > IDLE_SECONDS or now - session.since > LONGEST_SECONDS

    def _forget(self) -> None:
        for name in [name for name, session in self._open.items() if self._over(session)]:
            del self._open[name]


@dataclass(slots=True)
class Failures:
    """Wrong credentials by address: after ten within a minute more of them are told to wait until it is over."""

    now: Callable[[], float]
    _by_address: dict[str, tuple[float, int]] = field(default_factory=dict)

    def add(self, address: str) -> None:
        """One more."""
        now = self.now()
        since, count = self._by_address.get(address, (now, 0))
        if now - since > FAILURE_SECONDS:
            since, count = now, 0
        if address not in self._by_address and len(self._by_address) >= MOST_ADDRESSES:
            del self._by_address[next(iter(self._by_address))]
        self._by_address[address] = (since, count + 1)

    def seconds_to_wait(self, address: str) -> int:
        """0 if it has shown few wrong ones."""
        since, count = self._by_address.get(address, (0.0, 0))
        left = since + FAILURE_SECONDS - self.now()
        return max(1, round(left)) if count >= FAILURES and left > 0 else 0


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode(errors="surrogatepass")).digest()
