"""What a test on a mesh imports: the types behind the fixtures, and what it asks them with.

The fixtures themselves come by their names, from ``meshproof.pytest_plugin``.
"""

from __future__ import annotations

from meshproof import http, tls
from meshproof.certificates.leaf import Leaf
from meshproof.certificates.tree import Certificates
from meshproof.mesh import CurlEnd, Scenario, Testbed, Transfer, Workload
from meshproof.pytest_plugin.controls import between, held
from meshproof.pytest_plugin.scans import Opinions, Server
from meshproof.pytest_plugin.scenarios import Eventually, Step
from meshproof.pytest_plugin.since import Since
from meshproof.tls import WORDLESS, Address, Outcome, Posture

__all__ = [
    "WORDLESS",
    "Address",
    "Certificates",
    "CurlEnd",
    "Eventually",
    "Leaf",
    "Opinions",
    "Outcome",
    "Posture",
    "Scenario",
    "Server",
    "Since",
    "Step",
    "Testbed",
    "Transfer",
    "Workload",
    "between",
    "held",
    "http",
    "tls",
]
