"""What a later run has to know of a cluster, and the lock that keeps other runs off it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from meshproof.errors import ClusterError


@dataclass(frozen=True, slots=True)
class Record:
    """What a later run has to know of a cluster.

    Attributes:
        image: The node image that it runs.
        keep: Whether it is to outlive the run that created it.
        mesh: The mesh that was installed to the end, as its installer names it; empty until then.
        nodes: The ids of its containers; none until kind is done.
        daemon: The identity of the Docker daemon that it is on.
        debian: The versions of the Debian packages in its images.
    """

    image: str
    keep: bool
    mesh: str = ""
    nodes: tuple[str, ...] = ()
    daemon: str = ""
    debian: str = ""


class RecordFile:
    """The file with the record of a cluster."""

    def __init__(self, directory: Path, cluster: str, image: str) -> None:
        """Take the cluster's directory and name; ``image`` is the node image of a record that is new."""
        self._directory = directory
        self._cluster = cluster
        self._image = image

    def read(self) -> Record | None:
        """Return the record; None where there is none. What another release wrote down beside it is ignored.

        Raises:
            ClusterError: It can't be understood.
        """
        file = self._directory / "record.json"
        try:
            return _understood(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:  # no JSON, no UTF-8, or not what a record is
            raise ClusterError(
                f"{file} should say what the cluster {self._cluster} is, and can't be read: it is damaged, or not "
                f"yours. Remove it; then `meshproof up --cluster-name {self._cluster}` makes the cluster anew."
            ) from error

    def write(self, **changes: Any) -> None:  # noqa: ANN401
        """Write the record with some of its fields changed."""
        record = replace(self.read() or Record(self._image, keep=False), **changes)
        unfinished = self._directory / "record.unfinished"
        unfinished.write_text(json.dumps(asdict(record)))
        unfinished.rename(self._directory / "record.json")


def _understood(written: object) -> Record:
    """Return the record that a file has in it.

    Raises:
        ValueError: Something is missing, or not of its kind.
    """
    match {"mesh": "", "nodes": [], "daemon": "", "debian": "", **written} if isinstance(written, dict) else None:
        case {
            "image": str(image),
            "keep": bool(keep),
            "mesh": str(mesh),
            "nodes": list(nodes),
            "daemon": str(daemon),
            "debian": str(debian),
        }:
            if all(isinstance(node, str) for node in nodes):
                return Record(image, keep, mesh, tuple(nodes), daemon, debian)
    raise ValueError("it is no record")


def clusters(cache: Path) -> list[str]:
    """Return the names of the clusters that we have a record of."""
    return sorted(file.parent.name for file in (cache / "clusters").glob("*/record.json"))


@contextmanager
def used_by_us(name: str, directory: Path) -> Iterator[None]:
    """Keep other runs off the cluster; whatever ends this process ends that."""
    lock = FileLock(directory / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ClusterError(
            f"The cluster {name} is in use by another run of meshproof. Wait for its end, or choose another name "
            "with --cluster-name."
        ) from error
    try:
        yield
    finally:
        lock.release()
