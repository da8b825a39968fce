"""Docker, as far as it can be judged without a daemon: whether this machine has one of its own."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from meshproof.docker import Docker, daemon, sign_of_another
from meshproof.errors import ClusterError, MachineError
from meshproof.machine.cache import claim
from meshproof.machine.wait import until
from tests.support.programs import PATIENCE, python

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="it is told by `docker` where it would connect")
FAKE = f"#!{sys.executable}\nimport signal\nsignal.pause()\n"
RUN = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
DOCKER = """#!/bin/sh
case "$DOCKER_HOST $*" in
  *meshproof-cache*" version "*) cat "$ANSWER" ;;
  *" version "*) exit 1 ;;
esac
"""


@contextmanager
def dockerd(directory: Path, *arguments: str | Path) -> Iterator[psutil.Process]:
    """Run a program of that name, which says nothing to anybody."""
    program = directory / "dockerd"
    program.write_text(FAKE)
    program.chmod(0o755)
    with python(directory / "log", "-c", RUN, program, *arguments) as process:
        # A program has its name a moment before it has its arguments.
        until(
            lambda: process.name() if process.cmdline() else "",
            "dockerd",
            what="The program's name",
            timeout=PATIENCE,
            interval=0.01,
        )
        yield process


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A socket for `docker` where nobody listens."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    return tmp_path / "docker.sock"


def test_a_daemon_that_does_not_answer_is_a_sign(nowhere: Path, tmp_path: Path) -> None:
    """A dockerd is there as long as its process is: it may be busy, or stopped for a while."""
    with dockerd(tmp_path) as process:
        assert f"a dockerd runs (process {process.pid})" in (sign_of_another() or "")
        process.suspend()
        assert f"a dockerd runs (process {process.pid})" in (sign_of_another() or "")


@pytest.mark.parametrize("marked", [True, False])
def test_a_private_daemon_is_none(marked: bool, nowhere: Path, tmp_path: Path) -> None:  # noqa: FBT001
    """A daemon whose pid file is in a marked cache is one of meshproof's; any other one is the machine's."""
    pid_file = tmp_path / "cache" / "docker" / "docker.pid"
    if marked:
        claim(tmp_path / "cache")
    pid_file.parent.mkdir(parents=True)
    with dockerd(tmp_path, "--pidfile", pid_file) as process:
        pid_file.write_text(str(process.pid))
        assert (f"process {process.pid}" in (sign_of_another() or "")) is not marked


def test_a_socket_that_accepts_is_a_sign(nowhere: Path) -> None:
    """A daemon that listens and does not answer is there; so is systemd, which starts one."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(nowhere))
        assert f"{nowhere} accepts" not in (sign_of_another() or "")
        listening.listen()
        assert f"{nowhere} accepts connections" in (sign_of_another() or "")


def test_a_daemon_elsewhere_is_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who chose a daemon does not get another one without a word."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    assert " leads to tcp://192.0.2.1:2375" in (sign_of_another() or "")


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private daemon that somebody has started; it is gone when this file is removed.

    It can't be started again: the path of the cache is too long for a socket.
    """
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(0o755)
    answer = tmp_path / "answer"
    answer.write_text("1.0")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setenv("ANSWER", str(answer))
    return answer


def cache_of(directory: Path) -> Path:
    """Return where the cache is to be."""
    return directory / ("long" * 20) / "meshproof-cache"


def test_a_stray_file_is_no_lease(private: Path, tmp_path: Path) -> None:
    """A file in the directory of the leases that names no process keeps nobody from leaving, and stays."""
    cache = cache_of(tmp_path)
    stray = cache / "docker" / "leases" / ".DS_Store"
    with daemon(cache) as docker:
        assert docker.private == cache / "docker"
        stray.touch()
        (stray.parent / "999999999").touch()  # of a run that was killed
    assert list(stray.parent.iterdir()) == [stray]


def test_the_end_of_the_daemon_does_not_hide_why(
    private: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that failed ends with its own error; that the daemon could not be brought back to end it is said, too."""

    def fail() -> None:
        private.unlink()
        raise ClusterError("This is the true one.")

    with pytest.raises(ClusterError, match="the true one"), daemon(cache_of(tmp_path)):
        fail()
    assert "No Docker daemon answers" in capsys.readouterr().err


def test_the_end_of_the_daemon_is_an_error(private: Path, tmp_path: Path) -> None:
    """Where nothing else went wrong, that is what went wrong."""
    with pytest.raises(MachineError, match="Docker daemon"), daemon(cache_of(tmp_path)):
        private.unlink()


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("shop:dev", "shop:dev"),
        ("ghcr.io/me/shop", "ghcr.io/me/shop:latest"),
        ("host:5000/shop", "host:5000/shop:latest"),
        ("shop@sha256:0", "shop@sha256:0"),
        ("host:5000/shop:dev@sha256:0", "host:5000/shop@sha256:0"),
    ],
)
def test_an_image_is_known_by_its_id(name: str, asked: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Docker is asked for one image: without a tag it would name all that have the name."""
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\n[ "$*" = "images --quiet --no-trunc {asked}" ] && printf "sha256:a\\nsha256:a\\n"')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert Docker("0.0.0").image_id(name) == "sha256:a"
    program.write_text("#!/bin/sh\n")
    assert (Docker("0.0.0").image_id(name), Docker("0.0.0").has_image(name)) == ("", False)
