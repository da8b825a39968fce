"""`meshproof up`, `down` and `status`: the clusters that are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from meshproof.cluster import Cluster, clusters, delete_cluster, kind_program
from meshproof.commands.options import Envoy, Images, Istio, Kubernetes
from meshproof.console import console
from meshproof.docker import daemon
from meshproof.istio import gateway_ports
from meshproof.settings import ImageSource, Settings, cache_directory, default_cluster_name
from meshproof.testbed import testbed

Name = Annotated[
    str, typer.Option("--cluster-name", default_factory=default_cluster_name, help="Name of the kind cluster.")
]


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


def down(name: Name) -> None:
    """Delete a cluster that `up` or a test run left, and end the private Docker daemon when nothing runs on it."""
    cache = cache_directory()
    with daemon(cache) as docker:
        if not delete_cluster(name, cache, docker):
            console.print(f"There is no cluster {name} of ours{_others(cache)}.")


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


def _others(cache: Path) -> str:
    names = clusters(cache)
    return f"; there is {', '.join(names)}" if names else ""
