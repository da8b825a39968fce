"""What a proxy has loaded, read from its own configuration dump.

That istiod has accepted a resource says nothing about the proxies: they are
told later, and may refuse.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/config_dump.proto
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document, containers_of
from meshproof.errors import ClusterError
from meshproof.mesh import istio

_AT_ONCE = 8  # proxies that are asked side by side
_DRAINING = "stats?type=Gauges&filter=^listener_manager.total_(listeners|filter_chains)_draining$"
_DUMP = "config_dump?include_eds"
_HEALTHY = "HEALTHY"
_PLAINTEXT = "raw_buffer"
_INBOUND = "virtualInbound"
_HTTP = "envoy.filters.network.http_connection_manager"
_RBAC = "envoy.filters.http.rbac"
_JWT = "envoy.filters.http.jwt_authn"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of some pods.

    Attributes:
        namespace: Where the pods are; empty is anywhere.
        labels: The labels that the pods have, each with its value; none is any pod that has a proxy.
    """

    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if not self.labels:
            return f"all proxies in {self.namespace or 'the mesh'}"
        (name, value), *others = self.labels
        words = value if name == "app" and not others else ",".join("=".join(label) for label in self.labels)
        return f"{self.namespace or 'the mesh'}/{words}"

    def pods(self, kube: Kube, *, needed: bool = True) -> list[Document]:
        """Return the ready pods.

        Args:
            kube: The cluster.
            needed: Whether there has to be one; without it there may be none, as after the end of an application.

        Raises:
            ClusterError: None is ready, and there is one or has to be.
        """
        selector = ",".join("=".join(label) for label in self.labels)
        pods = [
            pod
            for pod in kube.labelled(selector, {"Pod": ("v1",)})
            if self.namespace in ("", pod["metadata"]["namespace"])
        ]
        ready = [pod for pod in pods if has_ready_proxy(pod)]
        if not ready and (pods or needed):
            why = kube.pods.explain(self.namespace) if self.namespace else ""
            raise ClusterError(f"No pod with a proxy is ready ({self}). {why}".strip())
        return ready


def has_ready_proxy(pod: Document) -> bool:
    """Return whether a pod is ready, is to stay, and has a proxy (a native sidecar is an init container)."""
    containers = containers_of(pod)
    conditions = {each["type"]: each["status"] for each in pod.get("status", {}).get("conditions", [])}
    there = "deletionTimestamp" not in pod["metadata"] and conditions.get("Ready") == "True"
    return there and any(container["name"] == istio.PROXY for container in containers)


def refused_name(listener: Mapping[str, Any]) -> str:
    """Return the name of a listener that a proxy refuses; where none is active the dump's entry itself has none."""
    name: str = listener.get("name") or listener["error_state"].get("failed_configuration", {}).get("name", "")
    return name


