"""What documents do to the proxies, and waiting until they do.

Kind by kind: whether what a document asks for is in force where it has to be, with the content that the document has
now, in every gateway that it binds to, and in every pod.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/config_dump.proto
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document, name_of
from meshproof.errors import ClusterError
from meshproof.machine.wait import Patience
from meshproof.mesh import istio
from meshproof.mesh.envoy import ProxyConfig
from meshproof.posture.istio import accepted
from meshproof.settings import TIMEOUTS

INGRESS = (istio.NAMESPACE, "istio-ingressgateway")

KNOWN_BY_NAME = ("AuthorizationPolicy", "VirtualService")
"""Kinds of which a proxy shows that one of this name is in force, and not with which content."""
_LEAST = 5.0  # seconds for a configuration to arrive, however little patience is left
_PLAIN = ("HTTP", "HTTP2", "GRPC")  # protocols of a server that ends no TLS
_CLIENT_CA = ("MUTUAL", "OPTIONAL_MUTUAL")  # modes whose clients are held against the Secret's ca.crt


@dataclass(frozen=True, slots=True)
class Effect:
    """What a document does to the proxies of an application. Two that are worded alike are the same.

    Attributes:
        proxy: The namespace and the ``app`` label of the pods.
        what: In words, with the content that is asked for.
        places: Gives for each part of one proxy's configuration that has to show it whether it does.
        outlasts: Whether a proxy may show it without the document, too: then its end can't be waited for.
    """

    proxy: tuple[str, str]
    what: str
    places: Callable[[ProxyConfig], Iterable[bool]] = field(compare=False)
    outlasts: bool = False

    def everywhere(self, configs: Sequence[ProxyConfig]) -> bool:
        """Tell whether every proxy shows it, in all the parts that have to."""
        return all(seen and all(seen) for seen in self._seen(configs))

    def nowhere(self, configs: Sequence[ProxyConfig]) -> bool:
        """Tell whether no proxy shows it, in any part."""
        return not any(any(seen) for seen in self._seen(configs))

    def _seen(self, configs: Sequence[ProxyConfig]) -> Iterator[list[bool]]:
        return (list(self.places(config)) for config in configs)


def wait_for(kube: Kube, effects: Sequence[Effect], before: Sequence[Effect], patience: Patience) -> None:
    """Wait until the proxies show some effects everywhere, and none from before that is not among them.

    Raises:
        NotSettled: Which effect is missing, or still there.
        ClusterError: A proxy refuses what it was told.
    """
    asked = "as the manifests ask"
    gone = [effect for effect in before if effect not in effects and not effect.outlasts]
    for proxy in dict.fromkeys(effect.proxy for effect in (*effects, *gone)):

        def observe(proxy: tuple[str, str] = proxy) -> str:
            configs = ProxyConfig.of(kube, *proxy)
            missing = [each.what for each in effects if each.proxy == proxy and not each.everywhere(configs)]
            left = [each.what for each in gone if each.proxy == proxy and not each.nowhere(configs)]
            wrong = [f"{what} is missing" for what in missing] + [f"{what} is still there" for what in left]
            return "; ".join(wrong) or asked

        patience.until(
            observe,
            asked,
            what=f"The configuration of {'/'.join(proxy)}",
            timeout=TIMEOUTS.configuration,
            least=_LEAST,
            interval=0.2,
        )


def effects_of(documents: Sequence[Document]) -> list[Effect]:
    """Return what documents that are in force together do to the proxies.

    Raises:
        ClusterError: How a proxy shows that it has loaded one of them is not known.
    """
    gateways = {_key(document): document for document in documents if document["kind"] == "Gateway"}
    return [effect for document in documents for effect in _effects(document, gateways)]


Gateways = Mapping[tuple[str, str], Document]


def _effects(document: Document, gateways: Gateways) -> Iterator[Effect]:
    """Return what a document does to which proxy."""
    (namespace, name), spec = _key(document), document.get("spec", {})
    match document["kind"]:
        case "Gateway":
            for server in spec["servers"]:
                yield from _effects_of_server(server)
        case "VirtualService" if "tls" in spec:
            yield from _effects_of_passing(spec["tls"])
        case "VirtualService":
            yield from _effects_of_routes(document, gateways)
        case "Secret" if namespace == istio.NAMESPACE:
            yield from _effects_of_credential(name, document["data"], gateways)
        case "AuthorizationPolicy" if spec.get("action", "ALLOW") in ("ALLOW", "DENY"):
            yield from _effects_of_policy(document)
        case "PeerAuthentication" if spec["mtls"]["mode"] in ("PERMISSIVE", "STRICT"):
            yield _plaintext(_selected(document), spec["mtls"]["mode"], spec.get("portLevelMtls", {}))
        case "Secret" | "ConfigMap" | "Service" | "ServiceAccount" | "Namespace" | "Deployment":
            pass  # no configuration of a proxy's
        case kind:
            raise ClusterError(
                f"{name_of(document)} can't be waited for: nobody told meshproof how a proxy shows that it has "
                f"loaded such a {kind}. Add that to mesh/effects.py, or a test may see the time before it."
            )


def _effects_of_server(server: Mapping[str, Any]) -> Iterator[Effect]:
    """Return what a server of a Gateway does; that of one that passes TLS on comes with its VirtualService."""
    port, tls = istio.gateway_target_ports()[server["port"]["number"]], server.get("tls", {})
    hosts = [_bare(host) for host in server["hosts"]]
    if server["port"]["protocol"].upper() in _PLAIN:
        yield _takes_http(port)
        if tls.get("httpsRedirect"):
            yield from (_redirects(port, host) for host in hosts)
    elif tls.get("mode") != "PASSTHROUGH":
        yield from (_ends_tls(port, host, _settings(tls)) for host in hosts)


def _effects_of_passing(routes: Sequence[Mapping[str, Any]]) -> Iterator[Effect]:
    """Return what the TLS routes of a VirtualService do."""
    ports = istio.gateway_target_ports()
    for match in (match for route in routes for match in route["match"]):
        yield from (_passes(ports[match["port"]], host) for host in match["sniHosts"])


def _effects_of_credential(name: str, data: Mapping[str, str], gateways: Gateways) -> Iterator[Effect]:
    """Return what a Secret does: nothing, unless a server names it; its authority counts if that asks for clients."""
    servers = [server.get("tls", {}) for gateway in gateways.values() for server in gateway["spec"]["servers"]]
    modes = {tls.get("mode", "SIMPLE") for tls in servers if tls.get("credentialName") == name}
    if modes:
        yield _credential("certificate", name, data["tls.crt"], ProxyConfig.shows)
    if "ca.crt" in data and modes & {*_CLIENT_CA}:
        yield _credential("authority of the clients", name, data["ca.crt"], ProxyConfig.trusts)


def _effects_of_policy(document: Document) -> Iterator[Effect]:
    """Return what an AuthorizationPolicy does; one without a rule has one that nobody meets."""
    (namespace, name), spec = _key(document), document["spec"]
    for number in range(len(spec.get("rules", [])) or 1):
        rule = f"ns[{namespace}]-policy[{name}]-rule[{number}]"
        yield _rule(_selected(document), spec.get("action", "ALLOW"), rule)


def _effects_of_routes(document: Document, gateways: Gateways) -> Iterator[Effect]:
    """Return what the HTTP routes of a VirtualService do: they are in each server that has a host of its hosts."""
    namespace, name = _key(document)
    for bound in document["spec"].get("gateways", ["mesh"]):
        where, _, gateway = bound.rpartition("/")
        if (where or namespace, gateway) not in gateways:
            raise ClusterError(
                f"{name_of(document)} can't be waited for: it binds to the gateway {bound}, and its manifest has no "
                "such Gateway."
            )
        for server in gateways[where or namespace, gateway]["spec"]["servers"]:
            port = server["port"]
            meets = any(
                hosts_meet(ours, _bare(theirs)) for ours in document["spec"]["hosts"] for theirs in server["hosts"]
            )
            if not meets or server.get("tls", {}).get("mode") == "PASSTHROUGH":
                continue
            if port["protocol"].upper() in _PLAIN:
                routes = f"http.{istio.gateway_target_ports()[port['number']]}"
            else:
                routes = f"https.{port['number']}.{port['name']}.{gateway}.{where or namespace}"
            yield _routes(routes, f"/namespaces/{namespace}/virtual-service/{name}")


def _takes_http(port: int) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return ("transport_socket" not in chain for chain in config.chains(port))

    return Effect(INGRESS, f"a listener for HTTP on port {port}", places)


def _redirects(port: int, host: str) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        hosts = config.routes.get(f"http.{port}", {}).get("virtual_hosts", [])
        return (each.get("require_tls") == "ALL" for each in hosts if host in each["domains"])

    return Effect(INGRESS, f"a redirect to HTTPS for {host} on port {port}", places)


def _ends_tls(port: int, host: str, settings: Mapping[str, object]) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return (settings.items() <= _settings_in_force(chain).items() for chain in config.chains(port, host))

    words = ", ".join(f"{name} {value}" for name, value in settings.items())
    return Effect(INGRESS, f"TLS for {host} on port {port} ({words})", places)


def _passes(port: int, host: str) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return ("transport_socket" not in chain for chain in config.chains(port, host))

    return Effect(INGRESS, f"TLS that is passed on for {host} on port {port}", places)


def _routes(routes: str, of: str) -> Effect:
    def places(config: ProxyConfig) -> list[bool]:
        return [f'{of}"' in json.dumps(config.routes.get(routes, {}))]

    return Effect(INGRESS, f"{of} in the routes {routes}", places)


def _credential(what: str, name: str, content: str, shown: Callable[[ProxyConfig, str, bytes], bool]) -> Effect:
    pem = base64.b64decode(content)
    return Effect(INGRESS, f"this run's {what} {name}", lambda config: [shown(config, name, pem)], outlasts=True)


def _rule(proxy: tuple[str, str], action: str, rule: str) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return ((action, rule) in policies for policies in config.policies())

    return Effect(proxy, f"{action} {rule}", places)


def _plaintext(proxy: tuple[str, str], mode: str, ports: Mapping[int, Mapping[str, str]]) -> Effect:
    """Return the effect of a PeerAuthentication; without one a mesh is PERMISSIVE."""
    modes = {int(port): setting["mode"] for port, setting in ports.items()}
    permissive = "PERMISSIVE" in (mode, *modes.values())

    def places(config: ProxyConfig) -> Iterator[bool]:
        yield config.takes_plaintext() is permissive
        yield from (config.takes_plaintext(port) is (wanted == "PERMISSIVE") for port, wanted in modes.items())

    words = ", ".join([mode, *(f"port {port} {wanted}" for port, wanted in modes.items())])
    return Effect(proxy, words, places, outlasts=permissive)


def _settings(tls: Mapping[str, Any]) -> dict[str, object]:
    """Return what Envoy has to show for the ``tls`` of a server."""
    mode, credential = tls.get("mode", "SIMPLE"), tls.get("credentialName")
    settings: dict[str, object] = {
        "minimum": _version(tls.get("minProtocolVersion")),
        "maximum": _version(tls.get("maxProtocolVersion")),
        "suites": [name for name in dict.fromkeys(tls.get("cipherSuites", [])) if accepted(name)],
        "client certificate required": mode in ("MUTUAL", "ISTIO_MUTUAL"),
    }
    if credential:
        settings["certificate"] = f"kubernetes://{credential}"
        settings["authority of the clients"] = f"kubernetes://{credential}-cacert" if mode in _CLIENT_CA else "none"
    return settings


def _settings_in_force(chain: Mapping[str, Any]) -> dict[str, object]:
    """Return the same of a chain; nothing if it ends no TLS."""
    if "transport_socket" not in chain:
        return {}
    context = chain["transport_socket"]["typed_config"]
    common = context.get("common_tls_context", {})
    parameters, authority = common.get("tls_params", {}), common.get("combined_validation_context", {})
    return {
        "minimum": parameters.get("tls_minimum_protocol_version", "default"),
        "maximum": parameters.get("tls_maximum_protocol_version", "default"),
        "suites": parameters.get("cipher_suites", []),
        "client certificate required": context.get("require_client_certificate", False),
        "certificate": ", ".join(each["name"] for each in common.get("tls_certificate_sds_secret_configs", [])),
        "authority of the clients": authority.get("validation_context_sds_secret_config", {}).get("name", "none"),
    }


def _version(name: str | None) -> str:
    """Return a version of Istio's, such as ``TLSV1_2``, as Envoy calls it."""
    return "default" if name in (None, "TLS_AUTO") else str(name).replace("TLSV", "TLSv")


