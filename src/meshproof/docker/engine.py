"""Docker: the daemon that is there, used as it is, or a private one that ends with its last user.

The private daemon has its own socket, data root, pid file, configuration and
log under the cache directory, and no default bridge, so it shares nothing with
a Docker that the machine may have. It is told to leave the packet filter and
the kernel's settings alone: its containers reach each other and this machine,
and nothing beyond. It is not started beside a Docker that is merely busy. Every
run that uses it holds a lease (a file that names its process); the last one out
stops it, unless a cluster that is to be kept still runs on it.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from meshproof.docker import capability_runtime
from meshproof.errors import CommandFailed, MachineError, ToolMissing
from meshproof.machine import interrupts, process
from meshproof.machine.cache import claimed, is_ours
from meshproof.machine.undoing import afterwards
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS

INSTALL = "apt-get install --no-install-recommends docker.io iptables"
_DEFAULT_SOCKET = "unix:///var/run/docker.sock"
_UNITS = ("docker.service", "docker.socket")
_AT_REST = {"inactive", "failed", "unknown"}
_FIRST_WITHOUT_A_KEY = 23  # the release of dockerd that keeps its identity in its data root
_LONGEST_SOCKET_DIRECTORY = 60  # characters; unix(7) ends at 107 and containerd adds a long name


@dataclass(frozen=True, slots=True)
class Docker:
    """A daemon that answered.

    Attributes:
        version: The daemon's release.
        private: The directory of our own daemon; None for one that was there before us.
    """

    version: str
    private: Path | None = None

    @property
    def env(self) -> dict[str, str]:
        """What the environment of `docker` and `kind` needs to find this daemon."""
        return {"DOCKER_HOST": _host(self.private)} if self.private else {}

    def run(
        self,
        *args: str | Path,
        timeout: float = 120,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        """Run ``docker ARGS`` and return what it printed.

        Raises:
            CommandFailed: With the last lines of its output.
            MachineError: The daemon is gone.
        """
        try:
            return process.run(["docker", *args], env=self.env, timeout=timeout, cwd=cwd, on_line=on_line)
        except CommandFailed as error:
            if not self.answers():
                raise self.gone(f"`docker {args[0]}`") from error
            raise

    def identity(self) -> str:
        """Return the name that the daemon has for itself; no two have the same."""
        return self.run("info", "--format={{.ID}}").strip()

    def answers(self) -> bool:
        """Tell whether the daemon is still there."""
        return server_version(self.env) is not None

    def gone(self, during: str) -> MachineError:
        """Return the error for a daemon that stopped answering."""
        where = self.env.get("DOCKER_HOST") or os.environ.get("DOCKER_HOST") or "the default socket"
        look = f"Its log is {self.private / 'daemon.log'}" if self.private else "See `systemctl status docker`"
        return MachineError(f"The Docker daemon at {where} stopped answering during {during}. {look}; then run again.")

    def revived(self) -> bool:
        """Bring our own daemon back, so that what runs on it can be removed; tell whether one answers."""
        if not self.answers() and self.private:
            with _lock(self.private):
                _start(self.private)
        return self.answers()


@contextmanager
def daemon(cache: Path) -> Iterator[Docker]:
    """Use the Docker daemon that answers, or a private one for as long as somebody needs it.

    Raises:
        ToolMissing: Docker is not installed.
        MachineError: None answers, and we may not or can not start one; or the cache can't be written.
    """
    with claimed(cache):
        directory = cache / "docker"
        there = server_version({})
        # A private one that runs has a cluster on it that was kept, or another run: what is on it is not on yours.
        if there is not None and _process(directory / "docker.pid", "dockerd") is None:
            yield Docker(there)
            return
        with _private(directory) as docker:
            yield docker


@contextmanager
def _private(directory: Path) -> Iterator[Docker]:
    """Use the private daemon, which somebody may have started already."""
    lease = directory / "leases" / str(os.getpid())
    with _lock(directory):
        lease.parent.mkdir(parents=True, exist_ok=True)
        lease.touch()
        try:
            version = server_version({"DOCKER_HOST": _host(directory)}) or _start(directory)
        except BaseException:
            lease.unlink()
            raise

    def leave() -> None:
        with _lock(directory):
            lease.unlink(missing_ok=True)
            _stop_if_unused(directory)

    with afterwards(leave):
        yield Docker(version, directory)


def _host(directory: Path) -> str:
    return f"unix://{directory / 'docker.sock'}"


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


def server_version(env: dict[str, str]) -> str | None:
    """Return the version of the daemon that the environment leads to, or None where none answers."""
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        return process.run(command, env=env, timeout=TIMEOUTS.docker_answer).strip() or None
    except CommandFailed:
        return None
    except ToolMissing as error:
        raise ToolMissing(
            f"Tried to run `docker`: it is not installed. As root on Debian or Ubuntu, `make doctor` installs it; "
            f"elsewhere install Docker, for example with `{INSTALL}`."
        ) from error


def _settings(directory: Path) -> dict[str, str]:
    """Return what has no option on the command line: unless told where, old releases of dockerd write a key to /etc."""
    release = re.search(r"\d+", process.run(["dockerd", "--version"], timeout=TIMEOUTS.program))
    old = release is not None and int(release[0]) < _FIRST_WITHOUT_A_KEY
    return {"deprecated-key-path": str(directory / "key.json")} if old else {}


def sign_of_another() -> str | None:
    """Return what shows that this machine has a Docker that is not ours, whether it answers or not; None for nothing.

    Looked at are the processes, the sockets that `docker` would use, and systemd's units. Nothing is changed.
    """
    signs = []
    for each in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if each.name() == "dockerd" and not _is_private(each) and not _is_elsewhere(each):
                signs.append(f"a dockerd runs (process {each.pid})")
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
    """Tell whether a daemon is a private one of meshproof's, of this cache or of another."""
    words = dockerd.cmdline()
    pid_file = Path(next((after for word, after in pairwise(words) if word == "--pidfile"), "/"))
    with suppress(OSError):
        return is_ours(pid_file.parent.parent) and pid_file.read_text() == str(dockerd.pid)
    return False


