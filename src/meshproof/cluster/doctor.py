"""What a machine needs before it can run a cluster, and how to come by it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from meshproof.docker import INSTALL, server_version, sign_of_another
from meshproof.errors import CommandFailed, MachineError
from meshproof.images import DISK_NEEDED
from meshproof.machine import cache, process
from meshproof.settings import TIMEOUTS, cache_directory

_MEMORY_NEEDED = 4_000_000_000
_INOTIFY_SETTING = "fs.inotify.max_user_instances"
_INOTIFY_LIMIT = Path("/proc/sys") / _INOTIFY_SETTING.replace(".", "/")
_INOTIFY_NEEDED = 40  # a cluster of one node takes 26


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: What was looked at, and what was seen.
        good: Whether it will do.
        remedy: What to do about it where it will not.
        packages: The Debian packages that mend it.
        required: Whether no run can do without.
    """

    what: str
    good: bool
    remedy: str = ""
    packages: tuple[str, ...] = ()
    required: bool = True


def examine() -> list[Finding]:
    """Return what was looked at on this machine; nothing is changed."""
    return [_docker(), _mmdebstrap(), _cache(), _disk(), _memory(), *_inotify()]


def _docker() -> Finding:
    packages = ("docker.io", "iptables")
    if not shutil.which("docker"):
        return Finding(
            "Docker is not installed", False, f"run `{INSTALL}` as root, or install Docker your system's way", packages
        )
    version = server_version({})
    if version is None:
        if os.geteuid() != 0:
            remedy = "start it (`sudo systemctl start docker`) and join its group (`sudo usermod -aG docker $USER`)"
            return Finding("no Docker daemon answers", False, remedy)
        if (sign := sign_of_another()) is not None:
            remedy = "run again when `docker version` answers, or stop Docker for good"
            return Finding(f"no Docker daemon answers, but {sign}", False, remedy)
        if not (shutil.which("dockerd") and shutil.which("iptables")):
            return Finding(
                "no Docker daemon answers, and none is installed to be started", False, f"run `{INSTALL}`", packages
            )
        return Finding("no Docker daemon answers; a private one is started for each run", True)
    return Finding(f"Docker {version} answers", True)


def _mmdebstrap() -> Finding:
    if shutil.which("mmdebstrap"):
        return Finding("mmdebstrap is there, to build images from packages", True)
    packages = ("mmdebstrap", "debian-archive-keyring")
    remedy = f"building images from packages needs it: run `apt-get install {' '.join(packages)}` as root"
    return Finding("mmdebstrap is not installed", False, remedy, packages, required=False)


def _cache() -> Finding:
    directory = cache_directory()
    what, _, remedy = (cache.fault(directory) or f"the cache is {directory}").partition(": ")
    return Finding(what, not remedy, remedy.rstrip("."))


def _disk() -> Finding:
    directory = cache_directory()
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    needed = f"{DISK_NEEDED / 1e9:.0f} GB"
    remedy = f"building all images from packages takes {needed}: free some, or set MESHPROOF_CACHE to another disk"
    return Finding(f"{free / 1e9:.0f} GB are free at {directory}", free > DISK_NEEDED, remedy, required=False)


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Finding(f"{total / 1e9:.0f} GB of memory", total > _MEMORY_NEEDED, "a cluster with Istio needs 4 GB")


def _inotify() -> list[Finding]:
    """Look how many more programs of root's can watch files; of those of others nobody else is told.

    Without that the kubelet of a new node does not start, and it is told in the node's journal only.
    Source: inotify(7), and https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files
    """
    if os.geteuid() != 0:
        return []
    limit, used = int(_INOTIFY_LIMIT.read_text()), 0
    for program in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it has ended
            if program.uids().real == 0:
                files = [str(file.readlink()) for file in Path(f"/proc/{program.pid}/fd").iterdir()]
                used += files.count("anon_inode:inotify")
    remedy = f"a cluster takes about 30: delete another one, or run `sysctl {_INOTIFY_SETTING}=512` as root"
    what = f"{limit - used} of {limit} inotify instances of root's are free"
    return [Finding(what, limit - used >= _INOTIFY_NEEDED, remedy, required=False)]


def fix(findings: list[Finding]) -> None:
    """Install what is missing, on Debian or Ubuntu and as root; elsewhere the remedies say what to type.

    Raises:
        MachineError: apt-get failed.
    """
    packages = [package for finding in findings if not finding.good for package in finding.packages]
    if not packages or os.geteuid() != 0 or not Path("/usr/bin/apt-get").exists():
        return
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        wait = "--option=DPkg::Lock::Timeout=600"  # for another run that installs
        process.run(["apt-get", wait, "update"], env=env, timeout=TIMEOUTS.image_build)
        command = ["apt-get", wait, "install", "--yes", "--no-install-recommends", *packages]
        process.run(command, env=env, timeout=TIMEOUTS.image_build)
    except CommandFailed as error:
        raise MachineError(
            f"`apt-get install {' '.join(packages)}` failed: {error.last}. Is the network there?"
        ) from error
