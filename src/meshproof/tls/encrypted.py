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
from meshproof.tls.probe import exchange
from meshproof.tls.profile import Profile
from meshproof.tls.registry import group_named, suite
from meshproof.tls.resolution import Endpoint
from meshproof.tls.version import ProtocolVersion
from meshproof.tls.wire import LIMIT, ContentType, Flight, Malformed, Message, Overlong, ServerHello, take_record

X25519 = group_named("x25519").code
_IV = 12  # octets
_HEADER = 5
_MESSAGE_HEADER = 4
_ALERT_LENGTH = 2
_CHANGES = 9
_ENCRYPTED_EXTENSIONS = 8
_FINISHED = 20
_Cipher = type[AESGCM | ChaCha20Poly1305]
_CIPHERS: Mapping[int, tuple[str, int, _Cipher]] = {  # RFC 8446 B.4: hash, octets of the key, cipher
    0x1301: ("sha256", 16, AESGCM),
    0x1302: ("sha384", 32, AESGCM),
    0x1303: ("sha256", 32, ChaCha20Poly1305),
}


SUITES = tuple(_CIPHERS)


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
            if chosen.version is not ProtocolVersion.TLS_1_3 or chosen.retry or chosen.suite not in _CIPHERS:
                return Answer(outcome=Outcome.UNACCEPTABLE_ANSWER, version=chosen.version, suite=suite(chosen.suite))
            reader = _Reader(chosen.suite, _shared(private, chosen), hello.message() + chosen.message)
            data = bytes(flight.encrypted)
        return reader.feed(data)

    answer = await exchange(endpoint, hello.first(), judge, timeout=timeout)
    return answer, reader.found if reader else EncryptedFlight()


def _shared(private: X25519PrivateKey, chosen: ServerHello) -> bytes:
    """Return the shared secret.

    Raises:
        Malformed: The server's share is none, or of another group than ours.
    """
    if chosen.group != X25519 or chosen.share is None:
        raise Malformed("the server's share is of another group")
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(chosen.share))
    except ValueError as error:
        raise Malformed(f"the server's share is no public key: {error}") from error


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
        self._length = 0
        self._changes = 0
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
            kind, body = record[0], record[_HEADER:]
            if kind == ContentType.APPLICATION_DATA:
                kind, body = self._open(record)
                self._messages += body if kind == ContentType.HANDSHAKE else b""
            elif kind == ContentType.CHANGE_CIPHER_SPEC:
                self._changes += 1  # one for compatibility (RFC 8446 D.4)
                if self._changes > _CHANGES:
                    raise Overlong(f"more than {_CHANGES} change_cipher_spec follow each other")
            elif kind == ContentType.HANDSHAKE:
                raise Malformed("a handshake message in the clear follows the ServerHello")
            if kind == ContentType.ALERT and len(body) == _ALERT_LENGTH:
                return Answer(outcome=outcome_of_alert(body[1]), alert=body[1])
            if self._read():
                return Answer(outcome=Outcome.NEGOTIATED)
        return None

    def _open(self, record: bytes) -> tuple[int, bytes]:
        """Decrypt a record; return what it holds, and its type (RFC 8446 5.2)."""
        nonce = (self._iv ^ self._sequence).to_bytes(_IV, "big")
        self._sequence += 1
        try:
            inner = self._cipher.decrypt(nonce, record[_HEADER:], record[:_HEADER]).rstrip(b"\0")
        except InvalidTag as error:
            raise Malformed("a record can't be decrypted") from error
        if not inner or inner[-1] not in (ContentType.HANDSHAKE, ContentType.ALERT):
            raise Malformed("the server's encrypted flight holds something else than a handshake")
        return inner[-1], inner[:-1]

    def _read(self) -> bool:
        """Read the messages that are complete; say whether Finished is among them."""
        while len(self._messages) >= _MESSAGE_HEADER:
            end = _MESSAGE_HEADER + int.from_bytes(self._messages[1:_MESSAGE_HEADER], "big")
            if end > LIMIT:
                raise Overlong(f"a message of {end} octets is announced")
            if len(self._messages) < end:
                return False
            kind, body = self._messages[0], Cursor(bytes(self._messages[_MESSAGE_HEADER:end]))
            del self._messages[:end]
            try:
                self._message(kind, body)
            except ValueError as error:
                raise Malformed(str(error)) from error
            if kind == _FINISHED:
                self.found = self._seen
                return True
        return False

    def _message(self, kind: int, body: Cursor) -> None:
        if kind == _ENCRYPTED_EXTENSIONS:
            found = dict(extensions(body.vector(2)))
            alpn = Cursor(found[ALPN][2:]).vector(1).decode("latin-1") if ALPN in found else None
            self._seen = replace(self._seen, alpn=alpn)
        elif kind == Message.CERTIFICATE_REQUEST:
            self._seen = replace(self._seen, client_cert_requested=True)
        elif kind == Message.CERTIFICATE:
            self._seen = replace(self._seen, certificates=_chain(body))

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
