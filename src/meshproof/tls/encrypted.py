"""What a TLS 1.3 server says after its ServerHello: its application protocol, its certificates, whether it wants ours.

All that is encrypted for the client alone (RFC 8446 2), so here the probe has a private key. It reads the server's
flight and leaves; the handshake is not completed. Key schedule and record protection are those of RFC 8446 7.1 and 5.2.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from meshproof.tls.answer import Answer
from meshproof.tls.hello import ALPN, KEY_SHARE, Hello
from meshproof.tls.octets import Cursor, extensions, vector
from meshproof.tls.outcome import Outcome, outcome_of_alert
from meshproof.tls.probe import Endpoint, exchange
from meshproof.tls.profile import Profile
from meshproof.tls.registry import group_named, suite
from meshproof.tls.version import ProtocolVersion
from meshproof.tls.wire import ContentType, Flight, Malformed, Message

X25519 = group_named("x25519").code
_IV = 12  # octets
_HEADER = 5
_ENCRYPTED_EXTENSIONS = 8
_FINISHED = 20
_Cipher = type[AESGCM | ChaCha20Poly1305]
_CIPHERS: Mapping[int, tuple[str, int, _Cipher]] = {  # RFC 8446 B.4: hash, octets of the key, cipher
    0x1301: ("sha256", 16, AESGCM),
    0x1302: ("sha384", 32, AESGCM),
    0x1303: ("sha256", 32, ChaCha20Poly1305),
}


@dataclass(frozen=True, slots=True)
class EncryptedFlight:
    """What was read.

    Attributes:
        alpn: The application protocol that the server chose.
        certificates: Its chain in DER, leaf first.
        client_cert_requested: Whether it asked for a client certificate; None when that was not reached.
    """

    alpn: str | None = None
    certificates: tuple[bytes, ...] = ()
    client_cert_requested: bool | None = None


async def ask_encrypted(
    endpoint: Endpoint, profile: Profile, *, sni: str | None, timeout: float
) -> tuple[Answer, EncryptedFlight]:
    """Send a hello of TLS 1.3 with a share of X25519, and read the server's whole flight.

    Args:
        endpoint: Where to connect to.
        profile: A client of TLS 1.3 that offers X25519.
        sni: The server name; None sends none.
        timeout: Seconds for all of it.

    Returns:
        How it ended, NEGOTIATED when the flight is complete; and what was read of it.
    """
    private = X25519PrivateKey.generate()
    share = struct.pack("!H", X25519) + vector(2, private.public_key().public_bytes_raw())
    hello = Hello(replace(profile, bodies={KEY_SHARE: vector(2, share)}), sni)
    flight = Flight()
    reader: _Reader | None = None

    def judge(data: bytes) -> Answer | None:
        nonlocal reader
        if reader is None:
            flight.feed(data)
            if flight.alert is not None:
                return Answer(outcome=outcome_of_alert(flight.alert), alert=flight.alert)
            chosen = flight.hello
            if chosen is None or not flight.ended:
                return None
            if chosen.version is not ProtocolVersion.TLS_1_3 or chosen.share is None or chosen.suite not in _CIPHERS:
                return Answer(outcome=Outcome.UNACCEPTABLE_ANSWER, version=chosen.version, suite=suite(chosen.suite))
            secret = private.exchange(X25519PublicKey.from_public_bytes(chosen.share))
            reader = _Reader(chosen.suite, secret, hello.message() + chosen.message)
            data = bytes(flight.encrypted)
        return Answer(outcome=Outcome.NEGOTIATED) if reader.feed(data) else None

    answer = await exchange(endpoint, hello.first(), judge, timeout=timeout)
    return answer, reader.found if reader else EncryptedFlight()


class _Reader:
    """Decrypts the records of the server's handshake, and reads the messages in them."""

    def __init__(self, code: int, shared: bytes, transcript: bytes) -> None:
        self._hash, length, cipher = _CIPHERS[code]
        size = hashlib.new(self._hash).digest_size
        early = self._extract(bytes(size), bytes(size))
        handshake = self._extract(self._expand(early, b"derived", hashlib.new(self._hash).digest(), size), shared)
        secret = self._expand(handshake, b"s hs traffic", hashlib.new(self._hash, transcript).digest(), size)
        self._cipher: AESGCM | ChaCha20Poly1305 = cipher(self._expand(secret, b"key", b"", length))
        self._iv = int.from_bytes(self._expand(secret, b"iv", b"", _IV), "big")
        self._sequence = 0
        self._records = bytearray()
        self._messages = bytearray()
        self.found = EncryptedFlight()

    def feed(self, data: bytes) -> bool:
        """Take what has come; say whether the flight is complete.

        Raises:
            Malformed: It can't be decrypted or read.
        """
        self._records += data
        while len(self._records) >= _HEADER:
            end = _HEADER + int.from_bytes(self._records[3:_HEADER], "big")
            if len(self._records) < end:
                return False
            record = bytes(self._records[:end])
            del self._records[:end]
            if record[0] == ContentType.APPLICATION_DATA:
                self._messages += self._open(record)
        try:
            return self._read()
        except ValueError as error:
            raise Malformed(str(error)) from error

    def _open(self, record: bytes) -> bytes:
        nonce = (self._iv ^ self._sequence).to_bytes(_IV, "big")
        self._sequence += 1
        try:
            inner = self._cipher.decrypt(nonce, record[_HEADER:], record[:_HEADER]).rstrip(b"\0")
        except InvalidTag as error:
            raise Malformed("a record can't be decrypted") from error
        if not inner or inner[-1] != ContentType.HANDSHAKE:
            raise Malformed("the server's encrypted flight holds something else than a handshake")
        return inner[:-1]

    def _read(self) -> bool:
        """Read the complete messages, from the first on; say whether Finished is among them."""
        alpn: str | None = None
        certificates: tuple[bytes, ...] = ()
        requested = False
        cursor = Cursor(bytes(self._messages))
        while cursor.left >= 4:  # noqa: PLR2004 - type and length
            kind, length = cursor.uint(1), cursor.uint(3)
            if length > cursor.left:
                return False
            body = Cursor(cursor.take(length))
            if kind == _ENCRYPTED_EXTENSIONS:
                found = dict(extensions(body.vector(2)))
                alpn = Cursor(found[ALPN][2:]).vector(1).decode("latin-1") if ALPN in found else None
            elif kind == Message.CERTIFICATE_REQUEST:
                requested = True
            elif kind == Message.CERTIFICATE:
                certificates = _chain(body)
            elif kind == _FINISHED:
                self.found = EncryptedFlight(alpn, certificates, requested)
                return True
        return False

    def _extract(self, salt: bytes, material: bytes) -> bytes:
        return hmac.digest(salt, material, self._hash)

    def _expand(self, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        """HKDF-Expand-Label (RFC 8446 7.1); one block of HKDF is enough for every length here."""
        full = b"tls13 " + label
        info = struct.pack("!HB", length, len(full)) + full + bytes([len(context)]) + context
        return hmac.digest(secret, info + b"\1", self._hash)[:length]


def _chain(body: Cursor) -> tuple[bytes, ...]:
    body.vector(1)  # the context of a request
    entries = Cursor(body.vector(3))
    chain = []
    while entries.left:
        chain.append(entries.vector(3))
        entries.vector(2)
    return tuple(chain)
