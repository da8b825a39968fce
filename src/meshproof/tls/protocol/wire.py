"""Reading what a server sends before encryption begins: octets in, values out, no connection.

It does not matter how the octets are cut into segments, records and messages. Whatever comes, the work is in proportion
to its length, and its length has a limit.
"""

from __future__ import annotations

from enum import IntEnum

from meshproof.tls.protocol.codes import extension_code, suite
from meshproof.tls.protocol.octets import Cursor, extensions, vector
from meshproof.tls.protocol.version import ProtocolVersion

LIMIT = 1 << 18  # octets; four times the longest chain of certificates seen
_RECORD_HEADER = 5  # RFC 8446 5.1: type, version, length
_LONGEST_RECORD = (1 << 14) + 2048  # RFC 5246 6.2.3
_MESSAGE_HEADER = 4  # RFC 8446 4: type, length
_MAJOR_VERSION = 3
_FATAL = 2
_ALERT_LENGTH = 2
_NAMED_CURVE = 3  # RFC 8422 5.4
_RANDOM = 32
_SSL2_HEADER = 0x80  # the high bit of the length, for a header of two octets
_SSL2_ERROR = 0
_SSL2_SERVER_HELLO = 4
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446 4.1.3
_DOWNGRADED = (b"DOWNGRD\1", b"DOWNGRD\0")  # RFC 8446 4.1.3: to TLS 1.2, to an older one

_ALPN = extension_code("application_layer_protocol_negotiation")
_SUPPORTED_VERSIONS = extension_code("supported_versions")
_COOKIE = extension_code("cookie")
_KEY_SHARE = extension_code("key_share")


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
    """The handshake messages that we look for (RFC 5246 7.4)."""

    SERVER_HELLO = 2
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14


_CONTENT_TYPES = frozenset(ContentType)


class ServerHello:
    """A ServerHello, or the HelloRetryRequest that is one too (RFC 8446 4.1.3 and 4.1.4).

    Attributes:
        code: The code of the version that the server chose: from ``supported_versions`` if present.
        suite: The code of the cipher suite.
        group: The code of the group of its key share, or of the one that it asks for.
        alpn: The application protocol.
        cookie: What to send back.
        retry: Whether it is a HelloRetryRequest.
        downgraded: Whether its random value says that the server could do better.
        share: The server's public key.
        message: The whole message, header included.

    Raises:
        ValueError: By the constructor: it is not well-formed.
    """

    __slots__ = ("alpn", "code", "cookie", "downgraded", "group", "message", "retry", "share", "suite")

    def __init__(self, body: bytes) -> None:
        cursor = Cursor(body)
        self.message = bytes([Message.SERVER_HELLO]) + vector(3, body)
        self.code = cursor.uint(2)
        random = cursor.take(_RANDOM)
        self.retry = random == _RETRY
        cursor.vector(1)  # session id
        self.suite = cursor.uint(2)
        cursor.take(1)  # compression
        self.downgraded = random.endswith(_DOWNGRADED)
        self.group: int | None = None
        self.share: bytes | None = None
        self.alpn: str | None = None
        self.cookie: bytes | None = None
        for kind, content in extensions(cursor.vector(2)) if cursor.left else ():
            self._read(kind, Cursor(content))
        if cursor.left:
            raise ValueError(f"{cursor.left} octets follow the extensions")
        self.retry = self.retry and self.version is ProtocolVersion.TLS_1_3

    def _read(self, kind: int, body: Cursor) -> None:
        if kind == _SUPPORTED_VERSIONS:
            self.code = body.uint(2)
        elif kind == _KEY_SHARE:
            self.group = body.uint(2)
            self.share = None if self.retry else body.vector(2)
        elif kind == _ALPN:
            self.alpn = Cursor(body.vector(2)).vector(1).decode("latin-1")
        elif kind == _COOKIE:
            self.cookie = body.vector(2)

    @property
    def version(self) -> ProtocolVersion | None:
        """The version that the server chose; None when there is no such version."""
        return ProtocolVersion.from_code(self.code)


