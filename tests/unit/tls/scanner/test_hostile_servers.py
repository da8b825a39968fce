"""Hostile servers: whatever one does, a probe ends in time, and its end has a name."""

from __future__ import annotations

import asyncio
import socket
import time
import tracemalloc
from contextlib import ExitStack
from dataclasses import replace

import pytest

from meshproof.tls import Address, Offered, Options, Outcome, Posture, ProtocolVersion, Target, scan_one
from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.exchange import ask, ask_ssl2
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.protocol.hello import (
    KEY_SHARE,
    SERVER_NAME,
    SIGNATURE_ALGORITHMS,
    SUPPORTED_GROUPS,
    SUPPORTED_VERSIONS,
)
from meshproof.tls.protocol.profile import GREASE, Profile
from meshproof.tls.protocol.record import LIMIT
from meshproof.tls.scanner.findings import ClientAuthentication
from meshproof.tls.scanner.questions import broad
from tests.support.certificates import HOST, SERVER
from tests.support.flights import (
    AES_128_GCM,
    ALERT,
    APPLICATION_DATA,
    CHACHA20,
    CHANGE_CIPHER_SPEC,
    DHE_AES_128_GCM,
    DONE,
    ECDHE_AES_128_GCM,
    FLIGHTS,
    FROM_1_3_TO_1_1,
    FROM_1_3_TO_1_2,
    P256,
    P384,
    RETRY_RANDOM,
    RSA_AES_128,
    TLS_1_0,
    TLS_1_1,
    TLS_1_2,
    TLS_1_3,
    X25519,
    alert,
    certificate,
    dhe,
    ecdhe,
    hello_13,
    message,
    record,
    records,
    retry,
    server_hello,
)
from tests.support.servers import Behaviour, nobody, pour, reset, say, serving, stay_silent, tls, trickle, until_then

IMPATIENT = 0.3  # seconds; for servers that never answer
PATIENT = 10.0  # seconds; never used up
BRAINPOOL = 26  # a group that no key share is made for
SCSV, RC4, AES_256_GCM = 0x00FF, 0x0005, 0x1302

NEGOTIATED, UNACCEPTABLE = Outcome.NEGOTIATED, Outcome.UNACCEPTABLE_ANSWER
BAD_VERSION, BAD_CIPHER, BAD_GROUP = Outcome.VERSION_NOT_OFFERED, Outcome.CIPHER_NOT_OFFERED, Outcome.GROUP_NOT_OFFERED

OLD = Profile(
    name="speaks TLS 1.2 and 1.0",
    versions=(TLS_1_2, TLS_1_0),
    suites=(ECDHE_AES_128_GCM, DHE_AES_128_GCM, RSA_AES_128, SCSV),
    extensions=(SERVER_NAME, SUPPORTED_GROUPS, SIGNATURE_ALGORITHMS),
    groups=(X25519, P256),
    signature_algorithms=(0x0804, 0x0401),
    dh_bits=(1024, 4096),
)
NEW = replace(
    OLD,
    name="speaks TLS 1.3 too",
    versions=(GREASE, TLS_1_3, TLS_1_2),
    suites=(GREASE, AES_128_GCM, CHACHA20, *OLD.suites),
    extensions=(*OLD.extensions, SUPPORTED_VERSIONS, KEY_SHARE),
    groups=(GREASE, X25519, P256, BRAINPOOL),
    key_shares=(GREASE, X25519),
)
NOTHING_MORE = server_hello(RSA_AES_128)
WHOLE = record(NOTHING_MORE, DONE)
SHARE = bytes.fromhex("001d 0020") + bytes(32)
MARKED_13 = record(server_hello(AES_128_GCM, random=FROM_1_3_TO_1_2, extensions={43: b"\3\4", 51: SHARE}))
FULL = 1 << 14  # octets in the largest record (RFC 8446 5.1)


def in_12(suite: int, *messages: bytes, version: int = TLS_1_2, random: bytes = bytes(32)) -> bytes:
    """Build a whole flight of TLS 1.2 or older."""
    return record(server_hello(suite, version=version, random=random), *messages, DONE)


def answer(behaviour: Behaviour, profile: Profile = NEW, *, timeout: float = PATIENT, follow: bool = True) -> Answer:
    """Send a client's hello to a server that behaves so."""
    with serving(behaviour) as address:
        return asyncio.run(ask(endpoint(address), profile, sni=HOST, timeout=timeout, follow=follow))


def endpoint(address: Address) -> Endpoint:
    """Return where a server on loopback listens."""
    return Endpoint(socket.AF_INET, (address.host, address.port))


