"""What a TLS 1.3 server says after its ServerHello: its application protocol, its certificates, whether it wants ours.

All that is encrypted for the client alone (RFC 8446 2), so here the probe has private keys: one for the share in its
hello, and one for the group that a HelloRetryRequest asks for. It reads the server's flight and leaves; the handshake
is not completed. Key schedule and record protection are those of RFC 8446 7.1 and 5.2.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.exchange import _again, _judge, exchange
from meshproof.tls.probe.outcome import WORDLESS, Outcome, outcome_of_alert
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.protocol.flight import Flight
from meshproof.tls.protocol.hello import ALPN, Hello, Retry
from meshproof.tls.protocol.keyexchange import GROUPS, KeyExchange, private_key
from meshproof.tls.protocol.octets import Cursor, extensions, vector
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.record import LIMIT, ContentType, Malformed, Message, Overlong, take_record
from meshproof.tls.protocol.serverhello import ServerHello

_IV = 12  # octets
_SHORT_TAG = 8  # octets; RFC 6655 4: what CCM_8 means
_HEADER = 5
_MESSAGE_HEADER = 4
_ALERT_LENGTH = 2
_CHANGES = 9
_ENCRYPTED_EXTENSIONS = 8
_FINISHED = 20
_MESSAGE_HASH = 254
_Cipher = AESCCM | AESGCM | ChaCha20Poly1305
_CIPHERS: Mapping[int, tuple[str, int, Callable[[bytes], _Cipher]]] = {  # RFC 8446 B.4: hash, octets of the key, cipher
    0x1301: ("sha256", 16, AESGCM),
    0x1302: ("sha384", 32, AESGCM),
    0x1303: ("sha256", 32, ChaCha20Poly1305),
    0x1304: ("sha256", 16, AESCCM),
    0x1305: ("sha256", 16, lambda key: AESCCM(key, tag_length=_SHORT_TAG)),
}

SUITES = tuple(_CIPHERS)
"""The codes of the cipher suites that can be read here."""


@dataclass(frozen=True, slots=True)
class EncryptedFlight:
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


async def ask_encrypted(
    endpoint: Endpoint, profile: Profile, *, sni: str | None, timeout: float
) -> tuple[Answer, EncryptedFlight]:
    """Send a hello of TLS 1.3, give the server the key share that it asks for, and read its whole flight.

    A server may want a group or a cipher suite that can't be read here. It is then asked once more, on a second
    connection, for those in ``GROUPS`` and ``SUITES`` only.

    Args:
        endpoint: Where to connect to.
        profile: A client of TLS 1.3 only, whose key shares are for groups in ``GROUPS``.
        sni: The server name; None sends none.
        timeout: Seconds for each connection.

    Returns:
        How it ended, with the version, the cipher suite and the group as far as they were agreed on: NEGOTIATED when
        the flight is complete, UNREADABLE when the server wants nothing else than what can't be read. And what was
        read of it.
    """
    answer, flight = await _ask(endpoint, profile, sni=sni, timeout=timeout)
    if answer.outcome is Outcome.UNREADABLE:
        groups = tuple(code for code in profile.groups if code in GROUPS)
        suites = tuple(code for code in profile.suites if code in SUITES)
        narrow = replace(profile, groups=groups, suites=suites)
        again, read = await _ask(endpoint, narrow, sni=sni, timeout=timeout)
        if again.negotiated:
            return again, read
    return answer, flight


async def _ask(
    endpoint: Endpoint, profile: Profile, *, sni: str | None, timeout: float
) -> tuple[Answer, EncryptedFlight]:
    conversation = _Conversation(profile, sni)
    answer = await exchange(endpoint, conversation.hello.first(), conversation.judge, timeout=timeout)
    return conversation.conclude(answer)


class _Conversation:
    """One connection: from our hello to the server's Finished."""

    def __init__(self, profile: Profile, sni: str | None) -> None:
        self._keys: dict[int, KeyExchange | None] = {}
        self.hello = Hello(profile, sni, public_key=self._public_key)
        self._flight = Flight()
        self._retry: Retry | None = None
        self._agreed: Answer | None = None
        self._reader: _Reader | None = None

    def _public_key(self, group: int) -> bytes | None:
        if group not in self._keys:
            self._keys[group] = private_key(group)
        key = self._keys[group]
        return key.public if key else None

    def judge(self, data: bytes) -> Answer | bytes | None:
        """Take what has come; return an answer, or the second hello, or None to wait for more.

        Raises:
            Malformed: It breaks a rule of TLS.
        """
        if self._reader:
            return self._reader.feed(data)
        flight = self._flight
        flight.feed(data)
        answer = _judge(flight, self.hello.profile, follow=False)
        if not isinstance(answer, Answer):
            return None
        chosen = flight.hello
        if not answer.negotiated or chosen is None:
            return answer
        self._agreed = answer
        if chosen.suite not in _CIPHERS:
            return replace(answer, outcome=Outcome.UNREADABLE)
        if not chosen.retry:
            self._reader = _Reader(chosen.suite, self._shared(chosen), self._transcript(chosen))
            return self._reader.feed(bytes(flight.encrypted))
        if chosen.group is not None and self._public_key(chosen.group) is None:
            return replace(answer, outcome=Outcome.UNREADABLE)
        self._retry = Retry(chosen.group, chosen.cookie)
        flight.next_hello()
        if flight.ended:  # it did not wait for our second hello
            return self.judge(b"")
        return _again(self.hello, self._retry)

    def conclude(self, answer: Answer) -> tuple[Answer, EncryptedFlight]:
        """Return how the connection ended, with all that is known of it, and what was read."""
        if self._agreed and answer.version is None:
            answer = replace(self._agreed, outcome=answer.outcome, alert=answer.alert)
        if answer.outcome in WORDLESS and self._flight.warning is not None:
            answer = replace(answer, outcome=outcome_of_alert(self._flight.warning), alert=self._flight.warning)
        return answer, self._reader.found if self._reader else EncryptedFlight()

    def _shared(self, chosen: ServerHello) -> bytes:
        """Return the shared secret.

        Raises:
            Malformed: The server's share is none.
        """
        key = self._keys.get(chosen.group) if chosen.group is not None else None
        if key is None or chosen.share is None:
            raise Malformed("the server's share is of no group that was offered")
        try:
            return key.shared(chosen.share)
        except ValueError as error:
            raise Malformed(f"the server's share is no public key: {error}") from error

    def _transcript(self, chosen: ServerHello) -> bytes:
        """Return the messages so far; after a retry a hash stands for the first of them (RFC 8446 4.4.1)."""
        first, retry = self.hello.message(), self._flight.retry
        if self._retry is None or retry is None:
            return first + chosen.message
        digest = hashlib.new(_CIPHERS[chosen.suite][0], first).digest()
        synthetic = bytes([_MESSAGE_HASH]) + vector(3, digest)
        return synthetic + retry.message + self.hello.message(self._retry) + chosen.message


class _Reader:
    """Decrypts the records of the server's handshake, and reads the messages in them."""

    def __init__(self, code: int, shared: bytes, transcript: bytes) -> None:
        self._hash, length, cipher = _CIPHERS[code]
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
            kind, body = record[0], record[_HEADER:]
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
                if len(body) != _ALERT_LENGTH:
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
                if _ENCRYPTED_EXTENSIONS not in self._kinds or not self._seen.certificates:
                    raise Malformed("the server left out its extensions or its certificate")  # RFC 8446 4.3.1, 4.4.2
                self.found = self._seen
                return True
        return False

    def _message(self, kind: int, body: Cursor) -> None:
        self._kinds.add(kind)
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
