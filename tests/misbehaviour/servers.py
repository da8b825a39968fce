"""Servers that misbehave in ordinary ways, as load balancers, firewalls, old stacks and outages make them."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from trustme import KeyType

from meshproof.certificates.authority import Lifetime
from meshproof.certificates.leaf import Leaf
from meshproof.tls import Address, ProtocolVersion
from meshproof.tls.protocol.hello import Hello
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.scanner.findings import ClientAuthentication
from tests.misbehaviour.relays import (
    Seen,
    after,
    altered,
    banning,
    crowded,
    in_turn,
    limited,
    numbered,
    parse,
    slowly,
    when,
    with_a_door,
)
from tests.misbehaviour.truth import CLIENTS, TLS_1_0, TLS_1_2, TLS_1_3, Facts, Kind, Server
from tests.support.certificates import HOST, OTHER, OURS, SERVER
from tests.support.flights import (
    AES_128_GCM,
    HANDSHAKE,
    P256,
    P384,
    RSA_AES_128,
    X25519_ML_KEM,
    alert,
    certificate,
    record,
    retry,
    server_hello,
)
from tests.support.flights import DONE as HELLO_DONE
from tests.support.flights import TLS_1_0 as IN_TLS_1_0
from tests.support.servers import Behaviour, pour, reset, say, serving, stay_silent

P521 = 25
EXTENSIONS_OF_2008 = {0, 1, 5, 10, 11, 13, 14, 15, 16, 18, 21, 22, 23, 35, 13172, 0xFF01}
EXPORT_OR_NULL = {*range(0x0001, 0x0004), 0x0006, 0x0008, 0x000B, 0x000E, 0x0011, 0x0014, 0x0017, 0x0019, 0x003B}
SUPPORTED_GROUPS, SIGNATURE_ALGORITHMS, ALPN, KEY_SHARE = 10, 13, 16, 51


Serve = Callable[[Behaviour], AbstractContextManager[Address]]


@dataclass(frozen=True, kw_only=True)
class Misbehaviour:
    """One way to misbehave.

    Attributes:
        name: The name of its test.
        make: Makes the behaviour anew, for it counts.
        truth: What is true of it; where that changes meanwhile, or nobody can say, all that may be said.
        serve: How it is served.
        known: What has to be found out all the same: ``all``, ``versions`` or nothing.
        unknown: Whether something can't be found out, and has to be said so.
        timeout: Seconds for a connection of the scan.
        max_time: Seconds for all of it.
    """

    name: str
    make: Callable[[], Behaviour]
    truth: Callable[[], Sequence[Facts]]
    serve: Serve = serving
    known: str = ""
    unknown: bool = False
    timeout: float = 5.0
    max_time: float = 20.0

    def __str__(self) -> str:
        return self.name


HELLOS_OF_CLIENTS = {client.name: parse(Hello(client, HOST).first()) for client in CLIENTS}
NOBODY = [client.name for client in CLIENTS]

EC_LEAF = OURS.server(HOST, key=KeyType.ECDSA)
ALL = Server(oldest=TLS_1_0)
OLD = Server(oldest=TLS_1_0, newest=TLS_1_2)
MODERN = Server()
ONLY_1_0 = Server(oldest=TLS_1_0, newest=TLS_1_0)
ONLY_1_2 = Server(newest=TLS_1_2)
ONLY_1_3 = Server(oldest=TLS_1_3)
BOTH_KINDS = Server(leaves=(SERVER, EC_LEAF))
ANOTHER = Server(leaves=(OTHER.server(HOST),))
FEW_SUITES = Server(ciphers="ECDHE+AESGCM")
OTHER_SUITES = Server(ciphers="kRSA+AES")


def for_good(
    name: str,
    hurts: Callable[[Seen], object],
    misbehave: Behaviour,
    behind: Server = ALL,
    *,
    but: Callable[[Facts], Facts] = lambda facts: facts,
    known: str = "",
    unknown: bool = False,
    timeout: float = 5.0,
) -> Misbehaviour:
    """Misbehave towards some hellos, always in the same way: a client with such a hello gets no connection.

    Args:
        name: The name of its test.
        hurts: Tells such a hello.
        misbehave: What is done then.
        behind: The server behind.
        but: What else is not true then of what is true of the server behind.
        known: As in ``Misbehaviour``, like what follows.
        unknown: As there.
        timeout: As there.
    """

    def truth() -> Sequence[Facts]:
        hurt = [name for name, seen in HELLOS_OF_CLIENTS.items() if hurts(seen)]
        return [but(behind.facts).without(hurt)]

    return Misbehaviour(
        name=name,
        make=lambda: when(hurts, misbehave, behind.behaviour),
        truth=truth,
        known=known,
        unknown=unknown,
        timeout=timeout,
    )


def at_times(
    name: str,
    make: Callable[[Behaviour], Behaviour],
    behind: Server = ALL,
    *,
    serve: Serve = serving,
    known: str = "",
    unknown: bool = False,
    timeout: float = 5.0,
    max_time: float = 20.0,
) -> Misbehaviour:
    """Misbehave in a way that has nothing to do with what a client offers."""
    return Misbehaviour(
        name=name,
        make=lambda: make(behind.behaviour),
        truth=lambda: [behind.facts],
        serve=serve,
        known=known,
        unknown=unknown,
        timeout=timeout,
        max_time=max_time,
    )


def _older_than(version: ProtocolVersion) -> Callable[[Seen], bool]:
    return lambda seen: seen.newest < version.code


def _extended(seen: Seen) -> bool:
    return bool(seen.extensions)


def _offers(version: ProtocolVersion) -> Callable[[Seen], bool]:
    return lambda seen: version.code in (*seen.versions, seen.version)


def _from_to(first: int, last: int) -> Callable[[int], bool]:
    return lambda number: first <= number <= last


def _one_in_five() -> Callable[[int], bool]:
    draw = random.Random(8)  # noqa: S311 - the same each time
    return lambda _: draw.random() < 0.2


def _without_1_3(facts: Facts) -> Facts:
    return facts.refusing(TLS_1_3)


def _without_fallback(facts: Facts) -> Facts:
    return replace(facts, fallback_scsv=frozenset())


HTTP_400 = say(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
HTTP_503 = say(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n")
ENDS: Mapping[str, Behaviour] = {
    "reset": reset,
    "close": say(),
    "alert 40": say(alert(40)),
    "alert 47": say(alert(47)),
    "alert 50": say(alert(50)),
    "alert 80": say(alert(80)),
    "silence": stay_silent,
}
IMPATIENT = 0.4  # seconds; for those that never answer
SHORT = 1.5  # seconds; for servers that go away for good


def _patience(end: str) -> float:
    return IMPATIENT if end == "silence" else 5.0


HELLOS = [
    *(
        for_good(f"no more than 128 suites, {end}", lambda seen: len(seen.suites) > 128, behave, known="all")
        for end, behave in ENDS.items()
    ),
    for_good("no more than 64 suites, reset", lambda seen: len(seen.suites) > 64, reset),
    for_good("hello of 512 octets at most, reset", lambda seen: seen.size > 512, reset, known="versions"),
    for_good("hello of 1400 octets at most, reset", lambda seen: seen.size > 1400, reset, known="all"),
    for_good("hello of 1400 octets at most, silence", lambda seen: seen.size > 1400, stay_silent, known="all"),
    for_good("hello of 256 to 511 octets hangs", lambda seen: 256 <= seen.size < 512, stay_silent, timeout=IMPATIENT),
    for_good("hello of less than 200 octets hangs", lambda seen: seen.size < 200, stay_silent, timeout=IMPATIENT),
    for_good(
        "no more than 16 groups, alert 50", lambda seen: len(seen.extensions.get(10, b"")) > 2 + 2 * 16, say(alert(50))
    ),
    for_good(
        "no more than 16 signature algorithms, close",
        lambda seen: len(seen.extensions.get(13, b"")) > 2 + 2 * 16,
        say(),
    ),
    for_good(
        "a firewall resets who offers export or no encryption",
        lambda seen: set(seen.suites) & EXPORT_OR_NULL,
        reset,
    ),
    for_good("a firewall resets TLS 1.3", _offers(TLS_1_3), reset, but=_without_1_3),
    for_good("a firewall drops TLS 1.3", _offers(TLS_1_3), stay_silent, but=_without_1_3, timeout=IMPATIENT),
    for_good("intolerant of TLS 1.3, reset", _offers(TLS_1_3), reset, OLD),
    for_good("intolerant of TLS 1.3, alert 47", _offers(TLS_1_3), say(alert(47)), OLD, known="versions"),
    for_good("intolerant of all above TLS 1.0, reset", lambda seen: seen.version > TLS_1_0.code, reset, ONLY_1_0),
    for_good("intolerant of new extensions, close", lambda seen: set(seen.extensions) - EXTENSIONS_OF_2008, say(), OLD),
    for_good(
        "TLS 1.2 only for who offers 1.3, else alert 70",
        lambda seen: seen.newest < TLS_1_3.code,
        say(alert(70)),
        ONLY_1_2,
    ),
    for_good(
        "intolerant of TLS_FALLBACK_SCSV, reset",
        lambda seen: 0x5600 in seen.suites,
        reset,
        but=_without_fallback,
    ),
    for_good(
        "intolerant of no key share, close",
        lambda seen: len(seen.extensions.get(51, b"more")) == 2,
        say(),
        Server(newest=TLS_1_3, oldest=TLS_1_3),
    ),
]

REFUSALS = [
    *(
        for_good(
            f"refuses old versions with alert {number}",
            _older_than(TLS_1_2),
            say(alert(number)),
            MODERN,
            known="all" if number in (47, 80) else "versions",
        )
        for number in (0, 10, 20, 42, 47, 49, 50, 80, 90, 100)
    ),
    for_good("refuses with a warning, then closes", _older_than(TLS_1_2), say(alert(40, level=1)), MODERN),
    for_good("refuses with close_notify as a warning", _older_than(TLS_1_2), say(alert(0, level=1)), MODERN),
    for_good("resets SSLv2 and SSLv3, like Envoy", _older_than(TLS_1_0), reset, MODERN, known="all"),
    for_good("closes on SSLv2 and SSLv3", _older_than(TLS_1_0), say(), MODERN, known="all"),
    for_good("drops SSLv2", lambda seen: seen.ssl2, stay_silent, MODERN, timeout=IMPATIENT, unknown=True),
    for_good("answers SSLv2 with HTTP 400", lambda seen: seen.ssl2, HTTP_400, MODERN, unknown=True),
    for_good("drops TLS 1.0 and 1.1", _older_than(TLS_1_2), stay_silent, MODERN, timeout=IMPATIENT, unknown=True),
]


def outage(end: str, misbehave: Behaviour, *, known: str = "all") -> Misbehaviour:
    """Misbehave on connections 12 to 59."""
    return at_times(
        f"{end} on connections 12 to 59, then health",
        lambda behind: numbered(_from_to(12, 59), misbehave, behind),
        known=known,
        timeout=_patience(end),
    )


OUTAGES = [
    outage("reset", reset),
    outage("close", say()),
    outage("alert 80", say(alert(80))),
    outage("alert 90", say(alert(90))),
    outage("close_notify", say(alert(0, level=1))),
    outage("HTTP 503", HTTP_503),
    outage("half a flight", say(record(server_hello(RSA_AES_128))[:40])),
    outage("silence", stay_silent, known=""),
    outage("alert 112", say(alert(112)), known=""),
    at_times("reset for half a second after connection 20", lambda behind: after(20, 0.5, reset, behind), known="all"),
    at_times("reset on the first 10 connections", lambda behind: numbered(_from_to(1, 10), reset, behind)),
    at_times(
        "reset on the first 8 hellos with extensions",
        lambda behind: when(_extended, numbered(_from_to(1, 8), reset, behind), behind),
        known="all",
    ),
    at_times(
        "reset on the first 60 hellos with extensions",
        lambda behind: when(_extended, numbered(_from_to(1, 60), reset, behind), behind),
    ),
    at_times(
        "silence on the first 6 connections",
        lambda behind: numbered(_from_to(1, 6), stay_silent, behind),
        timeout=IMPATIENT,
    ),
    at_times(
        "every second connection cut off in its flight",
        lambda behind: in_turn(behind, altered(ALL.context, lambda flight: [flight[:600]], then=reset)),
    ),
    at_times(
        "reset from connection 91 on",
        lambda behind: numbered(_from_to(91, 10**6), reset, behind),
        timeout=SHORT,
    ),
    at_times(
        "reset from connection 31 on",
        lambda behind: numbered(_from_to(31, 10**6), reset, behind),
        unknown=True,
        timeout=SHORT,
    ),
    at_times(
        "silence from connection 31 on",
        lambda behind: numbered(_from_to(31, 10**6), stay_silent, behind),
        unknown=True,
        timeout=IMPATIENT,
    ),
    at_times(
        "TCP refused from connection 31 on",
        lambda behind: behind,
        serve=lambda behaviour: with_a_door(behaviour, last=30),
        unknown=True,
    ),
    at_times(
        "TCP refused for three seconds after connection 30",
        lambda behind: behind,
        serve=lambda behaviour: with_a_door(behaviour, last=30, away=3.0),
        known="all",
    ),
    at_times("every second connection reset", lambda behind: numbered(lambda number: number % 2 == 0, reset, behind)),
    at_times("every third connection closed", lambda behind: numbered(lambda number: number % 3 == 0, say(), behind)),
    at_times("one in five connections reset", lambda behind: numbered(_one_in_five(), reset, behind)),
    at_times("one in five connections gets alert 80", lambda behind: numbered(_one_in_five(), say(alert(80)), behind)),
    at_times(
        "bans who sends SSLv2 or SSLv3 for 40 connections",
        lambda behind: banning(_older_than(TLS_1_0), 40, reset, behind),
        max_time=6.0,
    ),
    at_times(
        "bans who sends SSLv2 or SSLv3 for good",
        lambda behind: banning(_older_than(TLS_1_0), 10**6, reset, behind),
        unknown=True,
        timeout=SHORT,
    ),
]


def room(number: int, what: str, extra: Behaviour | None, *, known: str = "all") -> Misbehaviour:
    """Have room for so many connections at once."""
    return at_times(
        f"room for {number}, further ones {what}",
        lambda behind: crowded(number, extra, behind),
        known=known,
        timeout=IMPATIENT if extra is stay_silent else 5.0,
    )


LIMITS = [
    room(3, "reset", reset),
    room(3, "closed", say()),
    room(3, "get alert 80", say(alert(80))),
    room(3, "get HTTP 503", HTTP_503),
    room(3, "wait", None),
    room(3, "hang", stay_silent, known=""),
    room(1, "reset", reset),
    room(1, "wait", None),
    at_times(
        "room for 3, further ones refused by TCP",
        lambda behind: behind,
        serve=lambda behaviour: with_a_door(behaviour, room=3),
        known="all",
    ),
    at_times(
        "room for 3, further ones wait for TCP",
        lambda behind: behind,
        serve=lambda behaviour: with_a_door(behaviour, room=3, shut=False),
        timeout=IMPATIENT,
    ),
    at_times("10 connections in 0.1 seconds, further ones reset", lambda behind: limited(10, 0.1, reset, behind)),
    at_times("slow", lambda behind: slowly(0.05, behind), known="all"),
    at_times("tar pit", lambda behind: slowly(1.5, behind), unknown=True, max_time=3.0),
]


def beside(name: str, one: Server, other: Server) -> Misbehaviour:
    """Give the connections to two servers in turn."""
    return Misbehaviour(
        name=name,
        make=lambda: in_turn(one.behaviour, other.behaviour),
        truth=lambda: [one.facts.beside(other.facts)],
    )


def replaced(name: str, one: Server, other: Server) -> Misbehaviour:
    """Put another server in the place of one after 40 connections."""
    return Misbehaviour(
        name=name,
        make=lambda: numbered(lambda number: number > 40, other.behaviour, one.behaviour),
        truth=lambda: [one.facts, other.facts, one.facts.beside(other.facts)],
    )


BACKENDS = [
    beside("two servers of other versions in turn", OLD, MODERN),
    at_times("one of three backends refuses all with alert 40", lambda behind: in_turn(behind, behind, say(alert(40)))),
    beside("two servers with other certificates in turn", MODERN, ANOTHER),
    beside("two servers with other suites in turn", FEW_SUITES, OTHER_SUITES),
    replaced("replaced by one of newer versions", OLD, MODERN),
    replaced("replaced by one with another certificate", MODERN, ANOTHER),
    replaced("replaced by one with other suites", FEW_SUITES, OTHER_SUITES),
]


def another_host() -> Misbehaviour:
    """Have another server for clients that send no name: what they see is not what the name has."""
    triple_des = 0x000A
    chain = x509.load_pem_x509_certificate(ANOTHER.leaves[0].chain_pem).public_bytes(Encoding.DER)
    flight = record(server_hello(triple_des, version=IN_TLS_1_0), certificate(chain), HELLO_DONE)

    def truth() -> Sequence[Facts]:
        unnamed = {
            client.name: frozenset(
                {("TLSv1.0", "DES-CBC3-SHA", "No FS") if TLS_1_0 in client.accepted_versions else None}
            )
            for client in CLIENTS
            if not HELLOS_OF_CLIENTS[client.name].named
        }
        return [replace(MODERN.facts, clients={**MODERN.facts.clients, **unnamed})]

    return Misbehaviour(
        name="another server for who sends no name",
        make=lambda: when(_named, MODERN.behaviour, when(_older_than(TLS_1_0), say(alert(70)), say(flight))),
        truth=truth,
        known="all",
    )


def _named(seen: Seen) -> bool:
    return seen.named


def _unnamed(seen: Seen) -> bool:
    return not seen.named


def _warned(flight: bytes) -> Iterable[bytes]:
    return (alert(112, level=1), flight)


NAMES = [
    for_good("alert 112 for every name", _named, say(alert(112)), MODERN, unknown=True),
    at_times("alert 112 as a warning, then goes on", lambda _: altered(OLD.context, _warned), OLD, known="all"),
    for_good("resets who sends no name", _unnamed, reset, MODERN, known="versions"),
    another_host(),
]


def _only_ecdsa(seen: Seen) -> bool:
    return seen.only_ecdsa


def _with_chain(length: int) -> Leaf:
    """Return the usual certificate with a chain of so many."""
    return Leaf.from_pem(SERVER.chain_pem + OURS.pem * length, SERVER.key_pem)


def garbled(flight: bytes) -> Iterable[bytes]:
    """Put zeros in the place of the certificate."""
    der = x509.load_pem_x509_certificate(SERVER.chain_pem).public_bytes(Encoding.DER)
    return [flight.replace(der, bytes(len(der)))]


def another_each_time() -> Misbehaviour:
    """Show a certificate of its own on every connection."""
    shown: set[str] = set()
    server = Server(leaves=(EC_LEAF,))

    def behave_anew() -> Behaviour:
        shown.clear()

        def behave(connection: socket.socket) -> None:
            leaf = OURS.server(HOST, key=KeyType.ECDSA)
            shown.add(leaf.fingerprint)
            Server(leaves=(leaf,)).behaviour(connection)

        return behave

    return Misbehaviour(
        name="another certificate on every connection",
        make=behave_anew,
        truth=lambda: [replace(server.facts, certificates=frozenset(shown))],
    )


def of_one_group(name: str, curve: str, code: int) -> Misbehaviour:
    """Speak TLS 1.3 with one group, an expired certificate, and only to clients with a certificate."""
    server = Server(
        oldest=TLS_1_3,
        curve=(curve, code),
        leaves=(OURS.server(HOST, lifetime=Lifetime.EXPIRED),),
        clients=OURS,
    )
    return at_times(
        f"TLS 1.3 with {name} alone, expired, client certificate", lambda behind: behind, server, known="all"
    )


def post_quantum() -> Misbehaviour:
    """Speak TLS 1.3 with X25519MLKEM768 alone, and come no further than the HelloRetryRequest for it."""

    def takes(seen: Seen) -> bool:
        return AES_128_GCM in seen.suites and X25519_ML_KEM in seen.groups

    def truth() -> Sequence[Facts]:
        suites: Mapping[Kind, tuple[int, ...]] = {(TLS_1_3, None): (AES_128_GCM,)}
        groups = {False: frozenset[int](), True: frozenset({X25519_ML_KEM})}
        found = replace(ONLY_1_3.facts, suites=suites, groups=groups, authentication=None)
        return [found.without(NOBODY)]

    refuse = when(lambda seen: seen.newest < TLS_1_3.code, say(alert(70)), say(alert(40)))
    return Misbehaviour(
        name="TLS 1.3 with X25519MLKEM768 alone, reset after the retry",
        make=lambda: when(
            lambda seen: seen.newest >= TLS_1_3.code and takes(seen),
            say(record(retry(X25519_ML_KEM)), then=say(then=reset)),
            refuse,
        ),
        truth=truth,
        unknown=True,
    )


ISTIO = ("istio-peer-exchange", "istio")
OTHER_ISTIO = ("istio-h2", "istio-http/1.1", "istio-http/1.0")


def self_signed(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> Leaf:
    """Make a certificate of a kind that ``Authority`` has no need for."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    begin, end = Lifetime.CURRENT.around(datetime.now(UTC))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Leaf.from_pem(made.public_bytes(Encoding.PEM), secret)


