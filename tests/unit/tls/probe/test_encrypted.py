"""What TLS 1.3 encrypts for the client alone, read from real servers, and from some that no client deserves."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import struct
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from meshproof.certificates.authority import Lifetime
from meshproof.machine import process
from meshproof.machine.wait import until
from meshproof.tls import Address, Outcome, ProtocolVersion
from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.decryption import SUITES, EncryptedFlight
from meshproof.tls.probe.encrypted import ask_encrypted
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.protocol import codes
from meshproof.tls.protocol.keyexchange import GROUPS
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.record import LIMIT
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.questions import RSA
from tests.support.certificates import HOST, OURS, SERVER
from tests.support.flights import (
    AES_128_GCM,
    ALERT,
    APPLICATION_DATA,
    CHACHA20,
    CHANGE_CIPHER_SPEC,
    CURVES,
    HYBRIDS,
    ML_KEMS,
    P256,
    P384,
    X25519,
    Sealer,
    after_retry,
    alert,
    answer_13,
    extensions_of,
    hello_13,
    message,
    record,
    records,
    retry,
    server_hello,
    shares_of,
)
from tests.support.programs import port_in
from tests.support.servers import Behaviour, pour, reset, say, serving, stay_silent, tls

IMPATIENT = 0.1  # seconds; for servers that never answer
PATIENT = 10.0  # seconds; never used up
UNACCEPTABLE = Outcome.UNACCEPTABLE_ANSWER
USUAL = {"TLS_AES_128_GCM_SHA256": 0x1301, "TLS_AES_256_GCM_SHA384": 0x1302, "TLS_CHACHA20_POLY1305_SHA256": 0x1303}
OLD = OURS.server(HOST, lifetime=Lifetime.EXPIRED)
OLD_LEAF = ssl.PEM_cert_to_DER_cert(OLD.chain_pem.decode())
KYBER = codes.group_named("X25519Kyber768Draft00").code  # we have no private key for it
AEGIS = 0x1306  # a cipher that we don't have
OURS_TOO = {X25519, *CURVES, *ML_KEMS, *HYBRIDS}
"""The groups that the server in these tests has keys for; the others are OpenSSL's."""
LEAF = ssl.PEM_cert_to_DER_cert(SERVER.chain_pem.decode())

H2 = message(8, bytes.fromhex("0009 0010 0005 0003 02 6832"))
REQUEST = message(13, b"\0\0\0")
LEAF_AND_ISSUER = message(11, bytes.fromhex("00 000012 000004 6c656166 0000 000003 697373 0001 ff"))
FINISHED = message(20, bytes(32))
NO_CHAIN = message(11, bytes(4))
MESSAGES = (H2, REQUEST, LEAF_AND_ISSUER, FINISHED)
WHOLE = b"".join(MESSAGES)
SEEN = EncryptedFlight("h2", (b"leaf", b"iss"), client_cert_requested=True)
CHANGE = record(b"\1", kind=CHANGE_CIPHER_SPEC)


def ask(address: Address, profile: Profile, timeout: float = PATIENT) -> tuple[Answer, EncryptedFlight]:
    """Send a hello to an address, and read the server's whole flight."""
    endpoint = Endpoint(socket.AF_INET, (address.host, address.port))
    return asyncio.run(ask_encrypted(endpoint, profile, sni=HOST, timeout=timeout))


ALL_GROUPS = questions.groups(ProtocolVersion.TLS_1_3)


def for_certificate(kind: str | None, alpn: Sequence[str] = ()) -> Profile:
    """Return a client of TLS 1.3 that takes one kind of certificate, or any."""
    hello = questions.with_alpn(questions.broad(ProtocolVersion.TLS_1_3, suites=SUITES, key_shares=(X25519,)), alpn)
    return questions.for_certificate(hello, kind) if kind else hello


def read(
    behaviour: Behaviour,
    *,
    suites: tuple[int, ...] = SUITES,
    kind: str | None = None,
    alpn: tuple[str, ...] = (),
    groups: tuple[int, ...] = ALL_GROUPS,
    timeout: float = PATIENT,
) -> tuple[Answer, EncryptedFlight]:
    """Send a hello to a server that behaves so, and read its whole flight."""
    with serving(behaviour) as address:
        return ask(address, replace(for_certificate(kind, alpn), suites=suites, groups=groups), timeout)


