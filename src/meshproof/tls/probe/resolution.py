"""From a host name to the addresses to connect to, beside all other work."""

from __future__ import annotations

import asyncio
import socket
from threading import Thread
from typing import NamedTuple

from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.probe.stream import Address


class Endpoint(NamedTuple):
    """A socket address that a name resolved to.

    Attributes:
        family: The address family.
        address: What ``connect`` takes.
    """

    family: int
    address: tuple[str | int | bytes, ...]

    @property
    def plain(self) -> Address:
        """The address as people write it."""
        host, port = self.address[:2]
        return Address(str(host), int(port))


async def resolve(address: Address, timeout: float) -> tuple[Endpoint, ...] | Outcome:
    """Return the socket addresses of a host.

    The system's resolver can't be interrupted. It works in a thread of its own, which nobody waits for when it takes
    too long, so that one dead name server holds up neither other targets nor the end of the program.

    Args:
        address: The host, a name or an IP address, and the port.
        timeout: Seconds that it may take.

    Returns:
        The addresses, the preferred one first; NAME_NOT_RESOLVED when there is none, or not in time.
    """
    try:
        socket.inet_pton(socket.AF_INET, address.host)
    except (OSError, ValueError):
        pass
    else:
        return (Endpoint(socket.AF_INET, (address.host, address.port)),)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[Endpoint, ...] | Outcome] = loop.create_future()

    def deliver(result: tuple[Endpoint, ...] | Outcome) -> None:
        if not answer.done():
            answer.set_result(result)

    def look_up() -> None:
        result = _look_up(address)
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, result)

    Thread(target=look_up, name=f"resolve {address.host}", daemon=True).start()
    try:
        async with asyncio.timeout(timeout):
            return await answer
    except TimeoutError:
        return Outcome.NAME_NOT_RESOLVED


def _look_up(address: Address) -> tuple[Endpoint, ...] | Outcome:
    try:
        entries = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        return Outcome.NAME_NOT_RESOLVED
    return tuple(dict.fromkeys(Endpoint(family, tuple(target)) for family, _, _, _, target in entries))


async def reachable(endpoints: tuple[Endpoint, ...], timeout: float) -> Endpoint:
    """Return the first of some addresses that accepts a TCP connection within so many seconds; else the first."""
    for endpoint in endpoints if len(endpoints) > 1 else ():
        if await _accepts(endpoint, timeout):
            return endpoint
    return endpoints[0]


async def _accepts(endpoint: Endpoint, timeout: float) -> bool:
    try:
        with socket.socket(endpoint.family, socket.SOCK_STREAM) as connection:
            connection.setblocking(False)
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_connect(connection, endpoint.address)
    except (OSError, TimeoutError):
        return False
    return True
