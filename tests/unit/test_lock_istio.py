"""`make lock` for a release of Istio: what stands for a module that is not served, and what ends a lock.

A program in the place of `go` answers as the real one does, from a list of what a proxy serves.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from meshproof import catalogue
from meshproof.catalogue import LOCKS, current_catalogue
from meshproof.errors import CommandFailed, ExitCode, MachineError
from tools import go_modules, lock
from tools.go_modules import NotServed, Tampered, explain
from tools.lock_istio import earlier_patches, neighbours, order

RELEASE = "1.30"
ISTIO = f"istio.io/istio@{current_catalogue().packages.istio[RELEASE].module}"
OTHER = "1.31.0"
API = "istio.io/api"
API_COMMIT = "v1.30.4-0.20260824163423-69099aec2678"
CLIENT = "istio.io/client-go"
CLIENT_COMMIT = "v1.30.4-0.20260824164123-eb36a3f6cac0"
ENVOY = "github.com/envoyproxy/go-control-plane/envoy"
ENVOY_COMMIT = "v1.37.1-0.20260409083702-98966259b99a"
LATER = "2026-09-01T00:00:00Z"
FORBIDDEN = (
    "{name}: reading https://proxy.example/x.info: 403 Forbidden\n"
    "\tserver response: This module version is not available."
)
MISMATCH = "verifying {name}: checksum mismatch\n\tdownloaded: h1:a\n\tgo.sum: h1:b\n\nSECURITY ERROR"
NETWORK = [
    '{name}: Get "https://proxy.example/x.info": dial tcp 192.0.2.1:443: connect: connection refused',
    '{name}: Get "https://proxy.example/x.info": net/http: TLS handshake timeout',
    "{name}: reading https://proxy.example/x.info: 502 Bad Gateway",
    "{name}: reading https://proxy.example/x.info: 407 Proxy Authentication Required",
    "{name}: reading https://proxy.example/x.zip: unexpected EOF",
    "{name}: verifying module: {name}: reading https://sum.example/lookup/{name}: 403 Forbidden",
    "{name}: verifying module: {name}: reading https://sum.example/tile/8/3/000.p/4: 404 Not Found",
    "{name}: reading https://proxy.example/x.info: 404 Not Found\n\tserver response: not found: fetch timed out",
]
REFUSALS = [
    FORBIDDEN,
    "{name}: reading https://proxy.example/x.zip: 404 Not Found",
    "{name}: reading https://proxy.example/x.mod: 410 Gone",
    "{name}: invalid version: unknown revision v1.30.4",
    "{name}: verifying module: no such entry",
    "{name}: verifying module: {name}: reading https://sum.example/lookup/{name}: 404 Not Found",
]
FAKE_GO = f"""#!{sys.executable} -IS
import json, os, sys
from pathlib import Path

HERE = Path(__file__).parent
proxy = json.loads((HERE / "proxy.json").read_text())
words = sys.argv[1:]


def look_up(name):
    if name in proxy["errors"]:
        sys.exit("go: " + proxy["errors"][name].format(name=name))
    if name not in proxy["served"]:
        sys.exit("go: " + proxy["refusal"].format(name=name))
    return proxy["served"][name]


if words[:2] == ["env", "GOVERSION"]:
    print("go1.26.6")
elif words[:2] == ["env", "GOPROXY"]:
    print(os.environ.get("GOPROXY", "https://proxy.example,direct"))