def take_record(received: bytearray) -> bytes | None:
    """Take the first record, header included, off what was received; None while it is not complete.

    Raises:
        NotTls: No record begins so.
        Malformed: It is longer than a record may be.
    """
    header = received[:_RECORD_HEADER]
    if header and header[0] not in _CONTENT_TYPES:
        raise NotTls(f"no record begins with {header[0]}")
    if len(header) > 1 and header[1] != _MAJOR_VERSION:
        raise NotTls(f"no record has the major version {header[1]}")
    end = _RECORD_HEADER + int.from_bytes(header[3:], "big")
    if len(header) < _RECORD_HEADER:
        return None
    if end - _RECORD_HEADER > _LONGEST_RECORD:
        raise Malformed(f"a record of {end - _RECORD_HEADER} octets is longer than one may be")
    if len(received) < end:
        return None
    record = bytes(received[:end])
    del received[:end]
    return record


class Ssl2Flight:
    """A server's answer to an SSLv2 CLIENT-HELLO: in SSLv2, or in TLS if it knows no SSLv2.

    The layout is that of draft-hickman-netscape-ssl-00, section 5.

    Attributes:
        tls: What was answered in TLS; None when the answer is in SSLv2.
        suites: The cipher kinds of a SERVER-HELLO; None until it is here, or when there is none.
        error: Whether the answer is an SSLv2 ERROR.
    """

    def __init__(self) -> None:
        self.tls: Flight | None = None
        self.suites: tuple[int, ...] | None = None
        self.error = False
        self._received = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next octets.

        Raises:
            Malformed: As for ``Flight.feed``.
        """
        if self.tls is None and not self._received and not data[0] & _SSL2_HEADER:
            self.tls = Flight()
        if self.tls:
            self.tls.feed(data)
            return
        self._received += data
        length = int.from_bytes(self._received[:2], "big") & 0x7FFF
        if len(self._received) < 2 + length:
            return
        message = Cursor(bytes(self._received[2 : 2 + length]))
        try:
            self._read(message)
        except ValueError as error:
            raise NotTls(f"it is no SSLv2 either: {error}") from error

    def _read(self, message: Cursor) -> None:
        kind = message.uint(1)
        if kind == _SSL2_ERROR:
            self.error = True
        elif kind == _SSL2_SERVER_HELLO:
            message.take(2)  # session id hit, certificate type
            if message.uint(2) != ProtocolVersion.SSL_2.code:
                raise ValueError("another version")
            certificate, kinds, _ = message.uint(2), message.uint(2), message.uint(2)
            message.take(certificate)
            specifications = Cursor(message.take(kinds))
            self.suites = tuple(specifications.uint(3) for _ in range(kinds // 3))
        else:
            raise ValueError(f"message {kind}")


class Flight:
    """The server's first flight, as far as it has come and is in the clear.

    Attributes:
        hello: The ServerHello; None until it is here.
        retry: The HelloRetryRequest before it.
        certificates: The chain in DER, leaf first (TLS 1.2 and older).
        group: The code of the group in the ServerKeyExchange, or in the ServerHello of TLS 1.3.
        dh_bits: The size of the prime in the ServerKeyExchange.
        client_cert_requested: Whether a CertificateRequest was there; None while that is not known.
        alert: The number of the fatal alert.
        warning: The number of the last alert that calls itself a warning. Before TLS 1.3 it ends nothing; in TLS 1.3
            every alert but close_notify and user_canceled is fatal, whatever its level (RFC 8446 6). So where nothing
            more comes, this is what the server said.
        ended: Whether all that comes in the clear is here.
        encrypted: The records after that, header included, as far as they came with the rest.
    """

    def __init__(self) -> None:
        self.hello: ServerHello | None = None
        self.retry: ServerHello | None = None
        self.certificates: tuple[bytes, ...] = ()
        self.group: int | None = None
        self.dh_bits: int | None = None
        self.client_cert_requested: bool | None = None
        self.alert: int | None = None
        self.warning: int | None = None
        self.ended = False
        self.encrypted = bytearray()
        self._records = bytearray()
        self._messages = bytearray()
        self._length = 0

    def feed(self, data: bytes) -> None:
        """Take the next octets.

        Raises:
            NotTls: It is no TLS.
            Overlong: More has come than any server needs to say.
            Malformed: It breaks a rule of TLS.
        """
        self._length += len(data)
        if self._length > LIMIT:
            raise Overlong(f"the first flight is longer than {LIMIT} octets")
        self._records += data
        while not self.ended and (record := take_record(self._records)) is not None:
            try:
                self._record(record[0], record[_RECORD_HEADER:])
            except Malformed:
                raise
            except ValueError as error:
                raise Malformed(f"the server's message is malformed: {error}") from error
        if self.ended:
            self.encrypted += self._records
            self._records.clear()

    @property
    def begun(self) -> bool:
        """Whether anything has come at all."""
        return self._length > 0

    def next_hello(self) -> None:
        """Forget a HelloRetryRequest that was answered: the ServerHello is still to come."""
        self.retry, self.hello = self.hello, None
        self.ended = False
        rest, self.encrypted = bytes(self.encrypted), bytearray()
        self._read_messages()
        if rest:
            self._length -= len(rest)
            self.feed(rest)

    def _record(self, kind: int, body: bytes) -> None:
        if kind == ContentType.ALERT:
            if len(body) != _ALERT_LENGTH:
                raise Malformed(f"an alert in the clear has 2 octets, not {len(body)}")
            if body[0] == _FATAL or body[1] == 0:
                self.alert, self.ended = body[1], True
            else:
                self.warning = body[1]
        elif kind == ContentType.HANDSHAKE:
            if not body:
                raise Malformed("a handshake record is empty")
            self._messages += body
            self._read_messages()
        elif kind == ContentType.APPLICATION_DATA:
            raise Malformed("application data came where a handshake is due")

    def _read_messages(self) -> None:
        at = 0
        while not self.ended and len(self._messages) - at >= _MESSAGE_HEADER:
            end = at + _MESSAGE_HEADER + int.from_bytes(self._messages[at + 1 : at + _MESSAGE_HEADER], "big")
            if end - at > LIMIT:
                raise Overlong(f"a message of {end - at} octets is announced")
            if end > len(self._messages):
                break
            kind, body = self._messages[at], bytes(self._messages[at + _MESSAGE_HEADER : end])
            at = end
            self._message(kind, body)
        del self._messages[:at]

    def _message(self, kind: int, body: bytes) -> None:
        if self.hello is None:
            if kind != Message.SERVER_HELLO:
                raise Malformed(f"the server began with handshake message {kind}, not with a ServerHello")
            self.hello = ServerHello(body)
            self.group = self.hello.group
            self.ended = self.hello.version in (ProtocolVersion.TLS_1_3, None)
        elif kind == Message.CERTIFICATE:
            chain = Cursor(Cursor(body).vector(3))
            found = []
            while chain.left:
                found.append(chain.vector(3))
            self.certificates = tuple(found)
        elif kind == Message.SERVER_KEY_EXCHANGE:
            self._server_key_exchange(body)
        elif kind == Message.CERTIFICATE_REQUEST:
            self.client_cert_requested = True
        elif kind == Message.SERVER_HELLO_DONE:
            self.client_cert_requested = bool(self.client_cert_requested)
            self.ended = True

    def _server_key_exchange(self, body: bytes) -> None:
        """Read the group (RFC 8422 5.4) or the prime (RFC 5246 7.4.3); with a PSK there is neither in front."""
        exchange = suite(self.hello.suite).key_exchange if self.hello else None
        cursor = Cursor(body)
        if exchange in ("ECDHE", "ECDH") and cursor.uint(1) == _NAMED_CURVE:
            self.group = cursor.uint(2)
        elif exchange in ("DHE", "DH"):
            self.dh_bits = int.from_bytes(cursor.vector(2), "big").bit_length()
