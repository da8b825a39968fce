"""The releases that a run is made of, and those that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshproof.catalogue import KUBERNETES_LOCKS, LOCKS, VERSIONS, check_complete, current_catalogue, read
from meshproof.errors import UnknownVersion, Unreadable
from meshproof.project import Project
from meshproof.versions import PART_OF_ISTIO, Asked, ImageSource, MeshVersions, Versions, choose, known_versions, pairs

PACKAGES, REGISTRY = ImageSource.PACKAGES, ImageSource.REGISTRY
SOURCES = pytest.mark.parametrize("source", [PACKAGES, REGISTRY], ids=lambda source: source.value)
COMPONENTS = pytest.mark.parametrize("component", ["istio", "kubernetes", "envoy"])


def asked(component: str, version: str) -> Asked:
    """Ask for a release of one component."""
    return Asked(**{"istio": None, "kubernetes": None, "envoy": None, component: version}, also_istio=())


@COMPONENTS
@SOURCES
def test_an_unknown_version_is_refused_with_the_known_ones(source: ImageSource, component: str) -> None:
    """A version that nobody has tried is not tried on the user; the error is the list to choose from."""
    with pytest.raises(UnknownVersion, match=rf"^{component.capitalize()} 0\.0\.1 ") as refusal:
        choose(source, asked(component, "0.0.1"))
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
            "With images=registry there is 1.30.3; that needs a Docker daemon of yours, and a registry in reach.",
            id="only a registry has it",
        ),
        pytest.param(
            PACKAGES,
            "istio",
            "1.29.2",
            "Choose from 1.30, 1.31.0. With images=registry there is 1.29.2; that needs a Docker daemon of yours, and "
            "a registry in reach.",
            id="it has no lock",
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
    with pytest.raises(UnknownVersion) as refusal:
        choose(source, asked(component, version))
    assert str(refusal.value).endswith(hint)


def test_a_source_that_we_chose_is_told() -> None:
    """With images=auto nobody named a source: the error says which it is, and why."""
    with pytest.raises(UnknownVersion, match=re.escape("packages (images=auto chose that: no Docker daemon answers)")):
        choose(PACKAGES, Asked(istio="1.30.3"), because="no Docker daemon answers")


def test_the_defaults_of_packages_are_those_of_the_catalogue() -> None:
    """From packages one gets, unasked, the first two lines of the file, and the Envoy of that Istio."""
    envoy = current_catalogue().packages.istio[current_catalogue().istio].envoy
    assert choose(PACKAGES, Asked()) == Versions(
        current_catalogue().kubernetes, MeshVersions(current_catalogue().istio, envoy)
    )


@pytest.mark.parametrize("istio", known_versions(PACKAGES)["istio"])
def test_an_istio_from_packages_brings_its_envoy(istio: str) -> None:
    """Whoever names a release of Istio gets the Envoy that goes with it, and another one only if it is named."""
    assert choose(PACKAGES, Asked(istio)).mesh.envoy == current_catalogue().packages.istio[istio].envoy
    assert choose(PACKAGES, Asked(istio, envoy="1.36.4")).mesh.envoy == "1.36.4"


@pytest.mark.parametrize(
    ("asked_for", "envoy"),
    [
        pytest.param(Asked(), "1.40.0", id="the project's Istio"),
        pytest.param(Asked("1.31.0"), "1.40.0", id="the same by an option"),
        pytest.param(Asked("1.30"), "1.38.3", id="another Istio"),
        pytest.param(Asked("1.30", envoy="1.36.4"), "1.36.4", id="another Istio and Envoy"),
    ],
)
@pytest.mark.parametrize("own", ['istio = "1.31.0"\n', ""], ids=["its Istio", "the default Istio"])
def test_the_envoy_of_a_project_goes_with_its_istio(
    own: str, asked_for: Asked, envoy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another Istio is asked for, the Envoy that goes with that one is taken, and not the project's."""
    (tmp_path / "pyproject.toml").write_text(f'[tool.meshproof]\n{own}envoy = "1.40.0"\n')
    monkeypatch.setattr("meshproof.versions.current_project", lambda: Project.of(tmp_path))
    assert choose(PACKAGES, asked_for).mesh.envoy == envoy


