"""Reading what a server sent before encryption began: bytes in, values out, no connection.

Every function takes all the bytes received so far and looks at the complete records in them, so that it
does not matter how they were cut into segments, and can be asked again when more has come.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from meshproof.tls.version import ProtocolVersion

_RECORD_HEADER = struct.Struct("!BHH")  # RFC 8446 5.1: type, legacy version, length
_MESSAGE_HEADER = 4  # RFC 8446 4: type, then 24 bits of length
_MAJOR_VERSION = 3
_FATAL = 2
_ALERT_LENGTH = 2
_SUPPORTED_VERSIONS = 43
_SSL2_TYPE_AT = 2  # after the record's length
_SSL2_VERSION_AT = 5  # after the type, the hit flag and the certificate type

SSL2_ERROR = 0
SSL2_SERVER_HELLO = 4


class ContentType(IntEnum):
    """What is in a record (RFC 8446 5.1)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class Message(IntEnum):
    """The handshake messages that we look for (RFC 5246 7.4)."""

    SERVER_HELLO = 2
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14


@dataclass(frozen=True, slots=True)
class Record:
    """One record whose body is in the clear."""

    content_type: int
    body: bytes


def looks_like_tls(received: bytes) -> bool:
    """Say whether the bytes can be the beginning of an SSL 3 or TLS record; none at all can."""
    types = frozenset(ContentType)
    return not received or (received[0] in types and received[1:2] in (b"", bytes([_MAJOR_VERSION])))


def clear_records(received: bytes) -> Iterator[Record]:
    """Yield the complete records up to the first that is, or announces, ciphertext."""
    at = 0
    while at + _RECORD_HEADER.size <= len(received):
        content_type, _, length = _RECORD_HEADER.unpack_from(received, at)
        at += _RECORD_HEADER.size
        if at + length > len(received) or content_type not in (ContentType.ALERT, ContentType.HANDSHAKE):
            return
        yield Record(content_type, received[at : at + length])
        at += length


def fatal_alert(received: bytes) -> int | None:
    """Return the number of the fatal alert that was sent in the clear; None when there is none."""
    for record in clear_records(received):
        if record.content_type == ContentType.ALERT and len(record.body) == _ALERT_LENGTH:
            level, number = record.body
            if level == _FATAL:
                return number
    return None


def messages(received: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and body of each complete handshake message; one may span records, one record may hold many."""
    records = clear_records(received)
    flight = b"".join(record.body for record in records if record.content_type == ContentType.HANDSHAKE)
    while len(flight) >= _MESSAGE_HEADER:
        end = _MESSAGE_HEADER + int.from_bytes(flight[1:_MESSAGE_HEADER], "big")
        if len(flight) < end:
            return
        yield flight[0], flight[_MESSAGE_HEADER:end]
        flight = flight[end:]


def server_hello(received: bytes) -> ProtocolVersion | None:
    """Return the version that the server chose: from ``supported_versions`` if present, else the legacy field.

    A HelloRetryRequest is a ServerHello too (RFC 8446 4.1.4) and chooses TLS 1.3.

    Raises:
        ValueError: The first message is no ServerHello, or not a well-formed one.
    """
    kind, body = next(messages(received), (None, b""))
    if kind is None:
        return None
    if kind != Message.SERVER_HELLO:
        raise ValueError(f"the server began with handshake message {kind}, not with a ServerHello")
    try:
        version = ProtocolVersion.from_code(_chosen_version(body))
    except (struct.error, IndexError) as error:
        raise ValueError("the ServerHello ends too early") from error
    if version is None:
        raise ValueError("the ServerHello chooses a version that does not exist")
    return version


def ssl2_message(received: bytes) -> int | None:
    """Return the type of the SSLv2 message: two octets of length with the high bit set, then the type.

    Returns:
        SSL2_SERVER_HELLO only when its version is 2; ``SSL2_ERROR``; None while too little has come; -1 for
        anything else.
    """
    if len(received) <= _SSL2_TYPE_AT:
        return None
    kind = received[_SSL2_TYPE_AT]
    if kind == SSL2_SERVER_HELLO:
        version = received[_SSL2_VERSION_AT : _SSL2_VERSION_AT + 2]
        wanted = ProtocolVersion.SSL_2.code.to_bytes(2, "big")
        if version != wanted:
            return None if wanted.startswith(version) else -1
    return kind if kind in (SSL2_ERROR, SSL2_SERVER_HELLO) else -1


def client_certificate_requested(received: bytes) -> bool | None:
    """Say whether the server asked for a client certificate.

    Returns:
        None while that is not known: the server's flight is not complete, or it is encrypted as all of TLS 1.3 is.
    """
    kinds = {kind for kind, _ in messages(received)}
    if Message.CERTIFICATE_REQUEST in kinds:
        return True
    return False if Message.SERVER_HELLO_DONE in kinds else None


def _chosen_version(hello: bytes) -> int:
    """Walk a ServerHello: version, random, session id, cipher suite, compression, extensions (RFC 8446 4.1.3)."""
    (version,) = struct.unpack_from("!H", hello)
    session_id_at = 2 + 32
    at = session_id_at + 1 + hello[session_id_at] + 2 + 1
    at += 2  # the length of all extensions
    while at < len(hello):
        kind, length = struct.unpack_from("!HH", hello, at)
        if kind == _SUPPORTED_VERSIONS:
            (version,) = struct.unpack_from("!H", hello, at + 4)
        at += 4 + length
    return int(version)
