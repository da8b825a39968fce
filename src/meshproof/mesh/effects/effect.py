"""An effect: what a document does to proxies, and how they show it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from meshproof.cluster.gateway_ports import EGRESS_TARGETS, TARGETS
from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.envoy import Proxies, ProxyConfig
from meshproof.mesh.gateways import EGRESS_GATEWAY, INGRESS_GATEWAY, selected_gateway
from meshproof.mesh.manifests import GATEWAY_API, group_of

INGRESS = Proxies(istio.NAMESPACE, (("app", "istio-ingressgateway"),))
EGRESS = Proxies(istio.NAMESPACE, (("app", "istio-egressgateway"),))
Documents = Sequence[Document]
"""The documents that are in force together."""


@dataclass(frozen=True, slots=True)
class GatewayPods:
    """What a Gateway of Istio's can be for.

    Attributes:
        proxies: Its pods.
        targets: The ports of the pods, by those of its Service.
    """

    proxies: Proxies
    targets: Mapping[int, int]


GATEWAYS: Mapping[str, GatewayPods] = {
    INGRESS_GATEWAY: GatewayPods(INGRESS, TARGETS),
    EGRESS_GATEWAY: GatewayPods(EGRESS, EGRESS_TARGETS),
}
"""Those that can be waited for, by the label ``istio`` that selects them."""


def gateway_of(document: Document) -> GatewayPods | None:
    """Return which gateway a Gateway selects; None for any other."""
    gateway = selected_gateway(document["spec"].get("selector"))
    return GATEWAYS[gateway] if gateway else None


@dataclass(frozen=True, slots=True)
class Effect:
    """What a document does to some proxies. Two that are worded alike are the same.

    Attributes:
        proxies: Which have to show it.
        what: In words, with the content that is asked for.
        places: Gives for each part of one proxy's configuration that has to show it whether it does.
        outlasts: Whether a proxy may show it without the document, too: then its end can't be waited for.
        where_it_can: Whether a proxy without any such part need not show it, as long as another does.
        drains: Whether it is on connections that other proxies keep for their next request: those from before go on as
            they began until they are closed.
        about: What in the proxies it is the whole content of, where that has one content at a time.
    """

    proxies: Proxies
    what: str
    places: Callable[[ProxyConfig], Iterable[bool]] = field(compare=False)
    outlasts: bool = False
    where_it_can: bool = False
    drains: bool = field(default=False, compare=False)
    about: str = field(default="", compare=False)

    def everywhere(self, configs: Sequence[ProxyConfig]) -> bool:
        """Return whether every proxy shows it, in all the parts that have to."""
        shown = [parts for parts in self._shown(configs) if parts or not self.where_it_can]
        return bool(shown) and all(parts and all(parts) for parts in shown)

    def nowhere(self, configs: Sequence[ProxyConfig]) -> bool:
        """Return whether no proxy shows it, in any part."""
        return not any(any(parts) for parts in self._shown(configs))

    def replaces(self, other: Effect) -> bool:
        """Return whether it is another content of the same: where it is shown everywhere, the other one is gone."""
        return bool(self.about) and (self.proxies, self.about) == (other.proxies, other.about)

    def _shown(self, configs: Sequence[ProxyConfig]) -> Iterator[list[bool]]:
        return (list(self.places(config)) for config in configs)


def key_of(document: Document) -> tuple[str, str]:
    """Return the namespace and the name of a document."""
    return document["metadata"].get("namespace", ""), document["metadata"]["name"]


def of_istio(kind: str, documents: Documents) -> list[Document]:
    """Return the documents of a kind of Istio's."""
    return [each for each in documents if each["kind"] == kind and group_of(each) != GATEWAY_API]


def has_labels(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return whether labels have all of those that a selector wants; it may want none."""
    return wanted.items() <= labels.items()
