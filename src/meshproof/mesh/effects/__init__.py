"""What documents do to the proxies, and waiting until they do.

Kind by kind: whether what a document asks for is in force where it has to be, with the content that the document has
now, in every gateway that it binds to, and in every pod.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/config_dump.proto
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshproof.cluster.objects import Document, name_of
from meshproof.errors import ClusterError
from meshproof.mesh import istio
from meshproof.mesh.effects.effect import Effect, Gateways, key_of
from meshproof.mesh.effects.gateways import effects_of_credential, effects_of_server
from meshproof.mesh.effects.policies import effects_of_policy, plaintext, selected
from meshproof.mesh.effects.routes import effects_of_passing, effects_of_routes
from meshproof.mesh.effects.waiting import wait_for

__all__ = ["KNOWN_BY_NAME", "Effect", "effects_of", "wait_for"]

KNOWN_BY_NAME = ("AuthorizationPolicy", "VirtualService")
"""Kinds of which a proxy shows that one of this name is in force, and not with which content."""


def effects_of(documents: Sequence[Document]) -> list[Effect]:
    """Return what documents that are in force together do to the proxies.

    Raises:
        ClusterError: How a proxy shows that it has loaded one of them is not known.
    """
    gateways = {key_of(document): document for document in documents if document["kind"] == "Gateway"}
    return [effect for document in documents for effect in _effects(document, gateways)]


def _effects(document: Document, gateways: Gateways) -> Iterator[Effect]:
    """Return what a document does to which proxy."""
    (namespace, name), spec = key_of(document), document.get("spec", {})
    match document["kind"]:
        case "Gateway":
            for server in spec["servers"]:
                yield from effects_of_server(server)
        case "VirtualService" if "tls" in spec:
            yield from effects_of_passing(spec["tls"])
        case "VirtualService":
            yield from effects_of_routes(document, gateways)
        case "Secret" if namespace == istio.NAMESPACE:
            yield from effects_of_credential(name, document["data"], gateways)
        case "AuthorizationPolicy" if spec.get("action", "ALLOW") in ("ALLOW", "DENY"):
            yield from effects_of_policy(document)
        case "PeerAuthentication" if spec["mtls"]["mode"] in ("PERMISSIVE", "STRICT"):
            yield plaintext(selected(document), spec["mtls"]["mode"], spec.get("portLevelMtls", {}))
        case "Secret" | "ConfigMap" | "Service" | "ServiceAccount" | "Namespace" | "Deployment":
            pass  # no configuration of a proxy's
        case kind:
            raise ClusterError(
                f"{name_of(document)} can't be waited for: nobody told meshproof how a proxy shows that it has "
                f"loaded such a {kind}. Add that to mesh/effects/, or a test may see the time before it."
            )