def scanned(behaviour: Behaviour, *, clients: int = 0, lists: bool = True, timeout: float = IMPATIENT) -> Posture:
    """Scan a server that behaves so."""
    with serving(behaviour) as address:
        return scan_one(Target(address, HOST), Options(clients=[NEW] * clients, timeout=timeout, lists=lists))


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        pytest.param(say(record(message(2, b"\3\3"))), UNACCEPTABLE, id="half a hello"),
        pytest.param(say(record(DONE)), UNACCEPTABLE, id="no hello"),
        pytest.param(say(record()), UNACCEPTABLE, id="empty record"),
        pytest.param(say(record(bytes(9), kind=APPLICATION_DATA)), UNACCEPTABLE, id="application data"),
        pytest.param(say(record(b"\2", kind=ALERT)), UNACCEPTABLE, id="half an alert"),
        pytest.param(say(b"\x16\3\3\xff\xff"), UNACCEPTABLE, id="long record announced"),
        pytest.param(say(record(b"\2\xff\xff\xff")), Outcome.OVERLONG, id="long message announced"),
        pytest.param(say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Outcome.NOT_TLS, id="HTTP"),
        pytest.param(say(b"SSH-2.0-OpenSSH_9.9\r\n"), Outcome.NOT_TLS, id="SSH"),
        pytest.param(say(b"\x16\2\0"), Outcome.NOT_TLS, id="another major version"),
        pytest.param(say(alert(40)), Outcome.HANDSHAKE_FAILURE, id="alert"),
        pytest.param(say(alert(40), then=reset), Outcome.HANDSHAKE_FAILURE, id="alert, then reset"),
        pytest.param(say(alert(0, level=1)), Outcome.CLOSED_IN_ORDER, id="goodbye"),
        pytest.param(say(alert(90, level=1)), Outcome.OTHER_ALERT, id="warning, then an end"),
        pytest.param(say(), Outcome.CLOSED_WITHOUT_ALERT, id="close"),
        pytest.param(say(then=reset), Outcome.RESET, id="reset"),
        pytest.param(say(record(NOTHING_MORE)), Outcome.CLOSED_WITHOUT_ALERT, id="close after the hello"),
        pytest.param(say(record(NOTHING_MORE), then=reset), Outcome.RESET, id="reset after the hello"),
        pytest.param(say(record(NOTHING_MORE), alert(80), then=reset), Outcome.OTHER_ALERT, id="alert after the hello"),
        pytest.param(say(record(retry(P256)), then=say()), Outcome.CLOSED_WITHOUT_ALERT, id="close after a retry"),
    ],
)
def test_every_end_has_a_name(behaviour: Behaviour, outcome: Outcome) -> None:
    """A broken answer, an alert, a close, a reset and another protocol are different things."""
    assert answer(behaviour).outcome is outcome


