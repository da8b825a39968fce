"""Versions, and where the files of a run go."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from meshproof.errors import BadName, UnknownVersion
from meshproof.images import golang
from meshproof.machine.process import run
from meshproof.settings import (
    PART_OF_ISTIO,
    TIMEOUTS,
    ImageSource,
    Settings,
    Versions,
    cache_directory,
    configuration,
    default_cluster_name,
    known_versions,
)

PACKAGES, REGISTRY = ImageSource.PACKAGES, ImageSource.REGISTRY
SOURCES = pytest.mark.parametrize("source", [PACKAGES, REGISTRY], ids=lambda source: source.value)
LOCKS = golang.SOURCES / "kubernetes" / "locks"
SHOW_NAME = "from meshproof.settings import default_cluster_name; print(default_cluster_name())"


@pytest.mark.parametrize("component", ["istio", "kubernetes", "envoy"])
@SOURCES
def test_an_unknown_version_is_refused_with_the_known_ones(source: ImageSource, component: str) -> None:
    """A version that nobody has tried is not tried on the user; the error is the list to choose from."""
    asked = {"istio": None, "kubernetes": None, "envoy": None, component: "0.0.1"}
    with pytest.raises(UnknownVersion, match=rf"^{component.capitalize()} 0\.0\.1 ") as refusal:
        Versions.asked(source, *asked.values())
    for version in known_versions(source)[component]:
        assert version in str(refusal.value)
    if known_versions(source)[component] != [PART_OF_ISTIO]:
        assert f"(see [{source.value}] of " in str(refusal.value)


@pytest.mark.parametrize(
    ("source", "component", "version", "hint"),
    [
        pytest.param(PACKAGES, "istio", "v1.31.0", "Did you mean 1.31.0?", id="a v before it"),
        pytest.param(PACKAGES, "istio", "1.31", "Did you mean 1.31.0?", id="a minor release"),
        pytest.param(REGISTRY, "kubernetes", "v1.35", "Did you mean 1.35.8?", id="both"),
        pytest.param(
            PACKAGES,
            "istio",
            "1.30.3",
            "With images=registry there is 1.30.3; that needs a Docker daemon of yours, and Docker Hub in reach.",
            id="only a registry has it",
        ),
        pytest.param(
            REGISTRY,
            "envoy",
            "1.40.0",
            "it is part of Istio, so leave it away. With images=packages there is 1.40.0; that builds them on this "
            "machine.",
            id="only packages have it",
        ),
        pytest.param(PACKAGES, "istio", "1.3", "images/versions.toml).", id="1.3 is not 1.31"),
    ],
)
def test_an_unknown_version_is_refused_with_what_was_meant(
    source: ImageSource, component: str, version: str, hint: str
) -> None:
    """Who is nearly right, or right with the other source, is told what to ask for and what that needs."""
    asked = {"istio": None, "kubernetes": None, "envoy": None, component: version}
    with pytest.raises(UnknownVersion) as refusal:
        Versions.asked(source, *asked.values())
    assert str(refusal.value).endswith(hint)


def test_a_source_that_we_chose_is_told() -> None:
    """With images=auto nobody named a source: the error says which it is, and why."""
    with pytest.raises(UnknownVersion, match=re.escape("packages (images=auto chose that: no Docker daemon answers)")):
        Versions.asked(PACKAGES, "1.30.3", None, None, because="no Docker daemon answers")


@pytest.mark.parametrize("name", ["a", "meshproof-f2af6c", "1.2-3", "a--b", "a" * 49])
def test_a_name_for_a_cluster(name: str) -> None:
    """What kind, Docker and Kubernetes take is taken."""
    assert Settings(name).cluster_name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Bad Name",
        "UPPER",
        "under_score",
        "-a",
        "a-",
        ".a",
        "a.",
        "a..b",
        "a.-b",
        "..",
        "../up",
        "a/b",
        "a\n",
        "ä",
        "a" * 50,
    ],
)
def test_no_name_for_a_cluster(name: str) -> None:
    """What would not be a host name, or be a path, is refused before anything is made."""
    with pytest.raises(BadName, match=re.escape(repr(name))):
        Settings(name)


def test_the_defaults_of_packages_are_those_of_the_configuration() -> None:
    """From packages one gets, unasked, the first three lines of the configuration."""
    tool = configuration()
    defaults = Versions.asked(PACKAGES, None, None, None)
    assert defaults == Versions(tool["istio"], tool["kubernetes"], tool["envoy"])


@pytest.mark.parametrize("istio", [None, *configuration()["registry"]["istio"]])
def test_the_defaults_of_a_registry_were_tried_together(istio: str | None) -> None:
    """From a registry one gets, unasked, the newest Istio, and the newest Kubernetes that its Istio is tried on."""
    tried = configuration()["registry"]["istio"]
    chosen = Versions.asked(REGISTRY, istio, None, None)
    assert chosen.istio == (istio or list(tried)[-1])
    assert chosen.kubernetes == tried[chosen.istio][-1]


@pytest.mark.parametrize("component", ["istio", "kubernetes", "envoy"])
@SOURCES
def test_every_known_version_can_be_asked_for(source: ImageSource, component: str) -> None:
    """What is listed is taken as it is asked for."""
    for version in known_versions(source)[component]:
        asked = {"istio": None, "kubernetes": None, "envoy": None, component: version}
        assert getattr(Versions.asked(source, *asked.values()), component) == version


@pytest.mark.parametrize("component", ["istio", "kubernetes"])
@SOURCES
def test_the_newest_version_is_the_last_one(source: ImageSource, component: str) -> None:
    """The lists are in the order of their releases, each release once."""
    versions = [tuple(map(int, version.split("."))) for version in known_versions(source)[component]]
    assert versions == sorted(set(versions))


def test_every_kubernetes_of_the_registry_is_pinned() -> None:
    """A node image is pulled by its digest, never by its name alone."""
    pinned = configuration()["registry"]["images"]
    for versions in configuration()["registry"]["istio"].values():
        assert {f"kindest/node:v{version}" for version in versions} <= pinned.keys()
    assert [name for name, digest in pinned.items() if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest)] == []


def test_every_kubernetes_of_the_packages_is_locked() -> None:
    """Each version that can be built has its lock files, and there are no others."""
    expected = {f"{version}{end}" for version in configuration()["packages"]["kubernetes"] for end in (".mod", ".sum")}
    assert {file.name for file in LOCKS.iterdir()} == expected


@pytest.mark.parametrize("version", configuration()["packages"]["kubernetes"])
def test_a_lock_is_of_its_version(version: str) -> None:
    """The lock file of a version locks that version."""
    assert f"k8s.io/kubernetes v{version}\n" in (LOCKS / f"{version}.mod").read_text()
    assert f"k8s.io/kubernetes v{version} h1:" in (LOCKS / f"{version}.sum").read_text()


@pytest.mark.parametrize("value", ["cache", "/var/cache/meshproof"], ids=["relative", "absolute"])
def test_the_cache_can_be_elsewhere(value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """MESHPROOF_CACHE moves everything into a directory of its own there, wherever a program runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MESHPROOF_CACHE", value)
    assert cache_directory() == tmp_path / value / "meshproof-cache"


@pytest.mark.parametrize("value", [None, ""], ids=["not set", "empty"])
def test_the_cache_is_the_users(value: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unless told otherwise, files go where the user's caches are."""
    monkeypatch.delenv("MESHPROOF_CACHE", raising=False)
    if value is not None:
        monkeypatch.setenv("MESHPROOF_CACHE", value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "meshproof"


def test_each_checkout_has_a_cluster_of_its_own(tmp_path: Path) -> None:
    """The same code in two projects brings up two clusters, with names that kind takes."""
    names = [default_cluster_name()]
    for checkout in ("one", "two"):
        (tmp_path / checkout / "below").mkdir(parents=True)
        (tmp_path / checkout / "pyproject.toml").write_text("[tool.meshproof]\n")
        found = run([sys.executable, "-c", SHOW_NAME], cwd=tmp_path / checkout / "below", timeout=TIMEOUTS.program)
        names.append(found.strip())
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"meshproof-[0-9a-f]{6}", name) for name in names)
