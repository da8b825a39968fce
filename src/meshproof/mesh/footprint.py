"""What a scenario touches: read from its manifest, so that it can't be declared wrongly.

Two scenarios that touch nothing in common can be in force at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from meshproof.cluster.objects import Document, name_of
from meshproof.mesh.effects import effects_of
from meshproof.mesh.effects.effect import INGRESS, gateway_of, key_of, of_istio
from meshproof.mesh.effects.hosts import bare, hosts_meet, whole_host
from meshproof.mesh.effects.routes import MESH
from meshproof.mesh.envoy import Proxies
from meshproof.mesh.gateways import INGRESS_GATEWAY, selected_gateway
from meshproof.mesh.manifests import is_waited_for

_OF_HOSTS = ("Gateway", "VirtualService", "Secret")  # touch requests for their hosts only
_IN_THE_MESH = 0  # the port of hosts that sidecars route
_ANYWHERE = Proxies()


@dataclass(frozen=True, slots=True)
class Footprint:
    """What some documents touch.

    Attributes:
        objects: The objects that they are, each as ``Kind namespace/name``.
        hosts: The hosts that they have at a port of the ingress gateway; the port is 0 for those that sidecars route.
        changed: The proxies that they change for every request; all of the mesh's where that is not known.
        used: The proxies that requests for them pass through, as far as a namespace tells.
    """

    objects: frozenset[str]
    hosts: frozenset[tuple[int, str]]
    changed: frozenset[Proxies]
    used: frozenset[Proxies]

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Footprint:
        """Return what documents touch that are in force together, and whose servers have their ports.

        Raises:
            ClusterError: One of them can't be waited for.
        """
        others = [document for document in documents if document["kind"] not in _OF_HOSTS]
        changed = {effect.proxies for effect in effects_of(others)}
        if not all(map(is_waited_for, documents)):
            changed.add(_ANYWHERE)
        return cls(
            frozenset(map(name_of, documents)),
            frozenset(_hosts(documents)),
            frozenset(changed),
            frozenset([*changed, *_used(documents)]),
        )

    def meets(self, other: Footprint) -> str | None:
        """Return what both touch, in words; None if there is nothing."""
        if shared := sorted(self.objects & other.objects):
            return shared[0]
        for port, host in sorted(self.hosts):
            for other_port, other_host in sorted(other.hosts):
                if port == other_port and hosts_meet(host, other_host):
                    return f"the host {host} at port {port} of the ingress gateway" if port else f"routes for {host}"
        for one, theirs in ((self, other), (other, self)):
            shared_proxies = [str(mine) for mine in one.changed if any(_overlap(mine, used) for used in theirs.used)]
            if shared_proxies:
                return f"what passes through {min(shared_proxies)}"
        return None


def _hosts(documents: Sequence[Document]) -> Iterator[tuple[int, str]]:
    """Give the hosts of the gateway's servers, each with its port, and those that sidecars route."""
    for gateway in of_istio("Gateway", documents):
        if selected_gateway(gateway["spec"].get("selector")) != INGRESS_GATEWAY:
            continue  # what comes to another one is led there by the sidecars' routes
        for server in gateway["spec"]["servers"]:
            yield from ((server["port"]["number"], bare(host)) for host in server["hosts"])
    for routes in of_istio("VirtualService", documents):
        if MESH in routes["spec"].get("gateways", [MESH]):
            yield from ((_IN_THE_MESH, whole_host(host, key_of(routes)[0])) for host in routes["spec"]["hosts"])


def _used(documents: Sequence[Document]) -> Iterator[Proxies]:
    """Give the proxies that requests pass through: the gateways, where routes lead to, and the documents' own pods."""
    for gateway in of_istio("Gateway", documents):
        pods = gateway_of(gateway)
        yield pods.proxies if pods else INGRESS
    for document in documents:
        namespace, _ = key_of(document)
        if document["kind"] == "Deployment":
            labels = document["spec"]["template"]["metadata"]["labels"]
            yield Proxies(namespace, tuple(sorted(labels.items())))
        if document["kind"] == "Service":
            yield Proxies(namespace, tuple(sorted(document["spec"].get("selector", {}).items())))
        if document["kind"] == "VirtualService":
            if MESH in document["spec"].get("gateways", [MESH]):
                yield _ANYWHERE
            routes = (route for kind in ("http", "tls", "tcp") for route in document["spec"].get(kind, []))
            for target in (target for route in routes for target in route.get("route", [])):
                _, *rest = target["destination"]["host"].split(".")
                yield Proxies(rest[0] if rest else namespace)


def _overlap(one: Proxies, other: Proxies) -> bool:
    """Return whether a pod can be one of both: nothing that is asked of it contradicts."""
    labels = dict(one.labels)
    alike = all(labels.get(name, value) == value for name, value in other.labels)
    return alike and (not one.namespace or not other.namespace or one.namespace == other.namespace)
