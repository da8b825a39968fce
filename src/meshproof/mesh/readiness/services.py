"""Services: which of their ports lead to which ports of a pod."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshproof.cluster.objects import Document, containers_of
from meshproof.mesh.readiness.capture import Capture
from meshproof.mesh.readiness.pods import Owner, labels_of


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a Service, and of the pods behind it.

    Attributes:
        number: Of the Service.
        target: Of the pod.
    """

    number: int
    target: int


def ports_of(service: Document, pod: Document) -> Iterator[Port]:
    """Give the TCP ports of a Service that lead to a pod; a name is looked up among the ports of its containers.

    Mutual TLS is nothing for UDP and SCTP.
    """
    named = {
        port.get("name"): port["containerPort"]
        for container in containers_of(pod)
        for port in container.get("ports") or []
    }
    for port in service["spec"].get("ports") or []:
        if port.get("protocol", "TCP") != "TCP":
            continue
        target = port.get("targetPort") or port["port"]
        target = named.get(target) if isinstance(target, str) and not target.isdigit() else int(target)
        if target is not None:
            yield Port(port["port"], target)


def is_behind(pod: Document, service: Document) -> bool:
    """Return whether a Service leads to a pod."""
    selector = service["spec"].get("selector") or {}
    here = service["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return bool(selector) and here and selector.items() <= labels_of(pod).items()


@dataclass(frozen=True, slots=True)
class Entrance:
    """A port of a Service that leads to a server.

    Attributes:
        service: The Service.
        port: The port.
        server: What keeps the pods behind it.
    """

    service: Document
    port: Port
    server: Owner

    def is_at(self, host: str, port: int) -> bool:
        """Return whether it is that port of that host."""
        metadata = self.service["metadata"]
        return port == self.port.number and host.startswith(f"{metadata['name']}.{metadata['namespace']}.svc.")

    def is_past(self, capture: Capture) -> bool:
        """Return whether a pod's traffic goes there past its proxy.

        A client connects to the Service, or to a pod behind it where the Service is headless.
        """
        address: str | None = self.service["spec"].get("clusterIP")
        if address and address != "None":
            return capture.lets_out(self.port.number, address)
        addresses = [pod.get("status", {}).get("podIP") for pod in self.server.pods]
        return any(capture.lets_out(self.port.target, address) for address in addresses if address)
