"""What STRICT changes at the ports of a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from meshproof.cluster.objects import Document
from meshproof.mesh.readiness.capture import Capture
from meshproof.mesh.readiness.modes import DISABLE, STRICT, modes_of
from meshproof.mesh.readiness.pods import Owner, has_sidecar, is_in_ambient
from meshproof.mesh.readiness.services import Entrance, ports_of
from meshproof.mesh.readiness.world import World


@dataclass(slots=True)
class Exposure:
    """The ports of a server, by what STRICT changes there.

    Attributes:
        server: What keeps its pods: those of them that have a sidecar.
        ports: Those of a Service that would begin to refuse plaintext.
        strict: Those that refuse it now.
        stay_open: Those that would take it all the same, by the reason.
        open_at_proxy: Those of these that are led to the proxy, which counts what comes in at all ports together.
        begins_to_refuse: Whether a port would begin to, be it one that no Service names.
        takes_no_mutual_tls: Whether it is DISABLE now: then clients send plaintext because of the server.
    """

    server: Owner
    ports: set[int] = field(default_factory=set)
    strict: set[int] = field(default_factory=set)
    stay_open: dict[str, set[int]] = field(default_factory=dict)
    open_at_proxy: set[int] = field(default_factory=set)
    begins_to_refuse: bool = False
    takes_no_mutual_tls: bool = False

    def counts(self, port: int | None) -> bool:
        """Return whether plaintext at a port of its pods counts; it does where the port is not known."""
        return port is None or port in self.ports or port not in self.open_at_proxy


def exposure_of(owner: Owner, world: World, policies_then: Sequence[Document]) -> Exposure:
    """Compare what the ports of some pods take now with what they would take under other PeerAuthentications."""
    exposure = Exposure(Owner(owner.namespace, owner.kind, owner.name, tuple(filter(has_sidecar, owner.pods))))
    for pod in owner.pods:
        if is_in_ambient(pod) and not has_sidecar(pod):
            continue
        now, then, capture = modes_of(pod, world.policies), modes_of(pod, policies_then), Capture.of(pod)
        if has_sidecar(pod) and then.mode == STRICT != now.mode:
            exposure.begins_to_refuse = True
            exposure.takes_no_mutual_tls |= now.mode == DISABLE
        of_services = {port.target for service in world.services_of(pod) for port in ports_of(service, pod)}
        for port in of_services | {*then.ports}:
            if not has_sidecar(pod):
                reason = "It has no sidecar, so it takes plaintext"
            elif capture and capture.lets_in(port):
                reason = "What comes in goes past its proxy (excludeInboundPorts)"
            elif then.at(port) != STRICT:
                exposure.open_at_proxy.add(port)
                by = "portLevelMtls" if port in then.ports else then.said_by
                reason = f"It stays {then.at(port)} ({by})"
            else:
                (exposure.strict if now.at(port) == STRICT else exposure.ports).add(port)
                continue
            exposure.stay_open.setdefault(reason, set()).add(port)
    return exposure


def entrances_of(exposure: Exposure, world: World) -> list[Entrance]:
    """Return the ports of Services that lead to ports of a server that would begin to refuse."""
    entrances = list[Entrance]()
    for pod in exposure.server.pods:
        for service in world.services_of(pod):
            for port in ports_of(service, pod):
                entrance = Entrance(service, port, exposure.server)
                if port.target in exposure.ports and entrance not in entrances:
                    entrances.append(entrance)
    return entrances
