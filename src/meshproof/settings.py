"""What a run is asked to do: versions, where the images come from, and where its files go."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path

from meshproof.errors import BadName
from meshproof.project import current_project
from meshproof.versions import Asked, ImageSource

_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_CLUSTER_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LONGEST_NAME = 63 - len("-control-plane")


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

    @property
    def orderly_end(self) -> float:
        """Of a run that is interrupted: its cluster is deleted, and Docker stopped."""
        return self.cluster_delete + self.docker_stop


@dataclass(frozen=True, slots=True)
class Settings:
    """One run.

    Attributes:
        cluster_name: The kind cluster; the name of the project's own one by default.
        keep_cluster: Leave the cluster running at the end.
        images: Where images come from.
        asked: The versions that are asked for.
        kind_image: A node image to use instead of ours.
        kind_path: A kind program to use instead of ours.
        cache: Where images, programs and the state of clusters are kept.
    """

    cluster_name: str
    keep_cluster: bool = False
    images: ImageSource = ImageSource.AUTO
    asked: Asked = field(default_factory=Asked)
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


TIMEOUTS = Timeouts()
