"""What a posture should be, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from meshproof.tls.probe.outcome import Outcome

Ranks = tuple[frozenset[str], ...]
"""Names, best first; those of equal preference are together."""

GETS = ("protocol", "cipher", "forward_secrecy")
"""What can be expected of a client's connection."""

_PART_OF_A_NAME = re.compile(r"(?:[^,+\\]|\\.)+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of names: exactly these.

    Attributes:
        ranks: The names.
        order: Whether their order counts.
    """

    ranks: Ranks
    order: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCertificate:
    """What each certificate should be; None where anything will do.

    Attributes:
        names: Its names.
        issuer: Parts of its issuer's name, each as RFC 4514 spells it.
        keys: The kinds and sizes of keys, of all certificates together.
        days_left: How many days it must last at least.
    """

    names: frozenset[str] | None = None
    issuer: frozenset[str] | None = None
    keys: frozenset[str] | None = None
    days_left: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What a posture should be; None, or nothing, where anything will do.

    Attributes:
        versions: The versions that are offered.
        ciphers: The cipher suites, by version.
        groups: The groups.
        alpn: The application protocols.
        client_authentication: Whether a client certificate is wanted.
        client_certificate: Whether ours is accepted or refused.
        credential: What a handshake with ours comes to.
        fallback_scsv: Whether a downgrade is noticed.
        certificate: What each certificate of the server is.
        clients: By name whether a client connects.
        exactly: By name what a client gets, by field.
    """

    versions: frozenset[str] | None = None
    ciphers: Mapping[str, Listing] = field(default_factory=dict)
    groups: Listing | None = None
    alpn: frozenset[str] | None = None
    client_authentication: str | None = None
    client_certificate: str | None = None
    credential: Outcome | None = None
    fallback_scsv: bool | None = None
    certificate: ExpectedCertificate = ExpectedCertificate()
    clients: Mapping[str, bool] = field(default_factory=dict)
    exactly: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def of_our_certificate(self) -> bool:
        """Whether they say what should become of our client certificate."""
        return self.client_certificate is not None or self.credential is not None


def parts_of_name(name: str) -> frozenset[str]:
    """Take a distinguished name apart (RFC 4514); the types of its parts become capitals."""
    pairs = (part.partition("=") for part in _PART_OF_A_NAME.findall(name))
    return frozenset(f"{kind.strip().upper()}={value.strip()}" for kind, _, value in pairs)
