"""Manifests: YAML files that stay YAML, completed as data.

These things are put in at run time. A container's ``image`` names a role
(``httpbin``, ``nginx``, ``curl``). A Secret with the annotation
``meshproof/certificate`` gets that certificate and its key: a name, or what it
is to be, as ``{name: shop.example, key: ECDSA}`` (see ``certificates.tree``).
With ``meshproof/client-ca`` it gets the authority whose clients are let in. These
are the keys ``tls.crt``, ``tls.key`` and ``ca.crt``; ``meshproof/generic-certificate``
and ``meshproof/generic-client-ca`` are the same for ``cert``, ``key`` and
``cacert``, the other keys that Istio knows. And the pods of
a Deployment get a hash of the ConfigMaps and Secrets that they name: a program
reads them when it starts, so where one changes the pods are replaced. So are
they where an image of one's own was built anew: see `mark_images`.

A ServiceEntry with these annotations gets a server outside of the mesh as its endpoint, which shows that certificate
and lets in the clients of that authority only: see `Scenario.begin`.

A server of a Gateway whose port has no number gets a free port of the ingress
gateway when its scenario is made: see `lease`.

A document with the label ``meshproof/step`` belongs to a step of its scenario:
it is applied when the scenario comes to it and not before.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from meshproof.certificates.tree import Certificates, Definition
from meshproof.cluster.gateway_ports import LEASED
from meshproof.cluster.objects import Document, name_of, strings
from meshproof.errors import ClusterError, MeshproofError
from meshproof.images import ImageSet, is_reference
from meshproof.input_files import Node, nearest
from meshproof.mesh.gateways import EGRESS_GATEWAY, selected_gateway
from meshproof.project import current_project

CERTIFICATE = "meshproof/certificate"
CLIENT_CA = "meshproof/client-ca"
GENERIC_CERTIFICATE = "meshproof/generic-certificate"
GENERIC_CLIENT_CA = "meshproof/generic-client-ca"
CERTIFICATES = {CERTIFICATE: ("tls.crt", "tls.key"), GENERIC_CERTIFICATE: ("cert", "key")}
"""The annotations for a certificate, each with the keys of a Secret that it is for; the last goes before the others.

Source: https://istio.io/latest/docs/tasks/traffic-management/ingress/secure-ingress/#key-formats
"""
CLIENT_CAS = {CLIENT_CA: "ca.crt", GENERIC_CLIENT_CA: "cacert"}
"""The same for the authority of the clients."""
CA_SUFFIX = "-cacert"
"""Behind the name of a Secret, that of another one: its authority goes before that of the first."""
CONTENT = "meshproof/content"
IMAGES = "meshproof/images"
STEP = "meshproof/step"
TURN, FIRST, LAST = "meshproof/upgrade", "first", "last"
"""The label of a Deployment that says when an upgrade replaces its sidecars, and its values."""
WAIT = "meshproof/wait"
"""The annotation of a document that meshproof does not wait for, with the value ``none``: its test waits itself.

Of a Deployment that is its pods: they need not get ready.
"""
GATEWAY_API = "gateway.networking.k8s.io"
_NETWORKING = tuple(f"networking.istio.io/{version}" for version in ("v1", "v1beta1", "v1alpha3"))
_SECURITY = tuple(f"security.istio.io/{version}" for version in ("v1", "v1beta1"))
_GATEWAY_API = tuple(f"{GATEWAY_API}/{version}" for version in ("v1", "v1beta1", "v1alpha3", "v1alpha2"))
INJECTED = "auto"
"""The image of a container that a pod has for Istio to complete, such as its ``istio-proxy``.

Source: https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/#customizing-injection
"""
KINDS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("Secret", "ConfigMap", "Service", "ServiceAccount", "Namespace"), ("v1",)),
    "Deployment": ("apps/v1",),
    "Gateway": (*_NETWORKING, *_GATEWAY_API[:2]),
    **dict.fromkeys(("VirtualService", "DestinationRule", "ServiceEntry", "Sidecar"), _NETWORKING),
    **dict.fromkeys(("WorkloadEntry", "WorkloadGroup"), _NETWORKING),
    "EnvoyFilter": ("networking.istio.io/v1alpha3",),
    "ProxyConfig": ("networking.istio.io/v1beta1",),
    **dict.fromkeys(("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"), _SECURITY),
    "Telemetry": ("telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"),
    "WasmPlugin": ("extensions.istio.io/v1alpha1",),
    **dict.fromkeys(("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"), _GATEWAY_API),
    **dict.fromkeys(("ReferenceGrant", "BackendTLSPolicy"), _GATEWAY_API),
}
"""What a manifest can be made of. Each kind with its API versions, the newest of a group first.

