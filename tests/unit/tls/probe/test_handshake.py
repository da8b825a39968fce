"""Handshakes with real servers on loopback: each refusal by its name, each beside one that is let in."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

import pytest

from meshproof.certificates.authority import Authority
from meshproof.certificates.leaf import Leaf
from meshproof.tls import Address, Outcome, Phase, handshake
from tests.support.certificates import EXPIRED, HOST, OTHER, OURS, SERVER, TRUSTED, UNKNOWN
from tests.support.servers import server_context, serving, tls

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])


@dataclass(frozen=True, slots=True)
class Case:
    """A client's certificate, and what a server that asks for one makes of it."""

    name: str
    client: Leaf | None
    outcome: Outcome

    def __str__(self) -> str:
        return self.name


CLIENTS = [
    Case("trusted", TRUSTED, Outcome.ESTABLISHED),
    Case("a server's certificate", SERVER, Outcome.ESTABLISHED),
    Case("none", None, Outcome.CLIENT_CERT_REQUIRED),
    Case("unknown authority", UNKNOWN, Outcome.CLIENT_CERT_UNKNOWN_CA),
    Case("expired", EXPIRED, Outcome.CLIENT_CERT_EXPIRED),
]


@VERSIONS
@pytest.mark.parametrize("case", CLIENTS, ids=str)
def test_a_server_judges_the_client(case: Case, version: ssl.TLSVersion) -> None:
    """A refused client learns why: in the handshake of TLS 1.2, on the first read in TLS 1.3."""
    with serving(tls(SERVER, clients=OURS)) as address:
        seen = handshake(address, sni=HOST, trust=OURS.pem, client=case.client, version=version)
    refused_in = Phase.HANDSHAKE if version is TLS_1_2 else Phase.FIRST_READ
    expected = (case.outcome, None if case.outcome is Outcome.ESTABLISHED else refused_in, version)
    assert (seen.outcome, seen.phase, seen.version) == expected


@VERSIONS
def test_a_certificate_that_is_optional_may_be_missing(version: ssl.TLSVersion) -> None:
    """A server that asks but does not insist lets a client without a certificate in."""
    with serving(tls(SERVER, clients=OURS, optional=True)) as address:
        assert handshake(address, sni=HOST, trust=OURS.pem, version=version).outcome is Outcome.ESTABLISHED


@pytest.mark.parametrize("clients", [None, OURS], ids=["not asked", "asked"])
def test_tls_1_2_shows_whether_a_certificate_was_asked_for(clients: Authority | None) -> None:
    """The CertificateRequest of TLS 1.2 is in the clear."""
    with serving(tls(SERVER, clients=clients)) as address:
        seen = handshake(address, sni=HOST, trust=OURS.pem, client=TRUSTED, version=TLS_1_2)
    assert seen.client_cert_requested is (clients is not None)


@pytest.mark.parametrize("alpn", ["h2", "http/1.1"])
def test_an_established_session_is_described(alpn: str) -> None:
    """Both application protocols get an answer; cipher and certificate are those of the server."""
    with serving(tls(SERVER)) as address:
        seen = handshake(address, sni=HOST, trust=OURS.pem, alpn=[alpn])
    assert (str(seen), seen.alpn, seen.cipher) == ("ESTABLISHED", alpn, "TLS_AES_256_GCM_SHA384")
    assert seen.peer is not None
    assert (seen.peer.serial, seen.peer.common_name, seen.peer.names) == (SERVER.serial, HOST, (HOST,))


@VERSIONS
@pytest.mark.parametrize(
    ("sni", "trust", "outcome"),
    [
        pytest.param(HOST, OURS.pem, Outcome.ESTABLISHED, id="trusted"),
        pytest.param(HOST, OTHER.pem, Outcome.SERVER_CERT_UNTRUSTED, id="another authority"),
        pytest.param("other.test", OURS.pem, Outcome.SERVER_CERT_UNTRUSTED, id="another name"),
        pytest.param("other.test", None, Outcome.ESTABLISHED, id="anything goes"),
        pytest.param(None, OURS.pem, Outcome.ESTABLISHED, id="no name to compare"),
    ],
)
def test_we_judge_the_server(sni: str | None, trust: bytes | None, outcome: Outcome, version: ssl.TLSVersion) -> None:
    """A server is refused for its authority or its name, if either is to be checked."""
    with serving(tls(SERVER, names=(HOST, "other.test", None))) as address:
        assert handshake(address, sni=sni, trust=trust, version=version).outcome is outcome


@VERSIONS
def test_a_session_without_an_answer_is_not_established(version: ssl.TLSVersion) -> None:
    """A server that completes the handshake and then says goodbye has answered nothing."""
    with serving(tls(SERVER, answer=False)) as address:
        seen = handshake(address, sni=HOST, trust=OURS.pem, version=version)
    assert str(seen) == "CLOSED_IN_ORDER (FIRST_READ, alert 0 close_notify)"


def test_only_versions_that_can_be_completed_are_taken() -> None:
    """TLS 1.1 is for ``offers``: Python does not speak it any more without a warning."""
    with pytest.raises(ValueError, match=r"TLS 1\.2 or 1\.3 only"):
        handshake(Address("127.0.0.1", 1), sni=None, trust=None, version=ssl.TLSVersion.TLSv1_1)


@pytest.mark.parametrize(
    ("sni", "alpn", "request_"),
    [
        (HOST, "http/1.1", f"\r\nhost: {HOST}\r\n"),
        (None, "http/1.1", "\r\nhost: 127.0.0.1\r\n"),
        (HOST, "h2", "pri * http/2.0\r\n"),
    ],
)
def test_the_request_suits_the_server(sni: str | None, alpn: str, request_: str) -> None:
    """It is in the protocol that was agreed on, for the server name; where there is none, for the address."""
    requests: list[bytes] = []
    context = server_context(SERVER, oldest=TLS_1_2, newest=TLS_1_2)
    context.set_alpn_protocols([alpn])

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as session:
            requests.append(session.recv())
            session.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with serving(behave) as address:
        assert handshake(address, sni=sni, trust=None).outcome is Outcome.ESTABLISHED
    assert request_.encode() in requests[0].lower()
