"""The TLS posture of one endpoint: what ``scan`` finds, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.probe.outcome import UNDECIDED, Outcome
from meshproof.tls.probe.stream import Address
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.codes import Group
from meshproof.tls.protocol.version import ProtocolVersion

UNREADABLE = "(unreadable)"
"""Stands for a field of a certificate that is there and can't be read; nothing can be concluded from it."""

UNKNOWN = "unknown"
"""Stands for a field of a certificate of which nobody knows anything: a kind of key, or what was not saved."""


class Target(NamedTuple):
    """What to scan.

    Attributes:
        address: Where to connect to.
        sni: The server name to send; None sends none.
    """

    address: Address
    sni: str | None

    def __str__(self) -> str:
        return str(self.address) if self.sni in (None, self.address.host) else f"{self.address} ({self.sni})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOrder:
    """The cipher suites that a server accepts in one version.

    Attributes:
        version: The version.
        certificate: The kind of certificate that they go with, ``RSA`` (which covers all that is not ECDSA) or
            ``ECDSA``; None in SSLv2 and in TLS 1.3, where a suite says nothing about it.
        preference: The suites as the server prefers them, best first; those of one inner tuple have equal
            preference, and the client's first is taken. In SSLv2 the client chooses: one inner tuple.
        complete: Whether the list ended with a refusal; False when the server stopped answering before.
        ordered: Whether the order is the server's; False when it could not be found out.
    """

    version: ProtocolVersion
    certificate: str | None
    preference: tuple[tuple[CipherSuite, ...], ...]
    complete: bool = True
    ordered: bool = True

    def __str__(self) -> str:
        return f"{self.version} {self.certificate}" if self.certificate else str(self.version)

    @property
    def suites(self) -> tuple[CipherSuite, ...]:
        """All of them, best first."""
        return tuple(suite for alike in self.preference for suite in alike)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOrder:
    """The groups that a server accepts for the key exchange in one version.

    Attributes:
        version: TLS 1.2 or 1.3.
        groups: The groups, the one it prefers first.
        server_decides: Whether the server's order counts; False when it takes the client's first; None when there is
            only one, or that could not be found out.
        complete: As in ``SuiteOrder``.
    """

    version: ProtocolVersion
    groups: tuple[Group, ...]
    server_decides: bool | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that a server shows; a text that can't be read is ``UNREADABLE``.

    Attributes:
        subject: The distinguished name, as RFC 4514 spells it.
        names: The subject alternative names, bare.
        issuer: The issuer's distinguished name.
        serial: The serial number.
        key: The kind and size of the key, such as ``RSA 2048`` or ``EC P-256``.
        signature: The signature algorithm, such as ``sha256WithRSAEncryption``.
        not_before: The first moment of its lifetime.
        not_after: The last.
        fingerprint: SHA-256 of the DER, in hex.
        intermediates: The certificates that were sent after it, in the order in which they were sent.
    """

    subject: str
    names: tuple[str, ...]
    issuer: str
    serial: int
    key: str
    signature: str
    not_before: datetime
    not_after: datetime
    fingerprint: str
    intermediates: tuple[Certificate, ...] = ()

    @property
    def chain(self) -> tuple[str, ...]:
        """The subjects of the certificates that were sent after it."""
        return tuple(each.subject for each in self.intermediates)


class ClientAuthentication(Enum):
    """Whether the server wants a certificate of the client."""

    NOT_REQUESTED = "not requested"
    REQUESTED = "requested"
    REQUIRED = "required"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class ClientResult:
    """What one named client would get.

    Attributes:
        name: The client's name.
        answer: What the server made of its hello.
        reason: One sentence: why it connects as it does, or why not.
        unknown: Whether nothing can be concluded: the server did not answer, or could not be reached.
    """

    name: str
    answer: Answer
    reason: str
    unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """All that a scan found at one target.

    Attributes:
        target: What was scanned.
        began: When, in UTC.
        seconds: How long it took.
        connections: How many connections it took.
        versions: For each version whether it is offered.
        listed: Whether all else than versions and clients was asked for: the rows from here to ``fallback_scsv``.
        ciphers: The cipher suites, by version and kind of certificate; oldest version first.
        groups: The groups, by version.
        alpn: The application protocols, the server's first choice first.
        alpn_complete: Whether that list ended with a word of the server, as in ``SuiteOrder``.
        dh_bits: The sizes of the primes that it sent for a finite-field exchange before TLS 1.3, smallest first.
        certificates: The certificates, one for each kind of key.
        certificates_complete: Whether each kind of certificate was asked for and answered.
        client_authentication: Whether a client certificate is wanted.
        fallback_scsv: Whether a downgrade is noticed (RFC 7507); None when only one version is offered.
        clients: The named clients.
        credential: What a completed handshake with our client certificate came to; None when none was given.
        unreachable: Why nothing can be said about the target; None when it answered before and after.
        endpoint: The address and port that all connections went to, once the name was resolved.
        contradictions: What answers said of each other, a phrase each: what a row says then holds at times only.
        notes: Sentences about what a reader of the rows has to know, such as that the server limits connections.
    """

    target: Target
    began: datetime
    seconds: float
    connections: int
    versions: Mapping[ProtocolVersion, Offer]
    listed: bool = False
    ciphers: tuple[SuiteOrder, ...] = ()
    groups: tuple[GroupOrder, ...] = ()
    alpn: tuple[str, ...] = ()
    alpn_complete: bool = True
    dh_bits: tuple[int, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    certificates_complete: bool = True
    client_authentication: ClientAuthentication = ClientAuthentication.UNKNOWN
    fallback_scsv: bool | None = None
    clients: tuple[ClientResult, ...] = ()
    credential: Outcome | None = None
    unreachable: Outcome | None = None
    endpoint: str | None = None
    contradictions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def unknown(self) -> bool:
        """Whether any part of what was asked could not be found out."""
        return bool(self.gaps)

    @property
    def gaps(self) -> tuple[str, ...]:
        """What was asked and could not be found out, a phrase each; empty when all is known."""
        if self.unreachable is not None:
            return (f"the target: {self.unreachable.value}",)
        gaps = [
            f"{version}: {offer.refusal.value if offer.refusal else 'unknown'}"
            for version, offer in self.versions.items()
            if offer.offered is Offered.UNKNOWN
        ]
        gaps += [f"cipher suites of {order}" for order in self.ciphers if not order.complete]
        gaps += [f"order of the cipher suites of {order}" for order in self.ciphers if order.complete > order.ordered]
        gaps += [f"groups of {order.version}" for order in self.groups if not order.complete]
        if self.listed:
            gaps += [
                what
                for what, known in (
                    ("application protocols", self.alpn_complete),
                    ("certificates", self.certificates_complete),
                    ("client authentication", self.client_authentication is not ClientAuthentication.UNKNOWN),
                    ("TLS_FALLBACK_SCSV", self.fallback_scsv is not None or len(self.fallback_versions) < 2),  # noqa: PLR2004 - from one to another
                )
                if not known
            ]
        if self.credential in UNDECIDED:
            gaps.append(f"the given client certificate: {self.credential.value}")
        gaps += [f"it contradicts itself: {what}" for what in self.contradictions]
        return (*gaps, *(f"{client.name}: {client.reason}" for client in self.clients if client.unknown))

    @property
    def offered(self) -> tuple[ProtocolVersion, ...]:
        """The versions that are offered, oldest first."""
        return tuple(version for version, offer in self.versions.items() if offer.offered is Offered.OFFERED)

    @property
    def fallback_versions(self) -> tuple[ProtocolVersion, ...]:
        """The offered versions that a client may fall back from and to (RFC 7507), oldest first."""
        return tuple(version for version in self.offered if version.code >= ProtocolVersion.TLS_1_0.code)
