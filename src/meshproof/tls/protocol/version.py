"""The versions of SSL and TLS."""

from __future__ import annotations

from enum import Enum


class ProtocolVersion(Enum):
    """A version; its value is spelled as testssl.sh prints it, and as a text it is ``TLS 1.0``. In the order of age."""

    SSL_2 = "SSLv2"
    SSL_3 = "SSLv3"
    TLS_1_0 = "TLS 1"
    TLS_1_1 = "TLS 1.1"
    TLS_1_2 = "TLS 1.2"
    TLS_1_3 = "TLS 1.3"

    def __str__(self) -> str:
        return "TLS 1.0" if self is ProtocolVersion.TLS_1_0 else self.value

    @property
    def code(self) -> int:
        """The two octets on the wire, such as 0x0303 for TLS 1.2."""
        return _CODES[self]

    @classmethod
    def from_code(cls, code: int) -> ProtocolVersion | None:
        """Return the version with these two octets; None when there is none."""
        return _VERSIONS.get(code)


_CODES = {
    ProtocolVersion.SSL_2: 0x0002,
    ProtocolVersion.SSL_3: 0x0300,
    ProtocolVersion.TLS_1_0: 0x0301,
    ProtocolVersion.TLS_1_1: 0x0302,
    ProtocolVersion.TLS_1_2: 0x0303,
    ProtocolVersion.TLS_1_3: 0x0304,
}
_VERSIONS = {code: version for version, code in _CODES.items()}
