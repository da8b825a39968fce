"""Properties of reading and writing TLS, tried with many values by Hypothesis; the same ones in every run."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproof.tls import ProtocolVersion
from meshproof.tls.probe.decryption import EncryptedFlight, Reader
from meshproof.tls.probe.exchange import ask, ask_ssl2
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.protocol import codes as known
from meshproof.tls.protocol import hello as sent
from meshproof.tls.protocol.clients import Clients, built_in, facts, write
from meshproof.tls.protocol.clients import profile_of as profile_of_facts
from meshproof.tls.protocol.clients import read as read_clients
from meshproof.tls.protocol.codes import extension_code, is_grease
from meshproof.tls.protocol.flight import Flight
from meshproof.tls.protocol.hello import Hello, Retry
from meshproof.tls.protocol.keyshare import public_key
from meshproof.tls.protocol.profile import GREASE, Profile
from meshproof.tls.protocol.recognition import profile_of
from meshproof.tls.protocol.record import LIMIT, Malformed
from meshproof.tls.protocol.serverhello import ServerHello
from meshproof.tls.protocol.ssl2 import Ssl2Flight
from meshproof.tls.scanner.questions import broad
from tests.support.certificates import HOST
from tests.support.flights import (
    AES_128_GCM,
    ALERT,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    FLIGHTS,
    HANDSHAKE,
    P256,
    RETRY_RANDOM,
    TLS_1_3,
    X25519,
    Sealer,
    hello_13,
    message,
    record,
    retry,
    server_hello,
)
from tests.support.servers import say, serving


def tried(times: int) -> settings:
    """Return how often a property is tried: always with the same values, and nothing is kept."""
    return settings(max_examples=times, derandomize=True, database=None, deadline=None)


# ---- What a server can send

octets = st.binary(max_size=200)
codes = st.integers(0, 0xFFFF)
bodies = st.one_of(octets, st.sampled_from([b"\0\2h2", b"\0\3\2h2", b"\3\4", b"\0\x17", b"\0\x1d\0\1\0", b"\0\1\0"]))
known_extensions = st.sampled_from([16, 43, 44, 51])
hellos = st.builds(
    server_hello,
    codes | st.sampled_from([AES_128_GCM, 0x002F, 0xC02F, 0x009E]),
    version=codes | st.sampled_from([0x0301, 0x0303]),
    random=st.sampled_from([bytes(32), RETRY_RANDOM, bytes(24) + b"DOWNGRD\1"]),
    extensions=st.none() | st.dictionaries(codes | known_extensions, bodies, max_size=5),
)
hellos_13 = st.builds(hello_13, st.none() | codes | st.just(X25519), share=octets)
retries = st.builds(retry, st.none() | codes | st.just(P256), cookie=st.none() | octets)
messages = st.one_of(
    hellos, hellos_13, retries, st.builds(message, st.sampled_from([0, 2, 8, 11, 12, 13, 14, 20, 22]), octets), octets
)
kinds = st.sampled_from([HANDSHAKE, HANDSHAKE, HANDSHAKE, ALERT, CHANGE_CIPHER_SPEC, APPLICATION_DATA])
ssl2_messages = st.builds(lambda body: (0x8000 | len(body)).to_bytes(2, "big") + body, octets)
made = st.lists(
    st.one_of(
        st.builds(lambda kind, parts: record(*parts, kind=kind), kinds, st.lists(messages, max_size=3)),
        st.builds(
            lambda level, number: record(bytes([level, number]), kind=ALERT), st.integers(0, 2), st.integers(0, 255)
        ),
        ssl2_messages,
        octets,
    ),
    max_size=4,
).map(b"".join)


Seen = tuple[object, ...] | type[Malformed]
"""What was read, or how it was refused."""

changes = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=4)


def changed(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Put other octets in the place of a few; more, as many, or fewer."""
    for at, count, octets in changes:
        place = at % (len(data) + 1)
        data = data[:place] + octets + data[place + count :]
    return data