def well(name: str, server: Server, *, known: str = "all") -> Misbehaviour:
    """Don't misbehave: an ordinary server that is not like most."""
    return at_times(name, lambda behind: behind, server, known=known)


KEYS = [
    for_good("RSA and ECDSA, who wants ECDSA is reset", _only_ecdsa, reset, BOTH_KINDS, unknown=True),
    for_good(
        *("RSA and ECDSA, who wants ECDSA waits for ever", _only_ecdsa, stay_silent, BOTH_KINDS),
        unknown=True,
        timeout=IMPATIENT,
    ),
    for_good("RSA, who wants ECDSA waits for ever", _only_ecdsa, stay_silent, MODERN, unknown=True, timeout=IMPATIENT),
    well("RSA and ECDSA", BOTH_KINDS),
    # Each hello has to offer the certificate's curve, and the server prefers it: what comes after it can't be seen.
    well("ECDSA on P-256, TLS 1.2", Server(newest=TLS_1_2, leaves=(EC_LEAF,)), known="versions"),
    well("ECDSA on P-256, TLS 1.0 to 1.3", Server(oldest=TLS_1_0, leaves=(EC_LEAF,)), known="versions"),
    well(
        "ECDSA on P-384, TLS 1.2",
        Server(newest=TLS_1_2, leaves=(self_signed(ec.generate_private_key(ec.SECP384R1())),)),
        known="versions",
    ),
    well("Ed25519", Server(leaves=(self_signed(ed25519.Ed25519PrivateKey.generate()),))),
    well("RSA, TLS 1.2, P-521 alone", Server(newest=TLS_1_2, curve=("secp521r1", P521))),
    well("client certificate", Server(clients=OURS)),
    well("TLS 1.0", ONLY_1_0),
    well("TLS 1.3", ONLY_1_3),
    of_one_group("P-256", "prime256v1", P256),
    of_one_group("P-384", "secp384r1", P384),
    of_one_group("P-521", "secp521r1", P521),
    post_quantum(),
    at_times("a certificate that can't be read", lambda _: altered(ONLY_1_2.context, garbled), ONLY_1_2, unknown=True),
    well("a chain of 30", Server(newest=TLS_1_2, leaves=(_with_chain(30),))),
    at_times(
        "a chain of 400",
        lambda _: Server(newest=TLS_1_2, leaves=(_with_chain(400),)).behaviour,
        ONLY_1_2,
        unknown=True,
    ),
    another_each_time(),
    well("knows istio and istio-peer-exchange", Server(alpn=ISTIO)),
    well("knows istio-h2 and its like", Server(alpn=OTHER_ISTIO)),
    for_good("alert 120 without ALPN", lambda seen: ALPN not in seen.extensions, say(alert(120)), MODERN),
]


