"""Where the images of a cluster come from: a registry that answers, or a build from packages.

Both give the same thing, an `ImageSet`, through the same interface, `ImageProvider`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from meshproof.docker import Docker
from meshproof.images.steps import DISK_NEEDED, Progress
from meshproof.settings import configuration


def roles() -> dict[str, str]:
    """Return what a container of an application can name as its image, each with its image in a registry."""
    applications: dict[str, str] = configuration()["applications"]
    return applications


def is_reference(image: str) -> bool:
    """Return whether a container names an image of its own, such as ``shop:dev``, and not a role."""
    return "/" in image or ":" in image


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Everything that a cluster is made of.

    Attributes:
        node: The image that kind runs as a node.
        istio_hub: Where Istio's `pilot` and `proxyv2` are, as its installer calls it.
        istio_tag: Their tag.
        applications: The images that a manifest can name, by role.
        istioctl: The program that installs that Istio.
        kind: The program that makes the cluster.
        vanilla_envoy: Whether the proxies run upstream Envoy, without the extensions of Istio's own build.
    """

    node: str
    istio_hub: str
    istio_tag: str
    applications: Mapping[str, str]
    istioctl: Path
    kind: Path
    vanilla_envoy: bool


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


__all__ = ["DISK_NEEDED", "ImageProvider", "ImageSet", "is_reference", "roles"]
