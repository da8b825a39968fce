"""The private Docker daemon, which ends with its last user.

It has its own socket, data root, pid file, configuration and log under the
cache directory, and no default bridge, so it shares nothing with a Docker that
the machine may have. It is told to leave the packet filter and the kernel's
settings alone: its containers reach each other and this machine, and nothing
beyond. Every run that uses it holds a lease (a file that names its process);
the last one out stops it, unless a cluster that is to be kept still runs on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from meshproof.docker import dockerd
from meshproof.docker.version import server_version
from meshproof.errors import MachineError
from meshproof.machine import process
from meshproof.machine.undoing import afterwards
from meshproof.settings import TIMEOUTS


@contextmanager
def private_daemon(directory: Path) -> Iterator[str]:
    """Use the private daemon, which somebody may have started already; the context is its version.

    Raises:
        MachineError: It may not or can not be started here.
    """
    lease = directory / "leases" / str(os.getpid())
    with _lock(directory):
        lease.parent.mkdir(parents=True, exist_ok=True)
        lease.touch()
        try:
            version = server_version({"DOCKER_HOST": dockerd.host(directory)}) or dockerd.start(directory)
        except BaseException:
            lease.unlink()
            raise

    def leave() -> None:
        with _lock(directory):
            lease.unlink(missing_ok=True)
            _stop_if_unused(directory)

    with afterwards(leave):
        yield version


def revive(directory: Path) -> None:
    """Start the private daemon again.

    Raises:
        MachineError: It may not or can not be started here.
    """
    with _lock(directory):
        dockerd.start(directory)


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(directory / "lock", timeout=TIMEOUTS.docker_start + TIMEOUTS.docker_stop):
            yield
    except Timeout as error:
        raise MachineError(
            f"Another run has been starting or stopping the private Docker daemon in {directory} for minutes. "
            f"See {directory / 'daemon.log'}, end that run, then run again."
        ) from error


def _stop_if_unused(directory: Path) -> None:
    """Stop the private daemon unless another run or a kept cluster needs it."""
    leases = [file for file in (directory / "leases").iterdir() if file.name.isdecimal()]  # any other file is none
    for lease in leases:
        if not psutil.pid_exists(int(lease.name)):
            lease.unlink()
    if any(lease.exists() for lease in leases):
        return
    env = {"DOCKER_HOST": dockerd.host(directory)}
    if server_version(env) is None:
        # It died under us. Its containers did not: only a daemon can end them.
        dockerd.start(directory)
    kept = ["docker", "ps", "--quiet", "--filter=label=io.x-k8s.kind.cluster"]
    if process.run(kept, env=env, timeout=TIMEOUTS.docker_stop).strip():
        return
    process.run(["docker", "network", "prune", "--force"], env=env, timeout=TIMEOUTS.docker_stop)
    if (ours := dockerd.private_dockerd(directory)) is not None:
        dockerd.stop(directory, ours)
