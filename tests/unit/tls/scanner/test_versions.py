"""Versions on offer: found out with one hello each, and never guessed from silence."""

from __future__ import annotations

import socket
import ssl

import pytest

from meshproof.tls import WORDLESS, Address, Offer, Offered, Outcome, ProtocolVersion, offers
from tests.support.certificates import HOST, OURS, SERVER
from tests.support.servers import Behaviour, nobody, reset, say, serving, stay_silent, tls

V = ssl.TLSVersion
SSL_2, SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = ProtocolVersion
IMPATIENT = 0.3  # seconds; for servers that never answer

RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446 4.1.3
SSL_2_SERVER_HELLO = bytes.fromhex("800b 04 00 01 0002 0000 0000 0000")
SSL_2_ERROR = bytes.fromhex("8003 00 0001")


def server_hello(legacy: int, *, suite: bytes = b"\0\x2f", random: bytes = bytes(32), extensions: bytes = b"") -> bytes:
    """Build the record of a ServerHello, and of the ServerHelloDone after it before TLS 1.3."""
    body = legacy.to_bytes(2, "big") + random + b"\0" + suite + b"\0"
    if extensions:
        body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    if not extensions:
        message += bytes([14, 0, 0, 0])
    return b"\x16" + min(legacy, 0x0303).to_bytes(2, "big") + len(message).to_bytes(2, "big") + message


def in_two_records(record: bytes) -> bytes:
    """Let the message in a record span two (RFC 8446 5.1)."""
    parts = record[5:12], record[12:]
    return b"".join(record[:3] + len(part).to_bytes(2, "big") + part for part in parts)


SUPPORTS_1_3 = bytes.fromhex("002b 0002 0304")
AES_128_GCM = b"\x13\1"
SHARE_OF_X25519 = bytes.fromhex("0033 0024 001d 0020") + bytes(range(32))
ASKS_FOR_P384 = bytes.fromhex("0033 0002 0018")
HELLO_1_3 = server_hello(0x0303, suite=AES_128_GCM, extensions=SUPPORTS_1_3 + SHARE_OF_X25519)
RETRY_1_3 = server_hello(0x0303, suite=AES_128_GCM, random=RETRY_RANDOM, extensions=SUPPORTS_1_3 + ASKS_FOR_P384)


def offered(address: Address, sni: str | None = HOST) -> set[ProtocolVersion]:
    """Return the versions that are on offer."""
    return {version for version, offer in offers(address, sni=sni).items() if offer.offered is Offered.OFFERED}


@pytest.mark.parametrize(
    ("oldest", "newest", "versions"),
    [
        pytest.param(V.TLSv1, V.TLSv1_3, {TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3}, id="1.0 to 1.3"),
        pytest.param(V.TLSv1, V.TLSv1_1, {TLS_1_0, TLS_1_1}, id="1.0 and 1.1"),
        pytest.param(V.TLSv1_2, V.TLSv1_3, {TLS_1_2, TLS_1_3}, id="1.2 and 1.3"),
        pytest.param(V.TLSv1_3, V.TLSv1_3, {TLS_1_3}, id="1.3"),
    ],
)
def test_the_versions_of_a_real_server_are_found(
    oldest: ssl.TLSVersion, newest: ssl.TLSVersion, versions: set[ProtocolVersion]
) -> None:
    """Exactly the configured versions are offered, and each other one is known not to be."""
    with serving(tls(SERVER, oldest=oldest, newest=newest)) as address:
        found = offers(address, sni=HOST)
    assert {version for version, offer in found.items() if offer.offered is Offered.OFFERED} == versions
    assert Offered.UNKNOWN not in {offer.offered for offer in found.values()}


def test_no_client_certificate_is_needed() -> None:
    """A server that insists on a certificate shows its versions before it asks."""
    with serving(tls(SERVER, clients=OURS)) as address:
        assert offered(address) == {TLS_1_2, TLS_1_3}


def test_a_version_is_refused_with_its_alert() -> None:
    """The refusal of a version is alert 70, by number and by name."""
    with serving(tls(SERVER)) as address:
        assert str(offers(address, sni=HOST)[TLS_1_1]) == "NOT_OFFERED (PROTOCOL_VERSION, alert 70 protocol_version)"


