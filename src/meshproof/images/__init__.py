"""Where the images of a cluster come from: a registry that answers, or a build from packages.

Both give the same thing, an `ImageSet`, through the same interface, `ImageProvider`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from meshproof.docker import Docker
from meshproof.images.steps import DISK_NEEDED, Progress

ROLES = ("httpbin", "nginx", "curl")
"""What a container of an application can name as its image."""


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Everything that a cluster is made of.

    Attributes:
        node: The image that kind runs as a node.
        istio_hub: Where Istio's `pilot` and `proxyv2` are, as its installer calls it.
        istio_tag: Their tag.
        httpbin: The image of httpbin, by the name a pod gives.
        nginx: The image of NGINX.
        curl: The image of a client with curl and a shell.
        istioctl: The program that installs that Istio.
        kind: The program that makes the cluster.
        vanilla_envoy: Whether the proxies run upstream Envoy, without the extensions of Istio's own build.
    """

    node: str
    istio_hub: str
    istio_tag: str
    httpbin: str
    nginx: str
    curl: str
    istioctl: Path
    kind: Path
    vanilla_envoy: bool

    def applications(self) -> dict[str, str]:
        """Return the images that a manifest can name, by role."""
        return dict(zip(ROLES, (self.httpbin, self.nginx, self.curl), strict=True))


class ImageProvider(Protocol):
    """One way to come by the images."""

    def pending(self, docker: Docker) -> list[str]:
        """Return the names of what has to be built or fetched before `provide` returns."""

    def provide(self, docker: Docker, progress: Progress) -> ImageSet:
        """Make the images available to the daemon, and the programs to us.

        Raises:
            BuildFailed: Something could not be built.
            MachineError: No network, no disk space.
        """


__all__ = ["DISK_NEEDED", "ROLES", "ImageProvider", "ImageSet"]
