"""Checks of names and addresses: bootstrap servers in DNS, and brokers where they say that they are."""

import asyncio
import contextlib
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.conn import collect_hosts

from workers.checks.findings import Finding
from workers.checks.kinds import Severity


async def unknown_names(bootstrap: str, seconds: float) -> dict[str, str]:
    """{host:port: why}, of bootstrap servers whose name DNS does not know. Raises nothing."""
    found = {}
    for host, port, _ in collect_hosts(bootstrap):
        if (why := await _unresolved(host, port, seconds)) is not None:
            found[f"{host}:{port}"] = why
    return found


def check_names(unknown: Mapping[str, str], servers: int) -> list[Finding]:
    """A name that is not known is a warning while another one is."""
    severity: Severity | None = "warning" if len(unknown) < servers else None
    return [Finding.of("kafka.dns", server, why, severity=severity) for server, why in unknown.items()]


async def check_addresses(brokers: Iterable[Mapping[str, Any]], seconds: float) -> list[Finding]:
    """Whether every broker can be reached at the address it advertises; all at the same time."""
    asked = [(broker["node_id"], broker["host"], broker["port"]) for broker in brokers]
    told = await asyncio.gather(*(_unreached(host, port, seconds) for _, host, port in asked))
    return [
        Finding.of("broker.address", f"broker {node}", f"it says that it is at {host}:{port}, and {why}")
        for (node, host, port), why in zip(asked, told, strict=True)
        if why is not None
    ]


async def _unresolved(host: str, port: int, seconds: float) -> str | None:
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return f"no address for this name ({error.strerror})"
    except TimeoutError:
        return f"the resolver did not answer in {seconds:g} s"
    except (OSError, UnicodeError):
        return "this name cannot be looked up"
    return None


async def _unreached(host: str, port: int, seconds: float) -> str | None:
    if (why := await _unresolved(host, port, seconds)) is not None:
        return why
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"nothing answers there in {seconds:g} s"
    except OSError as error:
        return f"nothing answers there ({error.strerror or type(error).__name__})"
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await writer.wait_closed()
    return None