Step = Callable[[Sealer], bytes]


def sealed(
    *steps: Step,
    then: Behaviour = lambda _: None,
    request: bytes | None = None,
    between: bytes = b"",
    group: int = X25519,
    suite: int = AES_128_GCM,
) -> Behaviour:
    """Answer in TLS 1.3, then send what each step makes with the keys, in a segment of its own.

    Args:
        steps: What to send after the ServerHello.
        then: What to do after that.
        request: A HelloRetryRequest to begin with.
        between: What to send after it at once.
        group: The group of the key exchange.
        suite: The cipher suite.
    """

    def behave(connection: socket.socket) -> None:
        first, before = whole_hello(connection), b""
        if request is not None:
            connection.sendall(record(request) + between)
            before = after_retry(first, request, suite=suite)
            first = whole_hello(connection)
        hello, sealer = answer_13(first, group, suite=suite, before=before)
        connection.sendall(record(hello))
        for step in steps:
            connection.sendall(step(sealer))
        then(connection)

    return behave


def retrying(request: bytes, second: bytes) -> Behaviour:
    """Ask for another key share, and answer the second hello."""

    def behave(connection: socket.socket) -> None:
        whole_hello(connection)
        connection.sendall(record(request))
        whole_hello(connection)
        connection.sendall(second)

    return behave


def whole_hello(connection: socket.socket) -> bytes:
    """Read a record; closing the connection is an error."""
    received = b""
    while len(received) < 5 or len(received) < 5 + int.from_bytes(received[3:5], "big"):
        if not (data := connection.recv(65536)):
            raise ConnectionResetError
        received += data
    return received


@pytest.mark.parametrize("suite", USUAL.values(), ids=USUAL)
def test_the_certificate_is_read(suite: int) -> None:
    """With each cipher suite that servers have, the same certificate comes out; what was agreed on is told."""
    answer, found = read(tls(SERVER), suites=(suite,))
    assert answer == Answer(
        outcome=Outcome.NEGOTIATED,
        version=ProtocolVersion.TLS_1_3,
        suite=codes.suite(suite),
        group=codes.group(X25519),
    )
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


