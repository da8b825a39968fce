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
from meshproof.errors import CommandFailed, MachineError, UnknownVersion
from meshproof.images import traffic
from meshproof.images.debian import NAMES, versions_known
from meshproof.images.node import LABEL
from meshproof.images.packages import PackagesProvider
from meshproof.images.steps import Step
from meshproof.machine.cache import discard, in_use
from meshproof.machine.console import console
from meshproof.versions import Asked, ImageSource, Versions, choose

_RESULT = re.compile(r"(?P<name>.+)-[0-9a-f]{16}")
_LEFT = ("*.unfinished", "build/*.unfinished", "tmp????????")


@dataclass(frozen=True, slots=True)
class Kept:
    """Something on the disk.

    Attributes:
        what: What a person calls it.
        size: Its size in bytes; that of an image is what it does not share with the one that it is built upon.
        needed: Whether the defaults need it, so that it stays.
        remove: Removes it.
    """

    what: str
    size: int
    needed: bool
    remove: Callable[[], object]


def kept(cache: Path) -> list[Kept]:
    """Return all that is on this machine."""
    with _docker(cache) as docker:
        return _kept(cache, docker)


def prune(cache: Path) -> tuple[int, int]:
    """Remove what is not needed; return how many bytes that were, and how many are left.

    Raises:
        MachineError: Another run uses the cache.
    """
    with in_use(cache, alone=True), _docker(cache) as docker:
        before = _kept(cache, docker)
        for each in before:
            if not each.needed:
                each.remove()
        for pattern in _LEFT:  # of killed runs: no other is there
            for path in cache.glob(pattern):
                discard(path)
        left = sum(each.size for each in _kept(cache, docker))
        return sum(each.size for each in before) - left, left


@contextmanager
def _docker(cache: Path) -> Iterator[Docker | None]:
    """Give the Docker daemon, or None where there is none to be had."""
    with ExitStack() as stack:
        try:
            docker = stack.enter_context(daemon(cache))
        except MachineError as error:
            console.print(f"Images in Docker are not among them: {escape(str(error))}")
            docker = None
        yield docker


def _kept(cache: Path, docker: Docker | None) -> list[Kept]:
    debian = versions_known(cache)
    defaults = PackagesProvider(_defaults(), cache, debian=debian or "unknown")
    in_cache = list(in_the_cache(cache, defaults.steps, unknown=() if debian else NAMES))
    if docker is None:
        return in_cache
    needed = (defaults.node.base_name, defaults.node.name, traffic.image(cache)) if debian else None
    return [*in_cache, *in_docker(docker, needed)]


def _defaults() -> Versions:
    """Return what the project asks for, or meshproof's own defaults where that can't be built from packages."""
    try:
        return choose(ImageSource.PACKAGES, Asked())
    except UnknownVersion:
        catalogue = current_catalogue()
        envoy = catalogue.packages.istio[catalogue.istio].envoy
        return choose(ImageSource.PACKAGES, Asked(catalogue.istio, catalogue.kubernetes, envoy))


def in_the_cache(cache: Path, needed: Collection[Step], unknown: Collection[str] = ()) -> Iterator[Kept]:
    """Yield what is in the cache, images apart.

    Args:
        cache: The cache.
        needed: The steps of the defaults; results of the same steps with other inputs are not needed.
        unknown: The names of those of which it is not known which result is needed: all stay.
    """
    directories = {step.directory(cache) for step in needed}
    ours = {_kind(step.name) for step in needed} - set(unknown)
    for result in sorted((cache / "build").glob("*")):
        if match := _RESULT.fullmatch(result.name):  # or else it is being built
            needed_here = result in directories or _kind(match["name"]) not in ours  # a tool's, such as actionlint
            older = match["name"] in {step.name for step in needed} | ours and not needed_here
            what = f"{match['name']} (another build)" if older else match["name"]
            yield Kept(what, _size(result), needed_here, _discarding(result))
    default = list(current_catalogue().registry.istio)[-1]
    for program in sorted((cache / "programs").glob("istioctl-*[0-9]")):
        what = f"{program.name} (from its release archive)"
        yield Kept(what, _size(program), program.name.endswith(f"-{default}"), _discarding(program))
    if toolchain := _size(cache / "toolchain"):
        yield Kept("Go", toolchain, True, _discarding(cache / "toolchain"))
    if compiled := _size(cache / "go"):
        yield Kept("what Go compiled, for other releases of Istio", compiled, False, _discarding(cache / "go"))


def in_docker(docker: Docker, needed: Collection[str] | None) -> Iterator[Kept]:
    """Yield the images of ours in Docker; one that a cluster runs stays, whatever is needed.

    Args:
        docker: The daemon that has them.
        needed: The names of the images of the defaults; None where that is not known, so that all stay.
    """
    used = set(docker.run("ps", "--all", "--format={{.Image}}").split())
    sizes: dict[str, int] = {}
    layers: dict[str, frozenset[str]] = {}
    for name in docker.run("images", "--format={{.Repository}}:{{.Tag}}", f"--filter=label={LABEL}").split():
        with suppress(CommandFailed):  # it is gone by now
            shape = '--format={{.Size}} {{join .RootFS.Layers " "}}'
            first, *of = docker.run("image", "inspect", shape, name).split()
            sizes[name], layers[name] = int(first), frozenset(of)
    for name, size in sorted(sizes.items()):
        below = max((sizes[base] for base in sizes if layers[base] < layers[name]), default=0)
        stays = needed is None or name in needed or name in used
        yield Kept(f"image {name}", size - below, stays, _removing(docker, name))


def _kind(step: str) -> str:
    """Return what a step builds, whatever its release."""
    return step.partition("-1.")[0]


def _discarding(path: Path) -> Callable[[], object]:
    return lambda: discard(path)


def _removing(docker: Docker, image: str) -> Callable[[], object]:
    def remove() -> None:
        with suppress(CommandFailed):  # a container has begun to use it
            docker.run("rmi", image)

    return remove


def _size(path: Path) -> int:
    """Return how many bytes a file or a directory has on the disk; what a link leads to is not there."""
    files = [Path(root, name) for root, _, names in os.walk(path) for name in names]
    if not path.is_dir() or path.is_symlink():
        files = [path]
    total = 0
    for file in files:
        with suppress(FileNotFoundError):  # a build goes on
            total += file.lstat().st_blocks * 512
    return total
