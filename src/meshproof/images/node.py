"""The node image: a machine for kind to run, with the images of all pods in its container runtime.

It is made in two layers. The first one is of one release of Kubernetes, with the applications; the second has Istio's
images, of one mesh or of several. So another release of Istio costs its own programs, and no second base.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from meshproof.catalogue import current_catalogue
from meshproof.docker import Docker
from meshproof.errors import CommandFailed
from meshproof.images import in_registry
from meshproof.images.golang import SOURCES
from meshproof.images.pods import Workshop, building, workshop
from meshproof.images.steps import Progress, Step, digest
from meshproof.machine import process
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS
from meshproof.versions import MeshVersions, Versions

TAG = "packages"
"""The tag of the images that belong to no release: pause, and those of applications."""
LABEL = "meshproof.image"
"""What tells that an image is ours: a name can be anybody's."""
_ENTRYPOINT = 'ENTRYPOINT ["/usr/local/bin/entrypoint"]'


def tag(mesh: MeshVersions) -> str:
    """Return the tag of a mesh's images."""
    return f"{mesh.istio}-envoy-{mesh.envoy}"


@dataclass(frozen=True, slots=True)
class NodeImage:
    """What the node image of one set of versions is made of.

    Attributes:
        versions: What runs in it.
        base: The steps whose results its first layer has, by what they are.
        meshes: Those of the second one, in their order: Istio, and Envoy, for each mesh.
        cache: Where the results are.
    """

    versions: Versions
    base: Mapping[str, Step]
    meshes: Mapping[MeshVersions, tuple[Step, Step]]
    cache: Path

    @property
    def base_name(self) -> str:
        """The name of the image without a mesh; its tag tells the content."""
        names = sorted({"kubernetes", "coredns", "pause", "node", *in_registry()})
        dockerfiles = [SOURCES / name / "Dockerfile" for name in names]
        steps = [step.digest for step in self.base.values()]
        return self._named(self.versions.kubernetes, *dockerfiles, SOURCES / "node" / "rootfs", *steps, *in_registry())

    @property
    def name(self) -> str:
        """The name of the whole image; its tag tells the content."""
        dockerfiles = sorted((SOURCES / "istio").glob("Dockerfile.*"))
        steps = [step.digest for mesh in self.meshes.values() for step in mesh]
        releases = [tag(mesh) for mesh in self.meshes]
        label = "-".join([self.versions.kubernetes, "istio", *dict.fromkeys(mesh.istio for mesh in self.meshes)])
        return self._named(label, *dockerfiles, self.base_name, *steps, *releases)

    def _named(self, label: str, *inputs: Path | str) -> str:
        hub = current_catalogue().packages.hub
        return f"{hub}/node:{label}-{digest([*inputs, hub])}"

    def missing(self, docker: Docker) -> list[str]:
        """Return the images that the daemon does not have, in the order in which they are built."""
        if docker.has_image(self.name):
            return []
        return [name for name in (self.base_name, self.name) if not docker.has_image(name)]

    def build_base(self, docker: Docker, progress: Progress) -> None:
        """Build the image without a mesh, unless it is there; see `build`."""
        self._build([name for name in self.missing(docker) if name == self.base_name], docker, progress)

    def build(self, docker: Docker, progress: Progress) -> None:
        """Build it unless it is there; another run that builds it is waited for.

        Raises:
            BuildFailed: With Docker's last lines.
            MachineError: No space left on the disk.
        """
        self._build(self.missing(docker), docker, progress)

    def _build(self, names: Sequence[str], docker: Docker, progress: Progress) -> None:
        if not names:
            return
        with building("the node image", self.cache, "node-image", progress) as output:
            for name in names:
                if not docker.has_image(name):  # who was waited for has built it
                    self._build_one(name, docker, output, progress)

    def _build_one(self, name: str, docker: Docker, output: IO[str], progress: Progress) -> None:
        is_base = name == self.base_name
        what = "node image" if is_base else "node image with Istio"
        progress.began(what, 50.0 if is_base else 25.0)
        began = time.monotonic()
        with workshop(docker, self.cache, output) as shop:
            (self._build_base if is_base else self._add_meshes)(shop)
        progress.ended(what, time.monotonic() - began)

    def build_bare(self, shop: Workshop, name: str) -> None:
        """Build a node that has the images of Kubernetes alone, as a public one does; it pulls all others."""
        self._build_machine(shop)
        self._bake(shop, f"{shop.name}/node", self._names_of_kubernetes(), name)

    def _build_base(self, shop: Workshop) -> None:
        self._build_machine(shop)
        hub = current_catalogue().packages.hub
        for name in in_registry():
            shop.build(f"{name}/Dockerfile", name)
        names = self._names_of_kubernetes() | {f"{hub}/{name}:{TAG}": name for name in in_registry()}
        self._bake(shop, f"{shop.name}/node", names, self.base_name)

    def _build_machine(self, shop: Workshop) -> None:
        """Build the node without images, and those of Kubernetes."""
        for name in ("pod-base", "node-base"):
            shop.load(self.base[name])
        kubernetes = self.base["kubernetes"].directory(self.cache) / "kubernetes"
        shop.build("kubernetes/Dockerfile", "kubernetes", kubernetes)
        for name in ("coredns", "pause"):
            shop.build(f"{name}/Dockerfile", name, self.base[name].directory(self.cache) / name)
        arguments = {
            "KUBERNETES_VERSION": self.versions.kubernetes,
            "PAUSE": f"{current_catalogue().packages.hub}/pause:{TAG}",
        }
        shop.build("node/Dockerfile", "node", kubernetes, SOURCES / "node" / "rootfs", arguments=arguments)

    def _add_meshes(self, shop: Workshop) -> None:
        hub = current_catalogue().packages.hub
        names: dict[str, str] = {}
        shop.load(self.base["pod-base"])
        for mesh, (istio, envoy) in self.meshes.items():
            pilot, proxyv2 = f"pilot-{mesh.istio}", f"proxyv2-{tag(mesh)}"
            shop.pilot(istio, pilot)
            shop.proxyv2(istio, envoy, proxyv2)
            names |= {f"{hub}/pilot:{tag(mesh)}": pilot, f"{hub}/proxyv2:{tag(mesh)}": proxyv2}
        self._bake(shop, self.base_name, names, self.name)

    def _names_of_kubernetes(self) -> dict[str, str]:
        """Return by which name a pod of the control plane finds which of our images; kubeadm knows them."""
        hub, kubeadm = current_catalogue().packages.hub, self.base["kubernetes"].directory(self.cache) / "kubeadm"
        asked = f"--kubernetes-version=v{self.versions.kubernetes}"
        names = {f"{hub}/pause:{TAG}": "pause"}
        for name in process.run([kubeadm, "config", "images", "list", asked], timeout=TIMEOUTS.program).split():
            component = name.rsplit("/", 1)[1].split(":")[0]
            names[name] = component if component in ("coredns", "pause") else "kubernetes"
        return names

    def _bake(self, shop: Workshop, start: str, names: Mapping[str, str], result: str) -> None:
        """Put images into the containerd of a node and keep what comes of it as an image.

        Args:
            shop: Where the images were built.
            start: The image of the node so far.
            names: The image for each name by which a pod asks for one.
            result: What to call the node with these images.
        """
        docker, container = shop.docker, shop.name.rpartition("/")[2]
        docker.run("run", "--detach", f"--name={container}", "--network=none", "--privileged", "--tmpfs=/run",
                   "--entrypoint=sleep", start, "infinity")  # fmt: skip
        docker.run("exec", "--detach", container, "containerd")

        def containerd() -> str:
            try:
                docker.run("exec", container, "ctr", "version")
            except CommandFailed as error:
                return error.tail.strip()
            return "answering"

        until(containerd, "answering", what="containerd in the node image", timeout=TIMEOUTS.docker_start)
        images = sorted({f"{shop.name}/{image}" for image in names.values()})
        with tempfile.TemporaryDirectory(dir=self.cache) as directory:
            archive = Path(directory) / "images.tar"
            docker.run("save", f"--output={archive}", *images, timeout=TIMEOUTS.rollout)
            docker.run("cp", archive, f"{container}:/images.tar", timeout=TIMEOUTS.rollout)
        ctr = ["exec", container, "ctr", "--namespace=k8s.io", "images"]
        docker.run(*ctr, "import", "--no-unpack", "/images.tar", timeout=TIMEOUTS.rollout)
        for name, image in names.items():
            docker.run(*ctr, "tag", f"{shop.name}/{image}:latest", name)
        docker.run(*ctr, "rm", *(f"{image}:latest" for image in images))
        docker.run(
            "exec", container, "sh", "-c", "rm /images.tar; pkill containerd; while pidof containerd; do :; done"
        )
        changes = [f"--change={change}" for change in (_ENTRYPOINT, f"LABEL {LABEL}=node")]
        docker.run("commit", *changes, container, result, timeout=TIMEOUTS.rollout)
