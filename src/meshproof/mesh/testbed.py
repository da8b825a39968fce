"""The testbed: Docker, images, a cluster, Istio and the applications, one on top of the other.

`brought_up` is what a test session, `meshproof up` and the benchmarks share.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from meshproof.certificates.tree import Certificates, read
from meshproof.cluster.gateway_ports import NODES
from meshproof.cluster.kind import Cluster, cluster_named, cluster_of_run
from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document, name_of
from meshproof.docker import daemon
from meshproof.errors import MeshproofError
from meshproof.images import ImageSet, in_registry
from meshproof.images.choice import provider
from meshproof.machine import cache, process
from meshproof.machine.cache import in_use
from meshproof.machine.console import BuildProgress, stage
from meshproof.mesh import diagnostics, faults, istio, manifests
from meshproof.mesh.gateways import INGRESS_DEPLOYMENT
from meshproof.project import current_project
from meshproof.settings import TIMEOUTS, Settings
from meshproof.tls import Address
from meshproof.versions import ImageSource, Versions

LABEL = "meshproof/application"  # each object of the applications has it
DEFAULT: Document = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "default", "labels": {"istio-injection": "enabled"}},
}
"""The namespace whose pods have sidecars; every cluster has it."""

_NEAR = 2.0
"""Seconds for a connection to the node."""


@dataclass(frozen=True, slots=True)
class Testbed:
    """A mesh that is ready to be judged.

    Attributes:
        cluster: The kind cluster.
        kube: Its API.
        images: What it is made of.
        versions: What was asked for.
        source: Where the images come from.
        certificates: What servers and clients show.
        gateway: The ingress gateway's addresses on this machine, by the port of its Service.
        leased: The ports of its Service that scenarios have been given.
    """

    __test__ = False  # not a test class, whatever pytest makes of the name

    cluster: Cluster
    kube: Kube
    images: ImageSet
    versions: Versions
    source: ImageSource
    certificates: Certificates
    gateway: dict[int, Address]
    leased: set[int] = field(default_factory=set)

    def load_images(self, documents: list[Document]) -> None:
        """Copy the images that documents name into the cluster, where Docker has them; tell the pods which they are.

        Raises:
            MeshproofError: One could not be copied.
        """
        _load_images(self.cluster, documents, self.images)

    def straight(self, port: int) -> Address:
        """Return where a port of the ingress gateway's Service is, by the shortest way from this machine.

        That is at the node, or at a port that Docker publishes where the node is on another machine, as with Docker
        Desktop. Docker's own proxy would take a sixth of a processor from what is measured.
        """
        at_the_node = Address(self.cluster.address(), NODES[port])
        try:
            socket.create_connection((at_the_node.host, at_the_node.port), timeout=_NEAR).close()
        except OSError:
            return self.gateway[port]
        return at_the_node

    def describe(self) -> dict[str, str]:
        """Return what a bug report needs: the versions of everything, as the parts themselves tell them."""
        envoy = istio.proxy_request(self.kube, istio.NAMESPACE, INGRESS_DEPLOYMENT, "server_info")
        found = re.search(r'"version": "[0-9a-f]+/([^/]+)/', envoy)
        told = re.search(r'"ISTIO_VERSION": "([^"]+)"', envoy)
        kind = process.run([self.cluster.kind_path, "version"], timeout=TIMEOUTS.program)
        return {
            "istio": told[1] if told else "unknown",
            "envoy": found[1] if found else "unknown",
            "kubernetes": self.kube.version(),
            "kind": kind.split()[1],
            "docker": self.cluster.docker.version,
            "images": self.source.value,
        }


@contextmanager
def brought_up(
    settings: Settings,
    overlays: tuple[str, ...] = (),
    certificates: Certificates | None = None,
    look: Callable[[ImageSet], None] = lambda _: None,
) -> Iterator[Testbed]:
    """Bring everything up, and take down what was not there before and is not to be kept.

    Args:
        settings: What is asked for.
        overlays: What istioctl is given beside what every mesh of ours has; see ``istio.Installation``.
        certificates: Those of another testbed, where both are to show the same; they are made anew by default.
        look: Looks at the images before there is a cluster, and may raise an error.

    Raises:
        MeshproofError: Says what could not be had, and what to do.
    """
    certificates = certificates or read(current_project().certificates)
    faults.check(manifests.application_files(), {}, certificates)
    source, chosen, versions = provider(settings)
    with in_use(settings.cache), daemon(settings.cache) as docker:
        # A security update of Debian is for the next cluster, not for one that is kept.
        chosen = chosen.as_of(cluster_named(settings.cluster_name, settings.cache, docker).debian())
        with BuildProgress(len(chosen.pending(docker))) as progress:
            images = chosen.provide(docker, progress)
        look(images)
        with cluster_of_run(settings, images, docker) as ours:
            kube = Kube(ours.kubeconfig_path)
            try:
                _install(ours, kube, images, certificates, overlays)
            except MeshproofError as error:
                if not docker.answers():
                    raise docker.gone("the installation of the mesh") from error
                cache.mark(current_project().artifacts / "bring-up")
                diagnostics.collect(kube, current_project().artifacts / "bring-up")
                raise
            if ours.created:
                ours.write_debian(images.debian)
            if settings.keep_cluster and ours.created:
                ours.keep()
            yield Testbed(ours, kube, images, versions, source, certificates, _addresses(ours))


def _install(
    ours: Cluster, kube: Kube, images: ImageSet, certificates: Certificates, overlays: tuple[str, ...]
) -> None:
    """Bring up Istio and, as soon as its control plane can inject sidecars, the applications beside its gateways."""
    installation = istio.Installation(images.mesh, overlays)
    wanted = istio.identity(installation)
    there = ours.mesh() == wanted
    if not there:
        ours.write_mesh("")  # until it is whole
    with ThreadPoolExecutor(max_workers=1) as pool:
        installing = None if there else pool.submit(istio.install, installation, ours.kubeconfig_path)
        try:
            if installing:
                with stage("control plane"):
                    if ours.created:
                        istio.control_plane_ready(kube, installing)
                    else:  # the one that is there is ready, and knows the old mesh
                        installing.result()
                        istio.renew(kube)
            with stage("gateways and applications"):
                documents = manifests.load(manifests.application_files(), images=images, certificates=certificates)
                _load_images(ours, documents, images)
                _have_applications(kube, documents)
                if installing:
                    installing.result()
                _renew_applications(kube, documents)
                ours.write_mesh(wanted)
        except BaseException as error:
            reason = installing.exception() if installing and installing.done() else None
            process.end_all()
            if reason and reason is not error and isinstance(error, MeshproofError):
                raise reason from error  # without a whole mesh applications can't be had either
            raise


def _load_images(ours: Cluster, documents: list[Document], images: ImageSet) -> None:
    """Copy the images that the node does not have, where Docker has them: the project's own, and that of traffic.

    The pods of a Deployment are told which they are: one that was built anew under its old name replaces them.
    """
    named = {image for document in documents for image in manifests.images_of(document)}
    in_the_node = {image for role, image in images.applications.items() if role in in_registry()}
    own = {image: ours.docker.image_id(image) for image in sorted(named - in_the_node)}
    there = {image: image_id for image, image_id in own.items() if image_id}
    for image in there:
        ours.load_docker_image(image)
    manifests.mark_images(documents, there)


def _have_applications(kube: Kube, documents: list[Document]) -> None:
    """Have these applications and no others, as a new cluster has them, whatever an earlier run or a person left."""
    for document in documents:
        document["metadata"].setdefault("labels", {})[LABEL] = ""
    names = {name_of(document) for document in documents}
    kube.remove([left for left in kube.labelled(LABEL, manifests.KINDS) if name_of(left) not in names])
    kube.replace([DEFAULT, *documents])
    for where in _deployments(documents):
        kube.deployments.rolled_out(*where)


def _renew_applications(kube: Kube, documents: list[Document]) -> None:
    """Replace the pods that are not as they would be made now, when nothing is installed any more.

    At its end istioctl deactivates the webhook that injects sidecars, and has that of the tag `default` in its place. A
    pod that is made in between has no sidecar, and one that has a sidecar looks outdated.
    """
    for where in _deployments(documents):
        kube.deployments.renew_pods(*where)


def _deployments(documents: list[Document]) -> list[tuple[str, str]]:
    """Return the namespaces and names of the Deployments among some documents."""
    return [
        (document["metadata"]["namespace"], document["metadata"]["name"])
        for document in documents
        if document["kind"] == "Deployment"
    ]


def _addresses(ours: Cluster) -> dict[int, Address]:
    """Return where the ports of the ingress gateway's Service are on this machine."""
    bound = ours.ports()
    return {port: Address("127.0.0.1", bound[node_port]) for port, node_port in NODES.items()}
