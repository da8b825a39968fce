"""What a server answers to a CLIENT-HELLO of SSLv2."""

from __future__ import annotations

import pytest

from meshproof.tls.protocol.record import NotTls
from meshproof.tls.protocol.ssl2 import Ssl2Flight
from tests.support.flights import (
    alert,
)

SERVER_HELLO = bytes.fromhex("04 00 01 0002 0002 0006 0000 abcd 010080 0700c0")


def ssl2(*octets: bytes) -> Ssl2Flight:
    """Read the answer to a hello of SSLv2."""
    found = Ssl2Flight()
    for part in octets:
        found.feed(part)
    return found


def test_a_server_hello_of_ssl_2() -> None:
    """The kinds come behind the certificate (draft-hickman-netscape-ssl-00 5.6); it may come octet by octet."""
    whole = bytes([0x80, len(SERVER_HELLO)]) + SERVER_HELLO
    for found in (ssl2(whole), ssl2(*(whole[at : at + 1] for at in range(len(whole)))), ssl2(whole + b"more")):
        assert (found.suites, found.error, found.tls) == ((0x010080, 0x0700C0), False, None)
    assert ssl2(whole[:-1]).suites is None


def test_a_long_message_of_ssl_2() -> None:
    """The length has 15 bits, of which the first octet has seven."""
    body = bytes.fromhex("04 00 01 0002 0200 0003 0000") + bytes(512) + b"\1\2\3"
    assert ssl2((0x8000 | len(body)).to_bytes(2, "big") + body).suites == (0x010203,)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\4", id="cut"),
        pytest.param(b"\4" + bytes(9), id="another version"),
        pytest.param(b"\1\0", id="another message"),
        pytest.param(b"", id="empty"),
        pytest.param(SERVER_HELLO[:-1], id="a kind short"),
    ],
)
def test_what_is_no_ssl_2_either(body: bytes) -> None:
    """An answer whose length fits and whose content does not is no answer."""
    with pytest.raises(NotTls, match="SSLv2"):
        ssl2(bytes([0x80, len(body)]) + body)


def test_an_error_and_an_answer_in_tls() -> None:
    """An ERROR refuses; a first octet without the high bit is that of a record of TLS."""
    found = ssl2(b"\x80\3\0\0\1")
    assert (found.error, found.suites, found.tls) == (True, None, None)
    found = ssl2(alert(70)[:1], alert(70)[1:])
    assert found.tls
    assert (found.tls.alert, found.error) == (70, False)
