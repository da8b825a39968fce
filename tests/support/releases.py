"""An archive of releases on loopback, with the layout of Istio's."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

_POLL = 0.01  # seconds; how soon the server notices that it should end
ARCHITECTURES = ("amd64", "arm64")

Files = Mapping[str, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Site:
    """A web site.

    Attributes:
        url: Its root.
        asked: The paths that it was asked for.
    """

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def site(files: Files) -> Iterator[Site]:
    """Serve files, each with a status; any other path is not found."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            status, body = files.get(self.path, (404, b"Not Found"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server calls it so
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served = Site(f"http://127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, args=(_POLL,)).start()
        try:
            yield served
        finally:
            server.shutdown()


def packed(**members: bytes) -> bytes:
    """Return a compressed archive of files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def release(version: str, archive: bytes, *, published: str | None = None) -> Files:
    """Return the files of a release of istioctl, for every architecture.

    Args:
        version: The release.
        archive: What is in it.
        published: The content of the file with the SHA-256; the right one by default.
    """
    found = {}
    for architecture in ARCHITECTURES:
        name = f"istioctl-{version}-linux-{architecture}.tar.gz"
        digest = f"{hashlib.sha256(archive).hexdigest()}  {name}\n" if published is None else published
        found[f"/{version}/{name}"] = (200, archive)
        found[f"/{version}/{name}.sha256"] = (200, digest.encode())
    return found