def mutated(valid: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Change a few octets of something valid."""
    return st.builds(changed, valid, changes)


anything = st.one_of(made, mutated(st.sampled_from(list(FLIGHTS.values())) | made), octets)
cuts = st.lists(st.integers(1, 400), max_size=6)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut octets at some places, into pieces that are not empty."""
    places = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    return [data[begin:end] for begin, end in pairwise(places) if begin < end]


def single(data: bytes) -> list[bytes]:
    """Cut octets apart."""
    return pieces(data, list(range(len(data))))


def outlined(flight: Flight) -> tuple[object, ...]:
    """Return all that a flight says."""
    hellos = [
        [getattr(hello, name) for name in ServerHello.__slots__] for hello in (flight.retry, flight.hello) if hello
    ]
    alerts = [flight.alert, flight.warning]
    found = [flight.certificates, flight.group, flight.dh_bits, flight.client_cert_requested, *alerts]
    return (*hellos, *found, flight.ended, flight.encrypted)


def flight_in(chunks: list[bytes]) -> Seen:
    """Read a flight as a client does that answers one HelloRetryRequest; return what it says, or how it is refused."""
    flight = Flight()
    try:
        for chunk in chunks:
            flight.feed(chunk)
            if flight.ended and flight.hello and flight.hello.retry and not flight.retry:
                flight.next_hello()
    except Malformed as refused:
        return type(refused)
    return outlined(flight)


def ssl2_flight_in(chunks: list[bytes]) -> Seen:
    """Read the answer to a hello of SSLv2, until it is complete; return what it says, or how it is refused."""
    flight = Ssl2Flight()
    try:
        for chunk in chunks:
            flight.feed(chunk)
            if flight.suites is not None or flight.error:
                break
    except Malformed as refused:
        return type(refused)
    return flight.suites, flight.error, flight.tls and outlined(flight.tls)


@pytest.mark.parametrize("name", FLIGHTS)
def test_a_good_flight_is_not_refused(name: str) -> None:
    """The control of the properties below: what is mutated there is valid here."""
    read = ssl2_flight_in if "SSLv2" in name else flight_in
    assert not isinstance(read([FLIGHTS[name]]), type)


@pytest.mark.parametrize("read", [flight_in, ssl2_flight_in])
@tried(80)
@given(data=anything, cuts=cuts)
def test_any_answer_is_read_or_refused(read: Callable[[list[bytes]], Seen], data: bytes, cuts: list[int]) -> None:
    """Nothing that comes makes the reader fail, and it makes no difference how it is cut."""
    assert read(pieces(data, [])) == read(pieces(data, cuts)) == read(single(data))


@tried(60)
@given(body=octets | hellos.map(lambda whole: whole[4:]) | mutated(hellos.map(lambda whole: whole[4:])))
def test_any_server_hello_is_read_or_refused(body: bytes) -> None:
    """A ServerHello is kept whole, or it is malformed."""
    try:
        hello = ServerHello(body)
    except ValueError:
        return
    assert hello.message == message(2, body)


@tried(25)
@given(first=st.sampled_from(list(FLIGHTS.values())) | anything, chunk=octets.filter(bool) | anything.filter(bool))
def test_no_answer_is_endless(first: bytes, chunk: bytes) -> None:
    """A server that goes on and on is refused when it has used up what it may."""
    again = chunk * (1024 // len(chunk) + 1)
    data = pieces(first, []) + [again] * (LIMIT // len(again) + 1)
    assert isinstance(flight_in(data), type)
    read = ssl2_flight_in(data)
    assert isinstance(read, type) or read[:2] != (None, False)


# ---- The same through a connection

WILLING = Profile(
    name="takes all",
    versions=(TLS_1_3, 0x0303, 0x0301),
    suites=tuple(suite.code for suite in (*known.tls13_suites(), *known.tls12_suites())),
    extensions=(sent.SUPPORTED_GROUPS, sent.SUPPORTED_VERSIONS, sent.KEY_SHARE),
    groups=tuple(group.code for group in known.groups()),
    key_shares=(X25519,),
)


@pytest.fixture(scope="module")
def parrot() -> Iterator[tuple[Endpoint, list[bytes]]]:
    """A server that says what is in the list, whatever it hears."""
    words: list[bytes] = []

    def repeat(connection: socket.socket) -> None:
        say(*words)(connection)

    with serving(repeat) as address:
        yield Endpoint(socket.AF_INET, (address.host, address.port)), words


@tried(25)
@given(data=anything | retries.map(record), second=st.just(b"") | anything)
def test_any_answer_has_an_outcome(parrot: tuple[Endpoint, list[bytes]], data: bytes, second: bytes) -> None:
    """A probe answers with a value, and never with an exception."""
    endpoint, words = parrot
    words[:] = [data, second]
    asyncio.run(ask(endpoint, WILLING, sni=HOST))
    asyncio.run(ask_ssl2(endpoint, broad(ProtocolVersion.SSL_2)))


# ---- What TLS 1.3 encrypts

SECRET, TRANSCRIPT = b"s" * 32, b"transcript"
WHOLE = (
    message(8, b"\0\0")
    + message(13, b"\0\0\0")
    + message(11, bytes.fromhex("00 000009 000004 6c656166 0000"))
    + message(20)
)
plaintexts = st.one_of(
    st.builds(message, st.sampled_from([8, 11, 13, 20, 99]), bodies),
    st.sampled_from([WHOLE, WHOLE[:9], WHOLE[9:]]),
    mutated(st.just(WHOLE)),
    octets,
)
inner = st.tuples(plaintexts, st.sampled_from([HANDSHAKE, HANDSHAKE, HANDSHAKE, ALERT, 0]), st.integers(0, 3))


def encrypted_in(chunks: list[bytes]) -> Seen:
    """Read an encrypted flight; return what it says, or how it is refused."""
    reader = Reader(AES_128_GCM, SECRET, TRANSCRIPT)
    try:
        return next((str(answer) for chunk in chunks if (answer := reader.feed(chunk))), None), reader.found
    except Malformed as refused:
        return type(refused)


def test_a_good_encrypted_flight_is_not_refused() -> None:
    """The control of the property below."""
    sealed = Sealer(SECRET, TRANSCRIPT).record(WHOLE)
    assert encrypted_in([sealed]) == ("NEGOTIATED", EncryptedFlight(None, (b"leaf",), client_cert_requested=True))


@tried(80)
@given(parts=st.lists(inner, max_size=4), between=st.just(b"") | anything, cuts=cuts)
def test_any_encrypted_flight_is_read_or_refused(
    parts: list[tuple[bytes, int, int]], between: bytes, cuts: list[int]
) -> None:
    """Nothing that comes encrypted makes the reader fail, nor what comes before or after, however it is cut."""
    sealer = Sealer(SECRET, TRANSCRIPT)
    sealed = [sealer.record(content, kind=kind, padding=padding) for content, kind, padding in parts]
    data = b"".join(sealed[:1]) + between + b"".join(sealed[1:])
    assert encrypted_in([data]) == encrypted_in(pieces(data, cuts)) == encrypted_in(single(data))


# ---- Clients

BRAINPOOL, DRAFT = 26, 0x7F1C
A_SHARE = bytes.fromhex("0006 001a 0002 0401")
OTHERS = [extension_code("session_ticket"), 0x3374, 0x1234, 0xFE0C]  # extensions without a field of their own
KEYED = [group.code for group in known.groups() if public_key(group.code)]
numbers = codes.filter(lambda code: not is_grease(code))


def several(values: st.SearchStrategy[int], least: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw a few different values."""
    return st.lists(values, min_size=least, max_size=5, unique=True).map(tuple)


some_groups = st.sampled_from([GREASE, *(group.code for group in known.groups())]) | numbers
some_suites = several(st.sampled_from([GREASE, *(suite.code for suite in known.tls12_suites())]) | numbers, 1)
some_signatures = several(st.just(GREASE) | numbers)
some_protocols = st.lists(st.text(st.characters(max_codepoint=255), min_size=1, max_size=9), max_size=3).map(tuple)
some_versions = several(st.sampled_from([GREASE, *(version.code for version in ProtocolVersion)]) | numbers).map(
    lambda drawn: (*drawn, TLS_1_3) if TLS_1_3 not in drawn else drawn
)
FIELDS: dict[int, tuple[str, st.SearchStrategy[Any]]] = {
    sent.SUPPORTED_VERSIONS: ("versions", some_versions),
    sent.SUPPORTED_GROUPS: ("groups", several(some_groups)),
    sent.KEY_SHARE: ("key_shares", several(st.sampled_from([GREASE, *KEYED]))),
    sent.POINT_FORMATS: ("point_formats", several(st.integers(0, 2), 1)),
    sent.SIGNATURE_ALGORITHMS: ("signature_algorithms", some_signatures),
    sent.SIGNATURE_ALGORITHMS_CERT: ("signature_algorithms_cert", some_signatures),
    sent.DELEGATED_CREDENTIAL: ("delegated_credentials", some_signatures),
    sent.ALPN: ("alpn", some_protocols),
    sent.APPLICATION_SETTINGS[0]: ("application_settings", some_protocols),
    sent.PSK_MODES: ("psk_modes", several(st.integers(0, 1), 1)),
    sent.COMPRESS_CERTIFICATE: ("certificate_compression", several(st.integers(1, 3))),
    sent.RECORD_SIZE_LIMIT: ("record_size_limit", codes),
    **dict.fromkeys(OTHERS, ("bodies", octets)),
}
"""The fields of a profile, by the extension that they are in."""
oldest_last = st.sampled_from([(0x0303, 0x0302, 0x0301, 0x0300)[at:] for at in range(4)])


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Draw a client; it has no field without the extension for it."""
    extensions = draw(st.lists(st.sampled_from([GREASE, *sent.MODELLED, *OTHERS]), unique=True))
    if sent.APPLICATION_SETTINGS[0] in extensions:
        extensions = [code for code in extensions if code != sent.APPLICATION_SETTINGS[1]]
    if GREASE in extensions:
        extensions.append(GREASE)
    drawn: dict[str, Any] = {"versions": draw(oldest_last)}
    contents: dict[int, bytes] = {}
    for code in extensions:
        name, values = FIELDS.get(code, ("", st.nothing()))
        if name == "bodies":
            contents[code] = draw(values)
        elif name:
            drawn[name] = draw(values)
    return Profile(
        name="drawn",
        record_version=draw(st.sampled_from(list(ProtocolVersion)[1:])),
        session_id=draw(st.integers(0, 32)),
        suites=draw(some_suites),
        extensions=tuple(extensions),
        bodies={code: body for code, body in contents.items() if body},
        **drawn,
    )


ssl2_profiles = st.builds(
    Profile,
    name=st.just("drawn"),
    ssl2_format=st.just(True),
    versions=oldest_last,
    suites=several(st.sampled_from([kind.code for kind in known.ssl2_kinds()]) | numbers, 1),
)


def told(profile: Profile, record: bytes) -> tuple[Profile, Profile]:
    """Return what a hello says, and what it should.

    Only a hello of a certain length is padded, and without ``supported_versions`` it does not say what is too old.
    """
    seen = profile_of(record, profile.name, provenance=profile.provenance, group=profile.group)
    kept = tuple(code for code in profile.extensions if code != sent.PADDING or code in seen.extensions)
    versions = profile.versions if sent.SUPPORTED_VERSIONS in kept else tuple(range(profile.versions[0], 0x02FF, -1))
    return seen, replace(profile, extensions=kept, versions=versions, dh_bits=None)


@tried(60)
@given(profile=profiles() | ssl2_profiles)
def test_a_hello_tells_its_client(profile: Profile) -> None:
    """What is written into a hello is read out of it."""
    seen, expected = told(profile, Hello(profile, HOST).first())
    assert seen == expected


@tried(40)
@given(profile=profiles() | ssl2_profiles, bounds=st.none() | st.tuples(codes, codes))
def test_facts_tell_their_client(profile: Profile, bounds: tuple[int, int] | None) -> None:
    """What is written into a file is read out of it."""
    profile = replace(profile, dh_bits=bounds)
    assert profile_of_facts(facts(profile)) == profile


def test_our_clients_are_told() -> None:
    """Each client that comes with us survives both, and so does its second hello with another share."""
    for profile in built_in().profiles:
        seen, expected = told(profile, Hello(profile, HOST).first())
        assert seen == expected
        assert profile_of_facts(facts(profile)) == profile
        if sent.KEY_SHARE in profile.extensions:
            seen, expected = told(profile, Hello(profile, HOST).again(Retry(P256, b"cookie")))
            assert seen == replace(expected, key_shares=(P256,), record_version=ProtocolVersion.TLS_1_2)


def test_our_file_is_told(tmp_path: Path) -> None:
    """The whole file can be written and read again."""
    (tmp_path / "clients.json").write_text(write(built_in()))
    assert read_clients(tmp_path / "clients.json") == Clients(built_in().version, built_in().profiles)


@tried(100)
@given(profile=profiles() | ssl2_profiles | st.sampled_from(built_in().profiles), changes=changes)
def test_any_hello_is_read_or_refused(profile: Profile, changes: list[tuple[int, int, bytes]]) -> None:
    """A captured client is a client that can be kept in a file and simulated, or it is no client."""
    try:
        seen = profile_of(changed(Hello(profile, HOST).first(), changes), "captured")
    except ValueError:
        return
    assert profile_of_facts(facts(seen)) == seen
    assert Hello(seen, HOST).first()


@tried(50)
@given(data=octets, changes=changes)
def test_what_is_no_hello_is_refused(data: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    """Whatever a program sends, reading it ends with a client or with the one documented error."""
    for sent_first in (data, record(message(1, data)), changed(record(message(1, data)), changes)):
        try:
            profile_of(sent_first, "captured")
        except ValueError:
            continue


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"key_shares": (BRAINPOOL,), "bodies": {sent.KEY_SHARE: A_SHARE}}, id="a share we can't make"),
        pytest.param({"versions": (DRAFT,), "bodies": {sent.SUPPORTED_VERSIONS: b"\2\x7f\x1c"}}, id="no known version"),
    ],
)
def test_a_client_that_we_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    """What could not be simulated is refused where it comes in, from a program or from a file, and not in a scan."""
    client = broad(ProtocolVersion.TLS_1_3)
    with pytest.raises(ValueError, match=r"key share|version"):
        profile_of(Hello(replace(client, bodies=changes["bodies"]), HOST).first(), "captured")
    with pytest.raises(ValueError, match=r"key share|version"):
        profile_of_facts(facts(replace(client, **changes | {"name": "written", "bodies": {}})))
