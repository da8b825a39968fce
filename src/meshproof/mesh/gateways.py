"""The gateways that Istio brings: what selects them, and what their Services are called."""

from __future__ import annotations

from meshproof.mesh import istio

INGRESS_GATEWAY, EGRESS_GATEWAY = "ingressgateway", "egressgateway"
_BOTH = (INGRESS_GATEWAY, EGRESS_GATEWAY)
SELECTORS = " or ".join(f"`istio: {gateway}`" for gateway in _BOTH)
"""What selects one of them, as a sentence has it."""
DEPLOYMENTS = tuple(f"istio-{gateway}" for gateway in _BOTH)
"""What their Deployments are called, and their Services."""
GATEWAY_HOSTS = tuple(f"{name}.{istio.NAMESPACE}.svc.cluster.local" for name in DEPLOYMENTS)
"""The hosts of their Services."""
INGRESS_DEPLOYMENT, INGRESS_HOST = DEPLOYMENTS[0], GATEWAY_HOSTS[0]


def selected_gateway(selector: object) -> str | None:
    """Return which of them the selector of a Gateway is for, by its label ``istio``; None if it is for neither."""
    return next((gateway for gateway in _BOTH if selector == {"istio": gateway}), None)
