"""What a run is asked to do: versions, where the images come from, and where its files go."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from meshproof.errors import BadName, UnknownVersion
from meshproof.project import current_project

VERSIONS = Path(__file__).parent / "images" / "versions.toml"
"""The versions that can be asked for."""
NODE = "kindest/node:v"
_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_CLUSTER_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LONGEST_NAME = 63 - len("-control-plane")
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
    ImageSource.REGISTRY: "needs a Docker daemon of yours, and Docker Hub in reach",
}


@dataclass(frozen=True, slots=True)
class Versions:
    """What a cluster runs.

    Attributes:
        istio: The release of istiod, istioctl and the proxies' agent.
        kubernetes: The release of Kubernetes.
        envoy: The release of Envoy in images built from packages; in a registry it is part of Istio.
    """

    istio: str
    kubernetes: str
    envoy: str

    @classmethod
    def asked(
        cls, source: ImageSource, istio: str | None, kubernetes: str | None, envoy: str | None, *, because: str = ""
    ) -> Versions:
        """Complete what the user asks for with the defaults, for one (resolved) source of images.

        Args:
            source: Where the images come from.
            istio: The release that is asked for, if any; so for the others.
            kubernetes: As for Istio.
            envoy: As for Istio.
            because: Why the source was chosen, where the user left that to us.

        Raises:
            UnknownVersion: With the list of the known ones.
        """
        known, default = known_versions(source), configuration()

        def choose(component: str, wanted: str | None, otherwise: str) -> str:
            version = wanted or otherwise
            if version not in known[component]:
                raise UnknownVersion(_unknown(component, version, source, because))
            return version

        if source is ImageSource.REGISTRY:
            istio = choose("istio", istio, known["istio"][-1])
            tried = default["registry"]["istio"][istio]
            return cls(istio, choose("kubernetes", kubernetes, tried[-1]), choose("envoy", envoy, PART_OF_ISTIO))
        return cls(
            choose("istio", istio, default["istio"]),
            choose("kubernetes", kubernetes, default["kubernetes"]),
            choose("envoy", envoy, default["envoy"]),
        )


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long things may take, in seconds, on a slow machine with two processors."""

    docker_answer: float = 30.0  # a daemon that is not there is told from a busy one at once
    docker_start: float = 60.0
    docker_stop: float = 120.0
    program: float = 60.0
    registry_answer: float = 3.0
    image_build: float = 1800.0
    cluster_create: float = 240.0
    cluster_delete: float = 240.0
    mesh_install: float = 240.0
    rollout: float = 120.0
    configuration: float = 30.0
    behaviour: float = 20.0
    in_vain: float = 30.0  # of a whole run or command, all together
    request: float = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """One run.

    Attributes:
        cluster_name: The kind cluster; the name of the project's own one by default.
        keep_cluster: Leave the cluster running at the end.
        images: Where images come from.
        istio: The release of Istio that is asked for, if any.
        kubernetes: The release of Kubernetes that is asked for, if any.
        envoy: The release of Envoy that is asked for, if any.
        kind_image: A node image to use instead of ours.
        kind_path: A kind program to use instead of ours.
        cache: Where images, programs and the state of clusters are kept.
    """

    cluster_name: str
    keep_cluster: bool = False
    images: ImageSource = ImageSource.AUTO
    istio: str | None = None
    kubernetes: str | None = None
    envoy: str | None = None
    kind_image: str | None = None
    kind_path: Path | None = None
    cache: Path = Path()

    def __post_init__(self) -> None:
        """Refuse a name before anything is made.

        Raises:
            BadName: No cluster can have it.
        """
        check_cluster_name(self.cluster_name)


def cache_directory() -> Path:
    """Return where things outlive a run: a directory of our own in ``MESHPROOF_CACHE``, or in the user's caches."""
    parent = os.environ.get("MESHPROOF_CACHE")
    return (Path(parent, "meshproof-cache") if parent else user_cache_path("meshproof")).absolute()


def default_cluster_name() -> str:
    """Name the cluster after the project's directory, so that two on a machine don't meet."""
    return f"meshproof-{hashlib.sha256(str(current_project().root).encode()).hexdigest()[:6]}"


def check_cluster_name(name: str) -> None:
    """Look whether a cluster can have a name; it is also that of a directory and part of the node's.

    The node is called ``NAME-control-plane``. That is its host name, a DNS name in Kubernetes (RFC 1123), and the value
    of a label, which has 63 characters at most.
    Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/, and "labels" beside it.

    Raises:
        BadName: It says what a name is made of.
    """
    if not _CLUSTER_NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise BadName(
            f"No cluster can be called {name!r}: a name has lower-case letters, digits, - and ., a letter or digit at "
            f"both ends and on both sides of each dot, and {_LONGEST_NAME} characters at most."
        )


@cache
def configuration() -> dict[str, Any]:
    """Return the versions that there are, and the defaults, of which the project may have others."""
    return {**tomllib.loads(VERSIONS.read_text()), **current_project().versions}


def known_versions(source: ImageSource) -> dict[str, list[str]]:
    """Return the versions that can be asked for, by component, oldest first."""
    tool = configuration()
    if source is ImageSource.PACKAGES:
        packages: dict[str, list[str]] = tool["packages"]
        return packages
    nodes = [name.removeprefix(NODE) for name in tool["registry"]["images"] if name.startswith(NODE)]
    return {"istio": list(tool["registry"]["istio"]), "kubernetes": nodes, "envoy": [PART_OF_ISTIO]}


def _unknown(component: str, version: str, source: ImageSource, because: str) -> str:
    """Say of a version that a source does not have what to ask for instead, and whether the other source has it."""
    other = ImageSource.REGISTRY if source is ImageSource.PACKAGES else ImageSource.PACKAGES
    here, there = known_versions(source)[component], known_versions(other)[component]
    why = f" (images=auto chose that: {because})" if because else ""
    choice = f"choose from {', '.join(here)} (see [{source.value}] of {VERSIONS})"
    if here == [PART_OF_ISTIO]:
        choice = f"it is {PART_OF_ISTIO}, so leave it away"
    hint = ""
    if meant := _meant(version, here):
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


TIMEOUTS = Timeouts()