def test_a_wrong_name_says_nothing_about_versions() -> None:
    """A server that does not know the name refuses the name; with the right one it offers."""
    with serving(tls(SERVER, names=(HOST,))) as address:
        assert offers(address, sni="other.test")[TLS_1_3].offered is Offered.UNKNOWN
        assert offered(address) == {TLS_1_2, TLS_1_3}


@pytest.mark.parametrize(
    ("answer", "versions"),
    [
        pytest.param(SSL_2_SERVER_HELLO, {SSL_2}, id="SSLv2"),
        pytest.param(SSL_2_ERROR, set(), id="SSLv2 error"),
        pytest.param(server_hello(0x0300), {SSL_3}, id="SSLv3"),
        pytest.param(server_hello(0x0303), {TLS_1_2}, id="1.2"),
        pytest.param(HELLO_1_3, {TLS_1_3}, id="1.3"),
        pytest.param(in_two_records(HELLO_1_3), {TLS_1_3}, id="two records"),
        pytest.param(bytes([21, 3, 3, 0, 2, 1, 112]) + HELLO_1_3, {TLS_1_3}, id="after a warning"),
        pytest.param(RETRY_1_3, {TLS_1_3}, id="retry"),
    ],
)
@pytest.mark.parametrize("split", [False, True], ids=["whole", "byte by byte"])
def test_a_hello_offers_the_version_it_chooses(answer: bytes, versions: set[ProtocolVersion], *, split: bool) -> None:
    """An answer counts for the version in it, however it is cut; for the version asked only if it is the same."""
    chunks = [answer[at : at + 1] for at in range(len(answer))] if split else [answer]
    with serving(say(*chunks)) as address:
        assert offered(address) == versions


def test_another_version_in_the_answer_is_named() -> None:
    """The answer to a hello of another version is no offer, and says which version came instead."""
    with serving(say(server_hello(0x0301))) as address:
        found = offers(address, sni=HOST)[TLS_1_2]
    assert found == Offer(offered=Offered.NOT_OFFERED, refusal=Outcome.VERSION_NOT_OFFERED, answered=TLS_1_0)


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        pytest.param(say(b"SSH-2.0-OpenSSH_9.9\r\n"), Outcome.NOT_TLS, id="SSH"),
        pytest.param(say(), Outcome.CLOSED_WITHOUT_ALERT, id="closes"),
        pytest.param(say(then=reset), Outcome.RESET, id="resets"),
    ],
)
def test_a_target_that_never_answers_in_tls_is_unknown(behaviour: Behaviour, outcome: Outcome) -> None:
    """Where no version gets an answer, no version is known not to be offered."""
    with serving(behaviour) as address:
        assert set(offers(address, sni=HOST).values()) == {Offer(offered=Offered.UNKNOWN, refusal=outcome)}


@pytest.mark.parametrize("said", [b"", HELLO_1_3[:20]], ids=["nothing", "half a hello"])
def test_silence_is_unknown(said: bytes) -> None:
    """A server that is silent, or falls silent, before the deadline has refused nothing."""
    with serving(say(said, then=stay_silent)) as address:
        found = offers(address, sni=HOST, timeout=IMPATIENT)
    assert set(found.values()) == {Offer(offered=Offered.UNKNOWN, refusal=Outcome.SILENT)}


def test_a_close_beside_answers_refuses() -> None:
    """A server that closes on SSLv2 each time, and answers TLS in between, does not offer it."""
    well = tls(SERVER)

    def close_on_ssl2(connection: socket.socket) -> None:
        if connection.recv(1, socket.MSG_PEEK) == b"\x16":
            well(connection)

    with serving(close_on_ssl2) as address:
        offer = offers(address, sni=HOST)[SSL_2]
    assert (offer.offered, offer.alert) == (Offered.NOT_OFFERED, None)
    assert offer.refusal in WORDLESS


def test_who_refuses_everything_refuses_nothing_for_certain() -> None:
    """A server that never agrees on anything may refuse whoever comes."""
    with serving(say(bytes([21, 3, 3, 0, 2, 2, 70]))) as address:
        found = offers(address, sni=HOST)
    assert set(found.values()) == {Offer(offered=Offered.UNKNOWN, refusal=Outcome.PROTOCOL_VERSION, alert=70)}


def test_a_closed_port_is_unknown() -> None:
    """Where nothing listens, nothing is known."""
    with nobody() as address:
        assert set(offers(address, sni=None).values()) == {Offer(offered=Offered.UNKNOWN, refusal=Outcome.REFUSED)}
