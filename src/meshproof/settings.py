"""What a run is asked to do: versions, where the images come from, and where its files go."""

from __future__ import annotations

import hashlib
import os
import tomllib
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from meshproof.errors import UnknownVersion

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: manifests and the sources of the images are files beside the code."""


ARTIFACTS = ROOT / "artifacts"
"""What a run leaves for people."""
NODE = "kindest/node:v"
PART_OF_ISTIO = "part of Istio"
"""The version of Envoy in a registry: nobody can ask for another one than that of Istio's image."""


class ImageSource(Enum):
    """Where the images of a cluster come from."""

    AUTO = "auto"
    REGISTRY = "registry"
    PACKAGES = "packages"


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
    def asked(cls, source: ImageSource, istio: str | None, kubernetes: str | None, envoy: str | None) -> Versions:
        """Complete what the user asks for with the defaults, for one (resolved) source of images.

        Raises:
            UnknownVersion: With the list of the known ones.
        """
        known, default = known_versions(source), configuration()

        def choose(component: str, wanted: str | None, otherwise: str) -> str:
            version = wanted or otherwise
            if version not in known[component]:
                raise UnknownVersion(
                    f"{component.capitalize()} {version} was asked for, and with images from {source.value} it is not "
                    f"known: choose from {', '.join(known[component])} (see [tool.meshproof.{source.value}])."
                )
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
    request: float = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """One run.

    Attributes:
        cluster_name: The kind cluster; the name of the checkout's own one by default.
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


def cache_directory() -> Path:
    """Return where things outlive a run: a directory of our own in ``MESHPROOF_CACHE``, or in the user's caches."""
    parent = os.environ.get("MESHPROOF_CACHE")
    return (Path(parent, "meshproof-cache") if parent else user_cache_path("meshproof")).absolute()


def default_cluster_name() -> str:
    """Name the cluster after the checkout, so that two checkouts on a machine don't meet."""
    return f"meshproof-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]}"


@cache
def configuration() -> dict[str, Any]:
    """Return ``[tool.meshproof]`` of pyproject.toml."""
    tool: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["meshproof"]
    return tool


def known_versions(source: ImageSource) -> dict[str, list[str]]:
    """Return the versions that can be asked for, by component, oldest first."""
    tool = configuration()
    if source is ImageSource.PACKAGES:
        packages: dict[str, list[str]] = tool["packages"]
        return packages
    nodes = [name.removeprefix(NODE) for name in tool["registry"]["images"] if name.startswith(NODE)]
    return {"istio": list(tool["registry"]["istio"]), "kubernetes": nodes, "envoy": [PART_OF_ISTIO]}


TIMEOUTS = Timeouts()
