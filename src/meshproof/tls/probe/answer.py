"""What a server made of one ClientHello, and what that says about a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from meshproof.tls.probe.outcome import UNDECIDED, WORDLESS, Alert, Outcome, alert_name
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.codes import Group
from meshproof.tls.protocol.version import ProtocolVersion

REFUSING_ALERTS: Mapping[int, str] = {
    Alert.HANDSHAKE_FAILURE: "RFC 8446 6.2, RFC 5246 7.2.2: nothing acceptable was offered",
    Alert.ILLEGAL_PARAMETER: "RFC 8446 6.2: a field of the hello is not acceptable",
    Alert.PROTOCOL_VERSION: "RFC 8446 6.2, RFC 5246 7.2.2: the version is known and not supported",
    Alert.INSUFFICIENT_SECURITY: "RFC 8446 6.2: the server asks for stronger suites or groups than those offered",
    Alert.INAPPROPRIATE_FALLBACK: "RFC 7507 3: the server could do better than the version that was fallen back to",
    Alert.MISSING_EXTENSION: "RFC 8446 6.2: the hello lacks an extension that the offered version needs",
    Alert.NO_APPLICATION_PROTOCOL: "RFC 7301 3.2: none of the offered application protocols is supported",
}
"""The alerts that refuse what a hello offers, each with the rule that says so.

Any other alert speaks of something else: of the server (80), of the name (112), of the connection (0, 90).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a server answered one ClientHello. What was not seen is None.

    Attributes:
        outcome: NEGOTIATED, or why there is no connection.
        alert: The number of the alert that ended it.
        version: The version that the server chose, acceptable or not.
        suite: The cipher suite that it chose.
        group: The group of the key exchange; None without an ephemeral one.
        dh_bits: The size of the prime of a finite-field exchange before TLS 1.3.
        alpn: The application protocol that it chose; before TLS 1.3 only, later it is encrypted.
        retried: Whether it asked for another key share with a HelloRetryRequest first.
        client_cert_requested: Whether it asked for a client certificate; None in TLS 1.3, where that is encrypted.
        certificates: The chain in DER, leaf first; empty in TLS 1.3.
        ssl2_suites: The cipher kinds of an SSLv2 SERVER-HELLO.
        begun: Whether the server had begun to answer when the connection ended: then it refused nothing.
        confirmed: Whether an end that refuses nothing by itself came three times, between controls that were answered.
        remark: What a person should know of how it came about.
    """

    outcome: Outcome
    alert: int | None = None
    version: ProtocolVersion | None = None
    suite: CipherSuite | None = None
    group: Group | None = None
    dh_bits: int | None = None
    alpn: str | None = None
    retried: bool = False
    client_cert_requested: bool | None = None
    certificates: tuple[bytes, ...] = ()
    ssl2_suites: tuple[CipherSuite, ...] = ()
    begun: bool = field(default=False, compare=False)
    confirmed: bool = False
    remark: str = field(default="", compare=False)

    @property
    def negotiated(self) -> bool:
        """Whether the handshake could go on from here."""
        return self.outcome is Outcome.NEGOTIATED

    @property
    def refused(self) -> bool:
        """Whether the server refused what was offered: in words, or by an end that was confirmed."""
        worded = self.alert in REFUSING_ALERTS or (
            self.alert is None and self.outcome in (Outcome.VERSION_NOT_OFFERED, Outcome.HANDSHAKE_FAILURE)
        )
        return worded or self.confirmed

    @property
    def doubtful(self) -> bool:
        """Whether it proves nothing by itself, so that it has to be asked again between two controls."""
        if self.alert is not None:
            return self.alert not in REFUSING_ALERTS and self.alert != Alert.UNRECOGNIZED_NAME
        return self.outcome in WORDLESS or self.outcome in UNDECIDED

    @property
    def conclusive(self) -> bool:
        """Whether it says for certain if the client that sent the hello gets a connection."""
        return self.confirmed or not self.doubtful

    @property
    def forward_secrecy(self) -> str | None:
        """The ephemeral key exchange as testssl.sh spells it, ``No FS`` when there is none; None: no connection."""
        if not self.negotiated:
            return None
        if self.group is not None:
            return self.group.forward_secrecy
        return f"{self.dh_bits} bit DH" if self.dh_bits else "No FS"

    def __str__(self) -> str:
        alert = f" (alert {self.alert} {alert_name(self.alert)})" if self.alert is not None else ""
        return f"{self.outcome}{alert}"


class Offered(Enum):
    """Whether a server offers something."""

    OFFERED = "offered"
    NOT_OFFERED = "not offered"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.name


class Offer(NamedTuple):
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
