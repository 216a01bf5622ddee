"""Files that commands read; `-` is stdin."""

import sys
from pathlib import Path

from workers.failures import CommandError, NotFoundError

STDIN = "-"


def read_input(name: str) -> bytes:
    """The bytes of a file. Raises NotFoundError, CommandError."""
    if name == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name}") from None
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}") from None


def shown_name(name: str) -> str:
    """The name of a file as people are told it."""
    return "stdin" if name == STDIN else name
