"""Faults in the objects of Kubernetes: Services, Deployments and Secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshproof.certificates.tree import Definition
from meshproof.errors import ClusterError, NotThere
from meshproof.images import is_reference, roles
from meshproof.input_files import Node
from meshproof.mesh import istio
from meshproof.mesh.faults.document import Written, named
from meshproof.mesh.faults.parts import at, list_at, need
from meshproof.mesh.faults.policies import selects
from meshproof.mesh.faults.world import World, certificate_of
from meshproof.mesh.manifests import CA_SUFFIX, CERTIFICATE, CERTIFICATES, CLIENT_CAS, INJECTED


def service(document: Written, world: World) -> Iterator[str]:
    """Look at the pods of a Service, and at its ports."""
    if at(document.node, "spec", "selector") is None:
        yield document.fault("has no spec.selector: it would have no pods")
    yield from selects(document, world, "spec", "selector")
    for port in need(document.node, "spec", "ports").items():
        need(port, "port").number()


def definition(document: Written, world: World) -> Iterator[str]:
    """Add to the world the certificates that a Secret defines, so that others can name them."""
    for certificate in _said(document, CERTIFICATES):
        if not isinstance(certificate.value, dict):
            continue
        try:
            name, defined = Definition.inline(certificate)
            for certificates in (world.certificates, world.of_all_manifests):
                certificates.define(name, defined)
        except (ClusterError, NotThere) as error:
            yield document.fault(f"defines its certificate: {error}"[:-1], certificate)


def secret(document: Written, world: World) -> Iterator[str]:
    """Look at the annotations that a Secret takes its content from."""
    certificates, authorities = _said(document, CERTIFICATES), _said(document, CLIENT_CAS)
    if not certificates and not (authorities and document.name.endswith(CA_SUFFIX)):
        yield document.fault(f"says no content: annotate it with {CERTIFICATE}, the name of a certificate")
    for certificate in certificates:
        yield from certificate_of(document, certificate, world)
    for authority in authorities:
        yield from named(document, authority, "authority", world.certificates.authorities)


def _said(document: Written, annotations: Iterable[str]) -> list[Node]:
    """Return what some annotations of a document say, of those that it has."""
    said = (at(document.node, "metadata", "annotations", annotation) for annotation in annotations)
    return [node for node in said if node is not None]


def deployment(document: Written, world: World) -> Iterator[str]:
    """Look at what the pods of a Deployment are made of."""
    template = need(document.node, "spec", "template")
    selector = need(document.node, "spec", "selector", "matchLabels").fields()
    labels = {name: label.text() for name, label in need(template, "metadata", "labels").fields().items()}
    if missing := [name for name, node in selector.items() if labels.get(name) != node.value]:
        yield document.fault(f"selects pods by {', '.join(missing)}, and its own pods have other labels", template)
    for container in [*need(template, "spec", "containers").items(), *list_at(template, "spec", "initContainers")]:
        name, image = need(container, "name").text(), need(container, "image")
        if not is_reference(image.text()) and (name, image.text()) != (istio.PROXY, INJECTED):
            yield from named(document, image, "image", roles())
    account = at(template, "spec", "serviceAccountName")
    accounts = {"default", *world.of("ServiceAccount", document.namespace)}
    yield from named(document, account, "ServiceAccount", accounts)
    for volume in list_at(template, "spec", "volumes"):
        for kind, path in (("ConfigMap", ("configMap", "name")), ("Secret", ("secret", "secretName"))):
            yield from named(document, at(volume, *path), kind, world.of(kind, document.namespace))
