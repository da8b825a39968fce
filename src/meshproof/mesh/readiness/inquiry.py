"""The inquiry: configuration and traffic put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TypeVar

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import ClusterError, NotSettled, NotThere
from meshproof.input_files import nearest
from meshproof.machine.wait import until
from meshproof.mesh import istio
from meshproof.mesh.readiness.answer import Client, Evidence, Note, Readiness, Server, Verdict
from meshproof.mesh.readiness.clients import Cause, plain_of, why_without_sidecar
from meshproof.mesh.readiness.modes import STRICT, modes_of, strict
from meshproof.mesh.readiness.traffic import Connections, PlaintextRequest, connections, plaintext_requests
from meshproof.mesh.readiness.workloads import (
    OF_THE_CLUSTER,
    Capture,
    Workload,
    addresses_of,
    has_sidecar,
    is_of_istio,
    labels_of,
    ports_of,
    workloads_of,
)
from meshproof.mesh.readiness.world import WANTED, World

Told = TypeVar("Told")

ANY_SERVER = "whatever has a sidecar"
_AT_ONCE = 8  # proxies that are asked side by side
_TLS_MODE = "security.istio.io/tlsMode"
_LOG_DELAY = 2.5  # seconds; Envoy writes its access log once in a second


def readiness_of(kube: Kube, namespaces: Sequence[str] = ()) -> Readiness:
    """Tell who would lose connectivity if STRICT were switched on now; nothing is changed.

    Args:
        kube: The cluster.
        namespaces: Where STRICT would be switched on; none is the whole mesh.

    Raises:
        NotThere: There is no such namespace.
        ClusterError: The API did not answer.
    """
    objects = kube.labelled("", WANTED)
    world = World(objects)
    for namespace in namespaces:
        if namespace not in world.namespaces:
            raise NotThere(f"There is no namespace {namespace}: {nearest(namespace, world.namespaces)}.")
    return _Inquiry(kube, world, namespaces).answer()


@dataclass(frozen=True, slots=True)
class _Entrance:
    """A port of a Service that leads to a server."""

    service: Document
    port: int
    server: Workload

    def is_at(self, host: str, port: int) -> bool:
        """Return whether it is that port of that host."""
        metadata = self.service["metadata"]
        return port == self.port and host.startswith(f"{metadata['name']}.{metadata['namespace']}.svc.")

    def is_past(self, capture: Capture) -> bool:
        """Return whether a pod's traffic goes there past its proxy."""
        return any(capture.lets_out(self.port, each) for each in addresses_of(self.service, self.server.pods))

    @property
    def past(self) -> Cause:
        """The cause of that."""
        return Cause(
            f"What it sends to port {self.port} of {_name(self.service)} goes past its proxy: excludeOutboundPorts, "
            "or a list of addresses.",
            "take that out of its annotations",
        )


