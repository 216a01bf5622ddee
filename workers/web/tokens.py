"""Tokens of the web server: a file with a line `read TOKEN [NAME]` or `write TOKEN [NAME]` each."""

import hashlib
import hmac
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from workers.failures import ConfigurationError

MIN_TOKEN = 32
MIN_DIFFERENT = 8
"""Characters. Wrong tokens are slowed down, right ones never: nobody may be able to guess one."""
FORBIDDEN_MODE = stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH | stat.S_IXOTH
"""A group may read it: Kubernetes mounts a secret for the group of the pod."""
HINT = "a line is `read TOKEN [NAME]` or `write TOKEN [NAME]`; `openssl rand -hex 32` makes a good token"


@dataclass(frozen=True, slots=True)
class Token:
    """What is remembered of a token: its digest, never itself."""

    digest: bytes = field(repr=False)
    writes: bool
    name: str
    """For the audit line; a token without a name is called after its line."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """All tokens of a file."""

    known: tuple[Token, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.known)

    def find(self, told: str) -> Token | None:
        """Compares with all of them, in a time that says nothing."""
        return self.of(_digest(told))

    def of(self, digest: bytes) -> Token | None:
        """The token with that digest, if it is in force."""
        found = [token for token in self.known if hmac.compare_digest(token.digest, digest)]
        return found[0] if found else None


def read_tokens(path: Path) -> Tokens:
    """Raises ConfigurationError for a file that cannot be read, that others may read, or that has a wrong line."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(
            f"CDC_WEB_TOKEN_FILE cannot be read: {reason}", hint="check the path and its permissions"
        ) from None
    if mode & FORBIDDEN_MODE:
        raise ConfigurationError(
            f"CDC_WEB_TOKEN_FILE has mode {stat.S_IMODE(mode):04o}: others may read or change it",
            hint="chmod 600 it; in Kubernetes set defaultMode: 0440 and fsGroup",
        )
    return parse_tokens(text.splitlines())


def parse_tokens(lines: Iterable[str]) -> Tokens:
    """Raises ConfigurationError with the number of a wrong line, never with what stands in it."""
    found: list[Token] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        wrong = _wrong(words, found)
        if wrong:
            raise ConfigurationError(f"CDC_WEB_TOKEN_FILE line {number}: {wrong}", hint=HINT)
        name = words[2] if len(words) == 3 else f"{words[0]}-{number}"
        found.append(Token(_digest(words[1]), words[0] == "write", name))
    if not found:
        raise ConfigurationError("CDC_WEB_TOKEN_FILE holds no token", hint=HINT)
    return Tokens(tuple(found))


def _wrong(words: list[str], before: list[Token]) -> str:
    if words[0] not in ("read", "write") or not 2 <= len(words) <= 3:
        return "neither `read TOKEN [NAME]` nor `write TOKEN [NAME]`"
    if len(words[1]) < MIN_TOKEN:
        return f"the token has less than {MIN_TOKEN} characters"
    if len(set(words[1])) < MIN_DIFFERENT:
        return f"the token has less than {MIN_DIFFERENT} different characters"
    if _digest(words[1]) in {token.digest for token in before}:
        return "this token stands there twice"
    return ""


def _digest(token: str) -> bytes:
    # What a client sends need not be UTF-8; aiohttp makes lone surrogates of it.
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
