"""What a container is on this machine beside its entry in Docker: processes, cgroups, network interfaces.

A daemon that says "removed" may have lost the way to end them. On another machine than the daemon's there are none.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_INTERFACES = Path("/sys/class/net")
_THAW = {"freezer.state": "THAWED", "cgroup.freeze": "0"}
"""By the file of a cgroup, of version 1 and 2: what makes frozen processes go on, were it to their end."""


def processes(container: str) -> list[psutil.Process]:
    """Return the processes in a container, by its whole id, and the shim that holds it."""
    inside = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if _is_inside(process, container) or _is_shim(process, container):
                inside.append(process)
    return [process for process in inside if _is_alive(process)]


def cgroups(container: str) -> list[Path]:
    """Return the control groups that Docker made for a container, in every hierarchy."""
    directories = []
    for directory, names, _ in os.walk(_CGROUPS):
        directories += [Path(directory, name) for name in names if container in name]
        names[:] = [name for name in names if container not in name]
    return directories


def interfaces(container: str) -> list[str]:
    """Return this machine's ends of the network interfaces of a running container; only root can see them."""
    ends: set[str] = set()
    for process in processes(container):
        with suppress(OSError):
            if _is_inside(process, container):
                network = Path(f"/proc/{process.pid}/root/sys/class/net")
                ends |= {link.read_text() for link in network.glob("eth*/iflink")}
                break
    return [path.name for path in _INTERFACES.iterdir() if path.name.startswith("veth") and _index(path) in ends]


def left(container: str, ends: list[str]) -> str:
    """Return what is left of a container and of its interfaces, as words of a sentence; empty for nothing."""
    remains = [f"process {process.pid} ({process.name()})" for process in processes(container)]
    remains += [f"the cgroup {path}" for path in cgroups(container)]
    remains += [f"the interface {name}" for name in ends if (_INTERFACES / name).exists()]
    return ", ".join(remains[:5]) + (f" and {len(remains) - 5} more" if len(remains) > 5 else "")  # noqa: PLR2004


def end(container: str) -> None:
    """Kill what runs in a container that Docker can't end, and remove its cgroups as they empty.

    A node that is removed while its own runtime starts a pod, whose processes it freezes for a moment, never ends.
    """
    for process in processes(container):
        with suppress(psutil.Error):
            process.kill()
    for directory in [Path(name) for top in cgroups(container) for name, _, _ in os.walk(top, topdown=False)]:
        for file, word in _THAW.items():
            if (directory / file).exists():
                with suppress(OSError):
                    (directory / file).write_text(word)
        with suppress(OSError):
            directory.rmdir()


def _is_inside(process: psutil.Process, container: str) -> bool:
    return container in Path(f"/proc/{process.pid}/cgroup").read_text()


def _is_shim(process: psutil.Process, container: str) -> bool:
    return process.name().startswith("containerd-shim") and container in process.cmdline()


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _index(interface: Path) -> str:
    with suppress(OSError):
        return (interface / "ifindex").read_text()
    return ""