class _Inquiry:
    """One answer in the making."""

    def __init__(self, kube: Kube, world: World, namespaces: Sequence[str]) -> None:
        self._kube = kube
        self._world = world
        self._namespaces = namespaces
        self._after = [
            *(each for each in world.policies if not _is_replaced(each, strict(namespaces))),
            *strict(namespaces),
        ]
        self._workloads = [each for each in workloads_of(world.pods) if not is_of_istio(each.pods[0])]
        self._clients: dict[tuple[str, str], Client] = {}
        self._unknown: list[Note] = []
        self._stays_open: list[Note] = []
        self._strict_already: list[str] = []

    def answer(self) -> Readiness:
        """Return it."""
        changing = {
            str(workload): ports for workload in self._of_applications() if (ports := self._ports_that_change(workload))
        }
        servers = [each for each in self._workloads if str(each) in changing]
        pods = [pod for server in servers for pod in server.pods]
        counted = self._ask(pods, connections)
        if servers:
            self._clients_without_sidecar()
            self._clients_with_sidecar(servers)
        called = {_name(pod): count.plaintext if count else 0 for pod in pods for count in [counted.get(_name(pod))]}
        logged = self._ask(
            [pod for pod in pods if called[_name(pod)] or counted.get(_name(pod)) is None],
            lambda kube, pod: _requests(kube, pod, called[_name(pod)]),
        )
        judged = [self._judge(server, changing[str(server)], counted, logged) for server in servers]
        clients = [self._clients[key] for key in sorted(self._clients)]
        unknown = list(dict.fromkeys(self._unknown))  # a proxy that does not answer is asked twice
        return Readiness(self._namespaces, clients, judged, self._stays_open, self._strict_already, unknown)

    def _of_applications(self) -> Iterator[Workload]:
        return (each for each in self._workloads if each.namespace not in (*OF_THE_CLUSTER, istio.NAMESPACE))

    def _ports_that_change(self, workload: Workload) -> list[int]:
        """Return the ports of a server that would begin to refuse; note those that would not, and why."""
        if self._namespaces and workload.namespace not in self._namespaces:
            return []
        ports, open_ports, was_strict = set[int](), dict[str, set[int]](), set[int]()
        for pod in workload.pods:
            now, then, capture = modes_of(pod, self._world.policies), modes_of(pod, self._after), Capture.of(pod)
            if has_sidecar(pod) and capture is None:
                self._unknown.append(
                    Note(_name(pod), "How its traffic is led to its proxy is not known (no istio-init).")
                )
            for port in {port.target for service in self._world.services_of(pod) for port in ports_of(service, pod)}:
                if not has_sidecar(pod):
                    reason = "It has no sidecar, so it takes plaintext"
                elif capture and capture.lets_in(port):
                    reason = "What comes in goes past its proxy (excludeInboundPorts)"
                elif then.at(port) != STRICT:
                    by = "portLevelMtls" if port in then.ports else then.said_by
                    reason = f"It stays {then.at(port)} ({by})"
                else:
                    (was_strict if now.at(port) == STRICT else ports).add(port)
                    continue
                open_ports.setdefault(reason, set()).add(port)
        for reason, at in open_ports.items():
            self._stays_open.append(Note(str(workload), f"{reason}: port {_listed(at)}."))
        if was_strict and not ports:
            self._strict_already.append(str(workload))
        return sorted(ports)

    def _clients_without_sidecar(self) -> None:
        for workload in self._of_applications():
            for pod in workload.pods:
                if not has_sidecar(pod):
                    namespace = self._world.namespaces[workload.namespace]
                    cause = why_without_sidecar(pod, namespace, workload.restart)
                    self._refused(workload, pod, cause, [ANY_SERVER])

    def _clients_with_sidecar(self, servers: Sequence[Workload]) -> None:
        """Find who has a sidecar and sends plaintext: as its proxy is told, past it, or for want of a label."""
        entrances = [
            _Entrance(service, port.number, server)
            for server in servers
            for service in self._world.services_of(server.pods[0])
            for port in ports_of(service, server.pods[0])
        ]
        clients = [pod for pod in self._world.pods if has_sidecar(pod) or _is_gateway(pod)]
        told = self._ask(clients, plain_of)
        for workload in workloads_of(clients):
            for pod in workload.pods:
                causes = [
                    (entrance, plain.cause)
                    for plain in told.get(_name(pod), [])
                    for entrance in entrances
                    if entrance.is_at(plain.host, plain.port)
                ]
                capture = Capture.of(pod)
                causes += [(entrance, entrance.past) for entrance in entrances if capture and entrance.is_past(capture)]
                for server in servers:
                    if any(labels_of(each).get(_TLS_MODE) != "istio" for each in server.pods):
                        reason = f"{server} has pods without the label {_TLS_MODE}=istio, so proxies send it plaintext."
                        cause = Cause(reason, "take that label out of its template: injection then sets it")
                        causes.append((_Entrance({}, 0, server), cause))
                for entrance, cause in causes:
                    self._refused(workload, pod, cause, [str(entrance.server)])

    def _refused(self, workload: Workload, pod: Document, cause: Cause, by: Sequence[str]) -> Client:
        """Note that a pod would be refused, by configuration."""
        client = self._clients.setdefault(
            (str(workload), cause.reason), Client(str(workload), [], [], cause, {Evidence.CONFIGURATION})
        )
        client.pods = sorted({*client.pods, pod["metadata"]["name"]})
        client.refused_by = sorted({*client.refused_by, *by})
        return client

    def _judge(
        self,
        workload: Workload,
        ports: Sequence[int],
        counted: Mapping[str, Connections | None],
        logged: Mapping[str, Sequence[PlaintextRequest]],
    ) -> Server:
        """Return what is known of a server, and note which clients its proxies have seen."""
        server = Server(str(workload), workload.names, ports)
        proxies = [counted[_name(pod)] for pod in workload.pods if _name(pod) in counted]
        known = [each for each in proxies if each is not None]
        seen, named = dict[str, int](), 0
        for requests in (logged.get(_name(pod), []) for pod in workload.pods):
            named += len({(request.address, request.port) for request in requests})
            for request in requests:
                if client := self._sender(request, str(workload)):
                    seen[client.name] = seen.get(client.name, 0) + 1
                    client.seen[str(workload)] = client.seen.get(str(workload), 0) + 1
                    client.evidence.add(Evidence.TRAFFIC)
                else:
                    server.gone += 1
        if len(known) == len(workload.pods):
            server.connections = reduce(add, known)
        _conclude(server, seen, named)
        if server.verdict is Verdict.UNKNOWN and len(proxies) == len(workload.pods) > len(known):
            server.why = "Its proxy does not count its connections: proxyStatsMatcher leaves these counters out."
        return server

    def _sender(self, request: PlaintextRequest, server: str) -> Client | None:
        """Return who sent a request; None if it is gone."""
        if pod := self._world.pod_at(request):
            return self._sender_in(pod, server)
        address = request.address
        if self._world.is_node(address):
            on_node = {_name(pod) for pod in self._world.pods if pod["spec"].get("hostNetwork")}
            for client in self._clients.values():
                if on_node & {f"{client.name.partition('/')[0]}/{pod}" for pod in client.pods}:
                    return client
            reason = "The address is a node's: of pods on its network, or of what comes in through a NodePort."
        elif self._world.is_of_pods(address):
            return None
        else:
            reason = "The address is outside of the cluster."
        cause = Cause(reason, "find out who calls from there; from outside the way in is a gateway")
        client = self._clients.setdefault(
            (f"address {address}", reason), Client(f"address {address}", [], [], cause, set())
        )
        client.refused_by = sorted({*client.refused_by, server})
        return client

    def _sender_in(self, pod: Document, server: str) -> Client:
        """Return the client that a pod is, for a server that it has sent plaintext to."""
        (workload,) = workloads_of([pod])
        for client in self._clients.values():
            if client.name == str(workload) and pod["metadata"]["name"] in client.pods:  # noqa: SIM102 - two questions
                if {server, ANY_SERVER} & {*client.refused_by}:
                    return client
        cause = Cause(
            "It has a sidecar, and sent plaintext all the same: to an address of which its proxy knows no Service, "
            "such as a pod's own, or before a change of the mesh.",
            f"have it call the Service by its name; if it does, restart {server}, whose proxies then count anew",
        )
        client = self._refused(workload, pod, cause, [server])
        client.evidence -= {Evidence.CONFIGURATION}
        return client

    def _ask(self, pods: Sequence[Document], question: Callable[[Kube, Document], Told]) -> dict[str, Told]:
        """Ask the proxies of some pods, side by side; note which did not answer."""

        def ask(pod: Document) -> Told | ClusterError:
            try:
                return question(self._kube, pod)
            except ClusterError as error:
                return error

        answers = dict[str, Told]()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for pod, told in zip(pods, pool.map(ask, pods), strict=True):
                if isinstance(told, ClusterError):
                    self._unknown.append(Note(_name(pod), f"Its proxy could not be asked: {told}"))
                else:
                    answers[_name(pod)] = told
        return answers


