"""The inquiry: configuration and traffic put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import add

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import OF_KUBERNETES, Document
from meshproof.errors import NotThere
from meshproof.input_files import nearest
from meshproof.mesh import istio
from meshproof.mesh.readiness.answer import Evidence, Note, Readiness, Server, Verdict
from meshproof.mesh.readiness.callers import Callers
from meshproof.mesh.readiness.capture import Capture
from meshproof.mesh.readiness.clients import plain_of
from meshproof.mesh.readiness.counters import ConnectionCounts, PlaintextRequest, connections
from meshproof.mesh.readiness.exposure import Exposure, exposure_of
from meshproof.mesh.readiness.modes import spec_of, strict
from meshproof.mesh.readiness.pods import (
    Owner,
    full_name,
    has_proxy_alone,
    has_sidecar,
    is_in_ambient,
    is_running,
    owners_of,
)
from meshproof.mesh.readiness.questions import Answer, ask, requests_of
from meshproof.mesh.readiness.verdicts import conclude
from meshproof.mesh.readiness.world import KINDS_NEEDED, World


def readiness_of(kube: Kube, namespaces: Sequence[str] = (), accepted: Sequence[str] = ()) -> Readiness:
    """Tell who would lose connectivity if STRICT were switched on now; nothing is changed.

    Args:
        kube: The cluster.
        namespaces: Where STRICT would be switched on; none is the whole mesh, and so is that of istiod.
        accepted: The clients that may be refused, as NAMESPACE/WORKLOAD.

    Raises:
        NotThere: There is no such namespace, or no such workload.
        ClusterError: The API did not answer.
    """
    return answer_for(kube, World(kube.labelled("", KINDS_NEEDED)), namespaces, accepted)


def answer_for(kube: Kube, world: World, namespaces: Sequence[str] = (), accepted: Sequence[str] = ()) -> Readiness:
    """Answer for the objects of a cluster; its API is asked for what the proxies of running pods know.

    Raises:
        NotThere: As ``readiness_of`` does.
    """
    for namespace in namespaces:
        if namespace not in world.namespaces:
            raise NotThere(f"There is no namespace {namespace}: {nearest(namespace, world.namespaces)}.")
    for name in accepted:
        if name not in world.workloads:
            raise NotThere(
                f"There is no workload {name} (NAMESPACE/WORKLOAD) that has pods: {nearest(name, world.workloads)}."
            )
    return _Inquiry(kube, world, namespaces, accepted).answer()


class _Inquiry:
    """One answer in the making."""

    def __init__(self, kube: Kube, world: World, namespaces: Sequence[str], accepted: Sequence[str]) -> None:
        self._kube = kube
        self._world = world
        self._namespaces = namespaces
        self._accepted = sorted(set(accepted))
        self._callers = Callers(world)
        self._unknown: list[Note] = []

    def answer(self) -> Readiness:
        """Return it."""
        exposures = self._exposures()
        affected = [exposure for exposure in exposures if exposure.begins_to_refuse]
        running = [pod for exposure in affected for pod in exposure.server.pods if is_running(pod)]
        counts = self._ask(running, connections)
        servers = [exposure for exposure in affected if exposure.ports or _was_called(exposure, counts)]
        if servers:
            self._find_callers(servers)
        plaintext = {full_name(pod): count.plaintext if (count := counts.get(full_name(pod))) else 0 for pod in running}
        requests = self._ask(
            [
                pod
                for exposure in servers
                for pod in exposure.server.pods
                if not exposure.takes_no_mutual_tls and is_running(pod)
                if plaintext[full_name(pod)] or counts.get(full_name(pod)) is None
            ],
            lambda kube, pod: requests_of(kube, pod, plaintext[full_name(pod)]),
        )
        judged = [self._judge(exposure, counts, requests) for exposure in servers]
        clients = self._callers.all()
        refused = {client.name for client in clients}
        return Readiness(
            self._namespaces,
            [client for client in clients if client.name not in self._accepted],
            judged,
            _notes_on_open_ports(exposures),
            [str(exposure.server) for exposure in exposures if exposure.strict and not exposure.ports],
            list(dict.fromkeys(self._unknown)),  # a proxy that does not answer is asked twice
            [client for client in clients if client.name in self._accepted],
            [name for name in self._accepted if name not in refused],
            self._world.applications,
        )

    def _exposures(self) -> list[Exposure]:
        """Return what STRICT changes at each server where it would be switched on."""
        switched_on = strict(self._namespaces)
        places = {policy["metadata"]["namespace"] for policy in switched_on}
        policies = [policy for policy in self._world.policies if not _is_replaced(policy, places)] + switched_on
        return [
            exposure_of(owner, self._world, policies)
            for owner in owners_of(pod for pod in self._world.pods if not has_proxy_alone(pod))
            if istio.NAMESPACE in places or owner.namespace in places
            if not _is_of_the_cluster(owner.namespace) or any(map(has_sidecar, owner.pods))
        ]

    def _find_callers(self, servers: Sequence[Exposure]) -> None:
        """Find who would be refused, by configuration."""
        pods = [pod for pod in self._world.pods if not has_proxy_alone(pod)]
        owners = [owner for owner in owners_of(pods) if not _is_of_the_cluster(owner.namespace)]
        self._callers.add_those_without_sidecar(owners)
        self._add_cron_jobs(owners)
        for pod in pods:
            if has_sidecar(pod) and Capture.of(pod) is None:
                self._note(pod, "How its traffic is led to its proxy is not known (no istio-init).")
            elif is_in_ambient(pod) and not has_sidecar(pod):
                self._note(pod, "A ztunnel carries its traffic, and what that does is not looked at.")
        clients = [pod for pod in self._world.pods if has_sidecar(pod) or has_proxy_alone(pod)]
        for pod in clients:
            if not is_running(pod):
                self._note(pod, "It does not run yet, so its proxy cannot be asked what it would send.")
        plain = self._ask([pod for pod in clients if is_running(pod)], plain_of)
        self._callers.add_those_with_proxy(clients, plain, servers)

    def _add_cron_jobs(self, owners: Iterable[Owner]) -> None:
        """Look at the CronJobs that have no pod now: their next ones may be refused."""
        with_pods = {str(owner) for owner in owners if owner.kind == "CronJob"}
        for cron_job in self._world.cron_jobs:
            is_asleep = full_name(cron_job) not in with_pods
            in_system = _is_of_the_cluster(cron_job["metadata"]["namespace"])
            if is_asleep and not in_system and not self._callers.add_cron_job(cron_job):
                self._note(cron_job, "This CronJob has no pod now: what its next one would send is not known.")

    def _judge(
        self,
        exposure: Exposure,
        counts: Mapping[str, ConnectionCounts | None],
        logs: Mapping[str, Sequence[PlaintextRequest]],
    ) -> Server:
        """Return what is known of a server, and note which clients its proxies have seen."""
        name = str(exposure.server)
        server = Server(name, exposure.server.pod_names, sorted(exposure.ports))
        running = [full_name(pod) for pod in exposure.server.pods if is_running(pod)]
        answered = [counts[pod] for pod in running if pod in counts]
        known = [count for count in answered if count is not None]
        if known and len(known) == len(running):
            server.connections = reduce(add, known)
        if exposure.takes_no_mutual_tls:
            server.why = (
                "It takes no mutual TLS now (DISABLE), so its proxies cannot tell who would send it. "
                "Make it PERMISSIVE first."
            )
            return server
        by_client, of_accepted, named = dict[str, int](), dict[str, int](), 0
        for requests in (logs.get(pod, []) for pod in running):
            named += len({(request.address, request.port) for request in requests})
            for request in requests:
                if not exposure.counts(request.server_port):
                    continue
                if client := self._callers.client_of(request, name):
                    counted = of_accepted if client.name in self._accepted else by_client
                    counted[client.name] = counted.get(client.name, 0) + 1
                    client.seen[name] = client.seen.get(name, 0) + 1
                    client.evidence.add(Evidence.TRAFFIC)
                else:
                    server.gone += 1
        conclude(server, by_client, named, accepted=of_accepted, stays_open=bool(exposure.open_at_proxy))
        if server.verdict is Verdict.UNKNOWN and len(answered) == len(running) > len(known):
            server.why = "Its proxy does not count its connections: proxyStatsMatcher leaves these counters out."
        return server

    def _ask(self, pods: Sequence[Document], question: Callable[[Kube, Document], Answer]) -> dict[str, Answer]:
        answers, silent = ask(self._kube, pods, question)
        self._unknown += silent
        return answers

    def _note(self, document: Document, reason: str) -> None:
        self._unknown.append(Note(full_name(document), reason))


def _is_of_the_cluster(namespace: str) -> bool:
    return namespace in (*OF_KUBERNETES, istio.NAMESPACE)


def _is_replaced(policy: Document, places: set[str]) -> bool:
    """Return whether a PeerAuthentication of a namespace, or the mesh, makes way for STRICT."""
    labels = (spec_of(policy).get("selector") or {}).get("matchLabels")
    return not labels and policy["metadata"]["namespace"] in places


def _was_called(exposure: Exposure, counts: Mapping[str, ConnectionCounts | None]) -> bool:
    """Return whether somebody called a server without a Service in plaintext, or may have."""
    of_pods = [counts.get(full_name(pod)) for pod in exposure.server.pods if is_running(pod)]
    return any(count is None or count.plaintext for count in of_pods)


def _notes_on_open_ports(exposures: Iterable[Exposure]) -> list[Note]:
    return [
        Note(str(exposure.server), f"{reason}: port {', '.join(map(str, sorted(ports)))}.")
        for exposure in exposures
        for reason, ports in exposure.stay_open.items()
    ]