Source: https://istio.io/latest/docs/reference/config/ and https://gateway-api.sigs.k8s.io/reference/spec/
"""


_APPLICATIONS = Path(__file__).with_name("applications")


def application_files() -> list[Path]:
    """Return the manifests of the world that all scenarios share: ours, and the project's.

    A file of the project's replaces that of ours that has its name.
    """
    files = [
        file
        for directory in (_APPLICATIONS, current_project().applications)
        for file in sorted(directory.glob("*.yaml"))
    ]
    return list({file.name: file for file in files}.values())


def load(files: Iterable[Path], *, images: ImageSet, certificates: Certificates) -> list[Document]:
    """Read the documents of files and complete them.

    Raises:
        ClusterError: A document names an image, a certificate or an authority that is not there.
    """
    return complete(
        [_unshared(document) for file in files for document in yaml.safe_load_all(file.read_text())],
        images=images,
        certificates=certificates,
    )


def complete(documents: list[Document], *, images: ImageSet, certificates: Certificates) -> list[Document]:
    """Put images and certificates into documents, and return them.

    Raises:
        ClusterError: A document names an image, a certificate or an authority that is not there.
    """
    secrets = [document for document in documents if document["kind"] == "Secret"]
    for put_in, whom in ((_define, [*secrets, *with_servers(documents)]), (_fill, secrets)):
        for document in whom:  # a Secret may name what a later one defines
            try:
                put_in(document, certificates)
            except MeshproofError as error:
                raise ClusterError(f"{name_of(document)} can't be completed. {error}") from error
    for document in documents:
        if document["kind"] == "Deployment":
            for container in _containers(document):
                container["image"] = _image(document, container["image"], images.applications)
    for document in documents:
        if document["kind"] == "Deployment" and (read := _read_by_pods(document, documents)):
            content = hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()
            _annotate_pods(document, CONTENT, content[:16])
    return documents


def images_of(document: Document) -> list[str]:
    """Return the images that the pods of a Deployment are made of; none for a document of another kind."""
    images = [container["image"] for container in _containers(document)] if document["kind"] == "Deployment" else []
    return [image for image in images if image != INJECTED]


def mark_images(documents: Iterable[Document], ids: Mapping[str, str]) -> None:
    """Put the ids of images into the templates of the pods that have them: with another id there are other pods.

    Args:
        documents: The documents, completed.
        ids: The id of each image that can change while its name stays.
    """
    for document in documents:
        if own := sorted({ids[image] for image in images_of(document) if image in ids}):
            _annotate_pods(document, IMAGES, " ".join(own))


def with_servers(documents: Iterable[Document]) -> list[Document]:
    """Return the ServiceEntries that ask for a server outside of the mesh: they say which certificate it shows."""
    entries = [document for document in documents if document["kind"] == "ServiceEntry"]
    return [entry for entry in entries if CERTIFICATE in (entry["metadata"].get("annotations") or {})]


def lead_to(entry: Document, host: str, port: int) -> None:
    """Put the address of its server into a ServiceEntry: all of its ports lead there."""
    ports = {named["name"]: port for named in entry["spec"]["ports"]}
    entry["spec"]["endpoints"] = [{"address": host, "ports": ports}]


def lease(documents: Iterable[Document], leased: set[int]) -> dict[str, int]:
    """Give each server of a Gateway that names no port a free one of the ingress gateway.

    Args:
        documents: Those of a scenario; the numbers are put into them.
        leased: The ports that other scenarios have; those of this one are added.

    Returns:
        The ports that were given, by the name that the manifest has for them. Servers whose ports are called alike
        share one.

    Raises:
        ClusterError: No port is free.
    """
    servers = [
        server
        for document in documents
        if document["kind"] == "Gateway" and group_of(document) != GATEWAY_API
        if selected_gateway(document["spec"].get("selector")) != EGRESS_GATEWAY
        for server in document["spec"]["servers"]
    ]
    ports: dict[str, int] = {}
    for port in (server["port"] for server in servers if "number" not in server["port"]):
        if port["name"] not in ports:
            free = [number for number in LEASED if number not in {*leased, *ports.values()}]
            if not free:
                raise ClusterError(
                    f"All {len(LEASED)} ports of the ingress gateway that a scenario can be given are taken. Remove a "
                    "scenario, or let servers with different hosts share a port: call their ports alike."
                )
            ports[port["name"]] = free[0]
        port["number"] = ports[port["name"]]
    leased.update(ports.values())
    return ports


def group_of(document: Document) -> str:
    """Return the group of a document's API; empty for the core of Kubernetes."""
    group: str = document["apiVersion"].rpartition("/")[0]
    return group


