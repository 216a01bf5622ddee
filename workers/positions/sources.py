"""Where positions can be brought from."""

import asyncio
import functools
from pathlib import Path

from workers.aws.client import Session
from workers.failures import ConfigurationError
from workers.positions.brought import Brought
from workers.positions.document import read_document
from workers.positions.tables import items_of, kcl_leases, lambda_checkpoints
from workers.settings.worker import Settings

KCL, LAMBDA = "kcl", "dynamodb"


async def bring(settings: Settings, source: str, stream: str) -> Brought:
    """`source`: FILE, `kcl:TABLE`, or `dynamodb:TABLE`, whose table may be left out. `stream`: its name or ARN there.
    Raises CommandError, AwsError."""
    kind, colon, table = source.partition(":")
    if not colon or kind not in (KCL, LAMBDA):
        return read_document(await asyncio.to_thread(_content, source), stream)
    table = table or (settings.checkpoint_table_name or "" if kind == LAMBDA else "")
    if not table:
        raise ConfigurationError(f"{source} names no table", hint="kcl:TABLE, dynamodb:TABLE or CHECKPOINT_TABLE_NAME")
    items = await items_of(functools.partial(Session(settings).cold, "dynamodb", "scan"), table)
    return kcl_leases(items, stream) if kind == KCL else lambda_checkpoints(items)


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
