"""Probes of a TLS server: address in, observation out. Knows no Kubernetes and no pytest.

handshake   one completed handshake and the first answer on it
scan        the posture of endpoints: versions, cipher suites, groups, certificates, named clients
scan_async  the same in an event loop that is running
offers      of that the versions alone
clients     the named clients
outcome     the names of all that can come back
sslyze      a second opinion on versions and cipher suites, by another program (import it by its module)
"""

from __future__ import annotations

from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.probe.completed_handshake import Observation, PeerCertificate, handshake
from meshproof.tls.probe.outcome import WORDLESS, Alert, Outcome, Phase, alert_name
from meshproof.tls.probe.stream import Address
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.codes import Group
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import (
    Certificate,
    ClientAuthentication,
    ClientResult,
    GroupOrder,
    Posture,
    SuiteOrder,
    Target,
)
from meshproof.tls.scanner.many_targets import offers, scan, scan_async, scan_one
from meshproof.tls.scanner.options import Options

__all__ = [
    "WORDLESS",
    "Address",
    "Alert",
    "Answer",
    "Certificate",
    "CipherSuite",
    "ClientAuthentication",
    "ClientResult",
    "Group",
    "GroupOrder",
    "Observation",
    "Offer",
    "Offered",
    "Options",
    "Outcome",
    "PeerCertificate",
    "Phase",
    "Posture",
    "ProtocolVersion",
    "SuiteOrder",
    "Target",
    "alert_name",
    "handshake",
    "offers",
    "scan",
    "scan_async",
    "scan_one",
]
