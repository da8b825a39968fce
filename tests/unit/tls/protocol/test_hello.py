"""Hellos octet by octet: their parts, their keys, their length."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from meshproof.tls import ProtocolVersion
from meshproof.tls.protocol import hello as sent
from meshproof.tls.protocol.clients import built_in
from meshproof.tls.protocol.codes import group_named
from meshproof.tls.protocol.hello import KEY_SHARE, PADDING, SUPPORTED_VERSIONS, Hello, Retry, simulable
from meshproof.tls.protocol.octets import Cursor, extensions
from meshproof.tls.protocol.profile import GREASE, Profile
from meshproof.tls.scanner.questions import broad
from tests.support.certificates import HOST
from tests.support.flights import P256, shares_of

CLIENT = broad(ProtocolVersion.TLS_1_2)
PLAIN = Hello(CLIENT, HOST).length  # octets, without padding


def parts(hello: bytes) -> list[tuple[int, bytes]]:
    """Return the extensions of a ClientHello in one record (RFC 8446 4.1.2)."""
    record = Cursor(hello)
    assert record.uint(1) == 22
    record.take(2)
    message = Cursor(record.vector(2))
    assert (record.left, message.uint(1)) == (0, 1)
    body = Cursor(message.vector(3))
    assert message.left == 0
    body.take(34)
    body.vector(1)  # session id
    body.vector(2)  # suites
    body.vector(1)  # compression
    found = extensions(body.vector(2))
    assert body.left == 0
    return found


@pytest.mark.parametrize("more", [4, 5, 260, 9000])
def test_a_hello_is_padded_to_a_length(more: int) -> None:
    """It has exactly so many octets; the last extension is the padding, all others are as without (RFC 7685 3)."""
    hello = Hello(CLIENT, HOST, PLAIN + more)
    first = hello.first()
    assert len(first) == hello.length == PLAIN + more
    *others, padding = parts(first)
    assert others == parts(Hello(CLIENT, HOST).first())
    assert padding == (PADDING, bytes(more - 4))


@pytest.mark.parametrize("more", [-9999, -1, 0, 1, 3])
def test_a_hello_without_room_is_not_padded(more: int) -> None:
    """Where the four octets of an empty extension have no room, there is none, and nothing is cut."""
    hello = Hello(CLIENT, HOST, PLAIN + more)
    assert hello.length == len(hello.first()) == PLAIN
    assert PADDING not in dict(parts(hello.first()))


def test_a_hello_without_extensions_is_not_padded() -> None:
    """Nobody could read the padding: SSLv3 knows no extensions."""
    profile = broad(ProtocolVersion.SSL_3)
    assert Hello(profile, HOST, 4000).length == Hello(profile, HOST).length


def test_two_hellos_have_one_length() -> None:
    """What differs in a suite, a group or a version can be as long as its control."""
    one = Hello(replace(CLIENT, suites=CLIENT.suites[:1]), HOST, 2000)
    other = Hello(broad(ProtocolVersion.TLS_1_3, alpn=["h2"]), None, 2000)
    assert one.length == other.length == 2000


def test_the_second_hello_has_the_length_too() -> None:
    """What a retry adds comes out of the padding, as it may (RFC 8446 4.1.2)."""
    hello = Hello(broad(ProtocolVersion.TLS_1_3, key_shares=()), HOST, 2000)
    again = hello.again(Retry(P256, b"cookie"))
    assert len(again) == 2000
    codes = [code for code, _ in parts(again)]
    assert codes[-1] == PADDING
    assert codes.index(44) == codes.index(KEY_SHARE) - 1


def padded(*before: int, suites: int) -> Profile:
    """Return a client that pads by itself, with so many suites."""
    extensions = (*before, PADDING, SUPPORTED_VERSIONS)
    return Profile(name="pads", versions=(0x0304,), suites=tuple(range(suites)), extensions=extensions)


def test_a_client_pads_as_it_does() -> None:
    """A message of 256 to 511 octets becomes one of 512, or of one octet of padding more than it needs (RFC 7685 1)."""
    for count in range(40, 300):
        profile = padded(suites=count)
        bare = len(Hello(replace(profile, extensions=(SUPPORTED_VERSIONS,)), None).message())
        expected = max(512, bare + 5) if 256 <= bare < 512 else bare
        assert len(Hello(profile, None).message()) == expected


def test_grease_is_counted() -> None:
    """The octet in the second GREASE extension is part of the length that a client pads to 512."""
    hello = Hello(padded(GREASE, GREASE, suites=150), None)
    assert len(hello.message()) == 512
    (one, empty), (other, octet), *_ = parts(hello.first())
    assert (empty, octet) == (b"", b"\0")
    assert one != other
    assert {one % 0x1010, other % 0x1010} == {0x0A0A}


def test_our_padding_takes_the_place_of_the_clients() -> None:
    """A client that pads by itself keeps its order of extensions."""
    profile = padded(suites=150)
    hello = Hello(profile, None, 3000)
    assert hello.length == 3000
    assert [code for code, _ in parts(hello.first())] == [PADDING, SUPPORTED_VERSIONS]
    assert all(
        Hello(client, HOST, 4000).length == 4000 for client in built_in().profiles if KEY_SHARE in client.extensions
    )


def test_the_fixed_bodies() -> None:
    """What every client says alike: no responders, no extensions of OCSP, no connection before."""
    bodies = {
        sent.STATUS_REQUEST: bytes.fromhex("01 0000 0000"),  # RFC 6066 8
        sent.STATUS_REQUEST_V2: bytes.fromhex("0007 02 0004 0000 0000"),  # RFC 6961 2.2
        sent.HEARTBEAT: b"\1",  # RFC 6520 2
        sent.RENEGOTIATION_INFO: b"\0",  # RFC 5746 3.2
        0x1234: b"",
    }
    profile = Profile(name="", versions=(0x0303,), suites=(1,), extensions=tuple(bodies))
    assert dict(parts(Hello(profile, None).first())) == bodies


def test_an_encrypted_hello_for_nobody() -> None:
    """Outer, one HPKE suite, a key of 32 octets and random content, drawn for each client (RFC 9849 5 and 6.2)."""
    profile = Profile(name="", versions=(0x0304,), suites=(1,), extensions=(sent.ENCRYPTED_CLIENT_HELLO,))
    one, other = (dict(parts(Hello(profile, None).first()))[sent.ENCRYPTED_CLIENT_HELLO] for _ in range(2))
    body = Cursor(one)
    assert (body.uint(1), body.uint(2), body.uint(2)) == (0, 1, 1)
    body.take(1)
    assert (len(body.vector(2)), len(body.vector(2)), body.left) == (32, 176, 0)
    assert one != other


def test_a_long_hello_takes_several_records() -> None:
    """No record has more than 16,384 octets (RFC 8446 5.1)."""
    profile = Profile(
        name="", versions=(0x0303,), suites=tuple(range(1, 32000)), record_version=ProtocolVersion.TLS_1_1
    )
    octets, message, lengths = Hello(profile, None).first(), b"", []
    while octets:
        assert octets[:3] == b"\x16\3\2"
        lengths.append(int.from_bytes(octets[3:5], "big"))
        message += octets[5 : 5 + lengths[-1]]
        octets = octets[5 + lengths[-1] :]
    assert lengths[:3] == [16384] * 3
    assert int.from_bytes(message[1:4], "big") == len(message) - 4
    assert 0 < lengths[3] < 16384


def test_a_hello_of_ssl_2() -> None:
    """Type, version, the lengths of kinds, session id and challenge, then these (RFC 5246 E.2)."""
    profile = Profile(name="", ssl2_format=True, versions=(0x0303,), suites=(0x010080, 0x0700C0))
    hello = Hello(profile, HOST, 4000)
    expected = bytes.fromhex("801f 01 0303 0006 0000 0010 010080 0700c0") + hello.random[:16]
    assert (hello.first(), hello.length) == (expected, 33)


@pytest.mark.parametrize("names", [["x25519"], ["secp256r1", "x25519"], []])
def test_shares_are_of_the_keys_that_were_given(names: list[str]) -> None:
    """Who has private keys gives the public ones; a group without one can't be in a hello."""
    codes = [group_named(name).code for name in names]
    profile = broad(ProtocolVersion.TLS_1_3, key_shares=codes)
    keys = {code: bytes([number]) * 9 for number, code in enumerate([*codes, P256])}
    hello = Hello(profile, None, public_key=keys.get)
    assert shares_of(hello.first()) == {code: keys[code] for code in codes}
    assert shares_of(hello.again(Retry(P256, None))) == {P256: keys[P256]}
    assert shares_of(hello.again(Retry(None, b"cookie"))) == {code: keys[code] for code in codes}
    with pytest.raises(ValueError, match="0x0018"):
        hello.again(Retry(0x18, None))
    if codes:
        with pytest.raises(ValueError, match=f"0x{codes[0]:04X}"):
            Hello(profile, None, public_key=lambda _: None)


