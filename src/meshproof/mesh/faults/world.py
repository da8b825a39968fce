"""The documents that are in force together, and what others refer to in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshproof.certificates.tree import Certificates
from meshproof.errors import Unreadable
from meshproof.input_files import Node, yaml_documents
from meshproof.mesh import istio
from meshproof.mesh.effects.hosts import CLUSTER_SUFFIX
from meshproof.mesh.faults.document import Written, named, read_document
from meshproof.mesh.faults.parts import value_at
from meshproof.mesh.gateways import GATEWAY_HOSTS
from meshproof.project import as_typed_here

_ALWAYS_THERE = ("default", istio.NAMESPACE)


@dataclass(slots=True)
class World:
    """What the documents that are in force together have in them.

    Attributes:
        certificates: Those of the project, and those that these documents define.
        of_all_manifests: The same, and those that the manifests of other scenarios define: a run makes each name once.
        documents: The documents.
    """

    certificates: Certificates
    of_all_manifests: Certificates
    documents: list[Written] = field(default_factory=list)

    def of(self, kind: str, namespace: str, *, gateway_api: bool = False) -> dict[str, Written]:
        """Return the documents of a kind in a namespace, by name: those of Kubernetes' Gateway API, or the others."""
        return {
            each.name: each
            for each in self.documents
            if (each.kind, each.namespace, each.is_of_gateway_api) == (kind, namespace, gateway_api)
        }

    def namespaces(self) -> list[str]:
        """Return the namespaces that there are."""
        return [*_ALWAYS_THERE, *(each.name for each in self.documents if each.kind == "Namespace")]

    def labels(self, namespace: str) -> list[Mapping[str, Any]]:
        """Return the labels of the pods in a namespace, those of the gateways among them."""
        pods: list[Mapping[str, Any]] = [
            labels if isinstance(labels := value_at(each.node, "spec", "template", "metadata", "labels"), dict) else {}
            for each in self.of("Deployment", namespace).values()
        ]
        gateways = [{"istio": f"{which}gateway", "app": f"istio-{which}gateway"} for which in ("ingress", "egress")]
        return [*pods, *gateways] if namespace == istio.NAMESPACE else pods


def read(files: Sequence[Path], world: World) -> Iterator[str]:
    """Add the documents of files to a world, and yield a sentence for each that can't be read."""
    for file in files:
        try:
            nodes = yaml_documents(as_typed_here(file), keep_empty=True)
        except Unreadable as error:
            yield str(error)
            continue
        if not nodes:
            yield f"{as_typed_here(file)}: there is no document in it."
        for node in nodes:
            try:
                document = read_document(node)
            except Unreadable as error:
                yield str(error)
                continue
            twin = next((other for other in world.documents if _same(other, document, file)), None)
            if twin:
                yield document.fault(f"is there twice, first in {twin.node.file}, line {twin.node.line}")
            world.documents.append(document)


def certificate_of(document: Written, certificate: Node, world: World) -> Iterator[str]:
    """Look whether the certificate that a document names in an annotation is there; it may define one there."""
    if not isinstance(certificate.value, dict):
        yield from named(document, certificate, "certificate", world.certificates.definitions)


def _same(one: Written, other: Written, file: Path) -> bool:
    """Return whether two documents are one object; a step may replace what the same manifest has, and nothing else."""
    by_a_step = one.step != other.step and one.node.file == as_typed_here(file)
    return str(one) == str(other) and not by_a_step


def service_of(host: str, namespace: str) -> tuple[str, str]:
    """Return the name and the namespace of the Service that a host is; empty names for another host, and for a gateway.

    Args:
        host: The host: a name without a dot, or one of the cluster.
        namespace: Where the document is that names it.
    """
    name, _, where = host.removesuffix(CLUSTER_SUFFIX).partition(".")
    if host in GATEWAY_HOSTS or (where and not host.endswith(CLUSTER_SUFFIX)):
        return "", ""
    return name, where or namespace
