"""Asking servers on loopback through a prober, and what such servers note."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from threading import Event, Lock
from typing import TypeVar

from meshproof.tls import Address, Target
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.scanner.connections import CONNECTIONS
from meshproof.tls.scanner.prober import Prober
from tests.misbehaviour.relays import Seen, look
from tests.support.certificates import HOST
from tests.support.flights import DONE, ECDHE_AES_128_GCM, X25519, certificate, ecdhe, record, server_hello
from tests.support.servers import Behaviour, say, serving

Result = TypeVar("Result")

PATIENT = 5.0  # seconds; never used up
IMPATIENT = 0.3  # seconds; for servers that never answer

FLIGHT = record(server_hello(ECDHE_AES_128_GCM), certificate(b"leaf"), ecdhe(X25519), DONE)
WELL = say(FLIGHT)
"""Answers every hello with one and the same flight of TLS 1.2."""


def endpoint(address: Address) -> Endpoint:
    """Return where a server on loopback listens."""
    return Endpoint(socket.AF_INET, (address.host, address.port))


def probing(
    server: Behaviour | Address,
    work: Callable[[Prober], Awaitable[Result]],
    *,
    sni: str | None = HOST,
    timeout: float = PATIENT,
    max_time: float = 60.0,
    slots: int = CONNECTIONS,
) -> Result:
    """Do something with a prober of a server that behaves so, or listens there."""

    async def main(address: Address) -> Result:
        return await work(
            Prober(
                Target(address, sni),
                endpoint(address),
                timeout=timeout,
                max_time=max_time,
                slots=asyncio.Semaphore(slots),
            )
        )

    if isinstance(server, Address):
        return asyncio.run(main(server))
    with serving(server) as address:
        return asyncio.run(main(address))


def noting(hellos: list[Seen], behind: Behaviour) -> Behaviour:
    """Note each hello, in the order in which they come."""

    def behave(connection: socket.socket) -> None:
        hellos.append(look(connection))
        behind(connection)

    return behave


class Crowd:
    """Counts how many connections are open at a time, and leaves each open for a little.

    Attributes:
        most: The largest number there was.
    """

    def __init__(self, seconds: float) -> None:
        self.most = 0
        self._now = 0
        self._lock = Lock()
        self._seconds = seconds

    def before(self, behind: Behaviour, *, room: int | None = None, extra: Behaviour = WELL) -> Behaviour:
        """Return a server that does something else with connections beyond so many."""

        def behave(connection: socket.socket) -> None:
            look(connection)
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
                full = room is not None and self._now > room
            Event().wait(self._seconds)
            with self._lock:
                self._now -= 1
            (extra if full else behind)(connection)

        return behave
