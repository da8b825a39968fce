"""What is seen of the mesh in one state of an upgrade, as facts: each has a stable name and a text.

listeners      the posture of each TLS listener of the ingress gateway
proxies        what one proxy of each Deployment has loaded, and who it is
configuration  what one has loaded, without what differs between two that do the same
fields         which fields of two configurations differ
secrecy        how a secret stands in a fact
names          how the names of facts begin
control_plane  the release of each istiod, webhooks, and versions of kinds
answers        what both ends see of requests through the mesh
refusals       how often istiod and the proxies have refused a configuration
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

from meshproof.cluster.objects import Document
from meshproof.errors import MeshproofError
from meshproof.mesh import Testbed, istio
from meshproof.mesh.analysis import analyze
from meshproof.traffic import Flow
from meshproof.upgrade.evidence import UNKNOWN
from meshproof.upgrade.facts import answers, control_plane, listeners, proxies
from meshproof.upgrade.facts.configuration import with_names
from meshproof.upgrade.facts.fields import changed_fields
from meshproof.upgrade.facts.names import (
    ANALYSIS,
    ANSWER,
    CLIENT,
    CONFIGURATION,
    IN_STEP,
    ISTIOD,
    KIND,
    KUBERNETES,
    POSTURE,
    PROXY,
    REFUSED,
    REQUEST,
    WEBHOOK,
)
from meshproof.upgrade.facts.refusals import Refusals, count_refusals, since
from meshproof.upgrade.facts.secrecy import digest

__all__ = [
    "ANSWER",
    "CLIENT",
    "CONFIGURATION",
    "ISTIOD",
    "KUBERNETES",
    "POSTURE",
    "PROXY",
    "REFUSED",
    "REQUEST",
    "WEBHOOK",
    "changed_fields",
    "count_refusals",
    "digest",
    "take",
]

_SERVICES = {"Service": ("v1",)}
_AT_ONCE = 2
"""How many parts are looked at side by side: all of them at once would keep the traffic waiting."""


def take(
    testbed: Testbed,
    hosts: Collection[str],
    istioctl: Path,
    counted: Refusals = MappingProxyType({}),
    ways: Sequence[Sequence[Flow]] = (),
) -> dict[str, str]:
    """Look at the mesh as it is now.

    A fact that could not be found out has a value that begins with ``unknown``. The facts whose names begin with
    ``configuration of`` have JSON as their values, some 100 kB for each proxy; all others are short.

    Args:
        testbed: The mesh.
        hosts: Server names that stand for the wildcards of Gateways that they fit; names that Gateways have are scanned
            anyway.
        istioctl: The program that analyzes the cluster; the same one in all states, so that they can be compared.
        counted: What ``count_refusals`` gave when the steps to this state began: what is refused since is told.
        ways: Flows that a few requests are sent of; those that are sent from one place together.
    """
    kube = testbed.kube

    def ask(part: Callable[[], Mapping[str, str]], names: Collection[str]) -> Mapping[str, str]:
        try:
            return part()
        except MeshproofError as error:
            return {name.strip(): f"{UNKNOWN}{error}" for name in names}

    parts: Mapping[tuple[str, ...], Callable[[], Mapping[str, str]]] = {
        (ANALYSIS,): lambda: _analysis(istioctl, testbed.cluster.kubeconfig_path, kube.labelled("", proxies.PODS)),
        (POSTURE,): lambda: listeners.postures(
            listeners.server_names(
                kube.labelled("", listeners.GATEWAYS), hosts, listeners.labels_of(kube.labelled("", proxies.PODS))
            ),
            testbed.gateway,
        ),
        (PROXY, CONFIGURATION): lambda: proxies.of_proxies(
            kube, _addresses(kube.labelled("", proxies.PODS), kube.labelled("", _SERVICES))
        ),
        (REFUSED,): lambda: since(counted, count_refusals(kube)),
        (ISTIOD,): lambda: control_plane.istiods(istio.control_plane_releases(kube)),
        (WEBHOOK,): lambda: control_plane.settled_webhooks(kube),
        (ANSWER, REQUEST): lambda: answers.of_ways(ways, testbed.images.traffic),
        (KUBERNETES,): lambda: {KUBERNETES: kube.version()},
        (KIND,): lambda: control_plane.kinds(kube.labelled("", control_plane.DEFINITIONS)),
    }
    in_step = ask(lambda: proxies.settled(kube), [IN_STEP])
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        facts = [in_step, *pool.map(ask, parts.values(), parts)]
    return {name: value for part in facts for name, value in part.items()}


def _addresses(pods: Collection[Document], services: Collection[Document]) -> dict[str, str]:
    """Return the name of what has an address: of a Service, or of the workload of a pod."""
    of_services = {
        address: f"{service['metadata']['name']}.{service['metadata']['namespace']}"
        for service in services
        for address in service["spec"].get("clusterIPs", [])
    }
    of_pods = {
        address["ip"]: f"pod {proxies.workload_of(pod)}"
        for pod in pods
        if not pod["spec"].get("hostNetwork")
        for address in pod.get("status", {}).get("podIPs", [])
    }
    return {address: name for address, name in (of_pods | of_services).items() if address != "None"}


def _analysis(istioctl: Path, kubeconfig: Path, pods: Collection[Document]) -> dict[str, str]:
    """Return what istioctl finds wrong, by its code and the object; pods are called as what keeps them running."""
    workloads = {pod["metadata"]["name"]: proxies.workload_of(pod).partition("/")[2] for pod in pods}
    facts: dict[str, set[str]] = {}
    for message in analyze(istioctl, kubeconfig=kubeconfig):
        origin, text = (with_names(words, workloads) for words in (message.origin, message.text))
        name = f"{ANALYSIS}: {message.code}{f' ({origin})' if origin else ''}"
        facts.setdefault(name, set()).add(f"{message.level.value}: {text}")
    return {name: "; ".join(sorted(texts)) for name, texts in facts.items()}
