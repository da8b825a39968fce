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
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import FileLock

from meshproof.docker import Docker
from meshproof.errors import CommandFailed, MachineError, UnknownVersion
from meshproof.images import ImageSet, roles
from meshproof.images.golang import tool
from meshproof.images.steps import Progress, build, missing
from meshproof.settings import NODE, TIMEOUTS, Versions, configuration

ISTIO_RELEASES = "https://github.com/istio/istio/releases/download"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class RegistryProvider:
    """Fetches what one set of versions is made of.

    Attributes:
        versions: What to fetch.
        cache: Where programs are kept.
        releases: The root of Istio's release archive.
    """

    versions: Versions
    cache: Path
    releases: str = ISTIO_RELEASES

    def pending(self, docker: Docker) -> list[str]:
        """Return the names of what is not there yet."""
        names = [step.name for step in missing([tool("kind", self.cache)], self.cache)]
        names += [] if self._istioctl().exists() else [f"istioctl {self.versions.istio}"]
        return names if docker.has_image(self._node()) else [*names, self._node()]

    def provide(self, docker: Docker, progress: Progress) -> ImageSet:
        """Fetch what is missing; see `ImageProvider`."""
        if docker.private:
            raise MachineError(
                "With images from a registry the cluster's node pulls from it, and what the private Docker daemon runs "
                "has no way out of this machine. Start Docker, or use `--images=packages`."
            )
        build([tool("kind", self.cache)], self.cache, progress)
        istioctl = self.fetch_istioctl(progress)
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
        return ImageSet(
            node=self._node(),
            istio_hub="docker.io/istio",
            istio_tag=self.versions.istio,
            applications={role: _pinned(image) for role, image in roles().items()},
            istioctl=istioctl,
            kind=tool("kind", self.cache).directory(self.cache) / "kind",
            vanilla_envoy=False,
        )

    def fetch_istioctl(self, progress: Progress) -> Path:
        """Return istioctl of the release, fetched and verified unless it was before.

        Raises:
            MachineError: The archive can't be fetched, or its SHA-256 is not the published one.
            UnknownVersion: The archive has no such release, or none for this machine.
        """
        istioctl = self._istioctl()
        istioctl.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{istioctl}.lock"):
            if istioctl.exists():
                return istioctl
            progress.began(f"istioctl {self.versions.istio}", 10)
            began = time.monotonic()
            architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
            name = f"istioctl-{self.versions.istio}-linux-{architecture}.tar.gz"
            archive = self._fetch(name)
            published = self._fetch(f"{name}.sha256").decode().partition(" ")[0].strip()
            digest = hashlib.sha256(archive).hexdigest()
            if digest != published:
                raise MachineError(
                    f"{self._url(name)} was fetched and thrown away: its SHA-256 is {digest}, "
                    f"and {published} is published. "
                    "Try again later; if it stays so, somebody tampers with it."
                )
            unfinished = istioctl.with_suffix(".unfinished")
            with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
                member = packed.extractfile("istioctl") if "istioctl" in packed.getnames() else None
                if member is None:
                    raise MachineError(f"{self._url(name)} holds no istioctl. Report it to meshproof.")
                unfinished.write_bytes(member.read())
            unfinished.chmod(0o755)
            unfinished.rename(istioctl)
            progress.ended(f"istioctl {self.versions.istio}", time.monotonic() - began)
        return istioctl

    def _fetch(self, name: str) -> bytes:
        try:
            response = httpx.get(self._url(name), follow_redirects=True, timeout=TIMEOUTS.program)
        except httpx.HTTPError as error:
            raise MachineError(
                f"{self._url(name)} could not be fetched: {error or type(error).__name__}. Is the network there?"
            ) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            raise UnknownVersion(f"Istio's release archive has no {name}: there is no such release for this machine.")
        if response.is_error:
            raise MachineError(
                f"{self._url(name)} could not be fetched: status {response.status_code}. Try again later."
            )
        return response.content

    def _url(self, name: str) -> str:
        return f"{self.releases}/{self.versions.istio}/{name}"

    def _istioctl(self) -> Path:
        return self.cache / "programs" / f"istioctl-{self.versions.istio}"

    def _node(self) -> str:
        return _pinned(f"{NODE}{self.versions.kubernetes}")


def _pinned(name: str) -> str:
    digest: str = configuration()["registry"]["images"][name]
    return f"docker.io/{name}@{digest}"
