"""What building and pulling images left on the disk, and the removal of what the defaults do not need."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from meshproof.catalogue import current_catalogue
from meshproof.docker import Docker, daemon
from meshproof.errors import CommandFailed, MachineError
from meshproof.images.packages import PackagesProvider
from meshproof.images.steps import Step, in_turn
from meshproof.machine.cache import discard
from meshproof.machine.console import BuildProgress, console
from meshproof.versions import Asked, ImageSource, choose

_RESULT = re.compile(r"(?P<name>.+)-[0-9a-f]{16}")
_FORMER_NODE = "meshproof/node"  # what node images were called before


@dataclass(frozen=True, slots=True)
class Kept:
    """Something on the disk.

    Attributes:
        what: What a person calls it.
        size: Its size in bytes; that of an image is what it does not share with the one that it is built upon.
        needed: Whether the defaults need it, so that it stays.
        remove: Removes it, and returns whether it is gone.
    """

    what: str
    size: int
    needed: bool
    remove: Callable[[], bool]


@contextmanager
def on_this_machine(cache: Path) -> Iterator[list[Kept]]:
    """Give all that is there, for as long as the Docker daemon is; what the project asks for by default is needed."""
    defaults = PackagesProvider(choose(ImageSource.PACKAGES, Asked()), cache, look_up=False)
    kept = list(in_the_cache(cache, defaults.steps))
    with ExitStack() as stack:
        try:
            docker = stack.enter_context(daemon(cache))
            kept += in_docker(docker, (defaults.node.base_name, defaults.node.name))
        except MachineError as error:
            console.print(f"Images in Docker are not among them: {escape(str(error))}")
        yield kept


def in_the_cache(cache: Path, needed: Collection[Step]) -> Iterator[Kept]:
    """Yield what is in the cache, images apart.

    Args:
        cache: The cache.
        needed: The steps of the defaults; results of the same steps with other inputs are not needed.
    """
    directories = {step.directory(cache) for step in needed}
    steps = {_kind(step.name) for step in needed}
    for result in sorted((cache / "build").glob("*")):
        match = _RESULT.fullmatch(result.name)
        if match is None:  # a build goes on, or was killed
            continue
        stays = result in directories or _kind(match["name"]) not in steps  # a tool's, such as actionlint
        yield Kept(match["name"], _size(result), stays, _discarding(result))
    for program in sorted((cache / "programs").glob("istioctl-*[0-9]")):
        yield Kept(f"{program.name} (from its release archive)", _size(program), False, _discarding(program))
    if toolchain := _size(cache / "toolchain"):
        yield Kept("Go", toolchain, True, _discarding(cache / "toolchain"))
    if compiled := _size(cache / "go"):
        what = "what Go compiled, for other releases of Istio"
        yield Kept(what, compiled, False, _discarding(cache / "go"))


def in_docker(docker: Docker, needed: Collection[str]) -> Iterator[Kept]:
    """Yield the node images of ours; one that a cluster runs stays, whatever is needed.

    Args:
        docker: The daemon that has them.
        needed: The names of the images of the defaults.
    """
    used = set(docker.run("ps", "--all", "--format={{.Image}}").split())
    sizes: dict[str, int] = {}
    for repository in (f"{current_catalogue().packages.hub}/node", _FORMER_NODE):
        for name in docker.run("images", "--format={{.Repository}}:{{.Tag}}", repository).split():
            sizes[name] = int(docker.run("image", "inspect", "--format={{.Size}}", name))
    bases = {_layers(docker, name): name for name in sizes}
    for name, size in sorted(sizes.items()):
        layers = _layers(docker, name)
        below = max((sizes[base] for of, base in bases.items() if of < layers), default=0)
        yield Kept(f"image {name}", size - below, name in needed or name in used, _removing(docker, name))


def prune(cache: Path, kept: Collection[Kept], progress: BuildProgress) -> int:
    """Remove what is not needed, while nobody builds; return how many bytes that were."""
    with in_turn(cache / "build.lock", progress), in_turn(cache / "node-image.lock", progress):
        return sum(each.size for each in kept if not each.needed and each.remove())


def _kind(step: str) -> str:
    """Return what a step builds, whatever its release."""
    return step.partition("-1.")[0]


def _layers(docker: Docker, image: str) -> frozenset[str]:
    return frozenset(docker.run("image", "inspect", "--format={{range .RootFS.Layers}}{{.}} {{end}}", image).split())


def _discarding(path: Path) -> Callable[[], bool]:
    def remove() -> bool:
        discard(path)
        return not path.exists()

    return remove


def _removing(docker: Docker, image: str) -> Callable[[], bool]:
    def remove() -> bool:
        with suppress(CommandFailed):  # a run has begun to use it
            docker.run("rmi", image)
        return not docker.has_image(image)

    return remove


def _size(path: Path) -> int:
    """Return how many bytes a file or a directory has on the disk."""
    files = [path] if path.is_file() else [Path(root, name) for root, _, names in os.walk(path) for name in names]
    total = 0
    for file in files:
        with suppress(FileNotFoundError):  # a build goes on
            total += file.lstat().st_blocks * 512
    return total
