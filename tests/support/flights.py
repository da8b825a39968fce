"""What a server can send, octet by octet: records, messages, whole flights, and the encrypted part of one.

It shares no code with what reads it. The layout is that of RFC 8446 4 and 5, before TLS 1.3 of RFC 5246 6 and 7.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Mapping
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey, MLKEM1024PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = 0x0301, 0x0302, 0x0303, 0x0304
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
X25519, P256, P384, X25519_ML_KEM = 29, 23, 24, 0x11EC
ML_KEM_768, ML_KEM_1024 = 0x0201, 0x0202

AES_128_GCM, AES_256_GCM, CHACHA20, AES_128_CCM, AES_128_CCM_8 = range(0x1301, 0x1306)
RSA_AES_128 = 0x002F
DHE_AES_128_GCM = 0x009E
ECDHE_AES_128_GCM = 0xC02F

RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446 4.1.3
FROM_1_3_TO_1_2 = bytes(24) + b"DOWNGRD\1"
FROM_1_3_TO_1_1 = bytes(24) + b"DOWNGRD\0"


def record(*messages: bytes, kind: int = HANDSHAKE, version: int = TLS_1_2) -> bytes:
    """Put messages into one record."""
    body = b"".join(messages)
    return struct.pack("!BHH", kind, version, len(body)) + body


def records(messages: bytes, length: int) -> bytes:
    """Put messages into records of so many octets each."""
    return b"".join(record(messages[at : at + length]) for at in range(0, len(messages), length))


def message(kind: int, body: bytes = b"") -> bytes:
    """Build a handshake message."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def alert(number: int, *, level: int = 2) -> bytes:
    """Build the record of an alert, fatal by default."""
    return record(bytes([level, number]), kind=ALERT)


def server_hello(
    suite: int,
    *,
    version: int = TLS_1_2,
    random: bytes = bytes(32),
    extensions: Mapping[int, bytes] | None = None,
) -> bytes:
    """Build a ServerHello."""
    body = struct.pack("!H", version) + random + b"\0" + struct.pack("!H", suite) + b"\0"
    if extensions is not None:
        joined = b"".join(struct.pack("!HH", kind, len(content)) + content for kind, content in extensions.items())
        body += struct.pack("!H", len(joined)) + joined
    return message(2, body)


def hello_13(
    group: int | None = X25519, *, suite: int = AES_128_GCM, version: int = TLS_1_3, share: bytes = b"\t" * 32
) -> bytes:
    """Build a ServerHello of TLS 1.3."""
    extensions = {43: struct.pack("!H", version)}
    if group is not None:
        extensions[51] = struct.pack("!HH", group, len(share)) + share
    return server_hello(suite, extensions=extensions)


def retry(group: int | None, *, cookie: bytes | None = None, suite: int = AES_128_GCM, version: int = TLS_1_3) -> bytes:
    """Build a HelloRetryRequest."""
    extensions = {43: struct.pack("!H", version)}
    if group is not None:
        extensions[51] = struct.pack("!H", group)
    if cookie is not None:
        extensions[44] = struct.pack("!H", len(cookie)) + cookie
    return server_hello(suite, random=RETRY_RANDOM, extensions=extensions)


def certificate(*chain: bytes) -> bytes:
    """Build a Certificate message of TLS 1.2."""
    entries = b"".join(len(entry).to_bytes(3, "big") + entry for entry in chain)
    return message(11, len(entries).to_bytes(3, "big") + entries)


def ecdhe(group: int, *, kind: int = 3) -> bytes:
    """Build the beginning of a ServerKeyExchange with a named curve (RFC 8422 5.4)."""
    return message(12, bytes([kind]) + struct.pack("!H", group) + b"\x01\x04")


