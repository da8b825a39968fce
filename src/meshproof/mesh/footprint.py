"""What a scenario touches: read from its manifest, so that it can't be declared wrongly.

Two scenarios that touch nothing in common can be in force at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meshproof.cluster.objects import Document, name_of
from meshproof.mesh.effects import effects_of
from meshproof.mesh.effects.effect import INGRESS, of_istio
from meshproof.mesh.effects.hosts import bare, hosts_meet
from meshproof.mesh.envoy import Proxies
from meshproof.mesh.manifests import is_waited_for

_OF_HOSTS = ("Gateway", "VirtualService", "Secret")  # touch the ingress gateway only where a host of theirs is
_ANYWHERE = Proxies()


@dataclass(frozen=True, slots=True)
class Footprint:
    """What some documents touch.

    Attributes:
        objects: The objects that they are, each as ``Kind namespace/name``.
        hosts: The hosts that they have at a port of the ingress gateway.
        proxies: The proxies that they change for every request; all of the mesh's where that is not known.
    """

    objects: frozenset[str]
    hosts: frozenset[tuple[int, str]]
    proxies: frozenset[Proxies]

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Footprint:
        """Return what documents touch that are in force together, and whose servers have their ports.

        Raises:
            ClusterError: One of them can't be waited for.
        """
        servers = [server for gateway in of_istio("Gateway", documents) for server in gateway["spec"]["servers"]]
        others = [document for document in documents if document["kind"] not in _OF_HOSTS]
        proxies = {effect.proxies for effect in effects_of(others)}
        if not all(map(is_waited_for, documents)):
            proxies.add(_ANYWHERE)
        return cls(
            frozenset(map(name_of, documents)),
            frozenset((server["port"]["number"], bare(host)) for server in servers for host in server["hosts"]),
            frozenset(proxies),
        )

    def meets(self, other: Footprint) -> str | None:
        """Return what both touch, in words; None if there is nothing."""
        if shared := sorted(self.objects & other.objects):
            return shared[0]
        for port, host in sorted(self.hosts):
            for other_port, other_host in sorted(other.hosts):
                if port == other_port and hosts_meet(host, other_host):
                    return f"the host {host} at port {port} of the ingress gateway"
        return self._changes(other) or other._changes(self)

    def _changes(self, other: Footprint) -> str | None:
        """Return, in words, which proxies are changed here and used there."""
        used = other.proxies | ({INGRESS} if other.hosts else set())
        shared = (mine for mine in self.proxies for theirs in used if _overlap(mine, theirs))
        return next((f"what passes through {proxies}" for proxies in shared), None)


def _overlap(one: Proxies, other: Proxies) -> bool:
    """Return whether a pod can be one of both: nothing that is asked of it contradicts."""
    labels = dict(one.labels)
    alike = all(labels.get(name, value) == value for name, value in other.labels)
    return alike and (not one.namespace or not other.namespace or one.namespace == other.namespace)
