"""What a proxy has loaded, read from its own configuration dump.

That istiod has accepted a resource says nothing about the proxies: they are
told later, and may refuse.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/config_dump.proto
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from meshproof.cluster.kube import Kube
from meshproof.errors import ClusterError
from meshproof.mesh import istio

_PLAINTEXT = "raw_buffer"
_INBOUND = "virtualInbound"
_HTTP = "envoy.filters.network.http_connection_manager"
_RBAC = "envoy.filters.http.rbac"


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """The configuration of one Envoy.

    Attributes:
        listeners: The active listeners, by name; one that drains takes no new connection and doesn't count.
        secrets: The active secrets, by name.
        routes: The route configurations, by name.
    """

    listeners: dict[str, dict[str, Any]]
    secrets: dict[str, dict[str, Any]]
    routes: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, kube: Kube, namespace: str, app: str) -> list[ProxyConfig]:
        """Ask the proxy of each pod of an application.

        Raises:
            ClusterError: There is no pod, a proxy did not answer, or it refuses what istiod told it.
        """
        return [
            cls.read(f"{namespace}/{pod}", istio.pod_request(kube, namespace, pod, "config_dump"))
            for pod in kube.pods.ready(namespace, app)
        ]

    @classmethod
    def read(cls, pod: str, dump: str) -> ProxyConfig:
        """Read a dump.

        Raises:
            ClusterError: The proxy refuses a listener.
        """
        sections = {section["@type"].rsplit(".", 1)[1]: section for section in json.loads(dump)["configs"]}
        listeners = sections.get("ListenersConfigDump", {}).get("dynamic_listeners", [])
        for listener in listeners:
            if "error_state" in listener:
                details = listener["error_state"].get("details", "no reason given")
                raise ClusterError(f"The proxy of {pod} refuses its listener {listener['name']}: {details}")
        secrets = sections.get("SecretsConfigDump", {}).get("dynamic_active_secrets", [])
        routes = sections.get("RoutesConfigDump", {}).get("dynamic_route_configs", [])
        return cls(
            listeners={each["name"]: each["active_state"]["listener"] for each in listeners if "active_state" in each},
            secrets={each["name"]: each["secret"] for each in secrets},
            routes={each["route_config"]["name"]: each["route_config"] for each in routes},
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
        """Tell whether a credential of that name is active and is this certificate."""
        secret = self.secrets.get(f"kubernetes://{credential}", {})
        shown = secret.get("tls_certificate", {}).get("certificate_chain", {}).get("inline_bytes", "")
        return base64.b64decode(shown) == chain

    def trusts(self, credential: str, authority: bytes) -> bool:
        """Tell whether the clients of a credential are held against this authority."""
        secret = self.secrets.get(f"kubernetes://{credential}-cacert", {})
        trusted = secret.get("validation_context", {}).get("trusted_ca", {}).get("inline_bytes", "")
        return base64.b64decode(trusted) == authority

    def policies(self) -> list[set[tuple[str, str]]]:
        """Return for each chain that takes requests its policies, each with its action.

        Of a sidecar only the chains of the application's ports count.
        """
        names = [_INBOUND] if _INBOUND in self.listeners else list(self.listeners)
        chains = [chain for name in names for chain in self._chains(name) if chain.get("name", "")[:14] != _INBOUND]
        managers = [each["typed_config"] for chain in chains for each in chain["filters"] if each["name"] == _HTTP]
        return [
            {
                (rules.get("action", "ALLOW"), name)
                for each in manager.get("http_filters", [])
                if each["name"] == _RBAC
                for rules in [each["typed_config"].get("rules", {})]
                for name in rules.get("policies", {})
            }
            for manager in managers
        ]

    def takes_plaintext(self, port: int | None = None) -> bool | None:
        """Return whether a sidecar lets plaintext in; None if it is no sidecar, or not yet ready.

        Args:
            port: The port of the application; None is any.
        """
        matches = [chain.get("filter_chain_match", {}) for chain in self._chains(_INBOUND)]
        if not matches:
            return None
        return any(
            match.get("transport_protocol") == _PLAINTEXT and port in (None, match.get("destination_port"))
            for match in matches
        )

    def _chains(self, listener: str) -> list[dict[str, Any]]:
        chains: list[dict[str, Any]] = self.listeners.get(listener, {}).get("filter_chains", [])
        return chains
