"""The world of an upgrade: what its flows ask for is in its manifest, and at the rates that a gap is to be known to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from urllib.parse import urlsplit

import pytest
import yaml

from meshproof.certificates.tree import read
from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.mesh import Scenario, Workload, faults
from meshproof.mesh.manifests import FIRST, LAST, TURN, application_files, step_of
from meshproof.mesh.testbed import Testbed
from meshproof.project import current_project
from meshproof.tls import Address
from meshproof.traffic import Connections, Flow
from meshproof.upgrade import flows, probes
from meshproof.upgrade.evidence import whole_name
from meshproof.upgrade.rates import Rates
from meshproof.upgrade.world import MANIFEST, World
from tests.support.certificates import OURS, TRUSTED, UNKNOWN

GATEWAY = Address("127.0.0.1", 1)
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {}}]
current-context: a
"""


@pytest.fixture
def kube(tmp_path: Path) -> Kube:
    """A cluster that nobody asks for anything."""
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    return Kube(file)


@pytest.fixture
def all_flows(kube: Kube) -> list[Flow]:
    """All that is sent in an upgrade."""
    return [
        *flows.through_the_gateway(GATEWAY, OURS.pem, TRUSTED),
        *(flow for client in flows.Client for flow in flows.between_sidecars(kube, client)),
        *flows.controls(kube),
        *(probe.flow for probe in tries(kube)),
    ]


def tries(kube: Kube) -> list[probes.Probe]:
    """Return the fail-open probes."""
    return [*probes.at_the_gateway(GATEWAY, OURS.pem, TRUSTED, UNKNOWN), probes.in_plaintext(kube)]


def half(turn: str) -> set[str]:
    """Return the names of the Deployments that go over first, or last."""
    return {
        document["metadata"]["name"]
        for document in documents(closed=True).values()
        if document["metadata"].get("labels", {}).get(TURN) == turn
    }


def documents(*, closed: bool) -> dict[tuple[str, str], Document]:
    """Return the documents that are in force, by kind and name."""
    everything: list[Document] = list(yaml.safe_load_all(MANIFEST.read_text()))
    return {
        (document["kind"], document["metadata"]["name"]): document
        for step in ([None, "closed"] if closed else [None])
        for document in everything
        if step_of(document) == step
    }


def test_its_manifest_is_in_order() -> None:
    """What can be seen without a cluster is seen here: names that lead nowhere, ports that are not there."""
    project = current_project()
    faults.check(application_files(), {MANIFEST: {"closed"}}, read(project.certificates))


def hosts(*, closed: bool) -> set[str]:
    """Return the hosts that the gateways serve."""
    return {
        host
        for (kind, _), document in documents(closed=closed).items()
        if kind == "Gateway"
        for server in document["spec"]["servers"]
        for host in server["hosts"]
    }


def services() -> Iterator[str]:
    """Give the names that Services have in the cluster."""
    for document in yaml.safe_load_all(MANIFEST.read_text()):
        if document["kind"] == "Service":
            yield f"{document['metadata']['name']}.{document['metadata']['namespace']}.svc.cluster.local"


def test_each_flow_leads_somewhere(all_flows: list[Flow]) -> None:
    """All are let in at first; then the one name is unknown that a probe asks for."""
    asked = {str(urlsplit(flow.url).hostname) for flow in all_flows}
    assert asked <= {*hosts(closed=False), *services()}
    assert asked - {*hosts(closed=True), *services()} == {f"unknown.{flows.DOMAIN}"}


def test_who_sends_is_there(all_flows: list[Flow]) -> None:
    """Each source is a Deployment of its namespace, with the container that sends, which waits."""
    there = documents(closed=True)
    for flow in all_flows:
        if isinstance(flow.source, Workload):
            deployment = there["Deployment", flow.source.app]
            assert deployment["metadata"]["namespace"] == flow.source.namespace
            (container,) = deployment["spec"]["template"]["spec"]["containers"]
            assert (container["name"], container["args"]) == (flow.source.container, ["wait"])


