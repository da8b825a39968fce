"""What a server made of one ClientHello, and what that says about a version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from meshproof.tls.outcome import WORDLESS, Outcome, alert_name
from meshproof.tls.registry import CipherSuite, Group
from meshproof.tls.version import ProtocolVersion


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

    @property
    def negotiated(self) -> bool:
        """Whether the handshake could go on from here."""
        return self.outcome is Outcome.NEGOTIATED

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

    def without_witness(self) -> Offer:
        """Return what this is worth when nothing else proves a TLS server: an end without a word, nothing."""
        return replace(self, offered=Offered.UNKNOWN) if self.refusal in WORDLESS else self

    def __str__(self) -> str:
        if self.refusal is None:
            return str(self.offered)
        alert = f", alert {self.alert} {alert_name(self.alert)}" if self.alert is not None else ""
        return f"{self.offered} ({self.refusal}{alert})"
