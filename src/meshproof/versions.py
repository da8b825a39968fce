"""Which releases a run is made of: what was asked for, completed with the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from meshproof.catalogue import LOCKS, BuiltIstio, PulledIstio, complete_catalogue
from meshproof.errors import UnknownVersion
from meshproof.project import current_project

PART_OF_ISTIO = "part of Istio"
"""The version of Envoy in a registry: nobody can ask for another one than that of Istio's image."""


class ImageSource(Enum):
    """Where the images of a cluster come from."""

    AUTO = "auto"
    REGISTRY = "registry"
    PACKAGES = "packages"


_FROM = {ImageSource.PACKAGES: "packages", ImageSource.REGISTRY: "a registry"}
_NEEDS = {
    ImageSource.PACKAGES: "builds them on this machine",
    ImageSource.REGISTRY: "needs a Docker daemon of yours, and a registry in reach",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asks for; None is whatever fits.

    Attributes:
        istio: The release of Istio.
        kubernetes: As for Istio.
        envoy: As for Istio.
        also_istio: Releases of Istio whose images are to be in the cluster beside it; see ``istio_and_envoy``.
    """

    istio: str | None = None
    kubernetes: str | None = None
    envoy: str | None = None
    also_istio: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeshVersions:
    """The releases of one mesh; a cluster can hold the images of several.

    Attributes:
        istio: The release of istiod, istioctl and the proxies' agent.
        envoy: The release of Envoy in images built from packages; in a registry it is part of Istio.
    """

    istio: str
    envoy: str


@dataclass(frozen=True, slots=True)
class Versions:
    """What a cluster runs.

    Attributes:
        kubernetes: The release of Kubernetes.
        mesh: The mesh that is installed.
        also: Meshes whose images are there beside it.
    """

    kubernetes: str
    mesh: MeshVersions
    also: tuple[MeshVersions, ...] = ()

    @property
    def meshes(self) -> tuple[MeshVersions, ...]:
        """All meshes whose images are there, each once, that which is installed first."""
        return tuple(dict.fromkeys((self.mesh, *self.also)))


def choose(source: ImageSource, asked: Asked, *, because: str = "") -> Versions:
    """Complete what the user asks for with the defaults, for one (resolved) source of images.

    The Envoy that a project names goes with the project's Istio only: another one that is asked for brings its own.

    Args:
        source: Where the images come from.
        asked: What is asked for.
        because: Why the source was chosen, where the user left that to us.

    Raises:
        UnknownVersion: With the list of the known ones.
        Unreadable: The file that they are in is not as it should be.
    """
    known = known_versions(source)

    def one_of(component: str, version: str) -> str:
        if version not in known[component]:
            raise UnknownVersion(_unknown(component, version, source, because))
        return version

    def mesh(istio: str, envoy: str | None) -> MeshVersions:
        own = PART_OF_ISTIO
        if source is ImageSource.PACKAGES:
            own = complete_catalogue().packages.istio[one_of("istio", istio)].envoy
        return MeshVersions(one_of("istio", istio), one_of("envoy", envoy or own))

    project = current_project().versions if source is ImageSource.PACKAGES else {}
    own_istio = project.get("istio") or _default_istio(source)
    istio = asked.istio or own_istio
    installed = mesh(istio, asked.envoy or (project.get("envoy") if istio == own_istio else None))
    tried = pairs(source)[installed.istio]
    kubernetes = asked.kubernetes or project.get("kubernetes") or _default_kubernetes(source, tried)
    return Versions(
        one_of("kubernetes", kubernetes), installed, tuple(mesh(*istio_and_envoy(name)) for name in asked.also_istio)
    )


def istio_and_envoy(name: str) -> tuple[str, str | None]:
    """Return the releases that a name means: ``1.31.0`` with its own Envoy, ``1.31.0/envoy-1.40.0`` another."""
    istio, _, envoy = name.partition("/envoy-")
    return istio, envoy or None


def _default_istio(source: ImageSource) -> str:
    catalogue = complete_catalogue()
    return catalogue.istio if source is ImageSource.PACKAGES else list(catalogue.registry.istio)[-1]


def _default_kubernetes(source: ImageSource, tried: tuple[str, ...]) -> str:
    default = complete_catalogue().kubernetes
    return default if source is ImageSource.PACKAGES and default in tried else tried[-1]


def known_versions(source: ImageSource) -> dict[str, list[str]]:
    """Return the versions that can be asked for, by component, oldest first."""
    if source is ImageSource.PACKAGES:
        packages = complete_catalogue().packages
        return {"istio": packages.locked(), "kubernetes": list(packages.kubernetes), "envoy": list(packages.envoy)}
    registry = complete_catalogue().registry
    return {"istio": list(registry.istio), "kubernetes": registry.kubernetes(), "envoy": [PART_OF_ISTIO]}


def pairs(source: ImageSource) -> dict[str, tuple[str, ...]]:
    """Return the releases of Istio that can be asked for, each with those of Kubernetes that it is tried on."""
    return {istio: releases_of_istio(source)[istio].kubernetes for istio in known_versions(source)["istio"]}


def releases_of_istio(source: ImageSource) -> Mapping[str, BuiltIstio | PulledIstio]:
    """Return the releases of Istio that the catalogue has for a source, also those that can't be built."""
    catalogue = complete_catalogue()
    return catalogue.packages.istio if source is ImageSource.PACKAGES else catalogue.registry.istio


def _unknown(component: str, version: str, source: ImageSource, because: str) -> str:
    """Say of a version that a source does not have what to ask for instead, and whether the other source has it."""
    other = ImageSource.REGISTRY if source is ImageSource.PACKAGES else ImageSource.PACKAGES
    here, there = known_versions(source)[component], known_versions(other)[component]
    why = f" (images=auto chose that: {because})" if because else ""
    choice = f"choose from {', '.join(here)} (see [{source.value}] of {complete_catalogue().file})"
    if here == [PART_OF_ISTIO]:
        choice = f"it is {PART_OF_ISTIO}, so leave it away"
    hint = ""
    built = complete_catalogue().packages.istio if component == "istio" and source is ImageSource.PACKAGES else {}
    if version in built and built[version].locked:
        hint = f" Its lock file is missing in {LOCKS}: take it from the repository again."
    elif version in built:
        elsewhere = f" With images={other.value} there is {version}; that {_NEEDS[other]}." if version in there else ""
        return (
            f"Istio {version} can't be built yet{why}: it has no lock file. `make lock LOCK={version}` writes one if "
            f"the Go module proxy serves its module. Choose from {', '.join(here)}.{elsewhere}"
        )
    elif meant := _meant(version, here):
        hint = f" Did you mean {meant}?"
    elif meant := _meant(version, there):
        hint = f" With images={other.value} there is {meant}; that {_NEEDS[other]}."
    return (
        f"{component.capitalize()} {version} was asked for, and is not known for images from {_FROM[source]}{why}: "
        f"{choice}.{hint}"
    )


def _meant(version: str, known: list[str]) -> str | None:
    """Return the known release that was meant by ``v1.31.0``, or the newest that was meant by ``1.31``."""
    bare = version.removeprefix("v")
    return next((each for each in reversed(known) if each == bare or each.startswith(f"{bare}.")), None)
