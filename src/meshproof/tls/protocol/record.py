"""Records, the layer below the messages of the handshake; and the ways in which octets can be wrong."""

from __future__ import annotations

from enum import IntEnum

LIMIT = 1 << 18  # octets; four times the longest chain of certificates seen
RECORD_HEADER = 5  # RFC 8446 5.1: type, version, length
_LONGEST_RECORD = (1 << 14) + 2048  # RFC 5246 6.2.3
MESSAGE_HEADER = 4  # RFC 8446 4: type, length
_MAJOR_VERSION = 3
ALERT_LENGTH = 2


class Malformed(ValueError):
    """The octets are no TLS, or break its rules."""


class NotTls(Malformed):
    """The octets can't be the beginning of a record."""


class Overlong(Malformed):
    """There are more octets than any first flight has."""


class ContentType(IntEnum):
    """What is in a record (RFC 8446 5.1)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class Message(IntEnum):
    """The handshake messages that we look for (RFC 5246 7.4, RFC 8446 4)."""

    SERVER_HELLO = 2
    ENCRYPTED_EXTENSIONS = 8
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    FINISHED = 20
    MESSAGE_HASH = 254


_CONTENT_TYPES = frozenset(ContentType)


def take_record(received: bytearray) -> bytes | None:
    """Take the first record, header included, off what was received; None while it is not complete.

    Raises:
        NotTls: No record begins so.
        Malformed: It is longer than a record may be.
    """
    header = received[:RECORD_HEADER]
    if header and header[0] not in _CONTENT_TYPES:
        raise NotTls(f"no record begins with {header[0]}")
    if len(header) > 1 and header[1] != _MAJOR_VERSION:
        raise NotTls(f"no record has the major version {header[1]}")
    end = RECORD_HEADER + int.from_bytes(header[3:], "big")
    if len(header) < RECORD_HEADER:
        return None
    if end - RECORD_HEADER > _LONGEST_RECORD:
        raise Malformed(f"a record of {end - RECORD_HEADER} octets is longer than one may be")
    if len(received) < end:
        return None
    record = bytes(received[:end])
    del received[:end]
    return record