else:
    names = ("GOENV", "GOFLAGS", "GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOSUMDB", "GONOSUMCHECK", "GOINSECURE")
    (HERE / "environment.json").write_text(json.dumps({{name: os.environ.get(name) for name in names}}))
    if words[:2] == ["mod", "edit"]:
        required = [{{"Path": name, "Version": version}} for name, version in proxy["required"].items()]
        print(json.dumps({{"Go": "1.25.9", "Require": required}}))
    elif words[:2] == ["mod", "download"]:
        if words[2] in proxy["without_content"]:
            sys.exit("go: " + proxy["refusal"].format(name=words[2]))
        look_up(words[2])
    elif words[:3] == ["list", "-m", "-json"]:
        name = words[3].replace("istio.io/istio@1.30", proxy["tag"])
        print(json.dumps({{"Version": name.split("@")[1], "Time": look_up(name)}}))
    elif words[:3] == ["list", "-m", "-versions"]:
        print(*proxy["listed"].get(words[4], []))
    elif words[:3] == ["list", "-m", "-f={{{{.GoMod}}}}"]:
        print(HERE / "istio.mod")
    elif words[:2] == ["list", "-m"]:
        sys.exit("go: " + words[3] + ": no matching versions for query latest")
    else:
        modfile = Path(next(word for word in words if word.startswith("-modfile=")).partition("=")[2])
        lines = [line.split() for line in modfile.read_text().splitlines() if line.startswith("\\t")]
        replaced = {{line[0] + "@" + line[1]: line[3] + "@" + line[4] for line in lines if "=>" in line}}
        required = [line[0] + "@" + line[1] for line in lines if line[2:] == ["//", "indirect"]]
        for name in [*required, *proxy["needed"]]:
            look_up(replaced.get(name, name))
        names = sorted({{*required, *replaced.values()}})
        modfile.with_suffix(".sum").write_text("".join(name.replace("@", " ") + " h1:x=\\n" for name in names))
"""


@dataclass
class Proxy:
    """What the program in the place of `go` answers from.

    Attributes:
        directory: Where the program is.
        locks: The directory of locks.
        served: What is served, with the time of its commit.
        without_content: What has a time, and no content.
        listed: The versions that are listed of a module.
        errors: What Go says of a module, with ``{name}`` for it.
        required: What Istio's own go.mod lists.
        needed: What other modules ask for, beside it.
        tag: What the tag of the release leads to.
    """

    directory: Path
    locks: Path
    served: dict[str, str] = field(default_factory=lambda: {ISTIO: LATER})
    without_content: list[str] = field(default_factory=list)
    listed: dict[str, list[str]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    required: dict[str, str] = field(default_factory=dict)
    needed: list[str] = field(default_factory=list)
    tag: str = ISTIO

    def lock(self, *releases: str) -> ExitCode:
        """Run `make lock LOCK=…` against it."""
        answers = {"refusal": FORBIDDEN} | {
            name: value for name, value in vars(self).items() if name not in ("directory", "locks")
        }
        (self.directory / "proxy.json").write_text(json.dumps(answers))
        return lock.main(releases)

    def taken(self, module: str) -> str:
        """Return the version of a module that the lock has."""
        found = re.search(rf"^\t{re.escape(module)} (\S+) //", self.locked(), re.MULTILINE)
        return found[1] if found else "none"

    def locked(self) -> str:
        """Return the lock."""
        return (self.locks / f"{RELEASE}.mod").read_text()

    def files(self) -> dict[str, bytes]:
        """Return all that is beside the locks, and the locks."""
        return {path.name: path.read_bytes() for path in self.locks.parent.rglob("*") if path.is_file()}


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """A proxy that serves Istio alone, and a directory with the locks that are committed."""
    program = tmp_path / "bin" / "go"
    program.parent.mkdir()
    program.write_text(FAKE_GO)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("MESHPROOF_CACHE", str(tmp_path))
    locks = tmp_path / "istio" / "locks"
    shutil.copytree(LOCKS, locks)
    monkeypatch.setattr(catalogue, "LOCKS", locks)
    go_modules.environment.cache_clear()
    return Proxy(program.parent, locks)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed for people, in one line."""
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("version", "tags"),
    [
        ("v1.30.4-0.20260824163423-69099aec2678", ["v1.30.4", "v1.30.3"]),
        ("v1.31.0-rc.0.0.20260824154656-b943409680a7", ["v1.31.0", "v1.31.0-rc.0"]),
        ("v1.37.0-0.20260409083702-98966259b99a", ["v1.37.0"]),
        ("v0.0.0-20260506232448-6ae4ab07bb06", ["v0.0.0"]),
        ("v1.30.3", []),
    ],
)
def test_a_pseudo_version_lies_between_tags(version: str, tags: list[str]) -> None:
    """A commit is numbered after the tag before it; a tag itself lies between none."""
    assert list(neighbours(version)) == tags


