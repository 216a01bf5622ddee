"""How long a look at the pipeline waits for any part of it: what does not answer is told, and the rest is shown."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from workers.failures import CommandError, UnreachableError

SECONDS = 8.0
"""For one section; they are asked side by side."""
CLEAN_UP_SECONDS = 1.0
T = TypeVar("T")


async def answered(section: str, work: Awaitable[T], otherwise: T, unseen: list[str], seconds: float = SECONDS) -> T:
    """What `work` finds; `otherwise`, and why in `unseen`, if it fails or does not end in time. A client that does not
    even close in time is left to itself."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            unseen.append(f"{section}: no answer within {seconds:g} s")
            return otherwise
        return task.result()
    except (CommandError, KafkaError, OSError) as error:
        unseen.append(f"{section}: {_why(error)}")
        return otherwise
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CLEAN_UP_SECONDS)


async def in_time(what: str, work: Awaitable[T], seconds: float = SECONDS) -> T:
    """The same of what nothing can be shown without. Raises UnreachableError, and what `work` raises."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise UnreachableError(f"{what}: no answer within {seconds:g} s", hint="try `cdc check`") from None


def _why(error: Exception) -> str:
    if isinstance(error, TopicAuthorizationFailedError) or not isinstance(error, CommandError):
        return type(error).__name__
    return str(error)
