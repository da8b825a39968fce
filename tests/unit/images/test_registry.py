"""A registry and Istio's release archive: what is fetched is verified and kept, and what can't be is explained."""

from __future__ import annotations

import hashlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from meshproof.catalogue import PulledIstio, current_catalogue
from meshproof.docker import Docker
from meshproof.errors import MachineError, MeshproofError, UnknownVersion
from meshproof.images.choice import registry_answers
from meshproof.images.registry import RegistryProvider
from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS
from meshproof.versions import PART_OF_ISTIO, MeshVersions, Versions
from tests.support.building import Record
from tests.support.programs import PATIENCE
from tests.support.releases import ARCHITECTURES, Files, packed, release, site
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


def pinned(provider: RegistryProvider, archive: bytes) -> RegistryProvider:
    """Return a provider that knows the hash of the archive with istioctl."""
    known = dict.fromkeys(ARCHITECTURES, hashlib.sha256(archive).hexdigest())
    istio = {VERSION: PulledIstio(("1.34.11",), {"pilot": "sha256:1", "proxyv2": "sha256:2"}, known)}
    return replace(provider, registry=replace(provider.registry, istio=istio))


def test_a_pinned_istioctl_is_held_against_its_pin(no_proxy: None, tmp_path: Path) -> None:
    """The hash in the file of versions counts, not the published one; what is kept under it is no other istioctl."""
    with site({path: file for path, file in GOOD.items() if path.endswith(".gz")}) as archive:
        tampered = pinned(provider(archive.url, tmp_path), b"another archive")
        with pytest.raises(MachineError, match=r"thrown away: its SHA-256 is .* is known \(.*versions\.toml\)"):
            tampered.fetch_istioctl(VERSION, Record())
        right = pinned(provider(archive.url, tmp_path), ISTIOCTL)
        istioctl = right.fetch_istioctl(VERSION, Record())
    assert kept(tmp_path) == [istioctl.name]
    assert istioctl not in (tampered.istioctl(VERSION), provider("", tmp_path).istioctl(VERSION))


def test_a_release_without_digests_is_told(tmp_path: Path) -> None:
    """Who runs a release by its tag is told so, and how it is pinned; a pinned one is nothing to talk of."""
    by_tag = replace(current_catalogue().registry.istio[VERSION], images={}, istioctl={})
    unpinned = provider("", tmp_path)
    unpinned = replace(unpinned, registry=replace(unpinned.registry, istio={"1.0.0": by_tag, VERSION: by_tag}))
    assert unpinned.taken_by_tag() == [
        f"Istio {VERSION} is taken by its tag: versions.toml has no digest of it; `make pin` writes it."
    ]
    assert pinned(unpinned, ISTIOCTL).taken_by_tag() == []


@pytest.mark.parametrize("mirrors", [{}, {"quay.io": "http://10.0.0.5:5000"}], ids=["none", "of another registry"])
def test_a_private_daemon_needs_a_mirror(mirrors: dict[str, str], tmp_path: Path) -> None:
    """What it runs has no way out of the machine: without a mirror that is told before anything is fetched."""
    without = provider("", tmp_path)
    without = replace(without, registry=replace(without.registry, mirrors=mirrors))
    with pytest.raises(
        MachineError, match=r"pulls from it \(docker\.io\), and .* mirror on this machine in \[registry"
    ):
        without.provide(Docker("0.0.0", tmp_path / "docker"), Record())
    assert list(tmp_path.iterdir()) == []


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
            results = [answer.result(TIMEOUTS.registry_answer * 3) for answer in answers]
        finally:
            enough.set()
    assert [answered for answered, _ in results] == [False, False]
    assert all(seconds < TIMEOUTS.registry_answer * 2 for _, seconds in results)
