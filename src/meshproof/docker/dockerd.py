"""The processes of the private daemon: they are started, waited for and ended."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path

import psutil

from meshproof.docker import capability_runtime
from meshproof.docker.another import sign_of_another
from meshproof.docker.version import server_version
from meshproof.errors import MachineError
from meshproof.machine import interrupts, process
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS

_FIRST_WITHOUT_A_KEY = 23  # the release of dockerd that keeps its identity in its data root
_LONGEST_SOCKET_DIRECTORY = 60  # characters; unix(7) ends at 107 and containerd adds a long name


def host(directory: Path) -> str:
    """Return the address of the private daemon, as ``DOCKER_HOST`` has it."""
    return f"unix://{directory / 'docker.sock'}"


def private_dockerd(directory: Path) -> psutil.Process | None:
    """Return the private daemon's process; None where it does not run."""
    return _process(directory / "docker.pid", "dockerd")


def start(directory: Path) -> str:
    """Start the private daemon and return its version.

    Raises:
        MachineError: It may not or can not be started here.
    """
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
    if (alive := private_dockerd(directory)) is not None:
        # It is busy, with work or with its own end.
        version = _answer_of(directory, alive)
        if version is not None:
            return version
    _end_the_last_one(directory)
    configuration = directory / "daemon.json"  # of its own: that of the machine's Docker is not for this one
    configuration.write_text(json.dumps(_settings(directory)))
    command = [
        *("dockerd", "--config-file", str(configuration), "--host", host(directory), "--bridge", "none"),
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
            stop(directory, started)
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
        version = server_version({"DOCKER_HOST": host(directory)})
        gone = not daemon_process.is_running() or daemon_process.status() == psutil.STATUS_ZOMBIE
        return version or ("ended" if gone else "not answering")

    state = until(
        observe,
        "answering",
        lambda state: state != "not answering",
        what="The private Docker daemon",
        timeout=TIMEOUTS.docker_start,
    )
    return None if state == "ended" else state


def stop(directory: Path, daemon_process: psutil.Process) -> None:
    """End the daemon and its containerd.

    Raises:
        MachineError: They are still there.
    """
    with suppress(psutil.NoSuchProcess):
        whole = [daemon_process, *daemon_process.children(recursive=True)]
        daemon_process.terminate()
        _, survivors = psutil.wait_procs(whole, timeout=TIMEOUTS.docker_stop)
        if survivors:
            raise MachineError(
                f"The private Docker daemon has not ended within {TIMEOUTS.docker_stop:g} s: "
                f"{', '.join(f'{survivor.name()} (process {survivor.pid})' for survivor in survivors)} is still there. "
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
        named = psutil.Process(int(pid_file.read_text()))
        return named if named.name() == name and named.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None


def _settings(directory: Path) -> dict[str, str]:
    """Return what has no option on the command line: unless told where, old releases of dockerd write a key to /etc."""
    release = re.search(r"\d+", process.run(["dockerd", "--version"], timeout=TIMEOUTS.program))
    old = release is not None and int(release[0]) < _FIRST_WITHOUT_A_KEY
    return {"deprecated-key-path": str(directory / "key.json")} if old else {}