def draining(kube: Kube, proxies: Proxies, *, needed: bool = True) -> int:
    """Return how many listeners and filter chains some proxies still have only for connections from before a change.

    Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/stats#listener-manager

    Raises:
        ClusterError: There is no pod, or a proxy did not answer, or not with these gauges.
    """

    def ask(pod: Document) -> int:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        gauges = [line for line in istio.pod_request(kube, namespace, name, _DRAINING).splitlines() if line]
        if not gauges:
            raise ClusterError(f"The proxy of {namespace}/{name} does not say what drains: {_DRAINING} is empty.")
        return sum(int(line.rpartition(": ")[2]) for line in gauges)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return sum(pool.map(ask, proxies.pods(kube, needed=needed)))


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """The configuration of one Envoy.

    Attributes:
        listeners: The active listeners, by name; one that drains takes no new connection and doesn't count.
        secrets: The active secrets, by name.
        routes: The route configurations, by name.
        clusters: The active clusters, by name.
        namespace: Where its pod is.
        labels: What its pod is labelled with.
        endpoints: How many endpoints that take requests a cluster has, by its name.
        tls_defaults: What its control plane gives servers of gateways that say nothing; see ``istio.tls_defaults``.
    """

    listeners: dict[str, dict[str, Any]]
    secrets: dict[str, dict[str, Any]]
    routes: dict[str, dict[str, Any]]
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, int] = field(default_factory=dict)
    tls_defaults: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, kube: Kube, proxies: Proxies, *, needed: bool = True) -> list[ProxyConfig]:
        """Ask some proxies, side by side; there may be none unless one is needed.

        Raises:
            ClusterError: There is no pod, a proxy did not answer, or it refuses what istiod told it.
        """
        pods = proxies.pods(kube, needed=needed)
        revisions = {_revision(pod["metadata"].get("labels", {})) for pod in pods} - {""}
        defaults = {revision: istio.tls_defaults(kube, revision) for revision in revisions}

        def ask(pod: Document) -> ProxyConfig:
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            dump, labels = istio.pod_request(kube, namespace, name, _DUMP), pod["metadata"].get("labels", {})
            read = cls.read(f"{namespace}/{name}", dump, labels)
            return replace(read, tls_defaults=defaults.get(_revision(labels), {}))

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(ask, pods))

    @classmethod
    def read(cls, pod: str, dump: str, labels: Mapping[str, str] | None = None) -> ProxyConfig:
        """Read a dump.

        Args:
            pod: The pod's namespace and name.
            dump: What its proxy gave.
            labels: The pod's labels.

        Raises:
            ClusterError: The proxy refuses a listener.
        """
        sections = {section["@type"].rsplit(".", 1)[1]: section for section in json.loads(dump)["configs"]}
        listeners = sections.get("ListenersConfigDump", {}).get("dynamic_listeners", [])
        for listener in listeners:
            if "error_state" in listener:
                details = listener["error_state"].get("details", "no reason given")
                raise ClusterError(f"The proxy of {pod} refuses its listener {refused_name(listener)}: {details}")
        secrets = sections.get("SecretsConfigDump", {}).get("dynamic_active_secrets", [])
        routes = sections.get("RoutesConfigDump", {}).get("dynamic_route_configs", [])
        clusters = sections.get("ClustersConfigDump", {}).get("dynamic_active_clusters", [])
        return cls(
            listeners={each["name"]: each["active_state"]["listener"] for each in listeners if "active_state" in each},
            secrets={each["name"]: each["secret"] for each in secrets},
            routes={each["route_config"]["name"]: each["route_config"] for each in routes},
            clusters={each["cluster"]["name"]: each["cluster"] for each in clusters},
            endpoints=_endpoints(sections.get("EndpointsConfigDump", {}).get("dynamic_endpoint_configs", [])),
            namespace=pod.partition("/")[0],
            labels=labels or {},
        )

    def chains(self, port: int, server_name: str | None = None) -> list[dict[str, Any]]:
        """Return the chains of a listener on a port of the pod that take a server name.

        Args:
            port: The port.
            server_name: The name; ``*`` is any, and none. None returns all chains.
        """
        chains = self._chains(f"0.0.0.0_{port}")
        if server_name is None:
            return chains
        return [each for each in chains if server_name in each.get("filter_chain_match", {}).get("server_names", ["*"])]

    def shows(self, credential: str, chain: bytes) -> bool:
        """Return whether a credential of that name is active and is this certificate."""
        secret = self.secrets.get(f"kubernetes://{credential}", {})
        shown = secret.get("tls_certificate", {}).get("certificate_chain", {}).get("inline_bytes", "")
        return base64.b64decode(shown) == chain

    def trusts(self, credential: str, authority: bytes) -> bool:
        """Return whether the clients of a credential are held against this authority."""
        secret = self.secrets.get(f"kubernetes://{credential}-cacert", {})
        trusted = secret.get("validation_context", {}).get("trusted_ca", {}).get("inline_bytes", "")
        return base64.b64decode(trusted) == authority

    @property
    def is_sidecar(self) -> bool:
        """Whether it is the proxy of an application, and no gateway."""
        return _INBOUND in self.listeners

    def policies(self) -> list[set[tuple[str, str]]]:
        """Return for each chain that takes requests its policies, each with its action.

        Of a sidecar only the chains of the application's ports count.
        """
        return [
            {
                (rules.get("action", "ALLOW"), name)
                for rules in (each.get("rules", {}) for each in filters)
                for name in rules.get("policies", {})
            }
            for filters in self._http_filters(_RBAC)
        ]

    def token_providers(self) -> list[list[dict[str, Any]]]:
        """Return for each chain that takes requests whose tokens (JWT) it knows, each with its settings.

        Of a sidecar only the chains of the application's ports count.
        """
        return [
            [provider for each in filters for provider in each.get("providers", {}).values()]
            for filters in self._http_filters(_JWT)
        ]

    def _http_filters(self, kind: str) -> Iterator[list[dict[str, Any]]]:
        """Yield for each chain that takes requests the settings of its HTTP filters of a kind."""
        names = [_INBOUND] if self.is_sidecar else list(self.listeners)
        chains = [chain for name in names for chain in self._chains(name) if chain.get("name", "")[:14] != _INBOUND]
        managers = [each["typed_config"] for chain in chains for each in chain["filters"] if each["name"] == _HTTP]
        for manager in managers:
            yield [each["typed_config"] for each in manager.get("http_filters", []) if each["name"] == kind]

    def takes_plaintext(self, port: int | None = None, besides: Collection[int] = ()) -> bool | None:
        """Return whether a sidecar lets plaintext in; None if it is no sidecar, or not yet ready.

        Args:
            port: The port of the application; one without chains of its own has those of no port. None is any.
            besides: Ports whose own chains don't count.
        """
        matches = [chain.get("filter_chain_match", {}) for chain in self._chains(_INBOUND)]
        if not matches:
            return None
        if port is not None:
            own = [match for match in matches if match.get("destination_port") == port]
            matches = own or [match for match in matches if "destination_port" not in match]
        return any(
            match.get("transport_protocol") == _PLAINTEXT and match.get("destination_port") not in besides
            for match in matches
        )

    def _chains(self, listener: str) -> list[dict[str, Any]]:
        chains: list[dict[str, Any]] = self.listeners.get(listener, {}).get("filter_chains", [])
        return chains


def _revision(labels: Mapping[str, str]) -> str:
    """Return of which revision a gateway is, by the labels of its pod; empty for any other pod."""
    return labels.get(istio.REVISION, "")


def _endpoints(dumped: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many endpoints that take requests each cluster has."""
    assignments = [each["endpoint_config"] for each in dumped]
    return {
        assignment["cluster_name"]: sum(
            endpoint.get("health_status", _HEALTHY) == _HEALTHY
            for locality in assignment.get("endpoints", [])
            for endpoint in locality.get("lb_endpoints", [])
        )
        for assignment in assignments
    }
