"""What a test on a mesh imports: the types behind the fixtures, and what it asks them with.

The fixtures themselves come by their names, from ``meshproof.pytest_plugin``.
"""

from __future__ import annotations

from meshproof import http, tls
from meshproof.certificates.leaf import Leaf
from meshproof.certificates.tree import Certificates
from meshproof.mesh import (
    CurlEnd,
    ExternalServer,
    Logged,
    ProxyEnd,
    Scenario,
    Testbed,
    Transfer,
    Workload,
    logged,
    peers,
    readiness,
)
from meshproof.pytest_plugin.controls import between, held
from meshproof.pytest_plugin.recordings import Traffic
from meshproof.pytest_plugin.scans import Opinions, Server
from meshproof.pytest_plugin.scenarios import Eventually, Step
from meshproof.pytest_plugin.since import Since
from meshproof.pytest_plugin.tables import Measured
from meshproof.tls import WORDLESS, Address, Outcome, Posture
from meshproof.traffic import OUTSIDE, SOURCES, Calibration, Connections, Ending, Flow, Flown, Record, Recording

__all__ = [
    "OUTSIDE",
    "SOURCES",
    "WORDLESS",
    "Address",
    "Calibration",
    "Certificates",
    "Connections",
    "CurlEnd",
    "Ending",
    "Eventually",
    "ExternalServer",
    "Flow",
    "Flown",
    "Leaf",
    "Logged",
    "Measured",
    "Opinions",
    "Outcome",
    "Posture",
    "ProxyEnd",
    "Record",
    "Recording",
    "Scenario",
    "Server",
    "Since",
    "Step",
    "Testbed",
    "Traffic",
    "Transfer",
    "Workload",
    "between",
    "held",
    "http",
    "logged",
    "peers",
    "readiness",
    "tls",
]
