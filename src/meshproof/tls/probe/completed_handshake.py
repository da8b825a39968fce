"""One real TLS handshake, and what the peer made of it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from meshproof.certificates.leaf import Leaf, common_name_of, names_of
from meshproof.tls.probe.outcome import Alert, Outcome, Phase, alert_name, alert_of_reason, outcome_of_alert
from meshproof.tls.probe.stream import Address, Deadline, Ended, Stream
from meshproof.tls.protocol.flight import Flight
from meshproof.tls.protocol.record import LIMIT, Malformed, NotTls
from meshproof.tls.protocol.version import ProtocolVersion

DEFAULT_TIMEOUT = 5.0  # seconds for one whole probe, from the TCP connect to the first answer

_COMPLETABLE = (None, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
_VERSIONS = {
    ProtocolVersion.SSL_3: ssl.TLSVersion.SSLv3,
    ProtocolVersion.TLS_1_0: ssl.TLSVersion.TLSv1,
    ProtocolVersion.TLS_1_1: ssl.TLSVersion.TLSv1_1,
    ProtocolVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2,
    ProtocolVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3,
}
_HTTP2_OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # RFC 9113 3.4: + SETTINGS
_ANSWER = 16384  # octets; the longest record

Result = TypeVar("Result")


class PeerCertificate(NamedTuple):
    """The leaf that the server showed.

    Attributes:
        serial: Its serial number.
        common_name: The CN of its subject.
        names: Its subject alternative names, bare.
    """

    serial: int
    common_name: str | None
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one handshake came to. What was not seen is None.

    Attributes:
        outcome: The name of the result.
        phase: Where it ended; None when it did not, that is for ESTABLISHED.
        version: The version that the server chose.
        cipher: The cipher suite by its OpenSSL name; known once the handshake is complete.
        alpn: The application protocol that the server chose.
        peer: The server's certificate; known once the handshake is complete.
        alert: The number of the alert that ended it.
        client_cert_requested: Whether the server asked for a client certificate. In TLS 1.3 the request is
            encrypted and ``ssl`` does not tell: None, unless alert 116 gives it away.
        detail: What OpenSSL or the operating system said, for people only.
    """

    outcome: Outcome
    phase: Phase | None = None
    version: ssl.TLSVersion | None = None
    cipher: str | None = None
    alpn: str | None = None
    peer: PeerCertificate | None = None
    alert: int | None = None
    client_cert_requested: bool | None = None
    detail: str = field(default="", compare=False)

    def __str__(self) -> str:
        facts = [str(self.phase)] if self.phase else []
        if self.alert is not None:
            facts.append(f"alert {self.alert} {alert_name(self.alert)}")
        elif self.outcome in (Outcome.SERVER_CERT_UNTRUSTED, Outcome.UNACCEPTABLE_ANSWER):
            facts.append(self.detail)
        return f"{self.outcome} ({', '.join(facts)})" if facts else str(self.outcome)


def handshake(
    address: Address,
    *,
    sni: str | None,
    trust: bytes | None,
    client: Leaf | None = None,
    version: ssl.TLSVersion | None = None,
    alpn: Sequence[str] = ("h2", "http/1.1"),
    timeout: float = DEFAULT_TIMEOUT,
) -> Observation:
    """Complete a handshake, send a request and read once; one connection, no second try.

    The request matters: a TLS 1.3 client has finished before the server looks at its certificate, so a
    refusal arrives on the first read (RFC 8446 4.4.2.4 and 6.2; Envoy does so).

    An accepted TCP connection proves no listener: docker-proxy and kube-proxy accept and then close. Pair each
    expected end without a word (``WORDLESS``) with a control that is ESTABLISHED on the same address.

    Args:
        address: Where to connect to.
        sni: The server name to send, and to find in the server's certificate when ``trust`` is given.
            None sends none and checks no name.
        trust: The authorities to trust, in PEM; None accepts any certificate.
        client: The certificate to show when asked; None shows none.
        version: Exactly this version, TLS 1.2 or 1.3; None offers both. For older ones see ``offers``.
        alpn: The application protocols to offer, best first; empty sends no ALPN.
        timeout: Seconds for all of it.

    Returns:
        How it ended; a refusal is a value, not an exception.

    Raises:
        ValueError: The version is not one that can be completed.
        ssl.SSLError: ``trust`` or ``client`` is not what it should be.
    """
    context = _context(sni, trust, client, version, alpn)
    deadline = Deadline(timeout)
    try:
        stream = Stream(address, deadline)
    except Ended as ended:
        return Observation(outcome=ended.outcome, phase=Phase.CONNECT, detail=ended.detail)
    with stream:
        session = _Session(stream, context, sni)
        observation = Observation(outcome=Outcome.ESTABLISHED, phase=Phase.HANDSHAKE)
        try:
            session.drive(session.tls.do_handshake)
            observation = _agreed(session.tls)
            session.drive(lambda: session.tls.write(session.request(sni or address.host)))
            if not session.drive(lambda: session.tls.read(_ANSWER)):
                observation = replace(observation, outcome=Outcome.CLOSED_IN_ORDER, alert=Alert.CLOSE_NOTIFY)
        except (Ended, ssl.SSLError) as end:
            observation = _ended(observation, end, stream.received, showed_none=client is None)
        return _with_first_flight(observation, stream.received)