def _octet_by_octet(flight: bytes) -> Iterable[bytes]:
    """Cut the beginning into octets, and the rest into small segments."""
    alone = 100
    yield from (flight[at : at + 1] for at in range(min(alone, len(flight))))
    yield from (flight[at : at + alone] for at in range(alone, len(flight), alone))


def _with_suite(suite: int) -> Callable[[bytes], Iterable[bytes]]:
    """Put another cipher suite into a ServerHello."""

    def alter(flight: bytes) -> Iterable[bytes]:
        if flight[0] != HANDSHAKE:
            return [flight]
        at = 5 + 4 + 2 + 32
        at += 1 + flight[at]
        return [flight[:at] + suite.to_bytes(2, "big") + flight[at + 2 :]]

    return alter


def all_alike() -> Misbehaviour:
    """Answer every hello with one and the same: TLS 1.0 with an RSA key exchange."""

    def truth() -> Sequence[Facts]:
        got = {client: frozenset({("TLSv1.0", "AES128-SHA", "No FS")}) for client in NOBODY}
        refused = [client.name for client in CLIENTS if not _takes_it(client)]
        found = replace(
            ONLY_1_0.facts,
            suites={(TLS_1_0, "RSA"): (RSA_AES_128,)},
            groups=dict.fromkeys((False, True), frozenset[int]()),
            alpn=frozenset(),
            certificates=frozenset(),
            authentication=ClientAuthentication.NOT_REQUESTED,
            clients=got,
        )
        return [found.without(refused)]

    return Misbehaviour(
        name="answers all alike",
        make=lambda: say(record(server_hello(RSA_AES_128, version=IN_TLS_1_0), HELLO_DONE)),
        truth=truth,
    )


