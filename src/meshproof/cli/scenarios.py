"""`meshproof apply` and `remove`: a scenario on a kept cluster, to be looked at by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from meshproof.certificates.leaf import Leaf
from meshproof.certificates.tree import Certificates, read
from meshproof.cli.options import cluster_name, cluster_to_keep
from meshproof.cli.output import program, report
from meshproof.cluster.kind import kept_cluster
from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.docker import daemon
from meshproof.errors import BadInput, BadOutput, ClusterError
from meshproof.input_files import nearest
from meshproof.machine import cache
from meshproof.machine.wait import Patience
from meshproof.mesh import Scenario, Testbed, faults
from meshproof.mesh.footprint import Footprint
from meshproof.mesh.manifests import application_files
from meshproof.mesh.scenario import clear, name_of_scenario, on_the_cluster
from meshproof.mesh.testbed import brought_up
from meshproof.project import as_typed_here, current_project
from meshproof.settings import Settings, cache_directory

_HTTP = 80  # the port that speaks no TLS
_IN_VAIN = 30.0  # seconds that may be waited in vain


@click.command("apply")
@click.argument("scenario")
@click.option("--step", "steps", metavar="STEP", multiple=True, help="A step to have in force as well; several may be.")
@cluster_to_keep
def apply(*, scenario: str, steps: tuple[str, ...], settings: Settings) -> None:
    """Have a scenario in force on the kept cluster, and say how to reach it.

    SCENARIO is the way to its manifest, such as gateway/mutual_tls, or the name alone. Where no cluster was kept one is
    brought up. Scenarios that touch nothing in common can be in force at the same time.
    """
    manifest = _manifest(scenario)
    faults.check(application_files(), {manifest: None}, read(current_project().certificates))
    with brought_up(settings) as bed:
        others = on_the_cluster(bed.kube)
        patience = Patience(_IN_VAIN)
        if before := others.pop(name_of_scenario(manifest), None):
            clear(bed.kube, {name_of_scenario(manifest): before}, patience)
        bed.leased.update(port for documents in others.values() for port, _ in Footprint.of(documents).hosts)
        ours = Scenario(manifest, bed, patience)
        documents = ours.documents(*steps)
        for other, theirs in others.items():
            if shared := Footprint.of(documents).meets(Footprint.of(theirs)):
                raise ClusterError(
                    f"{ours.name} can't be in force beside {other}, for both have {shared}. "
                    f"Run `meshproof remove {other}`, then this again."
                )
        ours.begin(*steps)
        files = _write(bed.certificates, _directory(ours.name))
        _print(ours, documents, bed, files)


@click.command("remove")
@click.argument("scenarios", nargs=-1)
@cluster_name
def remove(*, scenarios: tuple[str, ...], name: str) -> None:
    """Remove scenarios that `apply` has put in force; all of them if none is named."""
    directory = cache_directory()
    with daemon(directory) as docker, kept_cluster(name, directory, docker) as cluster:
        kube = Kube(cluster.kubeconfig_path)
        there = on_the_cluster(kube)
        for scenario in scenarios:
            if scenario not in there:
                raise BadInput(f"The scenario {scenario} is not in force on {name}: {nearest(scenario, there)}.")
        chosen = {scenario: there[scenario] for scenario in scenarios or there}
        clear(kube, chosen, Patience(_IN_VAIN))
        for scenario in chosen:
            cache.discard(_directory(scenario))
        if not chosen:
            report.print(f"Nothing is in force on {name}.", markup=False, soft_wrap=True)


def _manifest(scenario: str) -> Path:
    """Return the manifest that a scenario's name means.

    Raises:
        BadInput: There is none, or several.
    """
    manifests = {name_of_scenario(file): file for file in sorted(current_project().scenarios.rglob("*.yaml"))}
    meant = [name for name in manifests if scenario in (name, Path(name).name)]
    if len(meant) > 1:
        raise BadInput(f"{scenario} can be {' or '.join(meant)}: name its area, too.")
    if not meant:
        where = as_typed_here(current_project().scenarios)
        raise BadInput(f"There is no scenario {scenario} in {where}: {nearest(scenario, manifests)}.")
    return manifests[meant[0]]


def _directory(scenario: str) -> Path:
    return current_project().artifacts / "applied" / scenario.replace("/", ".")


def _write(certificates: Certificates, directory: Path) -> Path:
    """Write what a client trusts and shows, keys for nobody else to read; return where.

    Raises:
        BadOutput: That is not possible.
    """
    try:
        cache.mark(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        for authority in certificates.authorities:
            (directory / f"{authority}.ca.pem").write_bytes(certificates.authority(authority).pem)
        for name in certificates.definitions:
            leaf: Leaf = certificates[name]
            for end, pem in (("pem", leaf.chain_pem), ("key", leaf.key_pem)):
                file = directory / f"{name.replace('/', '-')}.{end}"
                file.unlink(missing_ok=True)
                with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
                    opened.write(pem)
    except OSError as error:
        raise BadOutput(f"{directory} could not be written: {error.strerror}.") from error
    return as_typed_here(directory)


def _print(scenario: Scenario, documents: list[Document], bed: Testbed, files: Path) -> None:
    """Print what is in force, a fact a line, and how to ask it."""
    facts = [("in force", scenario.name), *_servers(documents, bed), ("files", f"{files} (until `meshproof remove`)")]
    for label, fact in facts:
        report.print(f"{label:<9}  {fact}", markup=False, soft_wrap=True)


def _servers(documents: list[Document], bed: Testbed) -> Iterator[tuple[str, str]]:
    """Give the hosts that the gateway serves, and a command that asks the first one of TLS."""
    hosts = sorted(Footprint.of(documents).hosts)
    for port, host in hosts:
        yield "gateway", f"{host} at port {port} is {bed.gateway[port]}"
    for port, host in hosts:
        if port != _HTTP:
            yield "scan it", f"{program('meshproof')} scan {'' if '*' in host else f'{host}@'}{bed.gateway[port]}"
