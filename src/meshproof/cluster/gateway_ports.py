"""The ports of the gateways: of the ingress gateway what its Service, its pods, kind and Docker are given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the ingress gateway.

    Attributes:
        number: That of its Service, which a Gateway's server names.
        target: That of its pods.
        node: That of the node, which Docker publishes on 127.0.0.1.
    """

    number: int
    target: int
    node: int


LEASED = tuple(range(8501, 8513))
"""The ports that a scenario is given where a server of its Gateways names none: for hosts that nobody else may have."""
FIXED = (Port(80, 8080, 30080), Port(443, 8443, 30443))
"""The ports that a manifest can name."""
PORTS = (*FIXED, *(Port(port, port, 22000 + port) for port in LEASED))
NODES = {port.number: port.node for port in PORTS}
"""The node ports, by the port of the Service."""
TARGETS = {port.number: port.target for port in PORTS}
"""The ports of the pods, by the port of the Service."""
EGRESS_TARGETS = {80: 8080, 443: 8443}
"""The same of the egress gateway, which is as Istio installs it: nothing outside of the cluster comes to it."""
