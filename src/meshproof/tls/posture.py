"""The TLS posture of one endpoint: what ``scan`` finds, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from meshproof.tls.answer import Answer, Offer, Offered
from meshproof.tls.outcome import Outcome
from meshproof.tls.registry import CipherSuite, Group
from meshproof.tls.stream import Address
from meshproof.tls.version import ProtocolVersion


@dataclass(frozen=True, slots=True)
class Target:
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
        preference: The suites as the server prefers them, best first; those of one inner tuple it likes alike, and
            takes the client's first. In SSLv2 the client chooses: one inner tuple.
        complete: Whether the list ended with a refusal; False when the server stopped answering before.
    """

    version: ProtocolVersion
    certificate: str | None
    preference: tuple[tuple[CipherSuite, ...], ...]
    complete: bool = True

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
    """A certificate that a server shows.

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
        chain: The subjects of the certificates that were sent after it.
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
    chain: tuple[str, ...] = ()


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
        ciphers: The cipher suites, by version and kind of certificate; oldest version first.
        groups: The groups, by version.
        alpn: The application protocols, the server's first choice first.
        certificates: The certificates, one for each kind of key.
        client_authentication: Whether a client certificate is wanted.
        fallback_scsv: Whether a downgrade is noticed (RFC 7507); None when only one version is offered.
        clients: The named clients.
        credential: What a completed handshake with our client certificate came to; None when none was given.
        unreachable: Why nothing can be said about the target; None when it answered before and after.
    """

    target: Target
    began: datetime
    seconds: float
    connections: int
    versions: Mapping[ProtocolVersion, Offer]
    ciphers: tuple[SuiteOrder, ...] = ()
    groups: tuple[GroupOrder, ...] = ()
    alpn: tuple[str, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    client_authentication: ClientAuthentication = ClientAuthentication.UNKNOWN
    fallback_scsv: bool | None = None
    clients: tuple[ClientResult, ...] = ()
    credential: Outcome | None = None
    unreachable: Outcome | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def unknown(self) -> bool:
        """Whether any part of it could not be found out."""
        return (
            self.unreachable is not None
            or any(offer.offered is Offered.UNKNOWN for offer in self.versions.values())
            or not all(order.complete for order in self.ciphers)
            or not all(order.complete for order in self.groups)
            or any(client.unknown for client in self.clients)
        )

    @property
    def offered(self) -> tuple[ProtocolVersion, ...]:
        """The versions that are offered, oldest first."""
        return tuple(version for version, offer in self.versions.items() if offer.offered is Offered.OFFERED)
