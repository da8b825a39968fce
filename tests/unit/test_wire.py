"""What a first flight says in its alerts."""

from __future__ import annotations

import pytest

from meshproof.tls.wire import Flight
from tests.unit.flights import DONE, RSA_AES_128, alert, record, server_hello


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
