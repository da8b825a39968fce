"""Which versions of SSL and TLS a server offers, asked one by one."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum

from meshproof.tls import wire
from meshproof.tls.hello import client_hello
from meshproof.tls.outcome import WORDLESS, Outcome, alert_name, outcome_of_alert
from meshproof.tls.stream import Address, Deadline, Ended, Stream
from meshproof.tls.version import ProtocolVersion

DEFAULT_TIMEOUT = 5.0  # seconds for all versions together: they are asked at the same time


class Offered(Enum):
    """Whether a server offers a version."""

    OFFERED = "offered"
    NOT_OFFERED = "not offered"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a server answered to a hello of one version only.

    Attributes:
        offered: The conclusion.
        refusal: How the server refused, or why nothing is known; None when the version is offered.
        alert: The number of the alert with which it refused.
        answered: The version that it answered with instead.
    """

    offered: Offered
    refusal: Outcome | None = None
    alert: int | None = None
    answered: ProtocolVersion | None = None

    def __str__(self) -> str:
        if self.refusal is None:
            return str(self.offered)
        alert = f", alert {self.alert} {alert_name(self.alert)}" if self.alert is not None else ""
        return f"{self.offered} ({self.refusal}{alert})"


# A wrong name or a dead target says nothing about a version.
_SAYS_NOTHING = frozenset(
    {
        Outcome.UNRECOGNIZED_NAME,
        Outcome.SILENT,
        Outcome.REFUSED,
        Outcome.UNREACHABLE,
        Outcome.NAME_NOT_RESOLVED,
        Outcome.NOT_TLS,
    }
)


def offers(address: Address, *, sni: str | None, timeout: float = DEFAULT_TIMEOUT) -> Mapping[ProtocolVersion, Offer]:
    """Ask a server for each version with a hello that offers no other; six connections, each used once.

    No handshake is completed, so a client certificate is never needed. A server without a suite, group or
    signature algorithm of ours for the version does not offer it either: it refuses with alert 40.

    Where no version gets an answer in TLS, a close or a reset proves nothing (docker-proxy and kube-proxy accept
    connections for nobody): those versions are then UNKNOWN.

    Args:
        address: Where to connect to.
        sni: The server name to send with TLS 1.0 and newer; None sends none.
        timeout: Seconds for all of it.

    Returns:
        For each version whether it is offered, and the refusal by name if not.
    """
    deadline = Deadline(timeout)
    with ThreadPoolExecutor(len(ProtocolVersion)) as pool:
        answers = pool.map(lambda version: _ask(address, version, sni, deadline), ProtocolVersion)
        found = dict(zip(ProtocolVersion, answers, strict=True))
    if any(offer.offered is Offered.OFFERED or offer.alert is not None for offer in found.values()):
        return found
    return {version: _without_witness(offer) for version, offer in found.items()}


def _without_witness(offer: Offer) -> Offer:
    return replace(offer, offered=Offered.UNKNOWN) if offer.refusal in WORDLESS else offer


def _ask(address: Address, version: ProtocolVersion, sni: str | None, deadline: Deadline) -> Offer:
    try:
        with Stream(address, deadline) as stream:
            stream.send(client_hello(version, sni))
            while True:
                stream.receive()
                offer = _read(stream.received, version)
                if offer is not None:
                    return offer
    except Ended as ended:
        return _refused(ended.outcome)


def _read(received: bytes, version: ProtocolVersion) -> Offer | None:
    """Conclude from what has come so far; None when more is needed."""
    if version is ProtocolVersion.SSL_2 and received[0] & 0x80:
        return _read_ssl2(received)
    if not wire.looks_like_tls(received):
        return _refused(Outcome.NOT_TLS)
    alert = wire.fatal_alert(received)
    if alert is not None:
        return _refused(outcome_of_alert(alert), alert=alert)
    try:
        answered = wire.server_hello(received)
    except ValueError:
        return _refused(Outcome.UNACCEPTABLE_ANSWER)
    return _answered(answered, version) if answered else None


def _answered(answered: ProtocolVersion, asked: ProtocolVersion) -> Offer:
    if answered is asked:
        return Offer(offered=Offered.OFFERED)
    return _refused(Outcome.UNACCEPTABLE_ANSWER, answered=answered)


def _read_ssl2(received: bytes) -> Offer | None:
    kind = wire.ssl2_message(received)
    if kind is None:
        return None
    if kind == wire.SSL2_SERVER_HELLO:
        return Offer(offered=Offered.OFFERED)
    return _refused(Outcome.UNACCEPTABLE_ANSWER if kind == wire.SSL2_ERROR else Outcome.NOT_TLS)


def _refused(outcome: Outcome, *, alert: int | None = None, answered: ProtocolVersion | None = None) -> Offer:
    offered = Offered.UNKNOWN if outcome in _SAYS_NOTHING else Offered.NOT_OFFERED
    return Offer(offered=offered, refusal=outcome, alert=alert, answered=answered)