@pytest.mark.parametrize(
    ("profile", "flight", "outcome"),
    [
        pytest.param(OLD, in_12(RSA_AES_128), NEGOTIATED, id="1.2"),
        pytest.param(OLD, in_12(RSA_AES_128, version=TLS_1_0), NEGOTIATED, id="1.0"),
        pytest.param(NEW, record(hello_13()), NEGOTIATED, id="1.3"),
        pytest.param(NEW, in_12(RSA_AES_128, version=TLS_1_0), BAD_VERSION, id="old version"),
        pytest.param(OLD, in_12(RSA_AES_128, version=TLS_1_1), BAD_VERSION, id="version between"),
        pytest.param(OLD, record(hello_13()), BAD_VERSION, id="new version"),
        pytest.param(NEW, record(hello_13(version=0x7F1C)), BAD_VERSION, id="draft"),
        pytest.param(NEW, in_12(RSA_AES_128, version=GREASE), BAD_VERSION, id="GREASE version"),
        pytest.param(OLD, in_12(RC4), BAD_CIPHER, id="suite"),
        pytest.param(NEW, record(hello_13(suite=AES_256_GCM)), BAD_CIPHER, id="suite of 1.3"),
        pytest.param(NEW, record(retry(P256, suite=AES_256_GCM)), BAD_CIPHER, id="suite of a retry"),
        pytest.param(NEW, record(hello_13(suite=RSA_AES_128)), BAD_CIPHER, id="old suite in 1.3"),
        pytest.param(NEW, in_12(AES_128_GCM), BAD_CIPHER, id="new suite in 1.2"),
        pytest.param(OLD, in_12(SCSV), BAD_CIPHER, id="signal for a suite"),
        pytest.param(NEW, record(hello_13(suite=GREASE)), BAD_CIPHER, id="GREASE for a suite"),
        pytest.param(NEW, record(hello_13(P384)), BAD_GROUP, id="group"),
        pytest.param(NEW, record(hello_13(P256)), BAD_GROUP, id="group without a share"),
        pytest.param(NEW, record(hello_13(GREASE)), BAD_GROUP, id="GREASE for a group"),
        pytest.param(NEW, record(retry(P384)), BAD_GROUP, id="group of a retry"),
        pytest.param(NEW, record(retry(X25519)), BAD_GROUP, id="retry for a share that is there"),
        pytest.param(NEW, record(retry(GREASE)), BAD_GROUP, id="retry for GREASE"),
        pytest.param(OLD, in_12(ECDHE_AES_128_GCM, ecdhe(P384)), BAD_GROUP, id="group of 1.2"),
        pytest.param(NEW, in_12(ECDHE_AES_128_GCM, ecdhe(GREASE)), BAD_GROUP, id="GREASE group of 1.2"),
        pytest.param(OLD, in_12(ECDHE_AES_128_GCM, ecdhe(P256)), NEGOTIATED, id="good group of 1.2"),
        pytest.param(OLD, in_12(DHE_AES_128_GCM, dhe(1023)), Outcome.DH_SIZE_REFUSED, id="short prime"),
        pytest.param(OLD, in_12(DHE_AES_128_GCM, dhe(4097)), Outcome.DH_SIZE_REFUSED, id="long prime"),
        pytest.param(OLD, in_12(DHE_AES_128_GCM, dhe(4096)), NEGOTIATED, id="good prime"),
        pytest.param(NEW, in_12(RSA_AES_128, random=FROM_1_3_TO_1_2), Outcome.DOWNGRADED, id="downgrade"),
        pytest.param(NEW, in_12(RSA_AES_128, random=FROM_1_3_TO_1_1), Outcome.DOWNGRADED, id="steep downgrade"),
        pytest.param(OLD, in_12(RSA_AES_128, random=FROM_1_3_TO_1_2), NEGOTIATED, id="as good as it gets"),
        pytest.param(NEW, MARKED_13, NEGOTIATED, id="marker in TLS 1.3, where it means nothing"),
        pytest.param(OLD, in_12(RSA_AES_128, random=RETRY_RANDOM), NEGOTIATED, id="random by chance"),
        pytest.param(NEW, record(retry(None)), UNACCEPTABLE, id="retry for nothing"),
        pytest.param(NEW, record(hello_13(None)), UNACCEPTABLE, id="no share"),
        pytest.param(OLD, in_12(ECDHE_AES_128_GCM), UNACCEPTABLE, id="no key exchange"),
        pytest.param(OLD, in_12(ECDHE_AES_128_GCM, ecdhe(1, kind=1)), UNACCEPTABLE, id="curve of its own"),
    ],
)
def test_a_choice_is_held_against_the_hello(profile: Profile, flight: bytes, outcome: Outcome) -> None:
    """What the client can't accept is no connection."""
    assert answer(say(flight), profile).outcome is outcome


@pytest.mark.parametrize("name", FLIGHTS)
def test_an_answer_may_come_octet_by_octet(name: str) -> None:
    """It makes no difference how a flight is cut on its way."""
    flight = FLIGHTS[name]
    client = replace(NEW, versions=(*NEW.versions, TLS_1_0))
    whole = answer(say(flight), client)
    assert answer(say(*(flight[at : at + 1] for at in range(len(flight)))), client) == whole


@pytest.mark.parametrize("length", [1, 7, FULL], ids="records of {} octets".format)
def test_messages_may_span_records_and_share_them(length: int) -> None:
    """All of the first flight is read, however its messages are put into records."""
    messages = server_hello(ECDHE_AES_128_GCM) + certificate(b"leaf", b"issuer") + ecdhe(P256) + DONE
    seen = answer(say(records(messages, length)))
    assert (seen.outcome, seen.group and seen.group.code, seen.client_cert_requested, seen.certificates) == (
        *(Outcome.NEGOTIATED, P256, False),
        (b"leaf", b"issuer"),
    )


def test_a_retry_is_answered() -> None:
    """The control of the retries below: the second hello has the share and the cookie, and is accepted."""
    seen = answer(say(record(retry(P256, cookie=b"crumbs")), then=say(record(hello_13(P256)))))
    assert (seen.outcome, seen.retried, str(seen.group)) == (Outcome.NEGOTIATED, True, "secp256r1")


def test_a_retry_may_be_the_answer() -> None:
    """Who does not follow, or can't, learns suite and group all the same."""
    for group, follow in ((P256, False), (BRAINPOOL, True)):
        seen = answer(say(record(retry(group))), follow=follow)
        assert (seen.outcome, seen.retried, seen.group and seen.group.code) == (Outcome.NEGOTIATED, True, group)


