"""`meshproof images`: build, list, matrix."""

from __future__ import annotations

import json

import typer
from rich import box
from rich.table import Table

from meshproof.cli.options import Envoy, Images, Istio, Kubernetes
from meshproof.cli.output import report
from meshproof.docker.engine import daemon
from meshproof.images.choice import provider
from meshproof.machine.console import BuildProgress, console
from meshproof.settings import (
    ImageSource,
    Settings,
    cache_directory,
    configuration,
    default_cluster_name,
    known_versions,
)

images = typer.Typer(no_args_is_help=True, help="The images that a cluster is made of.")


@images.command()
def build(
    images: Images = ImageSource.AUTO,
    istio_version: Istio = None,
    kubernetes_version: Kubernetes = None,
    envoy_version: Envoy = None,
) -> None:
    """Build (or, from a registry, pull) the images, so that the first test run does not have to."""
    settings = Settings(
        default_cluster_name(),
        images=images,
        istio=istio_version,
        kubernetes=kubernetes_version,
        envoy=envoy_version,
        cache=cache_directory(),
    )
    chosen, _ = provider(settings)
    with daemon(settings.cache) as docker, BuildProgress(len(chosen.pending(docker))) as progress:
        provided = chosen.provide(docker, progress)
    console.print(f"[green]✓[/] {provided.node}")


@images.command("list")
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


@images.command(hidden=True)
def matrix() -> None:
    """Print the pairs of versions that continuous integration runs, as JSON."""
    tried = configuration()["registry"]["istio"]
    pairs = [{"istio": istio, "kubernetes": each} for istio, versions in tried.items() for each in versions]
    print(json.dumps({"include": pairs}))  # noqa: T201 - it is read by a program
