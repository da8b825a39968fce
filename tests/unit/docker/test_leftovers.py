"""What a container leaves on the machine: found by its id, thawed, ended and gone."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from meshproof.docker import leftovers
from tests.support.programs import PATIENCE, python

CGROUPS = Path("/sys/fs/cgroup")
SLEEP = "import signal; signal.pause()"
SHIM = '#!/bin/sh\nread -r forever <"$1"\n'


@pytest.fixture
def container(tmp_path: Path) -> Iterator[tuple[str, psutil.Process, Path]]:
    """A process in a cgroup that has the id of a container in its name, in a hierarchy that can freeze it."""
    hierarchy = CGROUPS / "freezer" if (CGROUPS / "freezer").is_dir() else CGROUPS
    name = secrets.token_hex(32)
    inner = hierarchy / f"docker-{name}.scope" / "a pod"
    if not os.access(hierarchy, os.W_OK):
        pytest.skip("only root makes cgroups, where they can be made")
    inner.mkdir(parents=True)
    with python(tmp_path / "log", "-c", SLEEP) as process:
        (inner / "cgroup.procs").write_text(str(process.pid))
        yield name, process, inner
        for directory in (inner, inner.parent):
            for file, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                if (directory / file).exists():
                    (directory / file).write_text(word)
    for directory in (inner, inner.parent):
        if directory.exists():
            directory.rmdir()


def test_what_is_left_is_found(container: tuple[str, psutil.Process, Path]) -> None:
    """A process and a cgroup are known by the id, whatever Docker says."""
    name, process, inner = container
    assert [found.pid for found in leftovers.processes(name)] == [process.pid]
    assert leftovers.cgroups(name) == [inner.parent]
    left = leftovers.left(name, ["lo", "no such interface"])
    assert left.startswith(f"process {process.pid} (")
    assert left.endswith(f", the cgroup {inner.parent}, the interface lo")


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_what_is_left_can_be_ended(frozen: bool, container: tuple[str, psutil.Process, Path]) -> None:  # noqa: FBT001
    """Also a process that is frozen, as the runtime of a node freezes a pod's for a moment, comes to its end."""
    name, process, inner = container
    if frozen:
        file, word = ("freezer.state", "FROZEN") if (inner / "freezer.state").exists() else ("cgroup.freeze", "1")
        (inner / file).write_text(word)
    leftovers.end(name)
    process.wait(PATIENCE)
    leftovers.end(name)
    assert leftovers.left(name, []) == ""
    assert not inner.parent.exists()


def test_of_another_container_nothing_is_found() -> None:
    """An id that nobody has finds nothing, so that what was removed on another machine counts as gone."""
    assert leftovers.left(secrets.token_hex(32), []) == ""


def test_a_shim_is_known_by_its_argument(tmp_path: Path) -> None:
    """The shim is outside of the container's cgroups; who only speaks of the container is not the shim."""
    name, shim = secrets.token_hex(32), tmp_path / "containerd-shim-runc-v2"
    shim.write_text(SHIM)
    shim.chmod(0o755)
    os.mkfifo(tmp_path / "fifo")
    run = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    with (
        python(tmp_path / "log", "-c", run, shim, tmp_path / "fifo", "-id", name) as holds,
        python(tmp_path / "log", "-c", SLEEP, name),
    ):
        while holds.name() != shim.name[:15] and not holds.name().startswith("containerd-shim"):
            pass
        assert [found.pid for found in leftovers.processes(name)] == [holds.pid]