@pytest.mark.parametrize(
    ("second", "outcome"),
    [
        pytest.param(record(retry(P256)), Outcome.SECOND_RETRY, id="the same again"),
        pytest.param(record(retry(BRAINPOOL)), Outcome.SECOND_RETRY, id="another"),
        pytest.param(record(hello_13(X25519)), Outcome.GROUP_NOT_OFFERED, id="not the group it asked for"),
        pytest.param(record(server_hello(RSA_AES_128), DONE), Outcome.VERSION_NOT_OFFERED, id="another version"),
        pytest.param(record(hello_13(P256, suite=CHACHA20)), Outcome.CIPHER_NOT_OFFERED, id="another suite"),
        pytest.param(alert(40), Outcome.HANDSHAKE_FAILURE, id="alert"),
    ],
)
def test_what_follows_a_retry(second: bytes, outcome: Outcome) -> None:
    """A client does not try again for ever; and no word is lost that came at once, whatever follows it."""
    first = record(retry(P256))
    in_turn = say(first, then=say(second, then=stay_silent))
    at_once = say(first + second, then=stay_silent), say(first + second, then=reset)
    seen = [answer(behaviour, timeout=IMPATIENT).outcome for behaviour in (in_turn, *at_once)]
    assert seen == [outcome] * 3


@pytest.mark.parametrize("length", [1, 1 << 12, 60_000, 65_400], ids="{} octets".format)
def test_a_cookie_may_be_large(length: int) -> None:
    """A cookie that no hello has room for is the server's fault, and no accident of the client."""
    messages = retry(P256, cookie=bytes(length))
    seen = answer(say(records(messages, FULL), then=say(alert(40))), timeout=IMPATIENT)
    assert seen.outcome in (Outcome.HANDSHAKE_FAILURE, Outcome.UNACCEPTABLE_ANSWER)


@pytest.mark.parametrize(
    ("chunk", "first"),
    [
        pytest.param(record(bytes(FULL)), record(b"\2\3\xff\0"), id="handshake octets"),
        pytest.param(record(message(22, bytes(99))), record(NOTHING_MORE), id="messages"),
        pytest.param(record(bytes(99), kind=CHANGE_CIPHER_SPEC), b"", id="change_cipher_spec"),
        pytest.param(alert(90, level=1), b"", id="warnings"),
    ],
)
def test_a_flight_without_an_end_is_cut_off(chunk: bytes, first: bytes) -> None:
    """A server that does not stop is stopped: after so many octets, not after so many seconds."""
    assert answer(say(first, then=pour(chunk * 99))).outcome is Outcome.OVERLONG


def test_a_flight_without_an_end_fills_no_memory() -> None:
    """What is kept of it is in proportion to the limit."""
    tracemalloc.start()
    try:
        answer(say(record(b"\2\3\xff\0"), then=pour(record(bytes(FULL)))))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * LIMIT


def test_patience_ends_at_the_deadline() -> None:
    """A server that takes its time is silent at the deadline: not before, and not much after."""
    endless = record(b"\2\0\4\0") + record(bytes(FULL))
    behaviours = [
        stay_silent,
        say(WHOLE[:-1], then=stay_silent),
        trickle(endless, pause=IMPATIENT / 10),
        trickle(alert(90, level=1) * 99, pause=IMPATIENT / 10),
        trickle(b"\xff" * 99, pause=IMPATIENT / 10),  # for SSLv2, a message of 32767 octets
    ]

    async def all_at_once(endpoints: list[Endpoint]) -> list[Answer]:
        hello = broad(ProtocolVersion.SSL_2)
        asked = (ask(each, OLD, sni=HOST, timeout=IMPATIENT) for each in endpoints[:-1])
        asked_for_ssl2 = (ask_ssl2(each, hello, timeout=IMPATIENT) for each in endpoints)
        return await asyncio.gather(*asked, *asked_for_ssl2)

    with ExitStack() as servers:
        addresses = [servers.enter_context(serving(behaviour)) for behaviour in behaviours]
        began = time.monotonic()
        seen = asyncio.run(all_at_once([endpoint(address) for address in addresses]))
        elapsed = time.monotonic() - began
    assert {answer.outcome for answer in seen} == {Outcome.SILENT}
    assert IMPATIENT <= elapsed < 8 * IMPATIENT  # one that waits for whole records waits for at least 9 times as long


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        pytest.param("800b 04 00 01 0002 0000 0000 0000", Outcome.NEGOTIATED, id="hello"),
        pytest.param("8003 00 0001", Outcome.HANDSHAKE_FAILURE, id="error"),
        pytest.param("800b 04 00 01 0003 0000 0000 0000", Outcome.NOT_TLS, id="another version"),
        pytest.param("800b 04 00 01 0002 ffff 0000 0000", Outcome.NOT_TLS, id="shorter than it says"),
        pytest.param("8000", Outcome.NOT_TLS, id="empty"),
        pytest.param("8001 09", Outcome.NOT_TLS, id="another message"),
        pytest.param("ffff 04", Outcome.CLOSED_WITHOUT_ALERT, id="long, announced only"),
        pytest.param("1503030002 0246", Outcome.PROTOCOL_VERSION, id="alert in TLS"),
        pytest.param("4854545020", Outcome.NOT_TLS, id="HTTP"),
        pytest.param("", Outcome.CLOSED_WITHOUT_ALERT, id="close"),
    ],
)
def test_every_end_in_ssl2_has_a_name(said: str, outcome: Outcome) -> None:
    """SSLv2 is asked for in its own format, and may be answered in either."""
    with serving(say(bytes.fromhex(said))) as address:
        seen = asyncio.run(ask_ssl2(endpoint(address), broad(ProtocolVersion.SSL_2), timeout=PATIENT))
    assert seen.outcome is outcome