def _takes_it(client: Profile) -> bool:
    return TLS_1_0 in client.accepted_versions and RSA_AES_128 in client.suites and not client.ssl2_format


def chooses_for_itself() -> Misbehaviour:
    """Choose a suite that nobody has offered: whether the version is offered then is a matter of taste."""

    def truth() -> Sequence[Facts]:
        some = OLD.facts.without(NOBODY)
        return [some, some.refusing(*ProtocolVersion)]

    return Misbehaviour(
        name="chooses a suite that was not offered",
        make=lambda: altered(OLD.context, _with_suite(0x00FE)),
        truth=truth,
    )


def no_server(name: str, behave: Behaviour, *, timeout: float = 5.0, max_time: float = 20.0) -> Misbehaviour:
    """Never speak TLS."""
    return Misbehaviour(
        name=name,
        make=lambda: behave,
        truth=lambda: [ALL.facts.without(NOBODY), ALL.facts.without(NOBODY).refusing(*ProtocolVersion)],
        unknown=True,
        timeout=timeout,
        max_time=max_time,
    )


STREAMS = [
    at_times("octet by octet", lambda _: altered(ALL.context, _octet_by_octet), ALL, known="all"),
    at_times(
        "octet by octet, then reset",
        lambda _: altered(OLD.context, _octet_by_octet, then=reset),
        OLD,
        max_time=6.0,
    ),
    at_times(
        "sends 600 octets and no more",
        lambda _: altered(ALL.context, lambda flight: [flight[:600]], then=stay_silent),
        unknown=True,
        timeout=IMPATIENT,
    ),
    all_alike(),
    chooses_for_itself(),
    no_server("HTTP", HTTP_400),
    no_server("SSH", say(b"SSH-2.0-OpenSSH_9.9\r\n", then=stay_silent), timeout=IMPATIENT),
    no_server("accepts and resets", reset),
    no_server("accepts and closes", say()),
    no_server("accepts and says nothing", stay_silent, timeout=IMPATIENT),
    no_server("accepts and says nothing, --max-time before --timeout", stay_silent, max_time=1.0),
    no_server("warnings without an end", pour(alert(90, level=1) * 99)),
    no_server("a record without an end", pour(record(b"\2\3\xff\0") + record(bytes(1 << 14)))),
]

MISBEHAVIOURS = (*HELLOS, *REFUSALS, *OUTAGES, *LIMITS, *BACKENDS, *NAMES, *KEYS, *STREAMS)
"""All of them; no two of a name."""
