"""Probes of a TLS server: address in, observation out. Knows no Kubernetes and no pytest.

handshake   one completed handshake and the first answer on it
offers      which versions a server offers, by hand-built hellos
outcome     the names of all that can come back
sslyze      a second opinion on versions and cipher suites, by another program (import it by its module)
"""

from __future__ import annotations

from meshproof.tls.handshake import Observation, PeerCertificate, handshake
from meshproof.tls.offer import Offer, Offered, offers
from meshproof.tls.outcome import WORDLESS, Alert, Outcome, Phase, alert_name
from meshproof.tls.stream import Address
from meshproof.tls.version import ProtocolVersion

__all__ = [
    "WORDLESS",
    "Address",
    "Alert",
    "Observation",
    "Offer",
    "Offered",
    "Outcome",
    "PeerCertificate",
    "Phase",
    "ProtocolVersion",
    "alert_name",
    "handshake",
    "offers",
]
