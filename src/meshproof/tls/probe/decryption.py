"""Decrypting what a TLS 1.3 server says after its ServerHello: octets in, values out.

Key schedule and record protection are those of RFC 8446 7.1 and 5.2.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.outcome import Outcome, outcome_of_alert
from meshproof.tls.protocol.hello import ALPN
from meshproof.tls.protocol.octets import Cursor, extensions
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

_IV = 12  # octets
_SHORT_TAG = 8  # octets; RFC 6655 4: what CCM_8 means
_CHANGES = 9
_Cipher = AESCCM | AESGCM | ChaCha20Poly1305
CIPHERS: Mapping[int, tuple[str, int, Callable[[bytes], _Cipher]]] = {  # RFC 8446 B.4: hash, octets of the key, cipher
    0x1301: ("sha256", 16, AESGCM),
    0x1302: ("sha384", 32, AESGCM),
    0x1303: ("sha256", 32, ChaCha20Poly1305),
    0x1304: ("sha256", 16, AESCCM),
    0x1305: ("sha256", 16, lambda key: AESCCM(key, tag_length=_SHORT_TAG)),
}

SUITES = tuple(CIPHERS)
"""The codes of the cipher suites that can be read here."""


class EncryptedFlight(NamedTuple):
    """What was read.

    Attributes:
        alpn: The application protocol that the server chose.
        certificates: Its chain in DER, leaf first.
        client_cert_requested: Whether it asked for a client certificate; None when the flight was not read to its end,
            and then nothing else is known either.
    """

    alpn: str | None = None
    certificates: tuple[bytes, ...] = ()
    client_cert_requested: bool | None = None


class Reader:
    """Decrypts the records of the server's handshake, and reads the messages in them."""

    def __init__(self, code: int, shared: bytes, transcript: bytes) -> None:
        self._hash, length, cipher = CIPHERS[code]
        size = hashlib.new(self._hash).digest_size
        early = self._extract(bytes(size), bytes(size))
        handshake = self._extract(self._expand(early, b"derived", hashlib.new(self._hash).digest(), size), shared)
        secret = self._expand(handshake, b"s hs traffic", hashlib.new(self._hash, transcript).digest(), size)
        self._cipher = cipher(self._expand(secret, b"key", b"", length))
        self._iv = int.from_bytes(self._expand(secret, b"iv", b"", _IV), "big")
        self._sequence = 0
        self._records = bytearray()
        self._messages = bytearray()
        self._length = 0
        self._changes = 0
        self._kinds: set[int] = set()  # of the messages so far
        self._seen = EncryptedFlight(client_cert_requested=False)
        self.found = EncryptedFlight()

    def feed(self, data: bytes) -> Answer | None:
        """Take what has come; return an answer when the flight is complete, or ended by an alert.

        Raises:
            Malformed: It can't be decrypted or read, or has no end.
        """
        self._length += len(data)
        if self._length > LIMIT:
            raise Overlong(f"the encrypted flight is longer than {LIMIT} octets")
        self._records += data
        while (record := take_record(self._records)) is not None:
            kind, body = record[0], record[RECORD_HEADER:]
            if kind == ContentType.APPLICATION_DATA:
                kind, body = self._open(record)
                self._messages += body if kind == ContentType.HANDSHAKE else b""
            elif kind == ContentType.CHANGE_CIPHER_SPEC:
                self._changes += 1  # one for compatibility (RFC 8446 D.4)
                if self._changes > _CHANGES:
                    raise Overlong(f"there are more than {_CHANGES} change_cipher_spec")
            elif kind == ContentType.HANDSHAKE:
                raise Malformed("a handshake message in the clear follows the ServerHello")
            if kind == ContentType.ALERT:
                if len(body) != ALERT_LENGTH:
                    raise Malformed(f"an alert has 2 octets, not {len(body)}")
                return Answer(outcome=outcome_of_alert(body[1]), alert=body[1])
            if self._read():
                return Answer(outcome=Outcome.NEGOTIATED)
        return None

    def _open(self, record: bytes) -> tuple[int, bytes]:
        """Decrypt a record; return what it holds, and its type (RFC 8446 5.2)."""
        nonce = (self._iv ^ self._sequence).to_bytes(_IV, "big")
        self._sequence += 1
        try:
            inner = self._cipher.decrypt(nonce, record[RECORD_HEADER:], record[:RECORD_HEADER]).rstrip(b"\0")
        except InvalidTag as error:
            raise Malformed("a record can't be decrypted") from error
        if not inner or inner[-1] not in (ContentType.HANDSHAKE, ContentType.ALERT):
            raise Malformed("the server's encrypted flight holds something else than a handshake")
        return inner[-1], inner[:-1]

    def _read(self) -> bool:
        """Read the messages that are complete; say whether Finished is among them."""
        while len(self._messages) >= MESSAGE_HEADER:
            end = MESSAGE_HEADER + int.from_bytes(self._messages[1:MESSAGE_HEADER], "big")
            if end > LIMIT:
                raise Overlong(f"a message of {end} octets is announced")
            if len(self._messages) < end:
                return False
            kind, body = self._messages[0], Cursor(bytes(self._messages[MESSAGE_HEADER:end]))
            del self._messages[:end]
            try:
                self._message(kind, body)
            except ValueError as error:
                raise Malformed(str(error)) from error
            if kind == Message.FINISHED:
                if Message.ENCRYPTED_EXTENSIONS not in self._kinds or not self._seen.certificates:
                    raise Malformed("the server left out its extensions or its certificate")  # RFC 8446 4.3.1, 4.4.2
                self.found = self._seen
                return True
        return False

    def _message(self, kind: int, body: Cursor) -> None:
        self._kinds.add(kind)
        if kind == Message.ENCRYPTED_EXTENSIONS:
            bodies = dict(extensions(body.vector(2)))
            alpn = Cursor(bodies[ALPN][2:]).vector(1).decode("latin-1") if ALPN in bodies else None
            self._seen = self._seen._replace(alpn=alpn)
        elif kind == Message.CERTIFICATE_REQUEST:
            self._seen = self._seen._replace(client_cert_requested=True)
        elif kind == Message.CERTIFICATE:
            self._seen = self._seen._replace(certificates=_chain(body))

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