@pytest.mark.parametrize(("kind", "outcome"), [(RSA, Outcome.NEGOTIATED), ("P-256", Outcome.HANDSHAKE_FAILURE)])
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
        pytest.param([lambda to: to.record(WHOLE + message(4, bytes(9)))], id="a ticket"),
        pytest.param([lambda to: to.record(b"") + to.record(WHOLE)], id="an empty record"),
        pytest.param([lambda _: CHANGE] * 9 + [lambda to: to.record(WHOLE)], id="nine change_cipher_spec"),
        pytest.param([lambda to: to.record(WHOLE) + record(b"", kind=APPLICATION_DATA)], id="data of the next key"),
    ],
)
def test_a_flight_is_read_however_it_is_cut(steps: list[Callable[[Sealer], bytes]]) -> None:
    """Records, messages and padding: all cuts say the same."""
    answer, found = read(sealed(*steps, then=stay_silent))
    assert (answer.outcome, found) == (Outcome.NEGOTIATED, SEEN)


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
        pytest.param(sealed(lambda _: record(b"\2", kind=ALERT)), UNACCEPTABLE, id="short alert"),
        pytest.param(sealed(lambda to: to.record(b"\2\x28\0", kind=ALERT)), UNACCEPTABLE, id="long alert"),
        pytest.param(sealed(lambda to: to.record(b"\1\x5a", kind=ALERT)), Outcome.OTHER_ALERT, id="user_canceled"),
        pytest.param(sealed(lambda to: to.record(b"\1\0", kind=ALERT)), Outcome.CLOSED_IN_ORDER, id="close_notify"),
        pytest.param(
            sealed(lambda to: to.record(b"\x0b" + (LIMIT - 4).to_bytes(3, "big"))),
            Outcome.CLOSED_WITHOUT_ALERT,
            id="longest message",
        ),
        pytest.param(
            sealed(lambda to: to.record(b"\x0b" + (LIMIT - 3).to_bytes(3, "big")), then=stay_silent),
            Outcome.OVERLONG,
            id="message longer than that",
        ),
        pytest.param(sealed(lambda _: CHANGE * 10), Outcome.OVERLONG, id="ten change_cipher_spec"),
        pytest.param(sealed(lambda to: to.record(FINISHED)), UNACCEPTABLE, id="Finished alone"),
        pytest.param(sealed(lambda to: to.record(H2 + FINISHED)), UNACCEPTABLE, id="no certificate"),
        pytest.param(sealed(lambda to: to.record(LEAF_AND_ISSUER + FINISHED)), UNACCEPTABLE, id="no extensions"),
        pytest.param(sealed(lambda to: to.record(H2 + NO_CHAIN + FINISHED)), UNACCEPTABLE, id="an empty chain"),
        pytest.param(sealed(lambda to: to.record(message(8))), UNACCEPTABLE, id="cut extensions"),
        pytest.param(sealed(lambda to: to.record(message(11, b"\0\0\0\1"))), UNACCEPTABLE, id="cut chain"),
        pytest.param(sealed(lambda _: record(bytes(40), kind=APPLICATION_DATA)), UNACCEPTABLE, id="another key"),
        pytest.param(sealed(lambda _: record(b"", kind=APPLICATION_DATA)), UNACCEPTABLE, id="no tag"),
        pytest.param(sealed(lambda _: record(b"\0")), UNACCEPTABLE, id="handshake in the clear"),
        pytest.param(sealed(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n"), Outcome.NOT_TLS, id="HTTP"),
        pytest.param(say(record(hello_13(share=bytes(32)))), UNACCEPTABLE, id="zero for a share"),
        pytest.param(say(record(hello_13(share=bytes(31)))), UNACCEPTABLE, id="short share"),
        pytest.param(say(record(hello_13(P256, share=bytes(65)))), Outcome.GROUP_NOT_OFFERED, id="another group"),
        pytest.param(say(record(hello_13(suite=0x1306))), Outcome.CIPHER_NOT_OFFERED, id="another suite"),
        pytest.param(say(record(server_hello(0x2F), message(14))), Outcome.VERSION_NOT_OFFERED, id="another version"),
        pytest.param(retrying(retry(P256), b""), Outcome.CLOSED_WITHOUT_ALERT, id="closes after a retry"),
        pytest.param(retrying(retry(P256), alert(80)), Outcome.OTHER_ALERT, id="alert after a retry"),
        pytest.param(
            say(record(retry(P256)) + alert(80), then=stay_silent), Outcome.OTHER_ALERT, id="alert with a retry"
        ),
        pytest.param(retrying(retry(P256), record(retry(P384))), Outcome.SECOND_RETRY, id="second retry"),
        pytest.param(
            retrying(retry(P256), record(retry(None, cookie=b"x"))),
            Outcome.SECOND_RETRY,
            id="second retry for a cookie",
        ),
        pytest.param(say(record(retry(X25519))), Outcome.GROUP_NOT_OFFERED, id="retry for the group that came"),
        pytest.param(say(record(retry(0x0A0A))), Outcome.GROUP_NOT_OFFERED, id="retry for no group"),
        pytest.param(say(record(retry(None))), UNACCEPTABLE, id="retry for nothing"),
        pytest.param(say(records(retry(None, cookie=bytes(65450)), 16000)), UNACCEPTABLE, id="cookie without room"),
        pytest.param(
            retrying(retry(P256), record(hello_13(P256, suite=CHACHA20, share=bytes(65)))),
            Outcome.CIPHER_NOT_OFFERED,
            id="another suite than in the retry",
        ),
        pytest.param(
            retrying(retry(P256), record(hello_13())), Outcome.GROUP_NOT_OFFERED, id="another group than in the retry"
        ),
        pytest.param(retrying(retry(P256), record(hello_13(P256, share=bytes(65)))), UNACCEPTABLE, id="no point"),
        pytest.param(retrying(retry(P256), record(hello_13(P256, share=bytes(64)))), UNACCEPTABLE, id="short point"),
        pytest.param(
            say(record(retry(P256)) + record(retry(P384)), then=stay_silent), Outcome.SECOND_RETRY, id="does not wait"
        ),
        pytest.param(say(alert(40, level=1)), Outcome.HANDSHAKE_FAILURE, id="a warning alone"),
        pytest.param(say(alert(40, level=1), then=reset), Outcome.HANDSHAKE_FAILURE, id="a warning and a reset"),
        pytest.param(say(record(hello_13(None))), UNACCEPTABLE, id="no share"),
        pytest.param(say(alert(40)), Outcome.HANDSHAKE_FAILURE, id="refused"),
    ],
)
def test_every_end_has_a_name(behaviour: Behaviour, outcome: Outcome) -> None:
    """What can't be read ends like any other probe, and says nothing about certificates."""
    answer, found = read(behaviour)
    assert (answer.outcome, found) == (outcome, EncryptedFlight())


