"""What TLS 1.3 encrypts for the client alone, read from real servers, and from some that no client deserves."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest

from meshproof.tls import Outcome, ProtocolVersion
from meshproof.tls.answer import Answer
from meshproof.tls.encrypted import EncryptedFlight, ask_encrypted
from meshproof.tls.questions import ECDSA, RSA, broad, for_certificate, with_alpn
from meshproof.tls.resolution import Endpoint
from meshproof.tls.wire import LIMIT
from tests.unit.certificates import HOST, OURS, SERVER
from tests.unit.flights import (
    ALERT,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    P256,
    Sealer,
    alert,
    answer_13,
    hello_13,
    message,
    record,
    retry,
    server_hello,
)
from tests.unit.servers import Behaviour, pour, reset, say, serving, stay_silent, tls

IMPATIENT = 0.1  # seconds; for servers that never answer
PATIENT = 10.0  # seconds; never used up
UNACCEPTABLE = Outcome.UNACCEPTABLE_ANSWER
SUITES = {"TLS_AES_128_GCM_SHA256": 0x1301, "TLS_AES_256_GCM_SHA384": 0x1302, "TLS_CHACHA20_POLY1305_SHA256": 0x1303}
LEAF = ssl.PEM_cert_to_DER_cert(SERVER.chain_pem.decode())

H2 = message(8, bytes.fromhex("0009 0010 0005 0003 02 6832"))
REQUEST = message(13, b"\0\0\0")
LEAF_AND_ISSUER = message(11, bytes.fromhex("00 000012 000004 6c656166 0000 000003 697373 0001 ff"))
FINISHED = message(20, bytes(32))
MESSAGES = (H2, REQUEST, LEAF_AND_ISSUER, FINISHED)
WHOLE = b"".join(MESSAGES)
CHANGE = record(b"\1", kind=CHANGE_CIPHER_SPEC)


def read(
    behaviour: Behaviour,
    *,
    suite: int | None = None,
    kind: str | None = None,
    alpn: tuple[str, ...] = (),
    timeout: float = PATIENT,
) -> tuple[Answer, EncryptedFlight]:
    """Send a hello to a server that behaves so, and read its whole flight."""
    hello = with_alpn(broad(ProtocolVersion.TLS_1_3, key_shares=(29,)), alpn)
    profile = for_certificate(hello, kind) if kind else hello
    if suite:
        profile = replace(profile, suites=(suite,))
    with serving(behaviour) as address:
        endpoint = Endpoint(socket.AF_INET, (address.host, address.port))
        return asyncio.run(ask_encrypted(endpoint, profile, sni=HOST, timeout=timeout))


def sealed(*steps: Callable[[Sealer], bytes], then: Behaviour = lambda _: None) -> Behaviour:
    """Answer in TLS 1.3, then send what each step makes with the keys, in a segment of its own."""

    def behave(connection: socket.socket) -> None:
        hello, sealer = answer_13(connection.recv(65536))
        connection.sendall(record(hello))
        for step in steps:
            connection.sendall(step(sealer))
        then(connection)

    return behave


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_the_certificate_is_read(suite: int) -> None:
    """With each cipher suite that servers have, the same certificate comes out."""
    answer, found = read(tls(SERVER), suite=suite)
    assert answer.outcome is Outcome.NEGOTIATED
    assert found == EncryptedFlight(None, (LEAF,), client_cert_requested=False)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [((), None), (("h2", "http/1.1"), "h2"), (("http/1.1",), "http/1.1"), (("http/1.0", "http/1.1"), "http/1.1")],
)
def test_the_application_protocol_is_read(offered: tuple[str, ...], chosen: str | None) -> None:
    """The server's choice among those that were offered, or none."""
    answer, found = read(tls(SERVER), alpn=offered)
    assert (answer.outcome, found.alpn) == (Outcome.NEGOTIATED, chosen)


@pytest.mark.parametrize("optional", [True, False], ids=["wanted", "required"])
def test_a_request_for_a_certificate_is_seen(*, optional: bool) -> None:
    """That a certificate of ours is wanted shows without one, and whether or not it is required."""
    answer, found = read(tls(SERVER, clients=OURS, optional=optional))
    assert (answer.outcome, found.certificates[0], found.client_cert_requested) == (Outcome.NEGOTIATED, LEAF, True)


@pytest.mark.parametrize(("kind", "outcome"), [(RSA, Outcome.NEGOTIATED), (ECDSA, Outcome.HANDSHAKE_FAILURE)])
def test_another_kind_of_certificate_is_refused(kind: str, outcome: Outcome) -> None:
    """A server with an RSA certificate has nothing for a client that takes only ECDSA."""
    assert read(tls(SERVER), kind=kind)[0].outcome is outcome


