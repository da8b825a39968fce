"""What a cipher suite is, as far as its name says, and how strong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple


class _Parts(NamedTuple):
    """What the name of a cipher suite says."""

    key_exchange: str | None
    authentication: str | None
    encryption: str | None
    mac: str | None


class CipherSuite(NamedTuple):
    """A cipher suite, or a cipher kind of SSL 2.

    Attributes:
        code: Its number.
        name: Its name at IANA.
        openssl: Its name in OpenSSL; None where it has none.
    """

    code: int
    name: str
    openssl: str | None

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """What tables show."""
        return self.openssl or self.name

    @property
    def key_exchange(self) -> str | None:
        """How the key is agreed on, such as ``ECDHE``; None when the suite does not say: TLS 1.3, unknown codes."""
        return _parts(self.name).key_exchange

    @property
    def authentication(self) -> str | None:
        """How the server proves who it is: ``RSA``, ``ECDSA``, ``DSS``, ``PSK``, ``anonymous``, …; None as above."""
        return _parts(self.name).authentication

    @property
    def encryption(self) -> str | None:
        """The cipher, such as ``AES_128_GCM``, ``3DES_EDE_CBC`` or ``NULL``."""
        return _parts(self.name).encryption

    @property
    def mac(self) -> str | None:
        """What guards the records: a hash such as ``SHA256``, or ``AEAD`` when the cipher does it."""
        return _parts(self.name).mac

    @property
    def aead(self) -> bool:
        """Whether the cipher guards what it encrypts (RFC 5116)."""
        return self.mac == "AEAD"

    @property
    def export(self) -> bool:
        """Whether its keys were made short for export."""
        return "_EXPORT" in self.name

    @property
    def tls13(self) -> bool:
        """Whether it is one of TLS 1.3: those of RFC 8446, and those of SM4, GOST and integrity only."""
        return self.key_exchange is None and self.mac is not None

    @property
    def forward_secret(self) -> bool:
        """Whether a key stolen later opens nothing: TLS 1.3, and an authenticated, ephemeral Diffie-Hellman."""
        return self.tls13 or (self.key_exchange or "").startswith(_EPHEMERAL)

    @property
    def signalling(self) -> bool:
        """Whether it is no suite, but a word from the client to the server (RFC 5746 3.3, RFC 7507)."""
        return self.name.endswith("_SCSV")


# The key exchange and the authentication of those whose name does not say it in this order.
_EXCHANGES: Mapping[str, tuple[str, str]] = {
    "DH_anon": ("DH", "anonymous"),
    "ECDH_anon": ("ECDH", "anonymous"),
    "DHE_PSK": ("DHE_PSK", "PSK"),
    "ECDHE_PSK": ("ECDHE_PSK", "PSK"),
    "PSK_DHE": ("DHE_PSK", "PSK"),
    "RSA_PSK": ("RSA_PSK", "RSA"),
    "SRP_SHA": ("SRP", "SRP"),
    "SRP_SHA_DSS": ("SRP", "DSS"),
    "SRP_SHA_RSA": ("SRP", "RSA"),
}
_EPHEMERAL = ("ECDHE", "DHE", "CECPQ1")
_CERTIFICATES = ("_RSA", "_DSS", "_ECDSA")
_AEAD = ("_GCM", "_CCM", "_POLY1305", "_MGM", "AEGIS")
_HASHES = ("_SHA256", "_SHA384", "_SHA512", "_SM3")
_LIMITED = ("_EXPORT1024", "_EXPORT", "_OLDFIPS", "_FIPS")

# Ciphers that are broken or have short blocks or keys, the worst last.
_WEAK = ("SEED", "28147", "MAGMA", "IDEA", "3DES", "RC4_128", "FORTEZZA", "DES", "RC4", "RC2", "NULL")


@cache
def _parts(name: str) -> _Parts:
    """Take a name apart: ``TLS_exchange_WITH_cipher_hash``, in TLS 1.3 ``TLS_cipher_hash``."""
    if name.startswith("0x") or name.endswith("_SCSV"):
        return _Parts(None, None, None, None)
    exchange, _, cipher = name.removeprefix("OLD_").partition("_WITH_")
    if exchange.startswith("SSL_CK_"):
        return _Parts("RSA", "RSA", exchange.removeprefix("SSL_CK_"), cipher)
    exchange = exchange[len("TLS_") :]
    if not cipher:
        return _Parts(None, None, *_cipher_and_mac(exchange))
    for word in _LIMITED:
        exchange = exchange.removesuffix(word)
    if "_MGM" in cipher:  # RFC 9367: for TLS 1.3, and named as if it were not
        return _Parts(None, None, *_cipher_and_mac(cipher))
    return _Parts(*_exchange(exchange), *_cipher_and_mac(cipher))


def _exchange(name: str) -> tuple[str, str]:
    for certificate in _CERTIFICATES:
        if name.endswith(certificate) and name not in _EXCHANGES:
            return name.removesuffix(certificate), certificate[1:]
    return _EXCHANGES.get(name, (name, name))


def _cipher_and_mac(name: str) -> tuple[str, str]:
    if any(word in name for word in _AEAD):
        for word in _HASHES:
            name = name.removesuffix(word)
        return name, "AEAD"
    cipher, _, mac = name.rpartition("_")
    return ("NULL" if cipher == mac else cipher), mac  # RFC 9150: SHA256_SHA256 encrypts nothing


def weakness(suite: CipherSuite) -> tuple[object, ...]:
    """Return what sorts suites, the strongest first."""
    cipher = suite.encryption or ""
    weak = 0
    if cipher.startswith(_WEAK):
        weak = next(place for place, word in enumerate(_WEAK, start=1) if cipher.startswith(word))
    return (
        suite.export,
        suite.authentication in ("anonymous", "NULL"),
        weak,
        not suite.forward_secret,
        not suite.aead,
        not cipher.startswith(("AES", "CHACHA20")),
        cipher.endswith("_8"),  # a tag of eight octets
        "256" not in cipher and not cipher.startswith("CHACHA20"),
        not (suite.key_exchange or "").startswith("ECDHE"),
        suite.code,
    )
