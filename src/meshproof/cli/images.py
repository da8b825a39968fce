"""`meshproof images`: build, list, prune, matrix."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import click
from rich import box
from rich.markup import escape
from rich.table import Column, Table

from meshproof.catalogue import current_catalogue
from meshproof.cli.options import InOrder, which_images
from meshproof.cli.output import program, report
from meshproof.cluster.kind import clusters
from meshproof.docker import daemon
from meshproof.errors import ClusterError
from meshproof.images import disk
from meshproof.images.choice import provider
from meshproof.machine.cache import in_use
from meshproof.machine.console import BuildProgress, console
from meshproof.settings import Settings, cache_directory, default_cluster_name
from meshproof.versions import Asked, ImageSource, known_versions, pairs

_PLAIN: dict[str, Any] = {"box": box.SIMPLE_HEAD, "pad_edge": False, "show_edge": False}


@click.group("images", cls=InOrder)
def command() -> None:
    """The images that a cluster is made of."""


@command.command(
    short_help="Build (or, from a registry, pull) the images, so that the first test run does not have to."
)
@which_images
def build(*, images: ImageSource, asked: Asked) -> None:
    """Build (or, from a registry, pull) the images, so that the first test run does not have to."""
    settings = Settings(default_cluster_name(), images=images, asked=asked, cache=cache_directory())
    _, chosen, _ = provider(settings)
    with ExitStack() as stack:
        stack.enter_context(in_use(settings.cache))
        docker = stack.enter_context(daemon(settings.cache))
        progress = stack.enter_context(BuildProgress(len(chosen.pending(docker))))
        provided = chosen.provide(docker, progress)
    console.print(f"[green]✓[/] {provided.node}")


@command.command("list")
def list_images() -> None:
    """List the versions that can be asked for, and what is on the disk."""
    sources = (ImageSource.PACKAGES, ImageSource.REGISTRY)
    versions = Table("component", *(f"--images={source.value}" for source in sources), **_PLAIN)
    for component in ("istio", "kubernetes", "envoy"):
        versions.add_row(component, *(", ".join(known_versions(source)[component]) for source in sources))
    report.print(versions)
    packages, unpinned = current_catalogue().packages, current_catalogue().registry.unpinned()
    if unlocked := [release for release in packages.istio if release not in packages.locked()]:
        remedy = "`make lock` writes one where the Go module proxy serves them."
        _remark("Without a lock file, so that they can't be built", unlocked, remedy)
    if unpinned:
        _remark("From a registry by their tag", unpinned, "`make pin` writes the digests of their images.")
    kept = disk.kept(cache_directory())
    table = Table("on the disk", Column("size", justify="right"), "images prune", **_PLAIN)
    for each in kept:
        table.add_row(escape(each.what), _gigabytes(each.size), "stays" if each.needed else "removes it")
    table.add_row("together", _gigabytes(sum(each.size for each in kept)), "")
    goes = sum(each.size for each in kept if not each.needed)
    table.add_row("of that", _gigabytes(goes), "removes it")
    report.print("")
    report.print(table)


@command.command()
def prune() -> None:
    """Remove from the disk what the default versions do not need: other releases, and what Go keeps for them.

    It is refused while there is a cluster, or another run.
    """
    cache = cache_directory()
    if names := clusters(cache):
        raise ClusterError(
            f"There is a cluster of ours that may need some of it, and nothing was removed: {', '.join(names)}. "
            f"Delete it first: `{program('meshproof')} down --cluster-name {names[0]}`."
        )
    freed, left = disk.prune(cache)
    console.print(f"[green]✓[/] {_gigabytes(freed)} removed; {_gigabytes(left)} stay")


def _remark(what: str, releases: list[str], remedy: str) -> None:
    report.print(f"{what}: Istio {', '.join(releases)}. {remedy}", soft_wrap=True)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


@command.command(hidden=True)
def matrix() -> None:
    """Print the pairs of versions that continuous integration runs, as JSON."""
    tried = pairs(ImageSource.REGISTRY).items()
    include = [{"istio": istio, "kubernetes": version} for istio, versions in tried for version in versions]
    print(json.dumps({"include": include}))  # noqa: T201 - it is read by a program
