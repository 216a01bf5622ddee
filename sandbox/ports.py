"""Free TCP ports on the loopback interface for the parts of the sandbox."""

import contextlib
import random
import socket

LOOPBACK = "127.0.0.1"
# Below the ephemeral range of Linux (from 32768) and macOS (from 49152). A client that keeps trying to reach a dead
# server on an ephemeral port may one day be given that very port as its own and connect to itself; the server could
# then not come back on it.
LOWEST, HIGHEST = 20_000, 32_767
ATTEMPTS = 1_000


def free_ports(count: int) -> list[int]:
    """`count` different ports nobody listens on now. Raises OSError if so many cannot be found."""
    ports: list[int] = []
    with contextlib.ExitStack() as held:
        for _ in range(ATTEMPTS):
            if len(ports) == count:
                return ports
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            port = random.randint(LOWEST, HIGHEST)
            with contextlib.suppress(OSError):
                probe.bind((LOOPBACK, port))
                ports.append(port)
    raise OSError(f"no {count} free ports between {LOWEST} and {HIGHEST}")
