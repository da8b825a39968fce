"""What a proxy has loaded, read from its own configuration dump.

That istiod has accepted a resource says nothing about the proxies: they are
told later, and may refuse. These functions tell, kind by kind, whether what a
document asks for is in force where it has to be.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/config_dump.proto
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meshproof import istio
from meshproof.errors import ClusterError
from meshproof.kube import Kube
from meshproof.manifests import Document, name_of
from meshproof.settings import TIMEOUTS
from meshproof.wait import until

INGRESS = (istio.NAMESPACE, "istio-ingressgateway")

_PLAINTEXT = "raw_buffer"


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """The configuration of one Envoy.

    Attributes:
        listeners: The active listeners, by name; one that drains takes no new connection and doesn't count.
        secrets: The active secrets, by name.
        routes: The route configurations.
    """

    listeners: dict[str, dict[str, Any]]
    secrets: dict[str, dict[str, Any]]
    routes: list[dict[str, Any]]

    @classmethod
    def of(cls, kube: Kube, namespace: str, app: str) -> ProxyConfig:
        """Ask the proxy of an application.

        Raises:
            ClusterError: It did not answer, or it refuses what istiod told it.
        """
        dump = json.loads(istio.proxy_request(kube, namespace, app, "config_dump"))
        sections = {section["@type"].rsplit(".", 1)[1]: section for section in dump["configs"]}
        listeners = sections.get("ListenersConfigDump", {}).get("dynamic_listeners", [])
        for listener in listeners:
            if "error_state" in listener:
                details = listener["error_state"].get("details", "no reason given")
                raise ClusterError(f"The proxy of {namespace}/{app} refuses its listener {listener['name']}: {details}")
        secrets = sections.get("SecretsConfigDump", {}).get("dynamic_active_secrets", [])
        return cls(
            listeners={each["name"]: each["active_state"]["listener"] for each in listeners if "active_state" in each},
            secrets={each["name"]: each["secret"] for each in secrets},
            routes=sections.get("RoutesConfigDump", {}).get("dynamic_route_configs", []),
        )

    def has_chain(self, port: int, server_name: str) -> bool:
        """Tell whether a listener on a port of the pod takes a server name; ``*`` is any, and none."""
        return any(
            server_name in chain.get("filter_chain_match", {}).get("server_names", ["*"])
            for chain in self._chains(f"0.0.0.0_{port}")
        )

    def has_certificate(self, credential: str, chain: bytes) -> bool:
        """Tell whether a credential of that name is active and is this certificate."""
        secret = self.secrets.get(f"kubernetes://{credential}", {})
        shown = secret.get("tls_certificate", {}).get("certificate_chain", {}).get("inline_bytes", "")
        return base64.b64decode(shown) == chain

    def has_client_ca(self, credential: str, authority: bytes) -> bool:
        """Tell whether the clients of a credential are held against this authority."""
        secret = self.secrets.get(f"kubernetes://{credential}-cacert", {})
        trusted = secret.get("validation_context", {}).get("trusted_ca", {}).get("inline_bytes", "")
        return base64.b64decode(trusted) == authority

    def mentions(self, text: str) -> bool:
        """Tell whether a listener or a route names something, by the whole of the name."""
        return f'{text}"' in json.dumps([self.listeners, self.routes])

    def accepts_plaintext(self) -> bool:
        """Tell whether a sidecar lets plaintext in on any port."""
        matches = [chain.get("filter_chain_match", {}) for chain in self._chains("virtualInbound")]
        return any(match.get("transport_protocol") == _PLAINTEXT for match in matches)

    def _chains(self, listener: str) -> list[dict[str, Any]]:
        chains: list[dict[str, Any]] = self.listeners.get(listener, {}).get("filter_chains", [])
        return chains


def wait_until_loaded(kube: Kube, documents: list[Document]) -> None:
    """Wait until the proxies have loaded what the documents ask for.

    Raises:
        NotSettled: Which document is in force nowhere.
        ClusterError: A proxy refuses it.
    """
    _wait(kube, documents, there=True)


def wait_until_forgotten(kube: Kube, documents: list[Document]) -> None:
    """Wait until nothing of the documents is left in the proxies."""
    _wait(kube, documents, there=False)


def _wait(kube: Kube, documents: list[Document], *, there: bool) -> None:
    for who in {where for document in documents for where, _ in _effects(document)}:
        effects = [(name_of(each), holds) for each in documents for where, holds in _effects(each) if where == who]

        def observe(who: tuple[str, str] = who, effects: list[tuple[str, Effect]] = effects) -> str:
            config = ProxyConfig.of(kube, *who)
            return ", ".join(name for name, holds in effects if holds(config) is not there) or "nothing"

        until(
            observe,
            "nothing".__eq__,
            what=f"What the proxy of {'/'.join(who)} {'has not loaded' if there else 'has not forgotten'}",
            timeout=TIMEOUTS.configuration,
            interval=0.2,
        )


Effect = Callable[[ProxyConfig], bool]


def _effects(document: Document) -> list[tuple[tuple[str, str], Effect]]:
    """Return what a document does to which proxy."""
    metadata, spec = document["metadata"], document.get("spec", {})
    match document["kind"]:
        case "Gateway":
            ports = istio.gateway_target_ports()
            return [
                (INGRESS, _takes(ports[server["port"]["number"]], host))
                for server in spec["servers"]
                if server.get("tls", {}).get("mode") != "PASSTHROUGH"  # its chain comes with the VirtualService
                for host in server["hosts"]
            ]
        case "VirtualService" if "tls" in spec:
            ports = istio.gateway_target_ports()
            matches = [match for route in spec["tls"] for match in route["match"]]
            return [(INGRESS, _takes(ports[match["port"]], name)) for match in matches for name in match["sniHosts"]]
        case "VirtualService":
            path = f"/namespaces/{metadata['namespace']}/virtual-service/{metadata['name']}"
            return [(INGRESS, _mentions(f"/apis/networking.istio.io/v1{path}"))]
        case "Secret" if metadata["namespace"] == istio.NAMESPACE:
            effects: list[Effect] = [_shows(metadata["name"], base64.b64decode(document["data"]["tls.crt"]))]
            if "ca.crt" in document["data"]:
                effects.append(_trusts(metadata["name"], base64.b64decode(document["data"]["ca.crt"])))
            return [(INGRESS, effect) for effect in effects]
        case "AuthorizationPolicy":
            return [(_selected(document), _mentions(f"ns[{metadata['namespace']}]-policy[{metadata['name']}]-rule[0]"))]
        case "PeerAuthentication":
            return [(_selected(document), _plaintext(accepted=spec["mtls"]["mode"] == "PERMISSIVE"))]
        case "Secret" | "ConfigMap" | "Service" | "ServiceAccount" | "Namespace" | "Deployment":
            return []  # no configuration of a proxy's
        case kind:
            raise ClusterError(
                f"{name_of(document)} can't be waited for: nobody told meshproof how a proxy shows that it has "
                f"loaded a {kind}. Add that to proxy.py, or a test may see the time before it."
            )


def _takes(port: int, server_name: str) -> Effect:
    return lambda config: config.has_chain(port, server_name)


def _shows(credential: str, chain: bytes) -> Effect:
    return lambda config: config.has_certificate(credential, chain)


def _trusts(credential: str, authority: bytes) -> Effect:
    return lambda config: config.has_client_ca(credential, authority)


def _mentions(text: str) -> Effect:
    return lambda config: config.mentions(text)


def _plaintext(*, accepted: bool) -> Effect:
    return lambda config: config.accepts_plaintext() is accepted


def _selected(document: Document) -> tuple[str, str]:
    """Return the application that a document selects, by its ``app`` label; a gateway's is ``istio-`` and its name."""
    labels = document["spec"].get("selector", {}).get("matchLabels", {})
    if not {"app", "istio"} & set(labels):
        raise ClusterError(
            f"{name_of(document)} can't be waited for: it selects no application by the label `app` or `istio`. "
            "Give it a selector, or add to proxy.py how to tell that every proxy has loaded it."
        )
    return document["metadata"]["namespace"], labels.get("app") or f"istio-{labels['istio']}"
