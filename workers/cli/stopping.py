"""Commands that go on until somebody ends them: Ctrl-C and SIGTERM are orderly ends."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any

import click

ENDING = (signal.SIGINT, signal.SIGTERM)


async def until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Run it, and cancel it at the first of the two signals. Returns whether it came to its own end."""
    task = asyncio.ensure_future(work)
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    heard = ENDING if threading.current_thread() is threading.main_thread() else ()  # signals come to no other one
    for number in heard:
        loop.add_signal_handler(number, stopped.set)
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
    if task.cancelled():
        return False
    task.result()
    return True


def put(text: str) -> None:
    """Print data. Whoever read it may have gone (`| head`): then the command ends, and Kafka is not to blame."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.Abort from None
