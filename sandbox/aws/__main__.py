"""`python -m sandbox.aws --port N`: the stand-in as a child process that does not outlive its parent."""

import argparse
import asyncio
import contextlib
import functools
import os
import signal
import stat
import sys

from sandbox.aws.event_ledger import REMEMBERED
from sandbox.aws.server import LOOPBACK, PUT_EVENTS_BYTES, StandIn
from sandbox.aws.streams import ITERATOR_SECONDS, Behaviour
from sandbox.stand_in import prepare, sandbox_client

PARENT_CHECK_SECONDS = 0.5
USAGE = """The first line on stdout is the URL, once it answers. The process ends at SIGTERM, when its parent is gone,
and, if stdin is a pipe, when that is closed."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.aws", description=__doc__, epilog=USAGE)
    parser.add_argument("--port", type=int, default=0, help="port; 0 (default) takes a free one")
    parser.add_argument("--bind", default=LOOPBACK, metavar="ADDRESS",
                        help="where to listen, by default 127.0.0.1; signatures are not checked, so another address is "
                        "for networks of containers only")  # fmt: skip
    parser.add_argument("--stream", help="make this Kinesis stream, too")
    parser.add_argument("--shards", type=int, default=4, help="of that stream; by default 4")
    parser.add_argument("--bus", default="cdc-events", help="with --stream: make this classic event bus, too")
    parser.add_argument("--parent-pid", type=int, help="end with this process too, not only with the direct parent")
    parser.add_argument("--account", default="000000000000", help="AWS account id")
    parser.add_argument("--region", default="us-east-1", help="AWS region")
    parser.add_argument("--put-events-bytes", type=int, default=PUT_EVENTS_BYTES, help="bytes of one PutEvents request")
    parser.add_argument("--update-seconds", type=float, default=0.0, help="how long a stream is UPDATING")
    parser.add_argument("--iterator-seconds", type=float, default=ITERATOR_SECONDS, help="how long an iterator lives")
    parser.add_argument("--remembered-events", type=int, default=REMEMBERED, help="accepted events the ledger keeps")
    arguments = parser.parse_args()
    stand_in = StandIn(
        account=arguments.account,
        region=arguments.region,
        put_events_bytes=arguments.put_events_bytes,
        remembered_events=arguments.remembered_events,
        behaviour=Behaviour(update_seconds=arguments.update_seconds, iterator_seconds=arguments.iterator_seconds),
    )
    try:
        asyncio.run(_serve(stand_in, arguments))
    except OSError as reason:
        sys.exit(f"error: cannot listen on port {arguments.port}: {reason.strerror}")


async def _serve(stand_in: StandIn, given: argparse.Namespace) -> None:
    # Taken before anything else: a parent that dies during the start must be noticed too.
    direct_parent = os.getppid()
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    _watch_stdin(loop, over)
    url = await stand_in.start(given.port, given.bind)
    if given.stream:
        client = functools.partial(sandbox_client, endpoint=url, region=given.region)
        await asyncio.to_thread(prepare, client, given.stream, given.shards, given.bus)
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    try:
        while not over.is_set() and os.getppid() == direct_parent and _alive(given.parent_pid):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), PARENT_CHECK_SECONDS)
    finally:
        await stand_in.stop()


def _watch_stdin(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    """A pipe or socket that closes means the parent is gone; a terminal or /dev/null says nothing."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return

    def read() -> None:
        try:
            closed = not os.read(0, 4096)
        except OSError:
            closed = True
        if closed:
            loop.remove_reader(0)
            over.set()

    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        loop.add_reader(0, read)


def _alive(pid: int | None) -> bool:
    if pid is None:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main()