class _Session:
    """TLS over a stream, by way of memory: so the stream keeps the records as they came."""

    def __init__(self, stream: Stream, context: ssl.SSLContext, sni: str | None) -> None:
        self.stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=sni)

    def drive(self, step: Callable[[], Result]) -> Result:
        """Repeat the step until it needs no more octets from the peer."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                self._flush()
            self._incoming.write(self.stream.receive())

    def request(self, host: str) -> bytes:
        """Return the shortest request that a server of the chosen application protocol answers."""
        if self.tls.selected_alpn_protocol() == "h2":
            return _HTTP2_OPENING
        return f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.stream.send(self._outgoing.read())


def _context(
    sni: str | None, trust: bytes | None, client: Leaf | None, version: ssl.TLSVersion | None, alpn: Sequence[str]
) -> ssl.SSLContext:
    if version not in _COMPLETABLE:
        raise ValueError(f"a handshake can be completed with TLS 1.2 or 1.3 only, not with {version!r}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = trust is not None and sni is not None
    context.verify_mode = ssl.CERT_NONE if trust is None else ssl.CERT_REQUIRED
    context.minimum_version = version or ssl.TLSVersion.TLSv1_2
    context.maximum_version = version or ssl.TLSVersion.TLSv1_3
    if trust is not None:
        context.load_verify_locations(cadata=trust.decode("ascii"))
    if client is not None:
        client.load_into(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _agreed(tls: ssl.SSLObject) -> Observation:
    """Return what a complete handshake has settled; OpenSSL forgets it when an alert comes later."""
    cipher, der = tls.cipher(), tls.getpeercert(binary_form=True)
    return Observation(
        outcome=Outcome.ESTABLISHED,
        phase=Phase.FIRST_READ,
        cipher=cipher[0] if cipher else None,
        alpn=tls.selected_alpn_protocol(),
        peer=_peer(der) if der else None,
    )


def _peer(der: bytes) -> PeerCertificate:
    from cryptography import x509  # noqa: PLC0415 - a scan that completes no handshake starts sooner without it

    certificate = x509.load_der_x509_certificate(der)
    return PeerCertificate(certificate.serial_number, common_name_of(certificate), names_of(certificate))


def _ended(observation: Observation, end: Ended | ssl.SSLError, received: bytes, *, showed_none: bool) -> Observation:
    outcome, alert = _judge(end, received, showed_none=showed_none)
    return replace(observation, outcome=outcome, alert=alert, detail=_detail(end))


def _first_flight(received: bytes) -> tuple[Flight, Malformed | None]:
    """Read what the server said in the clear, up to what is wrong with it."""
    flight = Flight()
    try:
        flight.feed(received[:LIMIT])
    except Malformed as fault:
        return flight, fault
    return flight, None


def _with_first_flight(observation: Observation, received: bytes) -> Observation:
    """Add what the server said in the clear."""
    flight, _ = _first_flight(received)
    version = flight.hello.version if flight.hello else None
    return replace(
        observation,
        phase=None if observation.outcome is Outcome.ESTABLISHED else observation.phase,
        version=_VERSIONS.get(version) if version else None,
        client_cert_requested=True if observation.alert == Alert.CERTIFICATE_REQUIRED else flight.client_cert_requested,
    )


def _judge(end: Ended | ssl.SSLError, received: bytes, *, showed_none: bool) -> tuple[Outcome, int | None]:
    """Name the end, and the alert behind it: first what we refused, then what the peer said, then how it fell silent.

    An alert that has arrived is never hidden by the reset that may follow it.
    """
    if isinstance(end, ssl.SSLCertVerificationError):
        return Outcome.SERVER_CERT_UNTRUSTED, None
    flight, fault = _first_flight(received)
    if isinstance(fault, NotTls):
        return Outcome.NOT_TLS, None
    alert = flight.alert
    if alert is None and isinstance(end, ssl.SSLError):
        alert = Alert.CLOSE_NOTIFY if isinstance(end, ssl.SSLZeroReturnError) else alert_of_reason(end.reason)
    if alert is not None:
        unanswered = showed_none and flight.client_cert_requested is True
        return outcome_of_alert(alert, unanswered_request=unanswered), alert
    return end.outcome if isinstance(end, Ended) else Outcome.UNACCEPTABLE_ANSWER, None


def _detail(end: Ended | ssl.SSLError) -> str:
    if isinstance(end, ssl.SSLCertVerificationError):
        return end.verify_message
    if isinstance(end, ssl.SSLError):
        return end.reason or str(end)
    return end.detail