def _bare(host: str) -> str:
    """Return a host of a Gateway's server without the namespace that may bind to it."""
    return host.rpartition("/")[2]


def hosts_meet(one: str, other: str) -> bool:
    """Return whether two hosts, each a name or one with ``*`` for its beginning, have a name in common."""
    one_end, other_end = one.removeprefix("*"), other.removeprefix("*")
    if one != one_end and other != other_end:
        return one_end.endswith(other_end) or other_end.endswith(one_end)
    return (
        one == other or (one != one_end and other.endswith(one_end)) or (other != other_end and one.endswith(other_end))
    )


def _key(document: Document) -> tuple[str, str]:
    """Return the namespace and the name of a document."""
    return document["metadata"].get("namespace", ""), document["metadata"]["name"]


def _selected(document: Document) -> tuple[str, str]:
    """Return the application that a document selects, by its ``app`` label; a gateway's is ``istio-`` and its name."""
    labels = document["spec"].get("selector", {}).get("matchLabels", {})
    if not {"app", "istio"} & set(labels):
        raise ClusterError(
            f"{name_of(document)} can't be waited for: it selects no application by the label `app` or `istio`. "
            "Give it a selector, or add to mesh/effects.py how to tell that every proxy has loaded it."
        )
    return document["metadata"]["namespace"], labels.get("app") or f"istio-{labels['istio']}"
