"""From names to addresses: in time, beside other work, and to one that answers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from meshproof.tls import Address, Outcome
from meshproof.tls.probe.resolution import Endpoint, reachable, resolve
from tests.support.probing import endpoint
from tests.support.servers import nobody, say, serving

LOCAL = {entry[4][0] for entry in socket.getaddrinfo("localhost", 1)}


def resolved(host: str, port: int = 443, timeout: float = 5.0) -> tuple[Endpoint, ...] | Outcome:
    """Resolve a name."""
    return asyncio.run(resolve(Address(host, port), timeout))


def test_an_address_needs_no_resolver() -> None:
    """It is there at once: no time is needed for it."""
    assert resolved("127.0.0.1", timeout=0) == (Endpoint(socket.AF_INET, ("127.0.0.1", 443)),)


def test_an_address_of_ipv6() -> None:
    """The system reads it, with its scope."""
    assert resolved("::1") == (Endpoint(socket.AF_INET6, ("::1", 443, 0, 0)),)


def test_a_name_has_its_addresses_once() -> None:
    """Each address for a stream, with the port; none twice."""
    endpoints = resolved("localhost", 8443)
    assert isinstance(endpoints, tuple)
    assert {each.plain.host for each in endpoints} == LOCAL
    assert len(set(endpoints)) == len(endpoints) == len(LOCAL)
    assert {each.plain.port for each in endpoints} == {8443}


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64, "a..b", "fe80::1%no-such-interface", "nul\0"])
def test_a_name_without_an_address(host: str) -> None:
    """Whatever is wrong with it, that is one outcome."""
    assert resolved(host) is Outcome.NAME_NOT_RESOLVED


def test_a_name_that_takes_too_long() -> None:
    """What the resolver says later is not waited for."""
    assert resolved("localhost", timeout=0) is Outcome.NAME_NOT_RESOLVED


def test_an_endpoint_as_people_write_it() -> None:
    """Host and port, without the flow and the scope of IPv6."""
    assert Endpoint(socket.AF_INET6, ("::1", 443, 0, 0)).plain == Address("::1", 443)
    assert Endpoint(socket.AF_INET, ("127.0.0.1", 8443)).plain == Address("127.0.0.1", 8443)


def test_the_first_that_accepts_is_taken() -> None:
    """An address that nobody listens at is passed over, and what comes after a good one is not tried."""
    accepted: list[str] = []
    with nobody() as closed, serving(lambda _: accepted.append("one")) as one, serving(say()) as other:
        endpoints = tuple(map(endpoint, (closed, one, other)))
        assert asyncio.run(reachable(endpoints, 1.0)) == endpoints[1]
        assert asyncio.run(reachable(endpoints[1:], 1.0)) == endpoints[1]
        assert asyncio.run(reachable(endpoints[::-1], 1.0)) == endpoints[2]


def test_if_none_accepts_it_is_the_first() -> None:
    """Then the scan tells why."""
    with nobody() as closed, nobody() as other:
        endpoints = tuple(map(endpoint, (closed, other)))
        assert asyncio.run(reachable(endpoints, 1.0)) == endpoints[0]


def test_an_only_address_is_not_tried() -> None:
    """There is nothing to choose, so the server sees no connection that says nothing."""
    accepted: list[str] = []
    with serving(lambda _: accepted.append("one")) as address:
        assert asyncio.run(reachable((endpoint(address),), 1.0)) == endpoint(address)
    assert not accepted


def test_an_address_that_does_not_answer_costs_one_deadline() -> None:
    """Each is given so many seconds."""
    with serving(say()) as address, full() as other:
        began = time.monotonic()
        assert asyncio.run(reachable((endpoint(other), endpoint(address)), 0.1)) == endpoint(address)
    assert 0.1 <= time.monotonic() - began < 5


@contextmanager
def full() -> Iterator[Address]:
    """Give an address that is listened at, and has no room for another connection: TCP leaves it without an answer."""
    with socket.socket() as listener, ExitStack() as clients:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield Address(*listener.getsockname())
