"""`meshproof up`, `down` and `status`: the clusters that are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from meshproof.cli.options import cluster_name, cluster_to_keep
from meshproof.cli.output import program, report
from meshproof.cluster.gateway_ports import FIXED, NODES
from meshproof.cluster.kind import Record, cluster_named, clusters, delete_cluster
from meshproof.docker import daemon
from meshproof.machine.console import console
from meshproof.machine.wait import Patience
from meshproof.mesh.scenario import clear
from meshproof.mesh.testbed import brought_up
from meshproof.settings import TIMEOUTS, Settings, cache_directory, check_cluster_name
from meshproof.tls import Address


@click.command()
@cluster_to_keep
def up(*, settings: Settings) -> None:
    """Bring up a cluster with Istio and the applications, and leave it running."""
    with brought_up(settings) as bed:
        clear(bed.cluster, bed.kube, Patience(TIMEOUTS.in_vain))
        also = {
            f"istio {mesh.istio}": f"hub {mesh.hub}, tag {mesh.tag}, {mesh.istioctl}" for mesh in bed.images.meshes[1:]
        }
        force = f"no scenario; see `{program('meshproof')} apply --help`"
        facts = {**bed.describe(), "istioctl": str(bed.images.mesh.istioctl), **also, "in force": force}
        _print(settings.cluster_name, facts, bed.cluster.kubeconfig_path, bed.gateway)


@click.command()
@cluster_name
def down(*, name: str) -> None:
    """Delete a cluster that `up` or a test run left, and end the private Docker daemon when nothing runs on it."""
    check_cluster_name(name)
    cache = cache_directory()
    with daemon(cache) as docker:
        if not delete_cluster(name, cache, docker):
            others = ", ".join(clusters(cache))
            there = f"Those that are: {others}; --cluster-name says which to delete." if others else "No other is."
            console.print(f"There is no cluster called {name!r} of ours, and nothing was deleted. {there}")


@click.command()
def status() -> None:
    """List the clusters that were left running, and where their gateways are."""
    cache = cache_directory()
    names = clusters(cache)
    if not names:
        console.print(f"No cluster of ours is there. `{program('meshproof')} up` brings one up.")
        return
    with daemon(cache) as docker:
        answering = docker.identity()
        for name in names:
            cluster = cluster_named(name, cache, docker)
            record, bound = cluster.record(), cluster.ports() if cluster.exists() else {}
            if record is None:  # deleted while we looked
                continue
            ours = {port: Address("127.0.0.1", bound[node]) for port, node in NODES.items() if node in bound}
            state = _state(record, answering, running=bool(bound))
            mesh = record.mesh.partition(" ")[0] or "none yet"
            facts = {"state": state, "node image": record.image, "mesh": mesh}
            _print(name, facts, cluster.kubeconfig_path, ours)


def _state(record: Record, daemon: str, *, running: bool) -> str:
    """Return what became of a cluster, in words.

    Args:
        record: What was written down of it.
        daemon: The identity of the Docker daemon that answers.
        running: Whether its node runs there.
    """
    if record.daemon and record.daemon != daemon:
        return "unknown: it was made on another Docker daemon than the one that answers now"
    if not running:
        return "not running"
    return "kept" if record.keep else "in use, or left by a killed run"


def _print(name: str, facts: Mapping[str, str], kubeconfig: Path, gateway: Mapping[int, Address]) -> None:
    """Print what is known of a cluster, a fact a line; names and paths stay whole however narrow the terminal is."""
    report.print(name, markup=False, soft_wrap=True)
    for label, fact in (*facts.items(), *_access(name, kubeconfig, gateway)):
        report.print(f"  {label:<10}  {fact}", markup=False, soft_wrap=True)


def _access(name: str, kubeconfig: Path, gateway: Mapping[int, Address]) -> Iterator[tuple[str, str]]:
    """Give how a cluster is reached, if it has a gateway, and how it is deleted, each with its label."""
    if gateway:
        yield "kubeconfig", str(kubeconfig)
        yield from (("gateway", f"port {port.number} is {gateway[port.number]}") for port in FIXED)
        yield "test it", f"{program('pytest')} --cluster-name {name}"
    yield "delete it", f"{program('meshproof')} down --cluster-name {name}"
