"""Reading what a server sends before encryption begins: octets in, values out, no connection.

It does not matter how the octets are cut into segments, records and messages. Whatever comes, the work is in proportion
to its length, and its length has a limit.
"""

from __future__ import annotations

from meshproof.tls.protocol.codes import suite
from meshproof.tls.protocol.octets import Cursor
from meshproof.tls.protocol.record import (
    ALERT_LENGTH,
    LIMIT,
    MESSAGE_HEADER,
    RECORD_HEADER,
    ContentType,
    Malformed,
    Message,
    Overlong,
    take_record,
)
from meshproof.tls.protocol.serverhello import ServerHello
from meshproof.tls.protocol.version import ProtocolVersion

_FATAL = 2
_NAMED_CURVE = 3  # RFC 8422 5.4


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
                self._record(record[0], record[RECORD_HEADER:])
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
            if len(body) != ALERT_LENGTH:
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
        while not self.ended and len(self._messages) - at >= MESSAGE_HEADER:
            end = at + MESSAGE_HEADER + int.from_bytes(self._messages[at + 1 : at + MESSAGE_HEADER], "big")
            if end - at > LIMIT:
                raise Overlong(f"a message of {end - at} octets is announced")
            if end > len(self._messages):
                break
            kind, body = self._messages[at], bytes(self._messages[at + MESSAGE_HEADER : end])
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
            certificates = []
            while chain.left:
                certificates.append(chain.vector(3))
            self.certificates = tuple(certificates)
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
