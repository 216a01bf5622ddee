"""Where positions can be brought from."""

import asyncio
from pathlib import Path

from workers.failures import ConfigurationError
from workers.positions.brought import Brought
from workers.positions.document import read_document
from workers.settings import Settings


async def bring(_settings: Settings, source: str, stream: str) -> Brought:
    """`source`: FILE. `stream`: its name or ARN there. Raises CommandError, AwsError."""
    return read_document(await asyncio.to_thread(_content, source), stream)


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
