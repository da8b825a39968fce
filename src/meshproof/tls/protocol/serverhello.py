"""What a ServerHello says: octets in, values out."""

from __future__ import annotations

from meshproof.tls.protocol.codes import extension_code
from meshproof.tls.protocol.octets import Cursor, extensions, vector
from meshproof.tls.protocol.record import Message
from meshproof.tls.protocol.version import ProtocolVersion

_RANDOM = 32
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446 4.1.3
_DOWNGRADED = (b"DOWNGRD\1", b"DOWNGRD\0")  # RFC 8446 4.1.3: to TLS 1.2, to an older one

_ALPN = extension_code("application_layer_protocol_negotiation")
_SUPPORTED_VERSIONS = extension_code("supported_versions")
_COOKIE = extension_code("cookie")
_KEY_SHARE = extension_code("key_share")


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
