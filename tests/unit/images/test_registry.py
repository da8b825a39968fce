"""A registry and Istio's release archive: what is fetched is verified and kept, and what can't be is explained."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from meshproof.catalogue import current_catalogue
from meshproof.docker import Docker
from meshproof.errors import MachineError, MeshproofError, UnknownVersion
from meshproof.images.choice import registry_answers
from meshproof.images.registry import RegistryProvider
from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS
from meshproof.versions import PART_OF_ISTIO, MeshVersions, Versions
from tests.support.building import Record
from tests.support.programs import PATIENCE
from tests.support.releases import Files, packed, release, site
from tests.support.servers import nobody, serving, stay_silent

VERSION = "1.31.1"
ISTIOCTL = packed(istioctl=b"#!/bin/sh\necho istioctl $1\n")
GOOD = release(VERSION, ISTIOCTL)


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach loopback directly, whatever proxy the machine has."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def provider(releases: str, cache: Path) -> RegistryProvider:
    """Return a provider that fetches from an archive."""
    versions = Versions("1.34.11", MeshVersions(VERSION, PART_OF_ISTIO))
    return RegistryProvider(versions, cache, replace(current_catalogue().registry, istioctl=releases))


def kept(cache: Path) -> list[str]:
    """Return what is kept under its final or under another name, locks apart."""
    return [file.name for file in (cache / "programs").iterdir() if file.suffix != ".lock"]


def test_istioctl_is_fetched_and_can_be_run(no_proxy: None, tmp_path: Path) -> None:
    """What comes out of the archive is the program, executable, under a name with its version."""
    progress = Record()
    with site(GOOD) as archive:
        istioctl = provider(archive.url, tmp_path).fetch_istioctl(VERSION, progress)
    assert run([istioctl, "version"], timeout=PATIENCE) == "istioctl version\n"
    assert kept(tmp_path) == [istioctl.name] == [f"istioctl-{VERSION}"]
    assert progress.begun == progress.done == [f"istioctl {VERSION}"]


def test_istioctl_is_fetched_once(no_proxy: None, tmp_path: Path) -> None:
    """A program that is there is used without a request."""
    with site(GOOD) as archive:
        first = provider(archive.url, tmp_path).fetch_istioctl(VERSION, Record())
        asked = list(archive.asked)
        assert provider(archive.url, tmp_path).fetch_istioctl(VERSION, Record()) == first
    assert (len(asked), archive.asked) == (2, asked)


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        pytest.param({}, UnknownVersion, "archive has no istioctl-1.31.1-linux-", id="no such release"),
        pytest.param(
            {path: (200, ISTIOCTL) for path in GOOD if path.endswith(".gz")}, UnknownVersion, ".sha256", id="no SHA-256"
        ),
        pytest.param(dict.fromkeys(GOOD, (500, b"")), MachineError, "could not be fetched: status 500", id="an error"),
        pytest.param(
            release(VERSION, ISTIOCTL, published=f"{'0' * 64}  istioctl\n"),
            MachineError,
            f"thrown away: its SHA-256 is .* and {'0' * 64} is published",
            id="another SHA-256",
        ),
        pytest.param(
            release(VERSION, ISTIOCTL, published=""), MachineError, "thrown away: its SHA-256 is", id="an empty SHA-256"
        ),
        pytest.param(
            release(VERSION, packed(readme=b"")), MachineError, "holds no istioctl", id="an archive without istioctl"
        ),
    ],
)
def test_what_is_not_right_is_not_kept(
    files: Files, error: type[MeshproofError], message: str, no_proxy: None, tmp_path: Path
) -> None:
    """A release that is missing, broken or not what was published is refused by name, and leaves nothing behind."""
    with site(files) as archive, pytest.raises(error, match=message):
        provider(archive.url, tmp_path).fetch_istioctl(VERSION, Record())
    assert kept(tmp_path) == []


def test_a_registry_needs_a_daemon_with_a_network(tmp_path: Path) -> None:
    """What a private daemon runs has no way out of the machine: that is told before anything is fetched."""
    private = Docker("0.0.0", tmp_path / "docker")
    with pytest.raises(MachineError, match=r"Start Docker, or use `--images=packages`\.$"):
        provider("http://192.0.2.1", tmp_path).provide(private, Record())
    assert list(tmp_path.iterdir()) == []


def test_an_archive_out_of_reach_is_the_machines_fault(no_proxy: None, tmp_path: Path) -> None:
    """Without a network the error says what could not be fetched, and asks for the network."""
    with nobody() as address, pytest.raises(MachineError, match=r"could not be fetched: .*refused.* Is the network"):
        provider(f"http://{address}", tmp_path).fetch_istioctl(VERSION, Record())
    assert kept(tmp_path) == []


@pytest.mark.parametrize(("status", "answers"), [(200, True), (401, True), (302, False), (404, False), (503, False)])
def test_a_registry_is_known_by_its_answer(status: int, answers: bool, no_proxy: None) -> None:  # noqa: FBT001
    """A registry says 200, or 401 to who has not signed in; anything else is somebody in between."""
    with site({"/v2/": (status, b"")}) as registry:
        assert registry_answers(f"{registry.url}/v2/") is answers


def test_a_registry_that_refuses_is_none(no_proxy: None) -> None:
    """Nobody listening is no registry."""
    with nobody() as address:
        assert not registry_answers(f"http://{address}/v2/")


def test_a_registry_is_not_waited_for(no_proxy: None) -> None:
    """Who says nothing, or begins an answer and never ends it, is given up after 3 seconds, as documented."""
    enough = Event()

    def dribble(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Padding: ")
        while not enough.wait(TIMEOUTS.registry_answer / 4):
            connection.sendall(b"x")

    def asked(url: str) -> tuple[bool, float]:
        began = time.monotonic()
        return registry_answers(url), time.monotonic() - began

    with serving(stay_silent) as silent, serving(dribble) as dribbling, ThreadPoolExecutor() as pool:
        answers = [pool.submit(asked, f"http://{address}/v2/") for address in (silent, dribbling)]
        try:
            results = [answer.result(TIMEOUTS.registry_answer + 1.5) for answer in answers]
        finally:
            enough.set()
    assert [answered for answered, _ in results] == [False, False]
    assert all(seconds < TIMEOUTS.registry_answer + 1 for _, seconds in results)
