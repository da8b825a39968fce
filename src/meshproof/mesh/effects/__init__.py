"""What documents do to the proxies, and waiting until they do.

Kind by kind: whether what a document asks for is in force where it has to be, with the content that the document has
now, in every gateway that it binds to, and in every pod that it is for. What is not here can't be waited for: such a
document is refused, unless it says with an annotation that its test waits itself.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/config_dump.proto
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from meshproof.cluster.objects import Document, name_of
from meshproof.errors import ClusterError
from meshproof.mesh.effects.destinations import effects_of_destination_rule, effects_of_service_entry
from meshproof.mesh.effects.effect import Documents, Effect
from meshproof.mesh.effects.gateways import effects_of_gateway, effects_of_secret
from meshproof.mesh.effects.policies import effects_of_authorization, effects_of_peers, effects_of_tokens
from meshproof.mesh.effects.refusals import IN_VAIN, INSTEAD, OF_OTHERS, is_marked_in_vain, why_unwaited
from meshproof.mesh.effects.routes import effects_of_virtual_service
from meshproof.mesh.effects.services import effects_of_service
from meshproof.mesh.effects.sidecars import effects_of_sidecar
from meshproof.mesh.effects.waiting import wait_for
from meshproof.mesh.manifests import is_waited_for

__all__ = ["KNOWN_BY_NAME", "Effect", "effects_of", "wait_for"]

KNOWN_BY_NAME = (
    "AuthorizationPolicy",
    "DestinationRule",
    "RequestAuthentication",
    "ServiceEntry",
    "Sidecar",
    "VirtualService",
)
"""Kinds of which a proxy shows that one of this name is in force, and not, or not wholly, with which content."""

_EFFECTS: Mapping[str, Callable[[Document, Documents], Iterator[Effect]]] = {
    "AuthorizationPolicy": effects_of_authorization,
    "DestinationRule": effects_of_destination_rule,
    "Gateway": effects_of_gateway,
    "PeerAuthentication": effects_of_peers,
    "RequestAuthentication": effects_of_tokens,
    "Secret": effects_of_secret,
    "Service": effects_of_service,
    "ServiceEntry": effects_of_service_entry,
    "Sidecar": effects_of_sidecar,
    "VirtualService": effects_of_virtual_service,
}


def effects_of(documents: Documents) -> list[Effect]:
    """Return what documents that are in force together do to the proxies.

    Raises:
        ClusterError: How a proxy shows that it has loaded one of them is not known; or it is, and the document says
            that its test waits itself. Of a kind for which other documents count only ``faults`` says the latter, which
            knows those of all steps.
    """
    for document in documents:
        if why := why_unwaited(document, documents):
            raise ClusterError(f"{name_of(document)} can't be waited for: {why}. {INSTEAD}")
        if document["kind"] not in OF_OTHERS and is_marked_in_vain(document, documents):
            raise ClusterError(f"{name_of(document)} {IN_VAIN}.")
    awaited = [document for document in documents if is_waited_for(document) and document["kind"] in _EFFECTS]
    return [effect for document in awaited for effect in _EFFECTS[document["kind"]](document, documents)]
