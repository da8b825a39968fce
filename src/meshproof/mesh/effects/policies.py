"""What policies do to the proxies that they select: to those of an application, of a namespace or of the mesh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.effects.effect import INGRESS, Documents, Effect, has_labels, key_of, of_istio
from meshproof.mesh.envoy import Proxies, ProxyConfig
from meshproof.mesh.gateways import INGRESS_GATEWAY, selected_gateway


def effects_of_authorization(document: Document, _: Documents) -> Iterator[Effect]:
    """Return what an AuthorizationPolicy does; one without a rule has one that nobody meets."""
    (namespace, name), spec = key_of(document), document.get("spec", {})
    action, proxies = spec.get("action", "ALLOW"), _selected(document)
    for number in range(len(spec.get("rules", [])) or 1):
        yield _rule(proxies, action, f"ns[{namespace}]-policy[{name}]-rule[{number}]", wide=_is_wide(document))


def effects_of_tokens(document: Document, _: Documents) -> Iterator[Effect]:
    """Return what a RequestAuthentication does: each of its rules is one whose tokens the proxies know."""
    for rule in document["spec"]["jwtRules"]:
        wanted = {"issuer": rule["issuer"]}
        wanted |= {"audiences": rule["audiences"]} if "audiences" in rule else {}
        wanted |= {"local_jwks": {"inline_string": rule["jwks"]}} if "jwks" in rule else {}

        def places(config: ProxyConfig, wanted: Mapping[str, Any] = wanted) -> Iterator[bool]:
            for providers in config.token_providers():
                yield any(wanted.items() <= provider.items() for provider in providers)

        what = f"tokens of {rule['issuer']} as {'/'.join(key_of(document))} has them"
        proxies = _selected(document)
        yield Effect(proxies, what, places, where_it_can=_is_wide(document), drains=_drains(proxies))


def effects_of_peers(document: Document, together: Documents) -> Iterator[Effect]:
    """Return what a PeerAuthentication does: to each port that it has another mode for, and to the rest.

    Of several that are for a proxy, the one for its application counts, then that of its namespace, then the mesh's.
    Without one a mesh is PERMISSIVE: the end of that is none.
    """
    spec, (namespace, _) = document["spec"], key_of(document)
    mode, wide = spec["mtls"]["mode"], _is_wide(document)
    of_ports = {int(port): setting["mode"] for port, setting in spec.get("portLevelMtls", {}).items()}
    unlike = {port: its_mode for port, its_mode in of_ports.items() if its_mode != mode}
    nearer = [each for each in of_istio("PeerAuthentication", together) if _rank(each) > _rank(document)]
    proxies = Proxies() if wide and namespace == istio.NAMESPACE else Proxies(namespace, _labels(document))

    def rest(config: ProxyConfig) -> Iterator[bool]:
        if wide and (not config.is_sidecar or any(_is_for(each, config) for each in nearer)):
            return
        yield config.takes_plaintext(besides=unlike) is (mode == "PERMISSIVE")

    yield Effect(proxies, mode, rest, outlasts=mode == "PERMISSIVE", where_it_can=wide, drains=True)
    for port, wanted in unlike.items():

        def unlike_the_rest(config: ProxyConfig, port: int = port, wanted: str = wanted) -> Iterator[bool]:
            # else a document that has the rest in this mode would look like this one
            for is_as_the_rest in rest(config):
                yield is_as_the_rest and config.takes_plaintext(port) is (wanted == "PERMISSIVE")

        yield Effect(proxies, f"port {port} {wanted}", unlike_the_rest, where_it_can=wide, drains=True)


def _rule(proxies: Proxies, action: str, rule: str, *, wide: bool) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return ((action, rule) in policies for policies in config.policies())

    return Effect(proxies, f"{action} {rule}", places, where_it_can=wide, drains=_drains(proxies))


def _drains(proxies: Proxies) -> bool:
    """Return whether other proxies keep connections to some; the ingress gateway's clients are outside of the mesh."""
    return proxies != INGRESS


def _selected(document: Document) -> Proxies:
    """Return the proxies that a policy is for; in ``istio-system`` it is for all namespaces.

    Source: https://istio.io/latest/docs/reference/config/type/workload-selector/ and the pages of the kinds.
    """
    proxies = Proxies(document["metadata"]["namespace"], _labels(document))
    if proxies.namespace != istio.NAMESPACE:
        return proxies
    return INGRESS if selected_gateway(dict(proxies.labels)) == INGRESS_GATEWAY else Proxies(labels=proxies.labels)


def _labels(document: Document) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(_selector(document).items()))


def _selector(document: Document) -> dict[str, str]:
    labels: dict[str, str] = (document.get("spec", {}).get("selector") or {}).get("matchLabels") or {}
    return labels


def _is_wide(document: Document) -> bool:
    """Return whether a policy is for a namespace, or for the mesh, and not for an application."""
    return not _selector(document)


def _rank(document: Document) -> int:
    """Return how near a PeerAuthentication is: 0 for one of the mesh, 1 for a namespace's, 2 for an application's."""
    if _selector(document):
        return 2
    return 0 if document["metadata"]["namespace"] == istio.NAMESPACE else 1


def _is_for(document: Document, config: ProxyConfig) -> bool:
    """Return whether a proxy is one of those that a PeerAuthentication is for; none of the mesh's."""
    return document["metadata"]["namespace"] == config.namespace and has_labels(_selector(document), config.labels)
