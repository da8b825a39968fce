"""What PeerAuthentication says of a pod: whether a port takes plaintext, now and once STRICT is switched on.

Source: https://istio.io/latest/docs/reference/config/security/peer_authentication/ and, for which one counts,
ComposePeerAuthentication in Istio's pilot/pkg/security/authn/policy_applier.go: the oldest of the mesh, of the
namespace and of the workload; UNSET takes what is above; one with a selector in the root namespace counts nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from meshproof.cluster.objects import Document, name_of
from meshproof.mesh import istio
from meshproof.mesh.readiness.pods import labels_of

STRICT, PERMISSIVE, DISABLE = "STRICT", "PERMISSIVE", "DISABLE"
_UNSET = "UNSET"
_MESH, _NAMESPACE, _WORKLOAD = range(3)


@dataclass(frozen=True, slots=True)
class Modes:
    """The modes of one pod.

    Attributes:
        mode: That of every port but those below.
        ports: Ports of the pod with one of their own.
        said_by: Which PeerAuthentication says so; empty if none does.
    """

    mode: str
    ports: Mapping[int, str] = field(default_factory=dict)
    said_by: str = ""

    def at(self, port: int) -> str:
        """Return the mode of a port of the pod."""
        return self.ports.get(port, self.mode)


def strict(namespaces: Sequence[str]) -> list[Document]:
    """Return the PeerAuthentications that switch STRICT on: for some namespaces, or the mesh if none are named."""
    return [
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": {"name": "default", "namespace": namespace, "creationTimestamp": "0"},  # as if the oldest
            "spec": {"mtls": {"mode": STRICT}},
        }
        for namespace in namespaces or [istio.NAMESPACE]
    ]


def modes_of(pod: Document, policies: Sequence[Document]) -> Modes:
    """Return what PeerAuthentications say of a pod."""
    chosen: dict[int, Document] = {}
    for policy in sorted(policies, key=lambda policy: str(policy["metadata"].get("creationTimestamp", ""))):
        if (rank := _rank(policy, pod)) is not None:
            chosen.setdefault(rank, policy)
    mode, said_by = PERMISSIVE, ""
    for _, policy in sorted(chosen.items()):
        if (own := _mode(spec_of(policy).get("mtls"))) != _UNSET:
            mode, said_by = own, name_of(policy)
    ports = (spec_of(chosen[_WORKLOAD]).get("portLevelMtls") or {}) if _WORKLOAD in chosen else {}
    of_ports = {int(port): _mode(setting) for port, setting in ports.items()}
    return Modes(mode, {port: mode if own == _UNSET else own for port, own in of_ports.items()}, said_by)


def spec_of(policy: Document) -> Document:
    """Return what a PeerAuthentication says; it need not say anything."""
    spec: Document = policy.get("spec") or {}
    return spec


def _mode(setting: Document | None) -> str:
    return str((setting or {}).get("mode") or _UNSET)


def _rank(policy: Document, pod: Document) -> int | None:
    """Return how near a policy is to a pod; None if it is not for it."""
    labels = (spec_of(policy).get("selector") or {}).get("matchLabels") or {}
    namespace = policy["metadata"]["namespace"]
    if namespace == istio.NAMESPACE:
        return None if labels else _MESH
    if namespace != pod["metadata"]["namespace"] or not labels.items() <= labels_of(pod).items():
        return None
    return _WORKLOAD if labels else _NAMESPACE