def test_a_closed_port() -> None:
    """Where nothing listens, no client is refused: nothing is known of any."""
    with nobody() as address:
        assert asyncio.run(ask(endpoint(address), NEW, sni=HOST)).outcome is Outcome.REFUSED
        found = scan_one(Target(address, HOST), Options(clients=[NEW] * 40))
    assert (found.unreachable, found.unknown, found.clients) == (Outcome.REFUSED, True, ())
    assert_nothing_refused(found)


@pytest.mark.parametrize(
    "host", ["fe80::1%no-such-interface", "a" * 64, "a..b"], ids=["no scope", "long", "empty label"]
)
def test_a_name_that_does_not_resolve(host: str) -> None:
    """A name without an address is named as such, and asked for once; no name server is needed for these."""
    found = scan_one(Target(Address(host, 1), HOST), Options(clients=[NEW] * 40, timeout=PATIENT))
    assert (found.unreachable, found.unknown, found.connections) == (Outcome.NAME_NOT_RESOLVED, True, 0)
    assert_nothing_refused(found)


def test_a_silent_target_costs_one_deadline() -> None:
    """Silence is found out once, not once a client."""
    found = scanned(stay_silent, clients=40)
    assert (found.unreachable, found.unknown, found.connections) == (Outcome.SILENT, True, len(ProtocolVersion))
    assert IMPATIENT <= found.seconds < 2 * IMPATIENT
    assert_nothing_refused(found)


@pytest.mark.parametrize(
    ("alive", "dead"),
    [
        pytest.param(20, stay_silent, id="silent after 20"),
        pytest.param(9, say(), id="closes after 9"),
        pytest.param(20, say(then=reset), id="resets after 20"),
    ],
)
def test_a_target_that_dies_in_the_middle_is_unknown(alive: int, dead: Behaviour) -> None:
    """What a target did not answer because it was gone is no refusal; and its death costs a few deadlines at most."""
    found = scanned(until_then(alive, tls(SERVER), dead), clients=35)
    assert found.unknown
    assert found.unreachable in (Outcome.SILENT, Outcome.CLOSED_WITHOUT_ALERT, Outcome.RESET, Outcome.UNSTABLE)
    assert all(client.answer.negotiated or client.unknown for client in found.clients)
    assert found.client_authentication is not ClientAuthentication.REQUIRED
    assert found.seconds < 10 * IMPATIENT  # with a deadline a client, it would be 35
    assert_nothing_refused(found)


@pytest.mark.parametrize(
    ("alive", "dead"),
    [
        pytest.param(5, say(), id="closes after 5"),
        pytest.param(1, say(), id="closes after 1"),
        pytest.param(3, say(then=reset), id="resets after 3"),
    ],
)
@pytest.mark.parametrize("lists", [True, False], ids=["whole scan", "versions only"])
def test_a_target_that_dies_at_once_refuses_no_version(alive: int, dead: Behaviour, *, lists: bool) -> None:
    """A close refuses a version only if the target still answers afterwards."""
    assert_nothing_refused(scanned(until_then(alive, tls(SERVER), dead), lists=lists))


def assert_nothing_refused(found: Posture) -> None:
    """No version that the server speaks while it is alive counts as refused."""
    for version in (ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3):
        assert found.versions[version].offered is not Offered.NOT_OFFERED, version
