"""The servers of a run, and what testssl.sh finds at each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from meshproof.machine import process
from meshproof.tls import Address
from tests.parity import testssl
from tests.parity.servers import Server, running
from tests.support.certificates import HOST

_AT_ONCE = (os.cpu_count() or 1) + 1  # runs of testssl.sh; each sleeps for half of its time


@pytest.fixture(scope="session")
def addresses(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Address]]:
    """Where each server that a selected test asks for listens, by name; all run until the end."""
    functions = [item for item in request.session.items if isinstance(item, pytest.Function)]
    parameters = [item.callspec.params.get("server") for item in functions if hasattr(item, "callspec")]
    servers = {server.name: server for server in parameters if isinstance(server, Server)}
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(running(server, tmp_path_factory.mktemp("server")))
            for name, server in servers.items()
        }


@pytest.fixture(scope="session")
def opinions(addresses: Mapping[str, Address]) -> Iterator[dict[str, Future[testssl.Opinion]]]:
    """What testssl.sh finds at each server: begun for all, in the order of the tests, some at a time; each once."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield {name: pool.submit(testssl.ask, address, HOST) for name, address in addresses.items()}
        pool.shutdown(wait=False, cancel_futures=True)
        process.end_all()
