"""The `meshproof` command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from meshproof import doctor as machine
from meshproof import interrupts
from meshproof.cluster import Cluster, clusters, delete_cluster, kind_program
from meshproof.console import BuildProgress, console
from meshproof.docker import daemon
from meshproof.errors import MeshproofError
from meshproof.images.choice import provider
from meshproof.istio import gateway_ports
from meshproof.settings import (
    ImageSource,
    Settings,
    cache_directory,
    configuration,
    default_cluster_name,
    known_versions,
)
from meshproof.testbed import testbed

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Proves on a real cluster what a service mesh promises about TLS.",
)
images_app = typer.Typer(no_args_is_help=True, help="The images that a cluster is made of.")
app.add_typer(images_app, name="images")

Name = Annotated[
    str, typer.Option("--cluster-name", default_factory=default_cluster_name, help="Name of the kind cluster.")
]
Images = Annotated[
    ImageSource, typer.Option("--images", help="Where images come from; auto asks whether a registry answers.")
]
Istio = Annotated[str | None, typer.Option("--istio-version", help="Release of Istio.")]
Kubernetes = Annotated[str | None, typer.Option("--kubernetes-version", help="Release of Kubernetes.")]
Envoy = Annotated[str | None, typer.Option("--envoy-version", help="Release of Envoy, for images built from packages.")]


@app.command()
def doctor(
    *, fix: Annotated[bool, typer.Option("--fix", help="Install what is missing, where we may.")] = False
) -> None:
    """Tell whether this machine can run a cluster, and what to do where it can't."""
    findings = machine.examine()
    if fix:
        machine.fix(findings)
        findings = machine.examine()
    for finding in findings:
        mark = "[green]✓[/]" if finding.good else "[red]✗[/]" if finding.required else "[yellow]-[/]"
        console.print(f"{mark} {finding.what}{'' if finding.good else f': {finding.remedy}'}")
    if not all(finding.good or not finding.required for finding in findings):
        raise typer.Exit(code=11)


@app.command()
def up(
    name: Name,
    images: Images = ImageSource.AUTO,
    istio_version: Istio = None,
    kubernetes_version: Kubernetes = None,
    envoy_version: Envoy = None,
) -> None:
    """Bring up a cluster with Istio and the applications, and leave it running."""
    settings = Settings(name, True, images, istio_version, kubernetes_version, envoy_version, cache=cache_directory())
    with testbed(settings) as bed:
        for component, version in bed.describe().items():
            console.print(f"  {component:<11} {version}")
        console.print(f"  kubeconfig  {bed.cluster.kubeconfig_path}")
        for port, address in bed.gateway.items():
            console.print(f"  gateway     port {port} is {address.host}:{address.port}")


@app.command()
def down(name: Name) -> None:
    """Delete a cluster that `up` or a test run left, and end the private Docker daemon when nothing runs on it."""
    cache = cache_directory()
    with daemon(cache) as docker:
        if not delete_cluster(name, cache, docker):
            console.print(f"There is no cluster {name} of ours{_others(cache)}.")


@app.command()
def status() -> None:
    """List the clusters that were left running, and where their gateways are."""
    cache = cache_directory()
    names = clusters(cache)
    if not names:
        console.print("No cluster of ours is there. `meshproof up` brings one up.")
        return
    table = Table("cluster", "node image", "mesh", "state", "gateway, port 443")
    with daemon(cache) as docker:
        for name in names:
            found = Cluster(
                name, image="", kind_path=kind_program(cache), docker=docker, directory=cache / "clusters" / name
            )
            record, bound = found.record(), found.ports() if found.exists() else {}
            address = f"127.0.0.1:{bound[gateway_ports()[443]]}" if bound else ""
            state = (
                ("kept" if record and record.keep else "in use, or left by a killed run") if bound else "not running"
            )
            table.add_row(
                name, record.image if record else "", record.mesh.partition(" ")[0] if record else "", state, address
            )
    console.print(table)


@images_app.command("build")
def images_build(
    images: Images = ImageSource.AUTO,
    istio_version: Istio = None,
    kubernetes_version: Kubernetes = None,
    envoy_version: Envoy = None,
) -> None:
    """Build (or, from a registry, pull) the images, so that the first test run does not have to."""
    settings = Settings("", False, images, istio_version, kubernetes_version, envoy_version, cache=cache_directory())
    chosen, _ = provider(settings)
    with daemon(settings.cache) as docker, BuildProgress(len(chosen.pending(docker))) as progress:
        provided = chosen.provide(docker, progress)
    console.print(f"[green]✓[/] {provided.node}")


@images_app.command("list")
def images_list() -> None:
    """List the versions that can be asked for, by the source of their images."""
    sources = (ImageSource.PACKAGES, ImageSource.REGISTRY)
    table = Table("component", *(source.value for source in sources))
    for component in ("istio", "kubernetes", "envoy"):
        table.add_row(component, *(", ".join(known_versions(source)[component]) for source in sources))
    console.print(table)


@images_app.command("matrix", hidden=True)
def images_matrix() -> None:
    """Print the pairs of versions that continuous integration runs, as JSON."""
    tried = configuration()["registry"]["istio"]
    pairs = [{"istio": istio, "kubernetes": each} for istio, versions in tried.items() for each in versions]
    print(json.dumps({"include": pairs}))  # noqa: T201 - it is read by a program


def _others(cache: Path) -> str:
    names = clusters(cache)
    return f"; there is {', '.join(names)}" if names else ""


def main() -> None:
    """Run the command; what a user or a machine can cause ends in one sentence and an exit code."""
    interrupts.raise_keyboard_interrupt()
    try:
        app()
    except MeshproofError as error:
        console.print(f"[red]meshproof:[/] {escape(str(error))}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
