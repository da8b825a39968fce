"""`meshproof apply` and `remove`: scenarios on a kept cluster, to be looked at by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path

import click

from meshproof.certificates.tree import read
from meshproof.cli.options import cluster_name, cluster_to_keep
from meshproof.cli.output import program, report
from meshproof.cluster.kind import kept_cluster
from meshproof.cluster.kube import Kube
from meshproof.docker import daemon
from meshproof.errors import BadInput
from meshproof.input_files import nearest
from meshproof.machine.wait import Patience
from meshproof.mesh import Scenario, Testbed, faults
from meshproof.mesh.footprint import Footprint
from meshproof.mesh.manifests import application_files
from meshproof.mesh.scenario import clear, name_of_scenario, write_certificates
from meshproof.mesh.testbed import brought_up
from meshproof.project import as_typed_here, current_project
from meshproof.settings import TIMEOUTS, Settings, cache_directory

_HTTP = 80  # the port that speaks no TLS


@click.command("apply")
@click.argument("scenarios", nargs=-1, required=True)
@click.option("--step", "steps", metavar="STEP", multiple=True, help="A step to have in force as well; several may be.")
@cluster_to_keep
def apply(*, scenarios: tuple[str, ...], steps: tuple[str, ...], settings: Settings) -> None:
    """Have scenarios in force on the kept cluster, in place of those that were, and show how to reach them.

    SCENARIOS are the ways to their manifests, such as gateway/mutual_tls, or the names alone. Several may touch nothing
    in common. Where no cluster was kept one is brought up.
    """
    manifests = list(dict.fromkeys(map(_manifest, scenarios)))
    faults.check(application_files(), dict.fromkeys(manifests), read(current_project().certificates))
    with brought_up(settings) as bed, ExitStack() as undoing:
        patience = Patience(TIMEOUTS.in_vain)
        clear(bed.cluster, bed.kube, patience)
        ours = [Scenario(manifest, bed, patience) for manifest in manifests]
        steps_of = _steps_of(ours, steps)
        _look_at(ours, steps_of)
        files = write_certificates(bed.certificates, bed.cluster)
        for scenario in ours:
            undoing.callback(scenario.remove)
            scenario.begin(*steps_of[scenario.name])
        undoing.pop_all()
        for scenario in ours:
            _print(scenario, Footprint.of(scenario.documents(*steps_of[scenario.name])), bed)
        report.print(f"files      {files} (until `meshproof remove`)", markup=False, soft_wrap=True)


@click.command("remove")
@cluster_name
def remove(*, name: str) -> None:
    """Remove the scenarios that `apply` has put in force."""
    directory = cache_directory()
    with daemon(directory) as docker, kept_cluster(name, directory, docker) as cluster:
        if not clear(cluster, Kube(cluster.kubeconfig_path), Patience(TIMEOUTS.in_vain)):
            report.print(f"Nothing is in force on {name}.", markup=False, soft_wrap=True)


def _manifest(scenario: str) -> Path:
    """Return the manifest that a scenario's name means.

    Raises:
        BadInput: There is none, or several.
    """
    manifests = {name_of_scenario(file): file for file in sorted(current_project().scenarios.rglob("*.yaml"))}
    meant = [scenario] if scenario in manifests else [name for name in manifests if scenario == Path(name).name]
    if len(meant) > 1:
        raise BadInput(f"{scenario} can be {' or '.join(meant)}: name its area, too.")
    if not meant:
        where = as_typed_here(current_project().scenarios)
        raise BadInput(f"There is no scenario {scenario} in {where}: {nearest(scenario, manifests)}.")
    return manifests[meant[0]]


def _steps_of(scenarios: Sequence[Scenario], steps: Sequence[str]) -> dict[str, list[str]]:
    """Return which of some steps each scenario has, by its name.

    Raises:
        BadInput: No scenario has one of them.
    """
    there = {step for scenario in scenarios for step in scenario.steps}
    for step in steps:
        if step not in there:
            names = ", ".join(scenario.name for scenario in scenarios)
            raise BadInput(f"There is no step {step} in {names}: {nearest(step, there)}.")
    return {scenario.name: [step for step in steps if step in scenario.steps] for scenario in scenarios}


def _look_at(scenarios: Sequence[Scenario], steps: dict[str, list[str]]) -> None:
    """Look whether scenarios can be in force at the same time.

    Raises:
        BadInput: Two touch the same.
    """
    touched = {scenario.name: Footprint.of(scenario.documents(*steps[scenario.name])) for scenario in scenarios}
    for one, other in combinations(touched, 2):
        if shared := touched[one].meets(touched[other]):
            raise BadInput(f"{one} and {other} can't be in force together, for both have {shared}. Apply one of them.")


def _print(scenario: Scenario, touched: Footprint, bed: Testbed) -> None:
    """Print what is in force, a fact a line, and how to ask it."""
    for label, fact in (("in force", scenario.name), *_servers(touched, bed)):
        report.print(f"{label:<9}  {fact}", markup=False, soft_wrap=True)


def _servers(touched: Footprint, bed: Testbed) -> Iterator[tuple[str, str]]:
    """Give the hosts that the gateway serves, and for each that speaks TLS a command that scans it."""
    hosts = sorted((port, host) for port, host in touched.hosts if port in bed.gateway)
    for port, host in hosts:
        yield "gateway", f"{host} at port {port} is {bed.gateway[port]}"
    for port, host in hosts:
        if port != _HTTP:
            yield "scan it", f"{program('meshproof')} scan {'' if '*' in host else f'{host}@'}{bed.gateway[port]}"