def test_a_cluster_can_have_the_images_of_several_meshes() -> None:
    """The one that is installed comes first; each release has its own Envoy, and is there once."""
    first, second = known_versions(PACKAGES)["istio"][:2]
    versions = choose(PACKAGES, Asked(second, also_istio=(first, second)))
    assert [mesh.istio for mesh in versions.meshes] == [second, first]
    assert [mesh.envoy for mesh in versions.meshes] == [
        current_catalogue().packages.istio[istio].envoy for istio in (second, first)
    ]


@pytest.mark.parametrize("istio", [None, *current_catalogue().registry.istio])
def test_the_defaults_of_a_registry_were_tried_together(istio: str | None) -> None:
    """From a registry one gets, unasked, the newest Istio, and the newest Kubernetes that its Istio is tried on."""
    chosen = choose(REGISTRY, Asked(istio))
    assert chosen.mesh.istio == (istio or list(current_catalogue().registry.istio)[-1])
    assert chosen.kubernetes == pairs(REGISTRY)[chosen.mesh.istio][-1]


@COMPONENTS
@SOURCES
def test_every_known_version_can_be_asked_for(source: ImageSource, component: str) -> None:
    """What is listed is taken as it is asked for."""
    for version in known_versions(source)[component]:
        versions = choose(source, asked(component, version))
        chosen = {"kubernetes": versions.kubernetes, "istio": versions.mesh.istio, "envoy": versions.mesh.envoy}
        assert chosen[component] == version


@COMPONENTS
def test_the_newest_version_is_the_last_one(component: str) -> None:
    """The lists are in the order of their releases, each release once."""
    for source in (PACKAGES, REGISTRY):
        if known_versions(source)[component] != [PART_OF_ISTIO]:
            versions = [tuple(map(int, version.split("."))) for version in known_versions(source)[component]]
            assert versions == sorted(set(versions))


def test_every_kubernetes_of_the_packages_is_locked() -> None:
    """Each version that can be built has its lock files, and there are no others."""
    expected = {f"{version}{end}" for version in current_catalogue().packages.kubernetes for end in (".mod", ".sum")}
    assert {file.name for file in KUBERNETES_LOCKS.iterdir()} == expected


@pytest.mark.parametrize("version", current_catalogue().packages.kubernetes)
def test_a_lock_is_of_its_version(version: str) -> None:
    """The lock file of a version locks that version."""
    assert f"k8s.io/kubernetes v{version}\n" in (KUBERNETES_LOCKS / f"{version}.mod").read_text()
    assert f"k8s.io/kubernetes v{version} h1:" in (KUBERNETES_LOCKS / f"{version}.sum").read_text()


def test_the_locks_of_istio_are_of_known_releases() -> None:
    """A release has a lock unless the catalogue says that it has none; the default has one, and there are no others."""
    locked = [release for release, built in current_catalogue().packages.istio.items() if built.locked]
    assert current_catalogue().packages.locked() == locked
    assert {file.name for file in LOCKS.iterdir()} == {
        f"{release}{end}" for release in locked for end in (".mod", ".sum")
    }
    assert current_catalogue().istio in locked


@pytest.mark.parametrize("release", current_catalogue().packages.locked())
def test_a_lock_of_istio_is_of_its_commit(release: str) -> None:
    """The hashes of a release are those of the commit that the catalogue names, as its lock file is."""
    check_complete(current_catalogue())
    module = current_catalogue().packages.istio[release].module
    assert f"istio.io/istio {module} h1:" in (LOCKS / f"{release}.sum").read_text()


def test_mirrors_and_digests_can_be_given(tmp_path: Path) -> None:
    """A file says what stands for a registry, and by which digests a release of Istio is taken."""
    other = tmp_path / "other.toml"
    mirrors = '[registry.mirrors]\n"docker.io" = "http://10.0.0.5:5000"\n'
    pins = 'pilot = "sha256:1"\nproxyv2 = "sha256:2"\nistioctl.amd64 = "3"\n'
    text = VERSIONS.read_text().replace("[registry.istio.", f"{mirrors}\n[registry.istio.", 1)
    other.write_text(text.replace('[registry.istio."1.31.1"]\n', f'[registry.istio."1.31.1"]\n{pins}'))
    registry = read(other).registry
    assert registry.mirrors == {"docker.io": "http://10.0.0.5:5000"}
    assert registry.istio["1.31.1"].images == {"pilot": "sha256:1", "proxyv2": "sha256:2"}
    assert registry.istio["1.31.1"].istioctl == {"amd64": "3"}
    assert registry.unpinned() == [release for release in registry.istio if release != "1.31.1"]


