"""A server's answer to an SSLv2 CLIENT-HELLO."""

from __future__ import annotations

from meshproof.tls.protocol.flight import Flight
from meshproof.tls.protocol.octets import Cursor
from meshproof.tls.protocol.record import NotTls
from meshproof.tls.protocol.version import ProtocolVersion

_SSL2_HEADER = 0x80  # the high bit of the length, for a header of two octets
_SSL2_ERROR = 0
_SSL2_SERVER_HELLO = 4


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
