"""What a test on a mesh imports: the types behind the fixtures, and what it asks them with.

The fixtures themselves come by their names, from ``meshproof.pytest_plugin``.
"""

from __future__ import annotations

from meshproof import http, tls
from meshproof.certificates.authority import Authority
from meshproof.certificates.leaf import Leaf
from meshproof.certificates.tree import Certificates
from meshproof.cluster.kube import Snapshot
from meshproof.cluster.objects import Document
from meshproof.machine.wait import until
from meshproof.mesh import (
    CurlEnd,
    ExternalServer,
    Logged,
    ProxyEnd,
    Scenario,
    Testbed,
    Transfer,
    Workload,
    istio,
    logged,
    peers,
    readiness,
)
from meshproof.mesh.analysis import Level, analyze
from meshproof.mesh.envoy import Proxies, has_ready_proxy
from meshproof.mesh.plugged_authority import PluggedAuthority, plugged_in
from meshproof.mesh.workload_certificate import (
    Provisioning,
    Trust,
    WorkloadCertificate,
    mesh_roots,
    provisioning,
    trust_of,
)
from meshproof.pytest_plugin.controls import between, held
from meshproof.pytest_plugin.recordings import Traffic
from meshproof.pytest_plugin.scans import Opinions, Server
from meshproof.pytest_plugin.scenarios import Eventually, Step
from meshproof.pytest_plugin.since import Since
from meshproof.pytest_plugin.tables import Measured
from meshproof.settings import TIMEOUTS
from meshproof.tls import WORDLESS, Address, Outcome, Posture
from meshproof.traffic import OUTSIDE, SOURCES, Calibration, Connections, Ending, Flow, Flown, Record, Recording

__all__ = [
    "OUTSIDE",
    "SOURCES",
    "TIMEOUTS",
    "WORDLESS",
    "Address",
    "Authority",
    "Calibration",
    "Certificates",
    "Connections",
    "CurlEnd",
    "Document",
    "Ending",
    "Eventually",
    "ExternalServer",
    "Flow",
    "Flown",
    "Leaf",
    "Level",
    "Logged",
    "Measured",
    "Opinions",
    "Outcome",
    "PluggedAuthority",
    "Posture",
    "Provisioning",
    "Proxies",
    "ProxyEnd",
    "Record",
    "Recording",
    "Scenario",
    "Server",
    "Since",
    "Snapshot",
    "Step",
    "Testbed",
    "Traffic",
    "Transfer",
    "Trust",
    "Workload",
    "WorkloadCertificate",
    "analyze",
    "between",
    "has_ready_proxy",
    "held",
    "http",
    "istio",
    "logged",
    "mesh_roots",
    "peers",
    "plugged_in",
    "provisioning",
    "readiness",
    "tls",
    "trust_of",
    "until",
]
