"""Signs of a Docker on this machine that is not ours: beside one that is merely busy no private one is started."""

from __future__ import annotations

import socket
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil

from meshproof.errors import CommandFailed, ToolMissing
from meshproof.machine import process
from meshproof.machine.cache import is_ours
from meshproof.settings import TIMEOUTS

_DEFAULT_SOCKET = "unix:///var/run/docker.sock"
_UNITS = ("docker.service", "docker.socket")
_AT_REST = {"inactive", "failed", "unknown"}


def sign_of_another() -> str | None:
    """Return what shows that this machine has a Docker that is not ours, whether it answers or not; None for nothing.

    Looked at are the processes, the sockets that `docker` would use, and systemd's units. Nothing is changed.
    """
    signs = []
    for running in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if running.name() == "dockerd" and not _is_private(running) and not _is_elsewhere(running):
                signs.append(f"a dockerd runs (process {running.pid})")
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    with suppress(CommandFailed):
        chosen = process.run(command, timeout=TIMEOUTS.program).strip()
        if not chosen.startswith("unix://"):
            signs.append(f"DOCKER_HOST or the context of `docker` leads to {chosen}")
        sockets = {host.removeprefix("unix://") for host in (chosen, _DEFAULT_SOCKET)}
        signs += [f"{path} accepts connections" for path in sorted(sockets) if _accepts(path)]
    signs += [f"{unit} is {state}" for unit in _UNITS if (state := _state(unit)) not in _AT_REST]
    return " and ".join(signs) or None


def _accepts(path: str) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        return True
    return False


def _state(unit: str) -> str:
    """Return the state of a unit in systemd's words; "unknown" where systemd does not run."""
    try:
        return process.run(["systemctl", "is-active", unit], timeout=TIMEOUTS.program).strip()
    except CommandFailed as error:
        return error.tail.strip() if error.tail.strip().isalpha() else "unknown"
    except ToolMissing:
        return "unknown"


def _is_private(dockerd: psutil.Process) -> bool:
    """Return whether a daemon is a private one of meshproof's, of this cache or of another."""
    words = dockerd.cmdline()
    pid_file = Path(next((after for word, after in pairwise(words) if word == "--pidfile"), "/"))
    with suppress(OSError):
        return is_ours(pid_file.parent.parent) and pid_file.read_text() == str(dockerd.pid)
    return False


def _is_elsewhere(dockerd: psutil.Process) -> bool:
    """Return whether a process is a zombie, or in a container: then it is not this machine's Docker."""
    with suppress(OSError):
        spaces = [Path("/proc", pid, "ns", "pid").readlink() for pid in (str(dockerd.pid), "self")]
        return spaces[0] != spaces[1] or dockerd.status() == psutil.STATUS_ZOMBIE
    return dockerd.status() == psutil.STATUS_ZOMBIE
