"""What a first flight says in its alerts."""

from __future__ import annotations

import pytest

from meshproof.tls.protocol.wire import LIMIT, Flight, Malformed, NotTls, Overlong, Ssl2Flight, take_record
from tests.unit.flights import (
    CERTIFICATE_REQUEST,
    CHANGE_CIPHER_SPEC,
    DONE,
    RSA_AES_128,
    alert,
    certificate,
    record,
    server_hello,
)


def flight(*octets: bytes) -> Flight:
    """Read a flight."""
    found = Flight()
    for part in octets:
        found.feed(part)
    return found


@pytest.mark.parametrize("level", [0, 1, 3])
def test_a_warning_is_kept(level: int) -> None:
    """An alert that is not fatal by its level ends nothing, and the last one can be told afterwards."""
    found = flight(alert(112, level=level), alert(40, level=level))
    assert (found.warning, found.alert, found.ended) == (40, None, False)


@pytest.mark.parametrize(("number", "level"), [(40, 2), (112, 2), (0, 1), (0, 2)])
def test_an_alert_that_ends_is_no_warning(number: int, level: int) -> None:
    """A fatal alert ends the flight, and so does close_notify, which is always a warning (RFC 5246 7.2.1)."""
    found = flight(alert(number, level=level))
    assert (found.warning, found.alert, found.ended) == (None, number, True)


def test_a_flight_goes_on_after_a_warning() -> None:
    """Before TLS 1.3 a server may warn of an unknown name, and then answer (RFC 6066 3)."""
    found = flight(alert(112, level=1), record(server_hello(RSA_AES_128), DONE))
    assert found.hello is not None
    assert (found.warning, found.alert, found.client_cert_requested) == (112, None, False)


@pytest.mark.parametrize("requested", [True, False])
def test_a_request_for_a_certificate_is_known_at_the_end(*, requested: bool) -> None:
    """That none is wanted is known when the flight is done, and not before (RFC 5246 7.4.4 and 7.4.5)."""
    found = flight(record(server_hello(RSA_AES_128), certificate(b"leaf")))
    assert (found.client_cert_requested, found.ended, found.certificates) == (None, False, (b"leaf",))
    if requested:
        found.feed(record(CERTIFICATE_REQUEST))
        assert (found.client_cert_requested, found.ended) == (True, False)
    found.feed(record(DONE))
    assert (found.client_cert_requested, found.ended) == (requested, True)


def test_a_message_has_a_longest_length() -> None:
    """What is announced is refused at once when it is longer than any flight, and not before (octet by octet)."""
    assert not flight(record(b"\2" + (LIMIT - 4).to_bytes(3, "big"))).ended
    with pytest.raises(Overlong, match=str(LIMIT + 1)):
        flight(record(b"\2" + (LIMIT - 3).to_bytes(3, "big")))


def test_a_flight_has_a_longest_length() -> None:
    """A flight of so many octets is read; one octet more is too many."""
    chunk = record(b"\1" * 59, kind=CHANGE_CIPHER_SPEC)  # 64 octets, and the limit is a multiple of them
    found = flight(chunk * (LIMIT // len(chunk)))
    with pytest.raises(Overlong, match=str(LIMIT)):
        found.feed(b"\x14")


def test_a_record_has_a_longest_length() -> None:
    """A record of 2^14 + 2048 octets is taken (RFC 5246 6.2.3); a longer one is refused by its header."""
    longest = record(bytes((1 << 14) + 2048))
    assert take_record(bytearray(longest + b"x")) == longest
    with pytest.raises(Malformed, match="longer"):
        take_record(bytearray(b"\x16\3\3\x48\1"))


@pytest.mark.parametrize("octets", [b"", b"\x16", b"\x16\3", b"\x16\3\3\0", b"\x16\3\3\0\1"])
def test_a_record_that_is_not_complete_is_waited_for(octets: bytes) -> None:
    """Nothing is taken, and nothing is lost."""
    received = bytearray(octets)
    assert take_record(received) is None
    assert received == octets


@pytest.mark.parametrize("octets", [b"H", b"\x13", b"\x18", b"\x16\2", b"\x16\4"])
def test_what_is_no_record_is_seen_early(octets: bytes) -> None:
    """The first octet, or the second, tells another protocol (RFC 8446 5.1)."""
    with pytest.raises(NotTls):
        take_record(bytearray(octets))


def test_records_are_taken_one_by_one() -> None:
    """What follows a record stays."""
    received = bytearray(alert(40) + record(DONE) + b"\x16")
    assert (take_record(received), take_record(received)) == (alert(40), record(DONE))
    assert received == b"\x16"


def ssl2(*octets: bytes) -> Ssl2Flight:
    """Read the answer to a hello of SSLv2."""
    found = Ssl2Flight()
    for part in octets:
        found.feed(part)
    return found


SERVER_HELLO = bytes.fromhex("04 00 01 0002 0002 0006 0000 abcd 010080 0700c0")


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