def _requests(kube: Kube, pod: Document, plaintext: int) -> list[PlaintextRequest]:
    """Return the requests without mutual TLS in the log of a pod, once they are of so many connections.

    Raises:
        ClusterError: It has no log.
    """
    requests: list[PlaintextRequest] = []

    def observe() -> int:
        requests[:] = plaintext_requests(kube, pod)
        return len({(request.address, request.port) for request in requests})

    with suppress(NotSettled):  # those that the log does not have are counted
        until(
            observe, f"{plaintext} or more", lambda count: count >= plaintext,
            what=f"The connections in the log of {_name(pod)}", timeout=_LOG_DELAY, interval=0.5,
        )  # fmt: skip
    return requests


def _conclude(server: Server, seen: Mapping[str, int], named: int) -> None:
    """Give a server its verdict.

    Args:
        server: The server.
        seen: How many requests without mutual TLS came from whom, of those that are still there.
        named: Of how many connections the log has who made them.
    """
    counted = server.connections
    if seen:
        who = ", ".join(f"{name} ({count})" for name, count in sorted(seen.items()))
        server.verdict, server.why = Verdict.NOT_READY, f"Requests without mutual TLS came from {who}."
    elif counted is None:
        server.why = "Not every proxy of it answered."
    elif counted.open_plaintext:
        server.verdict = Verdict.NOT_READY
        server.why = f"{counted.open_plaintext} connections without mutual TLS are open; the log does not say whose."
    elif counted.plaintext > named:
        server.why = (
            f"Who made {counted.plaintext - named} of {counted.plaintext} connections without mutual TLS is in no log."
        )
    elif not counted.mutual_tls:
        server.why = "Nobody has called it with mutual TLS since its proxy began."
    else:
        server.verdict, server.why = Verdict.READY, "All that came was mutual TLS."
        if counted.plaintext:
            server.why = "What came without mutual TLS came from pods that are there no more."


def _is_replaced(policy: Document, switched: Sequence[Document]) -> bool:
    """Return whether a PeerAuthentication of a namespace, or the mesh, makes way for STRICT."""
    selector = (policy["spec"].get("selector") or {}).get("matchLabels")
    return not selector and policy["metadata"]["namespace"] in {each["metadata"]["namespace"] for each in switched}


def _is_gateway(pod: Document) -> bool:
    return is_of_istio(pod) and any(each["name"] == istio.PROXY for each in pod["spec"]["containers"])


def _name(document: Document) -> str:
    return f"{document['metadata']['namespace']}/{document['metadata']['name']}"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
