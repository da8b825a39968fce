"""What a TLS 1.3 server says after its ServerHello: its application protocol, its certificates, whether it wants ours.

All that is encrypted for the client alone (RFC 8446 2), so here the probe has private keys: one for the share in its
hello, and one for the group that a HelloRetryRequest asks for. It reads the server's flight and leaves; the handshake
is not completed.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.decryption import CIPHERS, SUITES, EncryptedFlight, Reader
from meshproof.tls.probe.exchange import _again, _judge, send_and_judge
from meshproof.tls.probe.outcome import WORDLESS, Outcome, outcome_of_alert
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.protocol.flight import Flight
from meshproof.tls.protocol.hello import Hello, Retry
from meshproof.tls.protocol.keyexchange import GROUPS, KeyExchange, private_key
from meshproof.tls.protocol.octets import vector
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.record import Malformed, Message
from meshproof.tls.protocol.serverhello import ServerHello


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
    answer = await send_and_judge(endpoint, conversation.hello.first(), conversation.judge, timeout=timeout)
    return conversation.conclude(answer)


class _Conversation:
    """One connection: from our hello to the server's Finished."""

    def __init__(self, profile: Profile, sni: str | None) -> None:
        self._keys: dict[int, KeyExchange | None] = {}
        self.hello = Hello(profile, sni, public_key=self._public_key)
        self._flight = Flight()
        self._retry: Retry | None = None
        self._agreed: Answer | None = None
        self._reader: Reader | None = None

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
        if chosen.suite not in CIPHERS:
            return replace(answer, outcome=Outcome.UNREADABLE)
        if not chosen.retry:
            self._reader = Reader(chosen.suite, self._shared(chosen), self._transcript(chosen))
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
        digest = hashlib.new(CIPHERS[chosen.suite][0], first).digest()
        synthetic = bytes([Message.MESSAGE_HASH]) + vector(3, digest)
        return synthetic + retry.message + self.hello.message(self._retry) + chosen.message