def _is_elsewhere(dockerd: psutil.Process) -> bool:
    """Tell whether a process is a zombie, or in a container: then it is not this machine's Docker."""
    with suppress(OSError):
        spaces = [Path("/proc", pid, "ns", "pid").readlink() for pid in (str(dockerd.pid), "self")]
        return spaces[0] != spaces[1] or dockerd.status() == psutil.STATUS_ZOMBIE
    return dockerd.status() == psutil.STATUS_ZOMBIE


def _start(directory: Path) -> str:
    """Start the private daemon and return its version."""
    if os.geteuid() != 0:
        raise MachineError(
            "No Docker daemon answers, and starting a private one needs root. Start Docker "
            "(`sudo systemctl start docker`) and join its group (`sudo usermod -aG docker $USER`), or run as root."
        )
    if (sign := sign_of_another()) is not None:
        raise MachineError(
            f"No Docker daemon answers, but {sign}: it may be busy, starting or stopping. No private one was started "
            "beside it. Run again when `docker version` answers, or stop Docker for good."
        )
    if len(str(directory)) > _LONGEST_SOCKET_DIRECTORY:
        raise MachineError(
            f"A private Docker daemon can't have its sockets in {directory}: the path is too long for a socket. "
            "Set MESHPROOF_CACHE to a shorter one."
        )
    log = directory / "daemon.log"
    if (alive := _process(directory / "docker.pid", "dockerd")) is not None:
        # It is busy, with work or with its own end.
        version = _answer_of(directory, alive)
        if version is not None:
            return version
    _end_the_last_one(directory)
    configuration = directory / "daemon.json"  # of its own: that of the machine's Docker is not for this one
    configuration.write_text(json.dumps(_settings(directory)))
    command = [
        *("dockerd", "--config-file", str(configuration), "--host", _host(directory), "--bridge", "none"),
        *("--data-root", str(directory / "data"), "--exec-root", str(directory / "exec")),
        *("--pidfile", str(directory / "docker.pid"), "--log-level", "warn"),
        *("--containerd-namespace", "meshproof", "--containerd-plugins-namespace", "meshproof-plugins"),
        *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
    ]
    if capability_runtime.missing_capabilities():
        command += [
            "--add-runtime",
            f"meshproof={capability_runtime.install(directory)}",
            "--default-runtime",
            "meshproof",
        ]
    started = process.start(command, log=log)

    try:
        version = _answer_of(directory, started)
    except BaseException:
        with interrupts.held_back():
            _stop(directory, started)
        raise
    if version is None:
        last = log.read_text().strip().splitlines()[-1:] or ["nothing"]
        raise MachineError(
            f"The private Docker daemon ended at once; its last words were: {last[0]}. Its log is {log}."
        )
    return version