def test_an_older_server_says_so() -> None:
    """A server that does not speak TLS 1.3 refuses with its alert."""
    answer, found = read(tls(SERVER, newest=ssl.TLSVersion.TLSv1_2))
    assert (answer.outcome, answer.alert, found) == (Outcome.PROTOCOL_VERSION, 70, EncryptedFlight())


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([lambda to: to.record(WHOLE)], id="one record"),
        pytest.param([lambda to: to.record(WHOLE, padding=300)], id="padded"),
        pytest.param([lambda to, octet=octet: to.record(bytes([octet])) for octet in WHOLE], id="an octet a record"),
        pytest.param([lambda to: b"".join(map(to.record, MESSAGES))], id="a record a message"),
        pytest.param([lambda _: CHANGE + CHANGE, lambda to: to.record(WHOLE)], id="change_cipher_spec"),
        pytest.param([lambda to: to.record(message(99, bytes(9)) + WHOLE)], id="unknown message"),
        pytest.param([lambda to: to.record(WHOLE) + record(b"", kind=APPLICATION_DATA)], id="data of the next key"),
    ],
)
def test_a_flight_is_read_however_it_is_cut(steps: list[Callable[[Sealer], bytes]]) -> None:
    """Records, messages and padding: all cuts say the same."""
    answer, found = read(sealed(*steps, then=stay_silent))
    assert answer.outcome is Outcome.NEGOTIATED
    assert found == EncryptedFlight("h2", (b"leaf", b"iss"), client_cert_requested=True)


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        pytest.param(sealed(), Outcome.CLOSED_WITHOUT_ALERT, id="closes"),
        pytest.param(sealed(lambda to: to.record(WHOLE[:-1])), Outcome.CLOSED_WITHOUT_ALERT, id="one octet short"),
        pytest.param(sealed(then=reset), Outcome.RESET, id="resets"),
        pytest.param(sealed(lambda _: alert(80)), Outcome.OTHER_ALERT, id="alert in the clear"),
        pytest.param(sealed(lambda to: to.record(b"\2\x50", kind=ALERT)), Outcome.OTHER_ALERT, id="alert"),
        pytest.param(sealed(lambda to: to.record(b"x", kind=APPLICATION_DATA)), UNACCEPTABLE, id="data"),
        pytest.param(sealed(lambda to: to.record(b"", kind=0)), UNACCEPTABLE, id="padding only"),
        pytest.param(sealed(lambda to: to.record(message(8))), UNACCEPTABLE, id="cut extensions"),
        pytest.param(sealed(lambda to: to.record(message(11, b"\0\0\0\1"))), UNACCEPTABLE, id="cut chain"),
        pytest.param(sealed(lambda _: record(bytes(40), kind=APPLICATION_DATA)), UNACCEPTABLE, id="another key"),
        pytest.param(sealed(lambda _: record(b"", kind=APPLICATION_DATA)), UNACCEPTABLE, id="no tag"),
        pytest.param(sealed(lambda _: record(b"\0")), UNACCEPTABLE, id="handshake in the clear"),
        pytest.param(sealed(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n"), Outcome.NOT_TLS, id="HTTP"),
        pytest.param(say(record(hello_13(share=bytes(32)))), UNACCEPTABLE, id="zero for a share"),
        pytest.param(say(record(hello_13(share=bytes(31)))), UNACCEPTABLE, id="short share"),
        pytest.param(say(record(hello_13(P256, share=bytes(65)))), UNACCEPTABLE, id="another group"),
        pytest.param(say(record(hello_13(P256, share=b"\t" * 32))), UNACCEPTABLE, id="name of another group"),
        pytest.param(say(record(hello_13(suite=0x1304))), UNACCEPTABLE, id="another suite"),
        pytest.param(say(record(server_hello(0x2F), message(14))), UNACCEPTABLE, id="another version"),
        pytest.param(say(record(retry(P256))), UNACCEPTABLE, id="retry"),
        pytest.param(say(record(hello_13(None))), UNACCEPTABLE, id="no share"),
        pytest.param(say(alert(40)), Outcome.HANDSHAKE_FAILURE, id="refused"),
    ],
)
def test_every_end_has_a_name(behaviour: Behaviour, outcome: Outcome) -> None:
    """What can't be read ends like any other probe, and says nothing about certificates."""
    answer, found = read(behaviour)
    assert (answer.outcome, found) == (outcome, EncryptedFlight())


def test_silence_ends_at_the_deadline() -> None:
    """A server that leaves out the end says nothing."""
    answer, found = read(sealed(lambda to: to.record(WHOLE[:-1]), then=stay_silent), timeout=IMPATIENT)
    assert (answer.outcome, found) == (Outcome.SILENT, EncryptedFlight())


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(sealed(then=pour(CHANGE * 99)), id="change_cipher_spec"),
        pytest.param(sealed(*[lambda to: to.record(message(99, bytes(16000)))] * 99), id="messages"),
        pytest.param(sealed(*[lambda to: to.record(b"\x0b\xff\xff\xff" * 4000)] * 99), id="one message"),
    ],
)
def test_a_flight_without_an_end_is_cut_off(behaviour: Behaviour) -> None:
    """Encrypted or not, a server that does not stop is stopped, and fills no memory."""
    tracemalloc.start()
    try:
        answer, _ = read(behaviour)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.outcome is Outcome.OVERLONG
    assert peak < 10 * LIMIT
