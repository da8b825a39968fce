"""An effect: what a document does to the proxies of an application, and how they show it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.envoy import ProxyConfig

INGRESS = (istio.NAMESPACE, "istio-ingressgateway")
Gateways = Mapping[tuple[str, str], Document]
"""The Gateways that are in force, by namespace and name."""


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


def key_of(document: Document) -> tuple[str, str]:
    """Return the namespace and the name of a document."""
    return document["metadata"].get("namespace", ""), document["metadata"]["name"]
