"""The clients that would be refused: each cause once, with the servers that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from meshproof.cluster.objects import Document
from meshproof.mesh.readiness.answer import Client, Evidence
from meshproof.mesh.readiness.capture import Capture
from meshproof.mesh.readiness.clients import Cause, Plain, what_forbids_a_sidecar, why_without_sidecar
from meshproof.mesh.readiness.counters import PlaintextRequest
from meshproof.mesh.readiness.exposure import Exposure, entrances_of
from meshproof.mesh.readiness.pods import (
    Owner,
    full_name,
    has_proxy_alone,
    has_sidecar,
    is_in_ambient,
    labels_of,
    owners_of,
)
from meshproof.mesh.readiness.services import Entrance
from meshproof.mesh.readiness.world import World

ANY_SERVER = "whatever has a sidecar"
_TLS_MODE = "security.istio.io/tlsMode"


class Callers:
    """Clients, as they are found."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._clients: dict[tuple[str, str], Client] = {}

    def all(self) -> list[Client]:
        """Return them, by name."""
        return [self._clients[key] for key in sorted(self._clients)]

    def add_those_without_sidecar(self, owners: Iterable[Owner]) -> None:
        """Add the pods that have no sidecar."""
        for owner in owners:
            for pod in owner.pods:
                if not has_sidecar(pod) and not is_in_ambient(pod):
                    cause = why_without_sidecar(pod, self._world.namespaces[owner.namespace], owner.restart)
                    self._refused(owner, pod, cause, ANY_SERVER)

    def add_cron_job(self, cron_job: Document) -> bool:
        """Add a CronJob if its next pods get no sidecar; return whether they do not."""
        namespace = self._world.namespaces[cron_job["metadata"]["namespace"]]
        owner = Owner(namespace["metadata"]["name"], "CronJob", cron_job["metadata"]["name"], ())
        template = {"metadata": {}, **cron_job["spec"]["jobTemplate"]["spec"]["template"]}
        cause = what_forbids_a_sidecar(template, namespace, owner.restart)
        if cause:
            self._refused(owner, None, cause, ANY_SERVER)
        return cause is not None

    def add_those_with_proxy(
        self, clients: Iterable[Document], plain: Mapping[str, Sequence[Plain]], servers: Sequence[Exposure]
    ) -> None:
        """Add the pods that have a proxy and send plaintext: as it is told, past it, or for want of a label.

        Args:
            clients: The pods.
            plain: Where their proxies would send it, by the names of the pods.
            servers: Who would refuse it.
        """
        entrances = [(exposure, entrance) for exposure in servers for entrance in entrances_of(exposure, self._world)]
        unlabelled = [exposure.server for exposure in servers if _lacks_label(exposure.server)]
        for owner in owners_of(clients):
            for pod in owner.pods:
                capture = Capture.of(pod)
                for exposure, entrance in entrances:
                    for port in plain.get(full_name(pod), []):
                        # What no rule says is said by the server, which may take no mutual TLS now.
                        if entrance.is_at(port.host, port.port) and (port.by_rule or not exposure.takes_no_mutual_tls):
                            self._refused(owner, pod, port.cause, str(entrance.server))
                    if capture and entrance.is_past(capture):
                        self._refused(owner, pod, _past(entrance), str(entrance.server))
                for server in unlabelled:
                    reason = f"{server} has pods without the label {_TLS_MODE}=istio, so proxies send it plaintext."
                    cause = Cause(reason, "take that label out of its template: injection then sets it")
                    self._refused(owner, pod, cause, str(server))

    def client_of(self, request: PlaintextRequest, server: str) -> Client | None:
        """Return who sent a request to a server, as one of the clients; None if it is gone."""
        if pod := self._world.pod_at(request):
            return self._client_in(pod, server)
        nodes = self._world.nodes_at(request.address)
        if nodes:
            on_them = self._on_the_network_of(nodes)
            if len(on_them) == 1:
                return on_them[0]
            reason = "The address is a node's: of pods on its network, or of what comes in through a NodePort."
        elif self._world.is_of_pods(request.address):
            return None
        else:
            reason = "The address is outside of the cluster."
        name = f"address {request.address}"
        cause = Cause(reason, "find out who calls from there; from outside the way in is a gateway")
        client = self._clients.setdefault((name, reason), Client(name, [], [], cause, set()))
        client.refused_by = sorted({*client.refused_by, server})
        return client

    def _client_in(self, pod: Document, server: str) -> Client:
        """Return the client that a pod is, for a server that it has sent plaintext to."""
        (owner,) = owners_of([pod])
        for client in self._clients.values():
            is_it = client.name == str(owner) and pod["metadata"]["name"] in client.pods
            if is_it and {server, ANY_SERVER} & {*client.refused_by}:
                return client
        if has_sidecar(pod) or has_proxy_alone(pod):
            cause = Cause(
                "It has a proxy, and sent plaintext all the same: to an address of which its proxy knows no Service, "
                "such as a pod's own, or before a change of the mesh.",
                f"have it call the Service by its name; if it does, restart {server}, whose proxies then count anew",
            )
        else:
            cause = why_without_sidecar(pod, self._world.namespaces[owner.namespace], owner.restart)
        client = self._refused(owner, pod, cause, server)
        client.evidence -= {Evidence.CONFIGURATION}
        return client

    def _on_the_network_of(self, nodes: set[str]) -> list[Client]:
        """Return the clients that have pods on the network of some nodes, each once."""
        pods = {
            full_name(pod)
            for pod in self._world.pods
            if pod["spec"].get("hostNetwork") and pod["spec"].get("nodeName") in nodes
        }
        return [
            client
            for client in self._clients.values()
            if pods & {f"{client.name.partition('/')[0]}/{pod}" for pod in client.pods}
        ]

    def _refused(self, owner: Owner, pod: Document | None, cause: Cause, server: str) -> Client:
        """Note that a pod would be refused, by configuration."""
        client = self._clients.setdefault(
            (str(owner), cause.reason), Client(str(owner), [], [], cause, {Evidence.CONFIGURATION})
        )
        client.pods = sorted({*client.pods, *([pod["metadata"]["name"]] if pod else [])})
        client.refused_by = sorted({*client.refused_by, server})
        return client


def _lacks_label(server: Owner) -> bool:
    return any(labels_of(pod).get(_TLS_MODE) != "istio" for pod in server.pods)


def _past(entrance: Entrance) -> Cause:
    return Cause(
        f"What it sends to port {entrance.port.number} of {full_name(entrance.service)} goes past its proxy: "
        "excludeOutboundPorts, or a list of addresses.",
        "take that out of its annotations",
    )
