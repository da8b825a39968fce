"""The program of both ends of traffic: a server that tells what reached it, and a sender that records each request.

It is compiled here whatever the source of the other images is. It is in no node image: Docker has it, and it is copied
into a cluster when a document names it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from meshproof.catalogue import current_catalogue
from meshproof.docker import Docker
from meshproof.images import TRAFFIC, golang
from meshproof.images.golang import SOURCES
from meshproof.images.pods import building, workshop
from meshproof.images.steps import Progress, Step, digest

_TAGS = "http2legacy"
"""From Go 1.27 on golang.org/x/net/http2 is that of net/http unless told otherwise; the sender needs its own."""


def program(cache: Path) -> Step:
    """Return the step that compiles it; its result is one static program."""

    def make(out: Path, on_line: Callable[[str], None]) -> None:
        golang.build(SOURCES / TRAFFIC, out / TRAFFIC, cache, tags=_TAGS, on_line=on_line)

    return Step(
        TRAFFIC, [*golang.sources(SOURCES / TRAFFIC), *golang.compiled_by(), _TAGS], make, seconds=20, compiles=True
    )


def image(cache: Path) -> str:
    """Return the name of its image; the tag tells the content."""
    content = digest([program(cache).digest, SOURCES / TRAFFIC / "Dockerfile"])
    return f"{current_catalogue().packages.hub}/{TRAFFIC}:{content}"


def build_image(docker: Docker, cache: Path, progress: Progress) -> None:
    """Make the image of the compiled program, unless Docker has it.

    Raises:
        BuildFailed: With Docker's last lines.
        MachineError: No space left on the disk.
    """
    name = image(cache)
    if docker.has_image(name):
        return
    with building("the image of the traffic program", cache, "traffic-image", progress) as output:
        if not docker.has_image(name):  # who was waited for has built it
            with workshop(docker, cache, output) as shop:
                shop.build("traffic/Dockerfile", TRAFFIC, program(cache).directory(cache) / TRAFFIC)
                docker.run("tag", f"{shop.name}/{TRAFFIC}", name)
