"""What a command does about Ctrl-C and SIGTERM."""

import signal
import subprocess
import sys

import pytest

from workers.cli.stopping import ENDING, KILLED

NEVER_ENDS = """
import asyncio, signal
from workers.cli.stopping import to_the_end

async def work():
    print("begun", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("ending", flush=True)
        await asyncio.Event().wait()

asyncio.run(to_the_end(work(), "run it again"))
"""


@pytest.mark.parametrize("number", ENDING)
def test_a_second_signal_does_not_wait_for_an_end_that_does_not_come(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", NEVER_ENDS], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "begun\n"
        command.send_signal(number)
        assert command.stdout.readline() == "ending\n"
        assert command.poll() is None
        command.send_signal(number)
        assert command.wait(60) == KILLED + number
