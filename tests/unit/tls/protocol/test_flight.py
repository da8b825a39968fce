"""What a first flight says in its alerts."""

from __future__ import annotations

import pytest

from meshproof.tls.protocol.flight import Flight
from meshproof.tls.protocol.record import LIMIT, Overlong
from tests.support.flights import (
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