def test_the_earlier_patches_are_of_the_same_minor() -> None:
    """The proxy does not list all that it serves: the releases of the same minor are known by their numbers."""
    assert list(earlier_patches("v1.30.2-0.20260824163423-69099aec2678")) == ["v1.30.0", "v1.30.1"]


def test_versions_are_in_the_order_of_go() -> None:
    """A pre-release comes before its release, and its numbers count as numbers."""
    versions = [
        "v0.0.0-20260506232448-6ae4ab07bb06",
        "v1.9.0",
        "v1.30.3",
        "v1.30.4-0.20260824163423-69099aec2678",
        "v1.30.4-rc.2",
        "v1.30.4-rc.10",
        "v1.30.4",
        "v3.9.0+incompatible",
    ]
    assert sorted(set(versions), key=order) == versions


@pytest.mark.parametrize(
    ("module", "wanted", "served", "taken"),
    [
        (API, API_COMMIT, ["v1.30.2", "v1.30.3", "v1.31.1"], "v1.30.3"),
        (API, API_COMMIT, ["v1.30.2", "v1.29.9", "v1.31.1"], "v1.30.2"),
        (API, API_COMMIT, ["v1.30.3", "v1.30.5", "v1.31.1"], "v1.30.5"),
        (API, API_COMMIT, ["v1.29.9", "v1.31.1", "v1.32.0"], "v1.31.1"),
        (API, API_COMMIT, ["v1.28.0", "v1.29.9"], "v1.29.9"),
        (API, "v1.31.0-rc.0.0.20260824154656-b943409680a7", ["v1.30.4", "v1.31.1"], "v1.31.1"),
        (ENVOY, ENVOY_COMMIT, ["v1.37.0", "v1.38.0", "v1.39.0"], "v1.38.0"),
        (ENVOY, ENVOY_COMMIT, ["v1.36.0", "v1.37.0"], "v1.37.0"),
    ],
)
def test_the_nearest_version_stands_for_one_that_is_not_served(
    proxy: Proxy, module: str, wanted: str, served: list[str], taken: str
) -> None:
    """Of Istio's modules the same minor comes first; then of all modules the next above, then the last below."""
    proxy.required = {module: wanted}
    proxy.served |= {f"{module}@{version}": LATER for version in served}
    proxy.listed = {module: served}
    assert proxy.lock(RELEASE) == ExitCode.DONE
    assert proxy.taken(module) == taken
    assert f"// {module} {wanted} is not served: {taken} is the nearest that is.\n" in proxy.locked()
    assert proxy.locked().startswith(
        f"// Istio {RELEASE}, as Istio builds it but for these modules and what they need;"
    )
    assert f"\n\t{module} {wanted} => {module} {taken}\n" in proxy.locked()


def test_the_tag_of_the_same_commit_comes_before_all_others(proxy: Proxy) -> None:
    """It is told from others by its time, the lock says that it is the same, and with it the lock is as Istio's."""
    proxy.required = {CLIENT: CLIENT_COMMIT}
    proxy.listed = {CLIENT: ["v1.30.3", "v1.30.4", "v1.31.0"]}
    proxy.served |= {f"{CLIENT}@v1.30.3": LATER, f"{CLIENT}@v1.31.0": "2026-08-24T16:41:23Z"}
    assert proxy.lock(RELEASE) == ExitCode.DONE
    assert f"// {CLIENT} {CLIENT_COMMIT} is not served: v1.31.0 is the same commit.\n" in proxy.locked()
    assert proxy.locked().startswith(f"// Istio {RELEASE}, as Istio builds it; written by `make lock`.\n")


