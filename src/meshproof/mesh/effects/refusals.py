"""Which documents can't be waited for, and why: no proxy would show that they are in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from meshproof.cluster.objects import Document, name_of
from meshproof.mesh.effects.effect import Documents, gateway_of, key_of, of_istio
from meshproof.mesh.effects.hosts import CLUSTER_SUFFIX, hosts_meet, whole_host
from meshproof.mesh.effects.routes import MESH, matches_for
from meshproof.mesh.gateways import SELECTORS
from meshproof.mesh.manifests import GATEWAY_API, WAIT, group_of, is_waited_for

PROTOCOLS = ("HTTP", "HTTP2", "GRPC", "HTTPS", "TLS")
"""Those of a Gateway's server that can be waited for."""
OF_NO_PROXY = ("ConfigMap", "Service", "ServiceAccount", "Namespace", "Deployment", "Secret")
"""Kinds that are no configuration of a proxy's; a Secret is one where a Gateway names it."""
_SOURCES = {"sourceLabels", "sourceNamespace"}
OF_OTHERS = ("DestinationRule", "VirtualService")
"""Kinds of which one that can be waited for can't be, as soon as another document comes."""
IN_VAIN = f"says `{WAIT}: none`, and could be waited for: leave that out, or nobody would wait for its end"
INSTEAD = f"If its test waits itself, with `eventually`, say so with the annotation `{WAIT}: none`."


def why_unwaited(document: Document, together: Documents) -> str | None:
    """Return why a document can't be waited for; None if it can be, or says that its test waits itself.

    Args:
        document: The document, of which the API would take the shape.
        together: All that are in force together, this one among them.
    """
    return _reason(document, together) if is_waited_for(document) and document["kind"] not in OF_NO_PROXY else None


def is_marked_in_vain(document: Document, *companies: Documents) -> bool:
    """Return whether a document says that its test waits itself, and could be waited for.

    Then nobody would wait for its end: the next scenario would begin while it is in force.

    Args:
        document: The document, of which the API would take the shape.
        companies: The documents that are in force with it, this one among them: one for each step in which it is.
    """
    if is_waited_for(document) or document["kind"] in OF_NO_PROXY:
        return False
    return not any(_reason(document, together) for together in companies)


def _reason(document: Document, together: Documents) -> str | None:
    kind = document["kind"]
    if kind not in _REASONS or group_of(document) == GATEWAY_API:
        return "how a proxy shows that it has loaded one of its kind is not known"
    return _REASONS[kind](document, together)


def _gateway(document: Document, _: Documents) -> str | None:
    if gateway_of(document) is None:
        return f"it selects another gateway than {SELECTORS}"
    protocols = [server["port"]["protocol"] for server in document["spec"]["servers"]]
    unknown = [protocol for protocol in protocols if protocol.upper() not in PROTOCOLS]
    return f"it has a server for {unknown[0]}, and meshproof waits for {', '.join(PROTOCOLS)}" if unknown else None


def _virtual_service(document: Document, together: Documents) -> str | None:
    spec, gateways = document["spec"], {key_of(each): each for each in of_istio("Gateway", together)}
    for bound in spec.get("gateways") or [MESH]:
        where, _, name = bound.rpartition("/")
        if bound == MESH:
            for kind in ("http", "tls", "tcp"):
                matches = matches_for(MESH, spec.get(kind, []))
                if matches and all(_SOURCES & match.keys() for match in matches):
                    return f"its `{kind}` routes are for clients by their labels or their namespace"
        elif (gateway := gateways.get((where or key_of(document)[0], name))) is None:
            return f"it binds to the gateway {bound}, and its manifest has no such Gateway"
        elif why := _gateway(gateway, together):
            return f"it binds to the gateway {bound}, which can't be waited for: {why}"
        elif matches_for(bound, spec.get("tcp", [])):
            return "it has routes under `tcp` for a gateway"
    return None


def _authorization_policy(document: Document, _: Documents) -> str | None:
    spec = document.get("spec", {})
    if (action := spec.get("action", "ALLOW")) not in ("ALLOW", "DENY"):
        return f"a proxy does not show by its name what is only for {action}"
    return _target(document)


def _request_authentication(document: Document, _: Documents) -> str | None:
    if not document.get("spec", {}).get("jwtRules"):
        return "it has no `jwtRules`, so that no proxy shows it"
    return _target(document)


def _target(document: Document) -> str | None:
    named = {"targetRef", "targetRefs"} & document.get("spec", {}).keys()
    return f"`{named.pop()}` is for the Gateway API, and meshproof does not look at its proxies" if named else None


def _peer_authentication(document: Document, _: Documents) -> str | None:
    spec = document.get("spec", {})
    settings = [spec.get("mtls"), *(spec.get("portLevelMtls") or {}).values()]
    modes = [(setting or {}).get("mode") for setting in settings]
    unknown = [mode or "no mode" for mode in modes if mode not in ("PERMISSIVE", "STRICT")]
    return f"it asks for {unknown[0]}, and meshproof waits for PERMISSIVE and STRICT" if unknown else None


def _destination_rule(document: Document, together: Documents) -> str | None:
    host = whole_host(document["spec"]["host"], key_of(document)[0])
    for other in of_istio("DestinationRule", together):
        its_host = whole_host(other["spec"]["host"], key_of(other)[0])
        if name_of(other) != name_of(document) and hosts_meet(host, its_host):
            return f"{name_of(other)} is for {its_host}, and of two for one host a proxy names only one"
    return None


def _service_entry(document: Document, _: Documents) -> str | None:
    of_services = [host for host in document["spec"]["hosts"] if host.endswith(CLUSTER_SUFFIX)]
    if of_services:
        return f"{of_services[0]} can be a Service, whose clusters are there without it"
    return None if document["spec"].get("ports") else "it has no `ports`, so that no proxy shows it"


def _sidecar(document: Document, _: Documents) -> str | None:
    shown = {"egress", "ingress", "outboundTrafficPolicy"} & document.get("spec", {}).keys()
    return None if shown else "it has no `egress`, `ingress` or `outboundTrafficPolicy`, which a proxy would show"


_REASONS: Mapping[str, Callable[[Document, Documents], str | None]] = {
    "AuthorizationPolicy": _authorization_policy,
    "DestinationRule": _destination_rule,
    "Gateway": _gateway,
    "PeerAuthentication": _peer_authentication,
    "RequestAuthentication": _request_authentication,
    "ServiceEntry": _service_entry,
    "Sidecar": _sidecar,
    "VirtualService": _virtual_service,
}
