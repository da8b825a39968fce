"""The two Debian file systems that pods and nodes start from.

A build is known by the versions of the packages in it, so that a security update is a new build. Which versions Debian
has is looked up once a day; a cluster that is kept goes on with those that it was made with.
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from meshproof.errors import CommandFailed, MachineError, ToolMissing
from meshproof.images.steps import Step, digest
from meshproof.machine import process
from meshproof.machine.cache import claim
from meshproof.machine.console import console, stage
from meshproof.settings import TIMEOUTS

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
NAMES = tuple(_FILE_SYSTEMS)
_WITHOUT = tuple(f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("doc", "man", "locale"))
_PACKAGES = " ".join(_FILE_SYSTEMS.values())
_INSTALLED = re.compile(r"Inst (\S+) \((\S+)")
_DAY = 24 * 3600.0
_HOUR = 3600.0


def file_systems(versions: str) -> list[Step]:
    """Return the steps that build them.

    Args:
        versions: The packages, as `versions_now` or `versions_known` has them.
    """
    return [_file_system(name, packages, versions) for name, packages in _FILE_SYSTEMS.items()]


def _file_system(name: str, packages: str, versions: str) -> Step:
    command = ["mmdebstrap", "--variant=essential", _include(packages), *_WITHOUT, _RELEASE]

    def make(out: Path, on_line: Callable[[str], None]) -> None:
        process.run([*command, out / f"{name}.tar"], timeout=TIMEOUTS.image_build, on_line=on_line)

    return Step(name, [*command, platform.machine(), versions], make, seconds=60)


def _include(packages: str) -> str:
    return f"--include={','.join(packages.split())}"


def versions_known(cache: Path) -> str:
    """Return the packages as they were the last time that somebody looked, a line each; empty if nobody has."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(_file(cache).read_text())["versions"])
    return ""


def versions_now(cache: Path) -> str:
    """Return the packages that would be installed now, each with its version, a line each; looked up once a day.

    Where Debian can't be asked they are those of the last time, and it is asked again an hour later.

    Raises:
        MachineError: They were never looked up, and can't be now.
        ToolMissing: They were never looked up, and mmdebstrap is not installed.
    """
    claim(cache)
    file = _file(cache)
    with FileLock(cache / "debian.lock"):
        known = versions_known(cache)
        if known and 0 <= time.time() - file.stat().st_mtime < _DAY:
            return known
        try:
            with stage("versions of Debian's packages"):
                versions = _look_up()
        except (CommandFailed, ToolMissing) as error:
            reason = _reason(error.tail) if isinstance(error, CommandFailed) else str(error)
            if not known and isinstance(error, CommandFailed):
                raise MachineError(
                    f"The versions of Debian's packages could not be looked up: {reason}. Is a Debian mirror in "
                    "reach? Images from packages are built from it."
                ) from error
            if not known:
                raise
            console.print(f"Debian's packages could not be looked up ({reason}): those of the last time are used.")
            again = time.time() - _DAY + _HOUR
            os.utime(file, (again, again))
            return known
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({"versions": versions}))
        unfinished.rename(file)
        return versions


def _file(cache: Path) -> Path:
    """Return where the versions are kept; another list of packages has a file of its own."""
    return cache / f"debian-{digest([_PACKAGES, platform.machine()])}.json"


def _look_up() -> str:
    """Ask mmdebstrap what it would install.

    Raises:
        CommandFailed: It said nothing, or failed.
    """
    lines: list[str] = []
    command = ["mmdebstrap", "--simulate", "--verbose", "--variant=essential"]
    command += [_include(_PACKAGES), _RELEASE, "/dev/null"]
    process.run(command, timeout=TIMEOUTS.image_build, on_line=lines.append)
    installed = {match.groups() for line in lines if (match := _INSTALLED.match(line))}
    if not installed:
        raise CommandFailed(command, 0, "\n".join([*lines[-5:], "E: it named no package that it would install"]))
    return "\n".join(sorted(f"{name} {version}" for name, version in installed))


def _reason(tail: str) -> str:
    """Return the last complaint of apt or mmdebstrap."""
    complaints = [line for line in tail.splitlines() if line.startswith(("E:", "W:", "Err:"))]
    apt = [line for line in complaints if "mmdebstrap" not in line and "apt-get" not in line]
    return (apt or complaints or tail.strip().splitlines() or ["it printed nothing"])[-1]