@pytest.mark.parametrize("group", sorted(OURS_TOO), ids=lambda code: str(codes.group(code)))
def test_a_server_gets_the_key_that_it_asks_for(group: int) -> None:
    """A server of one group alone asks for it; all that it says is read, whatever the group."""
    behaviour = sealed(lambda to: to.record(WHOLE), request=retry(group), group=group)
    answer, found = read(behaviour if group != X25519 else sealed(lambda to: to.record(WHOLE)))
    assert found == SEEN
    assert answer == Answer(
        outcome=Outcome.NEGOTIATED,
        version=ProtocolVersion.TLS_1_3,
        suite=codes.suite(AES_128_GCM),
        group=codes.group(group),
        retried=group != X25519,
    )


@pytest.mark.parametrize("suite", SUITES, ids=lambda code: str(codes.suite(code)))
@pytest.mark.parametrize("again", [False, True], ids=["at once", "after a retry"])
def test_every_suite_is_read(suite: int, *, again: bool) -> None:
    """The hash of the suite makes the keys, and stands for the first hello after a retry."""
    request, group = (retry(P384, suite=suite), P384) if again else (None, X25519)
    answer, found = read(sealed(lambda to: to.record(WHOLE), request=request, group=group, suite=suite))
    assert (answer.outcome, answer.suite, found) == (Outcome.NEGOTIATED, codes.suite(suite), SEEN)


@pytest.mark.parametrize("between", [b"", CHANGE, CHANGE * 3], ids=["nothing", "change_cipher_spec", "three"])
@pytest.mark.parametrize(
    ("request_", "group"),
    [
        pytest.param(retry(P256, cookie=b"a cookie"), P256, id="a group and a cookie"),
        pytest.param(retry(None, cookie=b"a cookie"), X25519, id="a cookie"),
    ],
)
def test_what_was_asked_for_comes_back(request_: bytes, group: int, between: bytes) -> None:
    """The second hello is the first with the share and the cookie (RFC 8446 4.1.2), and is sent only once."""
    hellos: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        hellos.append(whole_hello(connection))
        connection.sendall(record(request_) + between)
        hellos.append(whole_hello(connection))
        hello, sealer = answer_13(hellos[1], group, before=after_retry(hellos[0], request_))
        connection.sendall(record(hello) + CHANGE + sealer.record(WHOLE))

    answer, found = read(behave)
    assert (answer.outcome, answer.retried, found) == (Outcome.NEGOTIATED, True, SEEN)
    first, second = map(extensions_of, hellos)
    cookie = second.pop(44)
    assert cookie == b"\0\x08a cookie"
    assert first.keys() == second.keys()
    assert {code for code in first if first[code] != second[code]} == ({51} if group == P256 else set())
    assert list(shares_of(hellos[0])) == [X25519]
    assert list(shares_of(hellos[1])) == [group]
    assert hellos[0][9:43] == hellos[1][9:43]  # version and random


def test_a_server_is_asked_again_without_what_can_not_be_read() -> None:
    """A server that prefers a group that we have no key for is asked for those that we have, and then read."""
    hellos: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        hello = whole_hello(connection)
        hellos.append(hello)
        if struct.pack("!H", KYBER) in extensions_of(hello)[10]:
            connection.sendall(record(retry(KYBER)))
        else:
            answer, sealer = answer_13(hello)
            connection.sendall(record(answer) + sealer.record(WHOLE))

    answer, found = read(behave)
    assert (answer.outcome, answer.group, found) == (Outcome.NEGOTIATED, codes.group(X25519), SEEN)
    groups = struct.unpack("!" + "H" * (len(GROUPS) + 1), extensions_of(hellos[1])[10])[1:]
    assert set(groups) == set(GROUPS)