def test_a_tag_without_content_stands_for_nothing(proxy: Proxy) -> None:
    """A proxy can know the time of a tag, and not serve what is in it."""
    proxy.required = {API: API_COMMIT}
    proxy.served |= {f"{API}@v1.30.4": "2026-08-24T16:34:23Z", f"{API}@v1.30.3": LATER}
    proxy.without_content = [f"{API}@v1.30.4"]
    assert proxy.lock(RELEASE) == ExitCode.DONE
    assert f"// {API} {API_COMMIT} is not served: v1.30.3 is the nearest that is.\n" in proxy.locked()


def test_a_refused_module_of_another_module_is_replaced(proxy: Proxy) -> None:
    """What only another module asks for has a substitute as well."""
    proxy.needed = [f"{API}@{API_COMMIT}"]
    proxy.served |= {f"{API}@v1.30.3": LATER}
    assert proxy.lock(RELEASE) == ExitCode.DONE
    assert f"\n\t{API} {API_COMMIT} => {API} v1.30.3\n" in proxy.locked()


@pytest.mark.parametrize("line", ["go: {name}", "\tistio.io/istio imports\n\t{name}"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_module_is_read_from_what_go_says(line: str, refusal: str) -> None:
    """Both the module and the version are in Go's sentence, whatever comes before it."""
    text = line.format(name=refusal.format(name="istio.io/api@v1.30.4"))
    with pytest.raises(NotServed) as caught:
        explain(CommandFailed(["go"], 1, text))
    assert set(caught.value.modules) == {("istio.io/api", "v1.30.4")}


@pytest.mark.parametrize("text", ['exec: "git": executable file not found in $PATH', "no required module provides it"])
def test_an_error_that_is_no_refusal_stays_one(text: str) -> None:
    """Only the known words are a refusal; all else of Go is an error of its own."""
    with pytest.raises(CommandFailed):
        explain(CommandFailed(["go"], 1, f"go: istio.io/api@v1.30.4: {text}"))


@pytest.mark.parametrize("trouble", NETWORK)
def test_what_could_not_be_asked_is_not_refused(trouble: str) -> None:
    """A broken connection, another answer than a refusal, and a checksum database that does not answer say nothing."""
    with pytest.raises(MachineError, match=r"could not be asked: .*See to the network"):
        explain(CommandFailed(["go"], 1, f"go: {trouble.format(name='istio.io/api@v1.30.4')}"))


@pytest.mark.parametrize(
    "where", ["istio.io/istio@1.30", ISTIO, f"{API}@v1.30.3", f"{CLIENT}@v1.30.4", f"{ENVOY}@v1.37.1"]
)
def test_without_the_network_nothing_is_written(proxy: Proxy, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A tag, a module, what could stand for it, what another one needs: who could not ask is told so, and no more."""
    before = proxy.files()
    proxy.required = {API: "v1.30.3", ENVOY: ENVOY_COMMIT}
    proxy.needed = [f"{CLIENT}@v1.30.4"]
    proxy.served |= {f"{API}@v1.30.3": LATER, f"{CLIENT}@v1.30.4": LATER, f"{ENVOY}@v1.37.0": LATER}
    if where == "istio.io/istio@1.30":
        proxy.tag = where
    proxy.errors = {where: NETWORK[0]}
    assert proxy.lock(RELEASE) == ExitCode.MACHINE
    message = said(capsys)
    assert "could not be asked" in message
    assert "See to the network and to GOPROXY" in message
    assert "is not served" not in message
    assert proxy.files() == before


def test_a_refusal_beside_a_broken_network_is_not_believed() -> None:
    """Where one of two modules could not be asked for, the lock ends, and no substitute is looked for."""
    lines = [FORBIDDEN.format(name="a.example/a@v1.0.0"), NETWORK[0].format(name="b.example/b@v1.0.0")]
    with pytest.raises(MachineError):
        explain(CommandFailed(["go"], 1, "\n".join(lines)))


@pytest.mark.parametrize("where", [ISTIO, f"{API}@v1.30.3", f"{ENVOY}@v1.37.0"])
def test_a_mismatch_stops_everything(proxy: Proxy, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Content that is not what the checksum database has is no refusal: no other version, and no other release."""
    before = proxy.files()
    proxy.required = {API: "v1.30.3", ENVOY: ENVOY_COMMIT}
    proxy.served |= {f"{API}@v1.30.3": LATER, f"{ENVOY}@v1.37.0": LATER, f"{ENVOY}@v1.36.0": LATER}
    proxy.errors = {where: MISMATCH}
    assert proxy.lock(RELEASE, OTHER) == ExitCode.DEVIATES
    message = said(capsys)
    assert f"verifying {where}: checksum mismatch" in message
    assert f"Istio {OTHER}" not in message
    assert proxy.files() == before
    with pytest.raises(Tampered):
        explain(CommandFailed(["go"], 1, MISMATCH + "\n" + FORBIDDEN))


def test_a_tag_that_moved_is_told(proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    """The commit of the catalogue counts: another one is known to be wrong, and the lock stays."""
    before = proxy.files()
    proxy.tag = "istio.io/istio@v0.0.0-20991231000000-000000000000"
    proxy.served |= {proxy.tag: LATER}
    assert proxy.lock(RELEASE) == ExitCode.DEVIATES
    assert "leads to v0.0.0-20991231000000-000000000000" in said(capsys)
    assert proxy.files() == before


def test_a_module_without_a_substitute_leaves_the_lock(proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing can stand for a module the lock stays, and the other releases go on."""
    before = proxy.files()
    proxy.required = {"example.com/nowhere": "v1.0.0"}
    assert proxy.lock(RELEASE, OTHER) == ExitCode.UNKNOWN
    message = said(capsys)
    assert (
        "serves no version of example.com/nowhere that could stand for v1.0.0. The lock that is there stays." in message
    )
    assert f"Istio {OTHER} was not locked." in message
    assert proxy.files() == before


def test_more_than_twenty_refusals_are_a_failure(proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    """A lock with so many substitutes would be of another program."""
    before = proxy.files()
    proxy.required = {f"example.com/m{number}": "v1.0.0" for number in range(21)}
    assert proxy.lock(RELEASE) == ExitCode.UNKNOWN
    assert "does not serve more than 20 of the modules" in said(capsys)
    assert proxy.files() == before


def test_a_failure_after_others_went_well_leaves_the_lock(proxy: Proxy) -> None:
    """What ends badly at the very end leaves both files as they were, and nothing beside them."""
    before = proxy.files()
    proxy.needed = ["example.com/nowhere@v1.0.0"]
    assert proxy.lock(RELEASE) == ExitCode.UNKNOWN
    assert proxy.files() == before


@pytest.mark.parametrize(("has_lock", "asked_for"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_release_that_is_not_served_is_told(
    proxy: Proxy, *, has_lock: bool, asked_for: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a failure, but for one that never had a lock where everything is locked; the other releases go on."""
    proxy.served = {f"istio.io/istio@{current_catalogue().packages.istio[OTHER].module}": LATER}
    if not has_lock:
        (proxy.locks / f"{RELEASE}.sum").unlink()
    assert proxy.lock(OTHER) == ExitCode.DONE  # it also has the program know what to answer
    code = lock.lock_releases([RELEASE, OTHER], asked_for=asked_for)
    assert code == (ExitCode.DONE if not has_lock and not asked_for else ExitCode.UNKNOWN)
    message = said(capsys)
    assert f"Istio {RELEASE} was not locked. The Go module proxy does not serve {ISTIO.replace('@', ' ')}." in message
    assert ("The lock that is there stays." if has_lock else "It has no lock and can't be built.") in message
    assert message.count(f"✓ Istio {OTHER}") == 2


def test_what_is_known_to_be_wrong_is_worse_than_what_is_not_known(proxy: Proxy) -> None:
    """Of several releases the worst one gives the exit code."""
    proxy.tag = "istio.io/istio@v0.0.0-20991231000000-000000000000"
    proxy.served = {proxy.tag: LATER}
    assert proxy.lock(OTHER, RELEASE) == ExitCode.DEVIATES


def test_an_unknown_release_is_one_sentence(proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is locked where one of the names is in no list."""
    before = proxy.files()
    assert proxy.lock("9.9", RELEASE) == ExitCode.BAD_INPUT
    message = said(capsys)
    assert "Istio 9.9 is not in `packages.istio`" in message
    assert RELEASE in message
    assert proxy.files() == before


def test_the_proxy_is_the_users_and_the_checksum_database_is_not(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A company's proxy is used and shown, without its password; nothing that switches the checks off has an effect."""
    monkeypatch.setenv("GOPROXY", "https://me:secret@proxy.example/go,direct")
    switches = {"GOSUMDB": "off", "GOFLAGS": "-insecure", "GOPRIVATE": "*", "GONOSUMDB": "*", "GONOSUMCHECK": "1"}
    for name, value in {**switches, "GOINSECURE": "*"}.items():
        monkeypatch.setenv(name, value)
    assert proxy.lock(RELEASE) == ExitCode.DONE
    assert "Go modules come from GOPROXY=https://proxy.example/go,direct." in said(capsys)
    assert json.loads((proxy.directory / "environment.json").read_text()) == {
        "GOENV": "off",
        "GOFLAGS": "-modcacherw",
        "GOPROXY": "https://me:secret@proxy.example/go,direct",
        "GOSUMDB": "sum.golang.org",
        **dict.fromkeys(("GOPRIVATE", "GONOSUMDB", "GONOSUMCHECK", "GOINSECURE"), ""),
    }


def test_a_lock_without_its_hashes_is_none(proxy: Proxy) -> None:
    """A release can be built where both files are there."""
    assert RELEASE in current_catalogue().packages.locked()
    (proxy.locks / f"{RELEASE}.sum").unlink()
    assert RELEASE not in current_catalogue().packages.locked()


@pytest.mark.parametrize("release", current_catalogue().packages.locked())
def test_a_lock_says_what_is_not_as_istio_has_it(release: str) -> None:
    """Each module that stands for another one is named at the head, with both versions, and only these are."""
    text = (LOCKS / f"{release}.mod").read_text()
    remark = r"^// (\S+) (v\S+) is not served: (v\S+) is the (?:nearest that is|same commit)\.$"
    told = re.findall(remark, text, re.MULTILINE)
    replaced = re.findall(r"^\t(\S+) (v\S+) => \1 (v\S+)$", text, re.MULTILINE)
    assert sorted(told) == sorted(replaced)
    hashes = (LOCKS / f"{release}.sum").read_text()
    assert all(f"{module} {taken} h1:" in hashes for module, _, taken in replaced)


@pytest.mark.parametrize("module", [API, CLIENT])
@pytest.mark.parametrize("release", current_catalogue().packages.locked())
def test_a_lock_has_istios_modules_of_its_own_minor(release: str, module: str) -> None:
    """What is numbered after Istio's releases is of the release's own minor, replaced or not."""
    text = (LOCKS / f"{release}.mod").read_text()
    versions = re.findall(rf"{re.escape(module)} v(\d+\.\d+)\.", text)
    assert versions
    assert set(versions) == {".".join(release.split(".")[:2])}