def dhe(bits: int) -> bytes:
    """Build the beginning of a ServerKeyExchange with a prime of so many bits (RFC 5246 7.4.3)."""
    prime = (1 << (bits - 1) | 1).to_bytes((bits + 7) // 8, "big")
    return message(12, struct.pack("!H", len(prime)) + prime + b"\0\1\2\0\1\4")


CERTIFICATE_REQUEST = message(13, b"\1\1\0\2\4\1\0\0")
DONE = message(14)

FLIGHTS: Mapping[str, bytes] = {
    "ECDHE": record(server_hello(ECDHE_AES_128_GCM), certificate(b"leaf", b"issuer"), ecdhe(X25519), DONE),
    "DHE": record(server_hello(DHE_AES_128_GCM), certificate(b"leaf"), dhe(1024), CERTIFICATE_REQUEST, DONE),
    "RSA": b"".join(map(record, (server_hello(RSA_AES_128, version=TLS_1_0, extensions={16: b"\0\3\2h2"}), DONE))),
    "one octet each": records(server_hello(ECDHE_AES_128_GCM) + ecdhe(P256) + DONE, 1),
    "TLS 1.3": record(hello_13()) + record(b"\1", kind=CHANGE_CIPHER_SPEC) + record(b"\0" * 40, kind=APPLICATION_DATA),
    "retry": record(retry(P256, cookie=b"cookie")) + record(b"\1", kind=CHANGE_CIPHER_SPEC),
    "alert": alert(40),
    "warning": alert(112, level=1) + record(server_hello(RSA_AES_128), DONE),
    "SSLv2": bytes.fromhex("8013 04 00 01 0002 0002 0006 0000 abcd 010080 0700c0"),
    "SSLv2 error": bytes.fromhex("8003 00 0001"),
}
"""Flights of servers that are not hostile, by what is special about them."""


class Sealer:
    """The server's encryption of its handshake (RFC 8446 7.1 and 5.2).

    Args:
        shared: The shared secret.
        transcript: The messages up to the ServerHello.
        suite: The cipher suite.
    """

    def __init__(self, shared: bytes, transcript: bytes, suite: int = AES_128_GCM) -> None:
        self._hash, key_length, cipher = SEALS[suite]
        size = self._hash.digest_size
        early = hmac.digest(bytes(size), bytes(size), self._hash.name)
        derived = self._expand(early, b"derived", hashlib.new(self._hash.name).digest(), size)
        secret = hmac.digest(derived, shared, self._hash.name)
        traffic = self._expand(secret, b"s hs traffic", hashlib.new(self._hash.name, transcript).digest(), size)
        self._cipher = cipher(self._expand(traffic, b"key", b"", key_length))
        self._iv = self._expand(traffic, b"iv", b"", 12)
        self._tag = 8 if suite == AES_128_CCM_8 else 16
        self._sequence = 0

    def record(self, content: bytes, *, kind: int = HANDSHAKE, padding: int = 0) -> bytes:
        """Build the next record."""
        nonce = bytes(a ^ b for a, b in zip(self._iv, self._sequence.to_bytes(12, "big"), strict=True))
        self._sequence += 1
        inner = content + bytes([kind]) + bytes(padding)
        header = struct.pack("!BHH", APPLICATION_DATA, TLS_1_2, len(inner) + self._tag)
        return header + self._cipher.encrypt(nonce, inner, header)

    def _expand(self, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        info = struct.pack("!HB", length, len(label) + 6) + b"tls13 " + label + bytes([len(context)]) + context
        return HKDFExpand(self._hash, length, info).derive(secret)


def extensions_of(client_hello: bytes) -> dict[int, bytes]:
    """Return the extensions of a ClientHello that is in one record."""
    at = 5 + 4 + 2 + 32
    at += 1 + client_hello[at]
    at += 2 + int.from_bytes(client_hello[at : at + 2], "big")
    at += 1 + client_hello[at] + 2
    found = {}
    while at < len(client_hello):
        kind, length = struct.unpack_from("!HH", client_hello, at)
        found[kind] = client_hello[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def shares_of(client_hello: bytes) -> dict[int, bytes]:
    """Return the key shares of a ClientHello, by their groups."""
    body, at, found = extensions_of(client_hello)[51], 2, {}
    while at < len(body):
        group, length = struct.unpack_from("!HH", body, at)
        found[group] = body[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def agree(group: int, theirs: bytes) -> tuple[bytes, bytes]:
    """Take a client's share; return the server's, and the secret that they share.

    The hybrids are those of draft-ietf-tls-ecdhe-mlkem 3: X25519 comes after ML-KEM, a curve of NIST before it.
    """
    if group == X25519:
        private = X25519PrivateKey.generate()
        return private.public_key().public_bytes_raw(), private.exchange(X25519PublicKey.from_public_bytes(theirs))
    if group in CURVES:
        curve = CURVES[group]
        key = ec.generate_private_key(curve)
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return point, key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(curve, theirs))
    if group in ML_KEMS:
        secret, ciphertext = ML_KEMS[group].from_public_bytes(theirs).encapsulate()
        return ciphertext, secret
    first, second, length = HYBRIDS[group]
    one, other = agree(first, theirs[:length]), agree(second, theirs[length:])
    return one[0] + other[0], one[1] + other[1]


def answer_13(
    client_hello: bytes, group: int = X25519, *, suite: int = AES_128_GCM, before: bytes = b""
) -> tuple[bytes, Sealer]:
    """Answer a hello of TLS 1.3: return the ServerHello, and what encrypts the rest.

    Args:
        client_hello: The record with the hello.
        group: The group of the key exchange; the hello has a share for it.
        suite: The cipher suite.
        before: What comes before this hello in the transcript.
    """
    share, secret = agree(group, shares_of(client_hello)[group])
    hello = hello_13(group, share=share, suite=suite)
    return hello, Sealer(secret, before + client_hello[5:] + hello, suite)


def after_retry(client_hello: bytes, request: bytes, *, suite: int = AES_128_GCM) -> bytes:
    """Return what a transcript begins with after a HelloRetryRequest (RFC 8446 4.4.1)."""
    return message(254, hashlib.new(SEALS[suite][0].name, client_hello[5:]).digest()) + request


SEALS: Mapping[int, tuple[SHA256 | SHA384, int, Callable[[bytes], AESGCM | AESCCM | ChaCha20Poly1305]]] = {
    AES_128_GCM: (SHA256(), 16, AESGCM),
    AES_256_GCM: (SHA384(), 32, AESGCM),
    CHACHA20: (SHA256(), 32, ChaCha20Poly1305),
    AES_128_CCM: (SHA256(), 16, AESCCM),
    AES_128_CCM_8: (SHA256(), 16, partial(AESCCM, tag_length=8)),
}
"""The hash, the octets of the key and the cipher of each suite of TLS 1.3 (RFC 8446 B.4)."""
CURVES: Mapping[int, ec.EllipticCurve] = {
    P256: ec.SECP256R1(),
    P384: ec.SECP384R1(),
    31: ec.BrainpoolP256R1(),
    32: ec.BrainpoolP384R1(),
    33: ec.BrainpoolP512R1(),
}
ML_KEMS: Mapping[int, type[MLKEM768PublicKey | MLKEM1024PublicKey]] = {
    ML_KEM_768: MLKEM768PublicKey,
    ML_KEM_1024: MLKEM1024PublicKey,
}
HYBRIDS: Mapping[int, tuple[int, int, int]] = {
    X25519_ML_KEM: (ML_KEM_768, X25519, 1184),
    0x11EB: (P256, ML_KEM_768, 65),
    0x11ED: (P384, ML_KEM_1024, 97),
}
"""The first part, the second, and the octets of the client's share of the first."""
