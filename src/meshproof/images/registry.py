"""Public images, for machines that reach a registry; and istioctl from Istio's release archive.

Docker pulls the node image, which is pinned by its digest like those of the
applications; the node's own container runtime pulls the rest. istioctl of the
same release is fetched from Istio's release archive, held against the SHA-256
that is published beside it, and kept.
"""

from __future__ import annotations

import hashlib
import io
import platform
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from filelock import FileLock

from meshproof.catalogue import Registry, current_catalogue
from meshproof.docker import Docker
from meshproof.errors import CommandFailed, MachineError, UnknownVersion
from meshproof.images import TRAFFIC, ImageSet, MeshImages, in_registry, traffic
from meshproof.images.golang import tool
from meshproof.images.steps import Progress, Step, build, missing
from meshproof.machine.console import console
from meshproof.settings import TIMEOUTS
from meshproof.versions import Versions

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What Go calls the machines that there is an istioctl for."""
ARCHITECTURE = ARCHITECTURES.get(platform.machine(), platform.machine())


@dataclass(frozen=True, slots=True)
class RegistryProvider:
    """Fetches what one set of versions is made of.

    Attributes:
        versions: What to fetch.
        cache: Where programs are kept.
        registry: What there is to fetch.
    """

    versions: Versions
    cache: Path
    registry: Registry = field(default_factory=lambda: current_catalogue().registry)

    def as_of(self, debian: str) -> RegistryProvider:  # noqa: ARG002 - public images have what they have
        """Return the same provider; see `ImageProvider`."""
        return self

    def pending(self, docker: Docker) -> list[str]:
        """Return the names of what is not there yet."""
        names = [step.name for step in missing(self._programs(), self.cache)]
        releases = [mesh.istio for mesh in self.versions.meshes]
        names += [f"istioctl {release}" for release in releases if not self.istioctl(release).exists()]
        return names if docker.has_image(self._node()) else [*names, self._node()]

    def provide(self, docker: Docker, progress: Progress) -> ImageSet:
        """Fetch what is missing; see `ImageProvider`."""
        if docker.private and (out_of_reach := sorted(self._registries() - self.registry.mirrors.keys())):
            raise MachineError(
                f"With images from a registry the cluster's node pulls from it ({', '.join(out_of_reach)}), and what "
                "the private Docker daemon runs has no way out of this machine. Start Docker, use "
                "`--images=packages`, or name a mirror on this machine in [registry.mirrors] of "
                f"{current_catalogue().file}."
            )
        for sentence in self.taken_by_tag():
            console.print(sentence)
        build(self._programs(), self.cache, progress)
        traffic.build_image(docker, self.cache, progress)
        for mesh in self.versions.meshes:
            self.fetch_istioctl(mesh.istio, progress)
        if self._node() in self.pending(docker):
            progress.began("node image", 60)
            began = time.monotonic()
            try:
                docker.run("pull", self._node(), timeout=TIMEOUTS.image_build)
            except CommandFailed as error:
                raise MachineError(
                    f"Docker could not pull {self._node()}: {error.last}. "
                    "Is the registry reachable? `--images=packages` needs none."
                ) from error
            progress.ended("node image", time.monotonic() - began)
        registry = self.registry
        return ImageSet(
            node=self._node(),
            own_cni=registry.own_cni,
            meshes=self.meshes,
            applications={role: self._pinned(image) for role, image in in_registry().items()}
            | {TRAFFIC: traffic.image(self.cache)},
            traffic=traffic.program(self.cache).directory(self.cache) / TRAFFIC,
            kind=tool("kind", self.cache).directory(self.cache) / "kind",
            mirrors=registry.mirrors,
        )

    @property
    def meshes(self) -> tuple[MeshImages, ...]:
        """What there is of each mesh; see `ImageProvider`."""
        registry = self.registry
        return tuple(
            MeshImages(
                istio=release,
                hub=registry.hub,
                tag=release,
                istioctl=self.istioctl(release),
                upstream_envoy=registry.upstream_envoy,
                pinned={
                    name: f"{registry.hub}/{name}@{digest}" for name, digest in registry.istio[release].images.items()
                },
            )
            for release in dict.fromkeys(mesh.istio for mesh in self.versions.meshes)
        )

    def fetch_istioctl(self, release: str, progress: Progress) -> Path:
        """Return istioctl of the release, fetched and verified unless it was before.

        Raises:
            MachineError: The archive can't be fetched, or its SHA-256 is not the published one.
            UnknownVersion: The archive has no such release, or none for this machine.
        """
        istioctl = self.istioctl(release)
        istioctl.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{istioctl}.lock"):
            if istioctl.exists():
                return istioctl
            progress.began(f"istioctl {release}", 10)
            began = time.monotonic()
            url = archive_of_istioctl(self.registry, release, ARCHITECTURE)
            archive = _fetch(url)
            known = self._known(release)
            expected = known or _fetch(f"{url}.sha256").decode().partition(" ")[0].strip()
            digest = hashlib.sha256(archive).hexdigest()
            if digest != expected:
                raise MachineError(
                    f"{url} was fetched and thrown away: its SHA-256 is {digest}, and {expected} is "
                    f"{f'known ({current_catalogue().file})' if known else 'published'}. "
                    "Try again later; if it stays so, somebody tampers with it."
                )
            unfinished = istioctl.with_suffix(".unfinished")
            with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
                member = packed.extractfile("istioctl") if "istioctl" in packed.getnames() else None
                if member is None:
                    raise MachineError(f"{url} holds no istioctl. Report it to meshproof.")
                unfinished.write_bytes(member.read())
            unfinished.chmod(0o755)
            unfinished.rename(istioctl)
            progress.ended(f"istioctl {release}", time.monotonic() - began)
        return istioctl

    def taken_by_tag(self) -> list[str]:
        """Return a sentence for each release of ours that is not known by its digests."""
        ours = {mesh.istio for mesh in self.versions.meshes}
        return [
            f"Istio {release} is taken by its tag: {current_catalogue().file.name} has no digest of it; `make pin` "
            "writes it."
            for release in self.registry.unpinned()
            if release in ours
        ]

    def istioctl(self, release: str) -> Path:
        """Return where istioctl of the release is kept; one that is known by its hash is no other one's."""
        known = self._known(release)
        return self.cache / "programs" / "-".join(["istioctl", *([known[:16]] if known else []), release])

    def _known(self, release: str) -> str | None:
        return self.registry.istio[release].istioctl.get(ARCHITECTURE)

    def _registries(self) -> set[str]:
        """Return the hosts that the node pulls from."""
        return {image.partition("/")[0] for image in (self.registry.hub, *in_registry().values())}

    def _programs(self) -> list[Step]:
        """Return what is compiled here: there is no image of it in a registry."""
        return [tool("kind", self.cache), traffic.program(self.cache)]

    def _node(self) -> str:
        return self._pinned(f"{self.registry.node}{self.versions.kubernetes}")

    def _pinned(self, name: str) -> str:
        return f"{name}@{self.registry.images[name]}"


def archive_of_istioctl(registry: Registry, release: str, architecture: str) -> str:
    """Return the address of a release's istioctl; that of its SHA-256 has ``.sha256`` after it."""
    return f"{registry.istioctl}/{release}/istioctl-{release}-linux-{architecture}.tar.gz"


def _fetch(url: str) -> bytes:
    try:
        response = httpx.get(url, follow_redirects=True, timeout=TIMEOUTS.program)
    except httpx.HTTPError as error:
        raise MachineError(
            f"{url} could not be fetched: {error or type(error).__name__}. Is the network there?"
        ) from error
    if response.status_code == httpx.codes.NOT_FOUND:
        raise UnknownVersion(
            f"Istio's release archive has no {url.rpartition('/')[2]}: there is no such release for this machine."
        )
    if response.is_error:
        raise MachineError(f"{url} could not be fetched: status {response.status_code}. Try again later.")
    return response.content
