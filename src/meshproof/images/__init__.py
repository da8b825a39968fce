"""Where the images of a cluster come from: a registry that answers, or a build from packages.

Both give the same thing, an `ImageSet`, through the same interface, `ImageProvider`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from meshproof.catalogue import current_catalogue
from meshproof.docker import Docker
from meshproof.images.steps import DISK_NEEDED, Progress

TRAFFIC = "traffic"
"""The role of the program that sends and answers traffic; see `images.traffic`."""


def roles() -> frozenset[str]:
    """Return all roles: what a container of an application can name as its image."""
    return frozenset({*in_registry(), TRAFFIC})


def in_registry() -> Mapping[str, str]:
    """Return the roles that have an image in a registry, each with it: the node has, or pulls, these."""
    return current_catalogue().applications


def is_reference(image: str) -> bool:
    """Return whether a container names an image of its own, such as ``shop:dev``, and not a role."""
    return "/" in image or ":" in image


@dataclass(frozen=True, slots=True)
class MeshImages:
    """What a mesh of one release of Istio is made of.

    Attributes:
        istio: The release.
        hub: Where its `pilot` and `proxyv2` are, as its installer calls it.
        tag: Their tag.
        istioctl: The program that installs it.
        upstream_envoy: Whether the proxies run upstream Envoy, without the extensions of Istio's own build.
        pinned: The names of ``pilot`` and ``proxyv2`` with their digests; empty where their tag is all that is known.
    """

    istio: str
    hub: str
    tag: str
    istioctl: Path
    upstream_envoy: bool
    pinned: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Everything that a cluster is made of.

    Attributes:
        node: The image that kind runs as a node.
        own_cni: Whether it brings the network of pods, so that kind must not.
        meshes: The meshes that can be installed, first the one that is.
        applications: The images that a manifest can name, by role.
        traffic: The program of the role TRAFFIC, to run on this machine; Docker has its image.
        kind: The program that makes the cluster.
        debian: The versions of the Debian packages that are in them; empty for public images.
        mirrors: What the node asks in place of a registry, by the registry's host.
    """

    node: str
    own_cni: bool
    meshes: tuple[MeshImages, ...]
    applications: Mapping[str, str]
    traffic: Path
    kind: Path
    debian: str = ""
    mirrors: Mapping[str, str] = field(default_factory=dict)

    @property
    def mesh(self) -> MeshImages:
        """The mesh that is installed."""
        return self.meshes[0]


class ImageProvider(Protocol):
    """One way to come by the images."""

    @property
    def meshes(self) -> tuple[MeshImages, ...]:
        """What there is of each mesh once it was provided; its istioctl may not be there before."""

    def as_of(self, debian: str) -> ImageProvider:
        """Return a provider of the same, with the Debian packages of these versions; empty for those of today."""

    def pending(self, docker: Docker) -> list[str]:
        """Return the names of what has to be built or fetched before `provide` returns."""

    def provide(self, docker: Docker, progress: Progress) -> ImageSet:
        """Make the images available to the daemon, and the programs to us.

        Raises:
            BuildFailed: Something could not be built.
            MachineError: No network, no disk space.
        """


__all__ = ["DISK_NEEDED", "TRAFFIC", "ImageProvider", "ImageSet", "MeshImages", "in_registry", "is_reference", "roles"]
