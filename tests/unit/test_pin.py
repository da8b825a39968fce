"""`make pin`: digests are what a registry has, asked for over real connections, and the rest of the file stays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from meshproof.catalogue import VERSIONS, current_catalogue, read
from meshproof.errors import MachineError, Unreadable
from tests.support.servers import nobody
from tools.oci_registry import Registries
from tools.pin import pin, write

MANIFEST = b'{"schemaVersion": 2}'
HASH = "ab" * 32
ADMISSION = "let-me-in"


@pytest.fixture(autouse=True)
def directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach loopback directly, whatever proxy the machine has."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@contextmanager
def registry(files: Mapping[str, bytes], *, token: str = "", challenge: str = "") -> Iterator[str]:
    """Serve files; below /v2/ to who has the token, which anybody is given as Docker Hub does it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path == "/token":
                self.answer(200, json.dumps({"token": token} if query == "service=here&scope=a%3Ab" else {}).encode())
            elif token and path.startswith("/v2/") and self.headers.get("Authorization") != f"Bearer {token}":
                said = challenge or f'Bearer realm="{address}/token",service="here",scope="a:b"'
                self.answer(401, b"", {"WWW-Authenticate": said})
            elif path in files:
                self.answer(200, files[path])
            else:
                self.answer(404, b"")

        def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server calls it so
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        address = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield address
        finally:
            server.shutdown()


def digest(content: bytes) -> str:
    """Return the digest of a manifest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("token", ["", ADMISSION], ids=["for everybody", "with a token"])
@pytest.mark.parametrize("name", ["a/b:1.0", f"a/b@{digest(MANIFEST)}", "a/b"], ids=["tag", "digest", "neither"])
def test_a_digest_is_the_hash_of_the_manifest(name: str, token: str) -> None:
    """It is computed of what came, and asked for again with the token that the registry wants."""
    references = ("1.0", "latest", digest(MANIFEST))
    with registry({f"/v2/a/b/manifests/{each}": MANIFEST for each in references}, token=token) as address:
        assert Registries({}).manifest(f"{address.removeprefix('http://')}/{name}").digest == digest(MANIFEST)
        assert Registries({"docker.io": address}).manifest(f"docker.io/{name}").digest == digest(MANIFEST)


@pytest.mark.parametrize(
    ("token", "challenge", "message"),
    [
        pytest.param("", "", r"/v2/a/b/manifests/1 was asked for, and .* status 404\.$", id="no such image"),
        pytest.param("t", "Basic", "is not for everybody: the registry asks for Basic", id="a password"),
        pytest.param(
            "t", 'Bearer realm="http://127.0.0.1:1/"', r"http://127\.0\.0\.1:1/ could not be", id="a dead end"
        ),
    ],
)
def test_what_a_registry_refuses_is_told(token: str, challenge: str, message: str) -> None:
    """The sentence names what was asked for, and what came."""
    with registry({}, token=token, challenge=challenge) as address, pytest.raises(MachineError, match=message):
        Registries({"docker.io": address}).manifest("docker.io/a/b:1")


def test_a_registry_that_is_not_there_is_told() -> None:
    """Nobody listening is a sentence, too."""
    with nobody() as address, pytest.raises(MachineError, match="could not be asked: "):
        Registries({}).manifest(f"{address}/a/b:1")


def of_mirror(directory: Path, address: str) -> Path:
    """Write a copy of our file of versions that asks a mirror in place of Docker Hub and of Istio's archive."""
    file = directory / "versions.toml"
    text = VERSIONS.read_text().replace(current_catalogue().registry.istioctl, f"{address}/releases")
    mirrors = f'[registry.mirrors]\n"docker.io" = "{address}"\n\n'
    file.write_text(text.replace("# Public images,", f"{mirrors}# Public images,"))
    return file


def everything() -> dict[str, bytes]:
    """Return all that our file of versions names, as a registry and a release archive have it; no two are the same."""
    known, files = current_catalogue().registry, {}
    names = [f"{known.hub}/{name}:{release}" for release in known.istio for name in ("pilot", "proxyv2")]
    for name in (*names, *known.images):
        repository, _, tag = name.removeprefix("docker.io/").partition(":")
        files[f"/v2/{repository}/manifests/{tag or 'latest'}"] = name.encode()
    for release in known.istio:
        archive = f"/releases/{release}/istioctl-{release}-linux-amd64.tar.gz.sha256"
        files[archive] = f"{HASH}  istioctl-{release}-linux-amd64.tar.gz\n".encode()
    return files


def test_all_is_pinned_and_the_rest_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each release and image has its digest; comments and everything else are as they were, and stay so."""
    with registry(everything(), token=ADMISSION) as address:
        file = of_mirror(tmp_path, address)
        before = file.read_text()
        write(file, pin(read(file)))
        once = file.read_text()
        write(file, pin(read(file)))
    pinned = read(file).registry
    assert pinned.unpinned() == []
    for release, pulled in pinned.istio.items():
        assert pulled.images["pilot"] == digest(f"docker.io/istio/pilot:{release}".encode())
        assert pulled.images["proxyv2"] == digest(f"docker.io/istio/proxyv2:{release}".encode())
        assert pulled.istioctl == {"amd64": HASH}
    assert pinned.images == {name: digest(name.encode()) for name in pinned.images}
    assert file.read_text() == once
    left = [line for line in once.splitlines() if not line.startswith(("pilot = ", "proxyv2 = ", "istioctl.amd64 = "))]
    assert [line for line in left if "sha256:" not in line] == [
        line for line in before.splitlines() if "sha256:" not in line
    ]
    moved = capsys.readouterr().err
    for name, was in current_catalogue().registry.images.items():
        assert f"{name} was {was}, and is {pinned.images[name]} now." in moved


def test_nothing_is_written_unless_all_could_be_asked_for(tmp_path: Path) -> None:
    """A registry that lacks one image leaves the file as it was."""
    with registry(dict(list(everything().items())[1:])) as address:
        file = of_mirror(tmp_path, address)
        before = file.read_text()
        with pytest.raises(MachineError, match="status 404"):
            write(file, pin(read(file)))
    assert file.read_text() == before


def test_a_release_that_is_written_otherwise_is_told(tmp_path: Path) -> None:
    """A table in one line can be read, and is not rewritten: the sentence says how it should be."""
    with registry(everything()) as address:
        file = of_mirror(tmp_path, address)
        table = '[registry.istio."1.28.6"]\nkubernetes = ["1.34.11"]\n'
        inline = '[registry.istio]\n"1.28.6" = { kubernetes = ["1.34.11"] }\n'
        before = file.read_text().replace(table, inline)
        file.write_text(before)
        with pytest.raises(Unreadable, match=r"the digests of Istio 1\.28\.6 could not be put in; each release should"):
            write(file, pin(read(file)))
    assert file.read_text() == before
