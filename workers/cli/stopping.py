"""Commands that somebody ends by Ctrl-C or SIGTERM: an orderly end of one that goes on for ever, and of one that writes
a part of the work."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

from workers.failures import PartialError

ENDING = (signal.SIGINT, signal.SIGTERM)
KILLED = 128
"""A shell adds it to the number of the signal that ended a process."""
T = TypeVar("T")


async def until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Run it, and cancel it at the first of the two signals. Returns whether it came to its own end."""
    task = await _ended(work)
    if task.cancelled():
        return False
    task.result()
    return True


async def to_the_end(work: Coroutine[Any, Any, T], go_on: str | None) -> T:
    """Run work that writes. Raises PartialError with the hint how to `go_on` if one of the signals cut it off; of work
    that writes nothing (None) that is an orderly end."""
    task = await _ended(work)
    if not task.cancelled():
        return task.result()
    if go_on is None:
        raise click.Abort
    raise PartialError("stopped before the end", hint=go_on)


async def _ended(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """The first signal cancels it, the second one does not wait until it has ended: a broker may be down. What that
    leaves is what a SIGKILL leaves (P8)."""
    task = asyncio.ensure_future(work)
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    heard = ENDING if threading.current_thread() is threading.main_thread() else ()  # signals come to no other one

    def end(number: int) -> None:
        if stopped.is_set():
            sys.stderr.flush()
            os._exit(KILLED + number)
        stopped.set()

    for number in heard:
        loop.add_signal_handler(number, end, number)
    stopping = asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
    return task


def put(text: str) -> None:
    """Print data. Whoever read it may have gone (`| head`): then the command ends, and Kafka is not to blame."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.Abort from None
