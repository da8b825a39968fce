"""Records are taken off what was received one by one, and what is none is seen early."""

from __future__ import annotations

import pytest

from meshproof.tls.protocol.record import Malformed, NotTls, take_record
from tests.support.flights import (
    DONE,
    alert,
    record,
)


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