def test_another_file_can_be_read(tmp_path: Path) -> None:
    """A file of the same form is as good as ours."""
    other = tmp_path / "other.toml"
    other.write_text(VERSIONS.read_text().replace('hub = "docker.io/istio"', 'hub = "127.0.0.1:5000/istio"'))
    assert read(other).registry.hub == "127.0.0.1:5000/istio"


RELEASES_PULLED = VERSIONS.read_text()[VERSIONS.read_text().index("[registry.istio.") :].partition("# Public images")[0]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        pytest.param('hub = "docker.io/istio"\n', "", r"registry lacks hub\.$", id="a key is missing"),
        pytest.param(
            "own_cni = true", "own_cni = 1", r"packages\.own_cni should be true or false, and is 1", id="flag"
        ),
        pytest.param(
            "[registry]", "[registry]\nhubs = 1", "has 'hubs', which is not known; the nearest is 'hub'", id="key"
        ),
        pytest.param("[registry]", "[registry", "this is not TOML: ", id="no TOML"),
        pytest.param(
            "[registry.istio.",
            '[registry.mirrors]\n"docker.io" = "10.0.0.5:5000"\n\n[registry.istio.',
            r"mirrors\.docker\.io should be the address of a registry, such as http://\S+, without a path, and is '10",
            id="mirror",
        ),
        pytest.param(
            '[registry.istio."1.31.1"]\n',
            '[registry.istio."1.31.1"]\npilot = "sha256:1"\n',
            r"registry\.istio\.1\.31\.1 pins pilot alone: `pilot` and `proxyv2` are pinned together",
            id="half a pin",
        ),
        pytest.param(
            'kubernetes = ["1.33.13", "1.34.4", "1.35.4"]',
            "kubernetes = []",
            r"packages\.kubernetes is empty: it should have one item",
            id="no Kubernetes",
        ),
        pytest.param(
            '[registry.istio."1.28.6"]\nkubernetes = ["1.34.11"]',
            '[registry.istio."1.28.6"]\nkubernetes = []',
            r"registry\.istio\.1\.28\.6\.kubernetes is empty",
            id="tried on no Kubernetes",
        ),
        pytest.param(
            RELEASES_PULLED,
            "[registry.istio]\n\n",
            r"registry\.istio is empty: it should have one release",
            id="no Istio",
        ),
        pytest.param(
            '["1.33.13", "1.34.4", "1.35.4"]',
            '["1.34"]',
            r"packages\.kubernetes should be a release, such as 1\.34\.4, and is '1\.34'",
            id="no release of Kubernetes",
        ),
        pytest.param(
            '"1.31.0" = {',
            '"../../1.31.0" = {',
            r"packages\.istio has '\.\./\.\./1\.31\.0', which is no release such as 1\.31\.1",
            id="no release of Istio",
        ),
        pytest.param(
            '"1.36.4" = "', '"1.36" = "', r"packages\.envoy has '1\.36', which is no release", id="no release of Envoy"
        ),
        pytest.param(
            '"1.36.4" = "86', '"1.36.4" = "', r"packages\.envoy\.1\.36\.4 should be a SHA-256", id="no hash of a wheel"
        ),
        pytest.param(
            '  "5655', '  "sha256:5655', r"packages\.go\.wheels should be a SHA-256, .* and is 'sha", id="no hash of Go"
        ),
        pytest.param(
            '\nistio = "1.31.0"',
            '\nistio = "1.31.2"',
            r"istio names 1\.31\.2, which is not in packages\.istio; the nearest is '1\.31\.1'",
            id="the default Istio",
        ),
        pytest.param(
            '\nkubernetes = "1.34.4"',
            '\nkubernetes = "1.34.5"',
            r"kubernetes names 1\.34\.5, which is not in packages\.kubernetes; the nearest is",
            id="the default Kubernetes",
        ),
        pytest.param(
            'envoy = "1.38.3"',
            'envoy = "1.38.0"',
            r"packages\.istio\.1\.30\.envoy names 1\.38\.0, which is not in packages\.envoy",
            id="an Envoy without a wheel",
        ),
        pytest.param(
            'envoy = "1.38.3", kubernetes = ["1.33.13"',
            'envoy = "1.38.3", kubernetes = ["1.33.12"',
            r"packages\.istio\.1\.30\.kubernetes names 1\.33\.12, which is not in packages\.kubernetes",
            id="a Kubernetes that is not built",
        ),
        pytest.param(
            '["1.35.8", "1.36.4"]',
            '["1.35.8", "1.36.5"]',
            r"registry\.istio\.1\.30\.3\.kubernetes names 1\.36\.5, which is not in registry\.images "
            r"\(as docker\.io/kindest/node:v1\.36\.5\)",
            id="a Kubernetes without a node image",
        ),
        pytest.param(
            'after = "1.30.3"',
            'after = "1.29.3"',
            r"packages\.istio\.1\.30\.after should be a release of the branch 1\.30, and is '1\.29\.3'",
            id="after a release of another branch",
        ),
        pytest.param(
            'curl = "docker.io/curlimages/curl:8.11.1"',
            'curl = "docker.io/curlimages/curl:8.11.2"',
            r"applications\.curl names docker\.io/curlimages/curl:8\.11\.2, which is not in registry\.images",
            id="an image without a digest",
        ),
        pytest.param("[applications]", f"deep = {'[' * 5000}", "this is not TOML: ", id="tables without end"),
    ],
)
def test_a_file_that_can_not_be_understood_is_told(before: str, after: str, message: str, tmp_path: Path) -> None:
    """A mistake in the file is a sentence that names the file and the place."""
    other = tmp_path / "other.toml"
    assert before in VERSIONS.read_text()
    other.write_text(VERSIONS.read_text().replace(before, after, 1))
    with pytest.raises(Unreadable, match=message) as refusal:
        read(other)
    assert str(other) in str(refusal.value)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        pytest.param(
            'kubernetes = ["1.33.13", ',
            'kubernetes = ["1.33.12", "1.33.13", ',
            r"packages\.kubernetes names 1\.33\.12, which has no lock file in \S+/kubernetes/locks: see `make lock`",
            id="Kubernetes without a lock",
        ),
        pytest.param(
            '\nistio = "1.31.0"',
            '\nistio = "1.31.1"',
            r"istio names 1\.31\.1, which has no lock file in \S+/istio/locks",
            id="the default Istio without a lock",
        ),
        pytest.param(
            '"1.31.0" = { module = "v0.0.0-20260827124520-eed52ebb66ad"',
            '"1.31.0" = { module = "v0.0.0-20260916195427-190ae921b848"',
            r"packages\.istio\.1\.31\.0\.module is v0\.0\.0-20260916195427-190ae921b848, and the lock file \S+ is of "
            r"v0\.0\.0-20260827124520-eed52ebb66ad: `make lock LOCK=1\.31\.0`",
            id="another module than is locked",
        ),
        pytest.param(
            '"sha256:44',
            '"sha256:',
            r"registry\.images\.\S+v1\.34\.11 should be `sha256:` and 64 hexadecimal",
            id="image",
        ),
        pytest.param(
            '[registry.istio."1.31.1"]\n',
            '[registry.istio."1.31.1"]\npilot = "latest"\nproxyv2 = "latest"\n',
            r"registry\.istio\.1\.31\.1\.pilot should be `sha256:` and .*, and is 'latest'",
            id="Istio's image",
        ),
        pytest.param(
            '[registry.istio."1.31.1"]\n',
            '[registry.istio."1.31.1"]\nistioctl.amd64 = "3"\n',
            r"registry\.istio\.1\.31\.1\.istioctl\.amd64 should be a SHA-256, .*, and is '3'",
            id="istioctl",
        ),
    ],
)
def test_what_make_lock_and_make_pin_write_is_looked_at(before: str, after: str, message: str, tmp_path: Path) -> None:
    """They can read the file without it; nothing is built or pulled of such a file."""
    other = tmp_path / "other.toml"
    assert before in VERSIONS.read_text()
    other.write_text(VERSIONS.read_text().replace(before, after, 1))
    catalogue = read(other)
    with pytest.raises(Unreadable, match=message) as refusal:
        check_complete(catalogue)
    assert str(other) in str(refusal.value)
