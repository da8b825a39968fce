"""ClientHellos built by hand, one version each: values in, bytes out, no connection.

They are broad on purpose: a server that speaks a version must not miss a cipher suite, a group or a signature
algorithm in them, so that a refusal speaks of the version alone.
"""

from __future__ import annotations

import os
import struct

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meshproof.tls.version import ProtocolVersion

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_RANDOM = 32  # octets
_SSL2_CHALLENGE = 16  # octets

# https://www.iana.org/assignments/tls-parameters, first and last of each run. TLS 1.3 has suites of its own.
_TLS13_SUITES = range(0x1301, 0x1306)
_SUITES = (
    *range(0xC02B, 0xC033),  # ECDHE with AES-GCM
    *range(0xCCA8, 0xCCAB),  # ECDHE and DHE with ChaCha20
    *range(0xC003, 0xC01A),  # ECDH and ECDHE with 3DES, AES-CBC and RC4
    *range(0xC023, 0xC02B),  # ECDH and ECDHE with AES-CBC and SHA-2
    *range(0x009C, 0x00A8),  # RSA and DHE with AES-GCM
    *range(0x0067, 0x006E),  # DHE with AES-CBC and SHA-256
    *range(0x002F, 0x0042),  # RSA and DHE with AES-CBC
    *range(0x0042, 0x0047),  # Camellia-128
    *range(0x0084, 0x008A),  # Camellia-256
    *range(0x0001, 0x001C),  # all of SSL 3: RSA and DHE with RC4, DES, 3DES, export grade and none
    0x00FF,  # TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746)
)
_SSL2_SUITES = (0x010080, 0x020080, 0x030080, 0x040080, 0x050080, 0x060040, 0x0700C0)

_X25519, _SECP256R1 = 0x001D, 0x0017
_GROUPS = (_X25519, _SECP256R1, 0x0018, 0x0019, 0x001E)
_TLS13_GROUPS = (*_GROUPS, 0x11EC, 0x0100, 0x0101)  # + X25519MLKEM768, ffdhe2048, ffdhe3072: by HelloRetryRequest
_SIGNATURES = (
    *(0x0403, 0x0503, 0x0603),  # ECDSA
    *(0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B),  # RSA-PSS
    *(0x0807, 0x0808),  # Ed25519, Ed448
    *(0x0401, 0x0501, 0x0601),  # RSA PKCS #1
    *(0x0203, 0x0201),  # SHA-1
)

_SERVER_NAME, _SUPPORTED_GROUPS, _POINT_FORMATS, _SIGNATURE_ALGORITHMS = 0, 10, 11, 13
_EXTENDED_MASTER_SECRET, _SUPPORTED_VERSIONS, _PSK_MODES, _KEY_SHARE = 23, 43, 45, 51


def client_hello(version: ProtocolVersion, sni: str | None) -> bytes:
    """Return the record with which a client that speaks this version only begins.

    Args:
        version: The only version to offer.
        sni: The server name in ASCII; None sends none. SSLv2 and SSLv3 have no place for it.
    """
    if version is ProtocolVersion.SSL_2:
        return _ssl2_client_hello()
    tls13 = version is ProtocolVersion.TLS_1_3
    legacy = min(version.code, ProtocolVersion.TLS_1_2.code)
    suites = _TLS13_SUITES if tls13 else _SUITES
    body = (
        struct.pack("!H", legacy)
        + os.urandom(_RANDOM)
        + _vector(1, os.urandom(_RANDOM) if tls13 else b"")  # RFC 8446 D.4: compatibility mode
        + _vector(2, _uint16s(suites))
        + _vector(1, b"\0")  # no compression
    )
    if version is not ProtocolVersion.SSL_3:
        body += _vector(2, _extensions(version, sni))
    message = bytes([_CLIENT_HELLO]) + _vector(3, body)
    record_version = min(version.code, ProtocolVersion.TLS_1_0.code)  # RFC 8446 5.1: for old servers
    return struct.pack("!BH", _HANDSHAKE, record_version) + _vector(2, message)


def _ssl2_client_hello() -> bytes:
    """Build an SSLv2 CLIENT-HELLO: type, version, three lengths, then cipher kinds, session id and challenge."""
    suites = b"".join(suite.to_bytes(3, "big") for suite in _SSL2_SUITES)
    header = struct.pack("!BHHHH", _CLIENT_HELLO, ProtocolVersion.SSL_2.code, len(suites), 0, _SSL2_CHALLENGE)
    message = header + suites + os.urandom(_SSL2_CHALLENGE)
    return struct.pack("!H", 0x8000 | len(message)) + message


def _extensions(version: ProtocolVersion, sni: str | None) -> bytes:
    tls13 = version is ProtocolVersion.TLS_1_3
    found: list[tuple[int, bytes]] = []
    if sni is not None:
        host = b"\0" + _vector(2, sni.encode("ascii"))  # RFC 6066 3: type host_name
        found.append((_SERVER_NAME, _vector(2, host)))
    found.append((_SUPPORTED_GROUPS, _vector(2, _uint16s(_TLS13_GROUPS if tls13 else _GROUPS))))
    if version in (ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3):
        found.append((_SIGNATURE_ALGORITHMS, _vector(2, _uint16s(_SIGNATURES))))
    if tls13:
        found += [
            (_SUPPORTED_VERSIONS, _vector(1, struct.pack("!H", version.code))),
            (_PSK_MODES, _vector(1, b"\1")),  # RFC 8446 4.2.9: psk_dhe_ke
            (_KEY_SHARE, _vector(2, _key_shares())),
        ]
    else:
        found += [(_POINT_FORMATS, _vector(1, b"\0")), (_EXTENDED_MASTER_SECRET, b"")]
    return b"".join(struct.pack("!H", kind) + _vector(2, body) for kind, body in found)


def _key_shares() -> bytes:
    """Make valid public keys: a server may check that the point is on its curve (RFC 8446 4.2.8.2)."""
    raw = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    encoded = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return struct.pack("!H", _X25519) + _vector(2, raw) + struct.pack("!H", _SECP256R1) + _vector(2, encoded)


def _vector(length_octets: int, body: bytes) -> bytes:
    """Put the length in front (RFC 8446 3.4)."""
    return len(body).to_bytes(length_octets, "big") + body


def _uint16s(values: tuple[int, ...] | range) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)