def _answer_of(directory: Path, daemon_process: psutil.Process) -> str | None:
    """Wait until the daemon answers, and return its version; None if it ended instead."""

    def observe() -> str:
        version = server_version({"DOCKER_HOST": _host(directory)})
        gone = not daemon_process.is_running() or daemon_process.status() == psutil.STATUS_ZOMBIE
        return version or ("ended" if gone else "not answering")

    seen = until(
        observe,
        "answering",
        lambda seen: seen != "not answering",
        what="The private Docker daemon",
        timeout=TIMEOUTS.docker_start,
    )
    return None if seen == "ended" else seen


def _stop_if_unused(directory: Path) -> None:
    """Stop the private daemon unless another run or a kept cluster needs it."""
    leases = [file for file in (directory / "leases").iterdir() if file.name.isdecimal()]  # any other file is none
    for lease in leases:
        if not psutil.pid_exists(int(lease.name)):
            lease.unlink()
    if any(lease.exists() for lease in leases):
        return
    env = {"DOCKER_HOST": _host(directory)}
    if server_version(env) is None:
        # It died under us. Its containers did not: only a daemon can end them.
        _start(directory)
    kept = ["docker", "ps", "--quiet", "--filter=label=io.x-k8s.kind.cluster"]
    if process.run(kept, env=env, timeout=TIMEOUTS.docker_stop).strip():
        return
    process.run(["docker", "network", "prune", "--force"], env=env, timeout=TIMEOUTS.docker_stop)
    if (ours := _process(directory / "docker.pid", "dockerd")) is not None:
        _stop(directory, ours)


def _stop(directory: Path, daemon_process: psutil.Process) -> None:
    """End the daemon and its containerd.

    Raises:
        MachineError: They are still there.
    """
    with suppress(psutil.NoSuchProcess):
        whole = [daemon_process, *daemon_process.children(recursive=True)]
        daemon_process.terminate()
        _, left = psutil.wait_procs(whole, timeout=TIMEOUTS.docker_stop)
        if left:
            raise MachineError(
                f"The private Docker daemon has not ended within {TIMEOUTS.docker_stop:g} s: "
                f"{', '.join(f'{each.name()} (process {each.pid})' for each in left)} is still there. "
                f"Its log is {directory / 'daemon.log'}."
            )


def _end_the_last_one(directory: Path) -> None:
    """Bring a daemon that no longer answers to its end, and its containerd: a new one would trip over them."""
    for name, pid_file in (("dockerd", "docker.pid"), ("containerd", "exec/containerd/containerd.pid")):
        old = _process(directory / pid_file, name)
        if old is not None:
            old.terminate()
            psutil.wait_procs([old], timeout=TIMEOUTS.docker_stop)
        # One that was killed leaves the file, and as our child a zombie of that number: dockerd takes it for alive.
        (directory / pid_file).unlink(missing_ok=True)


def _process(pid_file: Path, name: str) -> psutil.Process | None:
    """Return the process that a pid file names, if it still is the program that wrote it."""
    try:
        found = psutil.Process(int(pid_file.read_text()))
        return found if found.name() == name and found.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
