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
from meshproof.images import ImageSet, MeshImages, roles
from meshproof.images.golang import tool
from meshproof.images.steps import Progress, build, missing
from meshproof.settings import TIMEOUTS
from meshproof.versions import Versions

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


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

    def pending(self, docker: Docker) -> list[str]:
        """Return the names of what is not there yet."""
        names = [step.name for step in missing([tool("kind", self.cache)], self.cache)]
        releases = [mesh.istio for mesh in self.versions.meshes]
        names += [f"istioctl {release}" for release in releases if not self._istioctl(release).exists()]
        return names if docker.has_image(self._node()) else [*names, self._node()]

    def provide(self, docker: Docker, progress: Progress) -> ImageSet:
        """Fetch what is missing; see `ImageProvider`."""
        if docker.private:
            raise MachineError(
                "With images from a registry the cluster's node pulls from it, and what the private Docker daemon runs "
                "has no way out of this machine. Start Docker, or use `--images=packages`."
            )
        build([tool("kind", self.cache)], self.cache, progress)
        istioctl = {mesh.istio: self.fetch_istioctl(mesh.istio, progress) for mesh in self.versions.meshes}
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
            meshes=tuple(
                MeshImages(
                    istio=release,
                    hub=registry.hub,
                    tag=release,
                    istioctl=program,
                    upstream_envoy=registry.upstream_envoy,
                    pinned={
                        name: f"{registry.hub}/{name}@{digest}"
                        for name, digest in registry.istio[release].images.items()
                    },
                )
                for release, program in istioctl.items()
            ),
            applications={role: self._pinned(image) for role, image in roles().items()},
            kind=tool("kind", self.cache).directory(self.cache) / "kind",
        )

    def fetch_istioctl(self, release: str, progress: Progress) -> Path:
        """Return istioctl of the release, fetched and verified unless it was before.

        Raises:
            MachineError: The archive can't be fetched, or its SHA-256 is not the published one.
            UnknownVersion: The archive has no such release, or none for this machine.
        """
        istioctl = self._istioctl(release)
        istioctl.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{istioctl}.lock"):
            if istioctl.exists():
                return istioctl
            progress.began(f"istioctl {release}", 10)
            began = time.monotonic()
            architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
            name = f"istioctl-{release}-linux-{architecture}.tar.gz"
            url = f"{self.registry.istioctl}/{release}/{name}"
            archive = _fetch(url)
            known = self.registry.istio[release].istioctl.get(architecture)
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

    def _istioctl(self, release: str) -> Path:
        return self.cache / "programs" / f"istioctl-{release}"

    def _node(self) -> str:
        return self._pinned(f"{self.registry.node}{self.versions.kubernetes}")

    def _pinned(self, name: str) -> str:
        return f"{name}@{self.registry.images[name]}"


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
