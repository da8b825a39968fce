"""The two Debian file systems that pods and nodes start from.

A build is known by the versions of the packages in it, so that a security update is a new build. Which versions Debian
has is looked up once a day.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from meshproof.errors import CommandFailed, MachineError
from meshproof.images.steps import Step
from meshproof.machine import process
from meshproof.machine.cache import claim
from meshproof.machine.console import console, stage
from meshproof.settings import TIMEOUTS

OnLine = Callable[[str], None]

_RELEASE = "bookworm"
"""systemd of this release still starts on a machine with cgroup v1."""
_FILE_SYSTEMS = {
    "pod-base": "ca-certificates curl gunicorn iproute2 iptables nginx-light python3-httpbin",
    "node-base": (
        "ca-certificates conntrack containerd containernetworking-plugins curl dbus ethtool iproute2 iptables kmod "
        "mount procps runc socat systemd-sysv util-linux"
    ),
}
"""The packages of each; the pods of all applications share one file system."""
_PACKAGES = " ".join(_FILE_SYSTEMS.values())
_FILE = "debian.json"
_INSTALLED = re.compile(r"Inst (\S+) \((\S+)")
_DAY = 24 * 3600.0


def file_systems(cache: Path, *, look_up: bool = True) -> list[Step]:
    """Return the steps that build them.

    Args:
        cache: Where the results are.
        look_up: Look the versions up if that was more than a day ago; or else take those of the last time.

    Raises:
        MachineError: The versions of the packages were never looked up, and can't be now.
        ToolMissing: mmdebstrap is not installed.
    """
    versions = _versions(cache) if look_up else _kept(cache / _FILE, _PACKAGES)
    return [_file_system(name, packages, versions) for name, packages in _FILE_SYSTEMS.items()]


def _file_system(name: str, packages: str, versions: str) -> Step:
    without = [f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("doc", "man", "locale")]

    def make(out: Path, on_line: OnLine) -> None:
        command: list[str | Path] = ["mmdebstrap", "--variant=essential", _include(packages), *without]
        process.run([*command, _RELEASE, out / f"{name}.tar"], timeout=TIMEOUTS.image_build, on_line=on_line)

    return Step(name, [_RELEASE, packages, versions], make, seconds=60)


def _include(packages: str) -> str:
    return f"--include={','.join(packages.split())}"


def _versions(cache: Path) -> str:
    """Return the packages that would be installed now, each with its version, a line each; looked up once a day."""
    claim(cache)
    file, packages = cache / _FILE, _PACKAGES
    with FileLock(cache / "debian.lock"):
        kept = _kept(file, packages)
        if kept and time.time() - file.stat().st_mtime < _DAY:
            return kept
        try:
            with stage("versions of Debian's packages"):
                versions = _look_up(packages)
        except CommandFailed as error:
            if not kept:
                raise MachineError(
                    f"The versions of Debian's packages could not be looked up: {error.last}. Is a Debian mirror in "
                    "reach? Images from packages are built from it."
                ) from error
            console.print(f"Debian's packages could not be looked up ({error.last}): those of the last time are used.")
            return kept
        file.write_text(json.dumps({"packages": packages, "versions": versions}))
        return versions


def _kept(file: Path, packages: str) -> str:
    """Return what was found the last time; empty if these packages were never looked up."""
    try:
        content = json.loads(file.read_text())
        return str(content["versions"]) if content["packages"] == packages else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _look_up(packages: str) -> str:
    """Ask mmdebstrap what it would install."""
    command = [
        "mmdebstrap",
        "--simulate",
        "--verbose",
        "--variant=essential",
        _include(packages),
        _RELEASE,
        "/dev/null",
    ]
    lines: list[str] = []
    process.run(command, timeout=TIMEOUTS.image_build, on_line=lines.append)
    installed = [match.groups() for line in lines if (match := _INSTALLED.match(line))]
    return "\n".join(sorted({f"{name} {version}" for name, version in installed}))