def test_each_deployment_with_a_sidecar_is_in_one_half() -> None:
    """Each sidecar goes over, once."""
    meshed = [
        name
        for (kind, name), document in documents(closed=True).items()
        if kind == "Deployment" and document["metadata"]["namespace"] == flows.NAMESPACE
    ]
    assert sorted(meshed) == sorted([*half(FIRST), *half(LAST)])


def test_who_sends_is_in_the_other_half_than_who_answers() -> None:
    """So an old client speaks to a new server once the first half has gone over, and a new client to an old server."""
    assert {flows.Client.OLD.app, flows.Client.NEW.server} == half(LAST)
    assert {flows.Client.NEW.app, flows.Client.OLD.server} == half(FIRST)


def test_a_gap_is_known_as_well_as_promised(all_flows: list[Flow]) -> None:
    """20 ms on kept connections and 100 ms on new ones; what must be refused is tried at least 12 times a second."""
    assert len({flow.name for flow in all_flows}) == len(all_flows)
    for flow in all_flows:
        if "control" not in flow.name:
            usual = 12 if "fail-open" in flow.name else 10 if flow.connections is Connections.NEW else 50
            assert flow.rate >= usual


def test_a_slow_machine_is_sent_less(kube: Kube) -> None:
    """Each flow has the rate of its kind, and a stream asks the server for it."""
    rates = Rates(kept=25, new=5, tries=10, connections=3)
    slower = [
        *flows.through_the_gateway(GATEWAY, OURS.pem, TRUSTED, rates),
        *(flow for client in flows.Client for flow in flows.between_sidecars(kube, client, "", rates)),
    ]
    assert {flow.name for flow in slower} == set(flows.NAMES)
    for flow in slower:
        assert flow.rate == (5 if flow.connections is Connections.NEW else 25)
        assert flow.count == 3
        assert ("every=40ms" in flow.url) is (flow.connections is Connections.STREAM)


def test_what_is_sent_from_now_on_has_the_rates_that_the_machine_can_bear(kube: Kube) -> None:
    """All but the control, also where a client sends a second time."""
    testbed = SimpleNamespace(
        certificates=SimpleNamespace(authority=lambda _: OURS), straight=lambda _: GATEWAY, kube=kube
    )
    world = World(cast("Scenario", None), cast("Testbed", testbed))
    world.rates = Rates(kept=25, new=5, tries=7, connections=3)
    assert {flow.rate for flow in world.flows()} == {25, 5}
    for client in flows.Client:
        assert {flow.rate for flow in world.between_sidecars(client, ", part 2")} == {25}
    assert {flow.rate for flow in world.tries()} == {7}
    assert [flow.name for flow in world.tries()] == [probe.flow.name for probe in world.probes]
    assert [flow.rate for flow in world.controls()] == [flow.rate for flow in flows.controls(kube)]


def test_each_probe_has_a_control_on_its_path(kube: Kube, all_flows: list[Flow]) -> None:
    """The control asks the same host in another way, or a host that is known, and is to be let in."""
    by_name = {flow.name: flow for flow in all_flows}
    for probe in tries(kube):
        for name in probe.controls:
            control = by_name[name]
            assert control.name not in {other.flow.name for other in tries(kube)}
            assert control.connections is probe.flow.connections or probe.flow.url.startswith("http:")


def test_the_plan_names_all_that_is_sent(kube: Kube, all_flows: list[Flow]) -> None:
    """Without a cluster there are only the names: they are those of the flows and probes."""
    controls = {flow.name for flow in flows.controls(kube)}
    names = {whole_name(flow.name) for flow in all_flows} - controls - {probe.flow.name for probe in tries(kube)}
    assert names == set(flows.NAMES)
    assert [probe.name for probe in tries(kube)] == list(probes.NAMES)