def test_grease_in_lists() -> None:
    """One drawn value stands for GREASE in suites, groups, versions and as a share of one octet (RFC 8701)."""
    profile = replace(
        broad(ProtocolVersion.TLS_1_3),
        suites=(GREASE, 0x1301),
        groups=(GREASE, P256),
        key_shares=(GREASE, P256),
        versions=(GREASE, 0x0304),
    )
    hello = Hello(profile, None).first()
    shares = shares_of(hello)
    (drawn, share), (group, _) = shares.items()
    assert (share, group, drawn % 0x1010) == (b"\0", P256, 0x0A0A)
    bodies = dict(parts(hello))
    assert bodies[sent.SUPPORTED_GROUPS] == struct.pack("!HHH", 4, drawn, P256)
    assert bodies[SUPPORTED_VERSIONS] == struct.pack("!BHH", 4, drawn, 0x0304)
    assert struct.pack("!HHH", 4, drawn, 0x1301) in hello


def test_who_can_not_be_simulated() -> None:
    """A client with no known version, or with a share that we can't make, is refused with its name."""
    client = broad(ProtocolVersion.TLS_1_3)
    assert simulable(replace(client, key_shares=(GREASE, P256))).key_shares == (GREASE, P256)
    with pytest.raises(ValueError, match="ours accepts no version"):
        simulable(replace(client, name="ours", versions=(GREASE, 0x7F1C)))
    with pytest.raises(ValueError, match=r"ours: no key share .* 0x001A"):
        simulable(replace(client, name="ours", key_shares=(P256, 0x1A)))
