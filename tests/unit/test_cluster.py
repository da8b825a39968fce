"""Clusters, as far as they can be judged without one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from filelock import FileLock

from meshproof.cluster import delete_cluster
from meshproof.docker import Docker
from meshproof.errors import ClusterError

NOT_ASKED = Docker("0.0.0")  # a daemon that nobody gets as far as asking


def test_a_cluster_in_use_is_not_deleted(tmp_path: Path) -> None:
    """`meshproof down` beside a test run is told so in one sentence."""
    directory = tmp_path / "clusters" / "ours"
    directory.mkdir(parents=True)
    (directory / "record.json").write_text('{"image": "node", "keep": false, "mesh": ""}')
    with FileLock(directory / "lock"), pytest.raises(ClusterError, match=re.escape("ours is in use by another run")):
        delete_cluster("ours", tmp_path, NOT_ASKED)


def test_a_cluster_of_somebody_else_is_not_deleted(tmp_path: Path) -> None:
    """Of a cluster without our record nothing is touched."""
    assert not delete_cluster("theirs", tmp_path, NOT_ASKED)
