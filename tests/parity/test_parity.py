"""testssl.sh and we say the same of every server: of each version, and of each of the seed's 35 clients."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future

import pytest

from meshproof.posture.spelling import connection
from meshproof.tls import Address, Offered, Options, Target, scan_one
from meshproof.tls.protocol.clients import built_in
from tests.parity.servers import SERVERS, Server
from tests.parity.testssl import CLIENTS, Opinion, Row
from tests.support.certificates import HOST


@pytest.mark.parametrize("server", SERVERS, ids=str)
def test_testssl_says_the_same(
    server: Server, addresses: Mapping[str, Address], opinions: Mapping[str, Future[Opinion]]
) -> None:
    """Each version is offered or not, and each client gets the same protocol, cipher suite and forward secrecy."""
    theirs = opinions[server.name].result()
    ours = scan_one(Target(addresses[server.name], HOST), Options(clients=built_in().of("seed")))
    assert not ours.unknown
    got = {client.name: connection(client.answer) for client in ours.clients}
    rows = {name: Row(*cells) if cells else None for name, cells in got.items()}
    assert len(rows) == CLIENTS
    assert rows == theirs.clients
    offered = {version: offer.offered is Offered.OFFERED for version, offer in ours.versions.items()}
    assert offered == theirs.offered
