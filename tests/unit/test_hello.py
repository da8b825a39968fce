"""Hellos of a given length, octet by octet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshproof.tls import ProtocolVersion
from meshproof.tls.clients import built_in
from meshproof.tls.hello import KEY_SHARE, PADDING, SUPPORTED_VERSIONS, Hello, Retry
from meshproof.tls.octets import Cursor, extensions
from meshproof.tls.profile import GREASE, Profile
from meshproof.tls.questions import broad
from tests.unit.certificates import HOST
from tests.unit.flights import P256

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
