"""`meshproof images`: build, list, matrix."""

from __future__ import annotations

import json

import click
from rich import box
from rich.table import Table

from meshproof.cli.options import InOrder, which_images
from meshproof.cli.output import report
from meshproof.docker import daemon
from meshproof.images.choice import provider
from meshproof.machine.console import BuildProgress, console
from meshproof.settings import Settings, cache_directory, default_cluster_name
from meshproof.versions import Asked, ImageSource, known_versions, pairs


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
    with daemon(settings.cache) as docker, BuildProgress(len(chosen.pending(docker))) as progress:
        provided = chosen.provide(docker, progress)
    console.print(f"[green]✓[/] {provided.node}")


@command.command("list")
def list_versions() -> None:
    """List the versions that can be asked for, by the source of their images."""
    sources = (ImageSource.PACKAGES, ImageSource.REGISTRY)
    table = Table(
        "component",
        *(f"--images={source.value}" for source in sources),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    for component in ("istio", "kubernetes", "envoy"):
        table.add_row(component, *(", ".join(known_versions(source)[component]) for source in sources))
    report.print(table)


@command.command(hidden=True)
def matrix() -> None:
    """Print the pairs of versions that continuous integration runs, as JSON."""
    tried = pairs(ImageSource.REGISTRY).items()
    include = [{"istio": istio, "kubernetes": version} for istio, versions in tried for version in versions]
    print(json.dumps({"include": include}))  # noqa: T201 - it is read by a program