def is_waited_for(document: Document) -> bool:
    """Return whether meshproof waits until a document is in force, and not its test itself."""
    annotations: Document = document["metadata"].get("annotations") or {}
    return annotations.get(WAIT) != "none"


def step_of(document: Document) -> str | None:
    """Return the step of the scenario that a document belongs to; None if it is there from the start."""
    step: str | None = document["metadata"].get("labels", {}).get(STEP)
    return step


def _unshared(value: Any) -> Any:  # noqa: ANN401 - it can be anything
    """Return a value of YAML in which no mapping and no list is in two places, as one with an anchor is in YAML.

    What is put into one of these places would be in the others, too.
    """
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


def _containers(deployment: Document) -> list[Document]:
    pod = deployment["spec"]["template"]["spec"]
    return [*pod["containers"], *(pod.get("initContainers") or [])]


def _annotate_pods(deployment: Document, name: str, value: str) -> None:
    deployment["spec"]["template"]["metadata"].setdefault("annotations", {})[name] = value


def _read_by_pods(deployment: Document, documents: list[Document]) -> list[Document]:
    """Return the ConfigMaps and Secrets whose names are somewhere in the pods of a Deployment, in whatever field."""
    named, namespace = set(strings(deployment["spec"]["template"]["spec"])), deployment["metadata"].get("namespace")
    return [
        document
        for document in documents
        if document["kind"] in {"ConfigMap", "Secret"}
        and document["metadata"].get("namespace") == namespace
        and document["metadata"]["name"] in named
    ]


def _define(document: Document, certificates: Certificates) -> None:
    """Make known the certificates that a document defines in its annotations, which then have their names."""
    annotations = document["metadata"].get("annotations", {})
    for annotation in CERTIFICATES:
        if isinstance(defined := annotations.get(annotation), dict):
            name, definition = Definition.inline(Node(Path(), annotation, defined))
            certificates.define(name, definition)
            annotations[annotation] = name


def _fill(secret: Document, certificates: Certificates) -> None:
    """Give a Secret the content that its annotations ask for."""
    annotations = secret["metadata"].get("annotations", {})
    if not {*CERTIFICATES, *CLIENT_CAS} & {*annotations}:
        raise ClusterError(f"It does not say its certificate: annotate it with {CERTIFICATE}.")
    data: dict[str, bytes] = {}
    for annotation, keys in CERTIFICATES.items():
        if annotation in annotations:
            leaf = certificates[annotations[annotation]]
            data |= zip(keys, (leaf.chain_pem, leaf.key_pem), strict=True)
    for annotation, key in CLIENT_CAS.items():
        if annotation in annotations:
            data[key] = certificates.authority(annotations[annotation]).pem
    secret["data"] = {name: base64.b64encode(value).decode() for name, value in data.items()}


def _image(document: Document, image: str, roles: Mapping[str, str]) -> str:
    """Return the image that a container is made of: one of its own, that of a role, or the one that Istio puts in."""
    if is_reference(image) or image == INJECTED:
        return image
    if image not in roles:
        raise ClusterError(
            f"{name_of(document)} asks for the image {image}, which is not there: {nearest(image, roles)}."
        )
    return roles[image]
