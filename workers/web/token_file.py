"""The token file of a running worker: tokens rotate without a restart."""

import logging
from collections.abc import Iterable
from pathlib import Path

from workers.failures import ConfigurationError
from workers.web.tokens import Token, Tokens, read_tokens

log = logging.getLogger("cdc.web")
audit = logging.getLogger("cdc.audit")

LOOK_SECONDS = 3.0
"""Between two looks whether the file is another one."""

Mark = tuple[int, ...] | None


class TokenFile:
    """What it held when it could last be read. Raises ConfigurationError if it cannot be read now: at a start that is
    told at once. `None`: there is no file, and no token."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._mark = _mark(path)
        self.tokens = read_tokens(path) if path is not None else Tokens()

    def look(self) -> None:
        """Read it again if it is another one. What cannot be used changes nothing and is said once. Does file I/O."""
        # Before it is read: what is written meanwhile is found by the next look.
        mark = _mark(self._path)
        if self._path is None or mark == self._mark:
            return
        self._mark = mark
        try:
            found = read_tokens(self._path)
        except ConfigurationError as error:
            log.error("%s; the tokens known so far stay in force; %s", error, error.hint)
            return
        before, self.tokens = self.tokens, found
        new, gone = _digests(found.known) - _digests(before.known), _digests(before.known) - _digests(found.known)
        audit.info("the token file was read again: tokens=%d new=%d gone=%d", len(found.known), len(new), len(gone))


def _mark(path: Path | None) -> Mark:
    """Another one for another file, another content or other rights; a link is followed, as Kubernetes exchanges it."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digests(tokens: Iterable[Token]) -> set[bytes]:
    return {token.digest for token in tokens}