@pytest.mark.parametrize(
    ("behaviour", "suite", "group"),
    [
        pytest.param(say(record(retry(KYBER))), AES_128_GCM, KYBER, id="group"),
        pytest.param(say(record(retry(P256, suite=AEGIS))), AEGIS, P256, id="suite, in a retry"),
        pytest.param(say(record(hello_13(suite=AEGIS))), AEGIS, X25519, id="suite"),
    ],
)
def test_what_can_not_be_read_is_unknown(behaviour: Behaviour, suite: int, group: int) -> None:
    """A server that takes nothing that we can read has told nothing: that is never "no certificate"."""
    answer, found = read(behaviour, suites=(*SUITES, AEGIS))
    assert found == EncryptedFlight()
    assert answer.outcome is Outcome.UNREADABLE
    assert (answer.version, answer.suite, answer.group) == (
        *(ProtocolVersion.TLS_1_3, codes.suite(suite)),
        codes.group(group),
    )


@pytest.mark.parametrize("request_", [None, retry(P256)], ids=["at once", "after a retry"])
def test_an_end_tells_what_was_agreed_on(request_: bytes | None) -> None:
    """However it ends after the ServerHello: version, suite and group were agreed on, and nothing more is known."""
    group = P256 if request_ else X25519
    answer, found = read(sealed(then=reset, request=request_, group=group))
    assert found == EncryptedFlight()
    assert answer == Answer(
        outcome=Outcome.RESET,
        version=ProtocolVersion.TLS_1_3,
        suite=codes.suite(AES_128_GCM),
        group=codes.group(group),
        retried=bool(request_),
    )
    answer, _ = read(sealed(lambda to: to.record(b"\2\x28", kind=ALERT), request=request_, group=group))
    assert (answer.outcome, answer.alert, answer.group) == (Outcome.HANDSHAKE_FAILURE, 40, codes.group(group))


def test_the_warning_is_told() -> None:
    """In TLS 1.3 an alert is fatal whatever its level, so the end that follows it has its name (RFC 8446 6)."""
    answer, _ = read(say(alert(112, level=1)))
    assert (answer.outcome, answer.alert) == (Outcome.UNRECOGNIZED_NAME, 112)
    answer, found = read(sealed(lambda to: to.record(WHOLE), then=stay_silent))
    assert (answer.alert, found) == (None, SEEN)


def test_a_warning_is_not_the_end() -> None:
    """A server that warns and then answers has answered."""

    def behave(connection: socket.socket) -> None:
        hello, sealer = answer_13(whole_hello(connection))
        connection.sendall(alert(112, level=1) + record(hello) + sealer.record(WHOLE))

    answer, found = read(behave)
    assert (answer.outcome, answer.alert, found) == (Outcome.NEGOTIATED, None, SEEN)


def test_a_server_that_stays_silent_after_a_warning_is_silent() -> None:
    """What did not end is not named an end."""
    answer, _ = read(say(alert(112, level=1), then=stay_silent), timeout=IMPATIENT)
    assert (answer.outcome, answer.alert) == (Outcome.SILENT, None)


@pytest.mark.parametrize(
    ("openssl", "group"),
    [
        *(("X25519", "x25519"), ("P-256", "secp256r1"), ("P-384", "secp384r1"), ("P-521", "secp521r1")),
        *(("X448", "x448"), *((f"ffdhe{bits}", f"ffdhe{bits}") for bits in (2048, 3072, 4096, 6144, 8192))),
    ],
)
def test_openssl_is_read_with_each_of_its_groups(openssl: str, group: str, tmp_path: Path) -> None:
    """Of a real server of one group alone all is seen: an expired certificate, the protocol, its wish for ours."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    log = tmp_path / "log"
    with OLD.files() as (chain, key):
        words: list[str | Path] = [
            "openssl",
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-tls1_3",
            "-alpn",
            "h2",
            "-verify",
            "1",
            "-www",
        ]
        server = process.start([*words, "-groups", openssl, "-cert", chain, "-key", key], log=log)
        try:
            port = until(lambda: port_in(log), "known", bool, what="OpenSSL's port", timeout=PATIENT, interval=0.01)
            answer, found = ask(Address("127.0.0.1", port), for_certificate(None, ("http/1.1", "h2")))
        finally:
            server.kill()
            server.wait()
    assert (answer.outcome, str(answer.group), answer.retried) == (Outcome.NEGOTIATED, group, group != "x25519")
    assert found == EncryptedFlight("h2", (OLD_LEAF,), client_cert_requested=True)


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
