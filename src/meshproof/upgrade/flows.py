"""The traffic that an upgrade may not disturb: each kind of it, and the control, which does not cross the mesh.

The names of hosts, namespaces and applications are those of ``world.yaml``.
"""

from __future__ import annotations

from enum import Enum

from meshproof.certificates.leaf import Leaf
from meshproof.cluster.kube import Kube
from meshproof.mesh import Workload
from meshproof.tls import Address
from meshproof.traffic import Connections, Flow
from meshproof.upgrade.rates import USUAL, Rates

NAMESPACE, PLAIN = "meshproof-upgrade", "meshproof-upgrade-plain"
"""Where pods have sidecars, and where they have none."""
DOMAIN = "meshproof-upgrade.example"
TIMEOUT = 5.0
"""Seconds after which a request is lost."""
_CONTROLS = 20.0, 10.0
"""Requests a second of the control, on kept connections and on new ones; they cost little, and are never fewer."""
_NO_DNS = Address("192.0.2.1", 80)  # RFC 5737: a name outside of the mesh needs no address; sidecars go by the name
_PORT = 8080


class Client(Enum):
    """Whose sidecar sends from pod to pod.

    The old one is not replaced before the last state, nor the new one after it has begun to send.
    """

    OLD = "old"
    NEW = "new"

    @property
    def app(self) -> str:
        """The Deployment that sends."""
        return {Client.OLD: "sender-last", Client.NEW: "sender-first"}[self]

    @property
    def server(self) -> str:
        """The Deployment that answers: the sidecars of an old client's server go over while it sends."""
        return {Client.OLD: "server-first", Client.NEW: "server-last"}[self]


GATEWAY, KEPT, HTTP_2, STREAM, MUTUAL, NEWEST, PASSTHROUGH = (
    "gateway, new connections",
    "gateway, HTTP/1.1 keep-alive",
    "gateway, HTTP/2",
    "gateway, long stream",
    "gateway, MUTUAL",
    "gateway, minimum TLS 1.3",
    "gateway, PASSTHROUGH",
)
SIDECARS = {client: f"sidecar to sidecar, {client.value} client" for client in Client}
"""The names of flows that are also controls of fail-open probes."""
_EGRESS = {client: f"egress, {client.value} client" for client in Client}
NAMES = (
    *(GATEWAY, KEPT, HTTP_2, STREAM, MUTUAL, NEWEST, PASSTHROUGH),
    *(name[client] for client in Client for name in (SIDECARS, _EGRESS)),
)
"""The names of all flows that are to be answered by the mesh."""

ODD_HEADERS = {
    "gateway, an unknown host": {"Host": f"nobody.{DOMAIN}"},
    "gateway, headers of a proxy": {
        "X-Forwarded-Client-Cert": f"By=spiffe://{DOMAIN}/server;URI=spiffe://{DOMAIN}/client",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "http",
        "X-Envoy-Decorator-Operation": "of a client",
    },
}
"""What a request can have that the gateway answers itself, or that it takes away before it passes the request on."""


def through_the_gateway(address: Address, trust: bytes, allowed: Leaf, rates: Rates = USUAL) -> list[Flow]:
    """Return the flows that come to the gateway from outside, for the whole of an upgrade.

    Args:
        address: The gateway's port for HTTPS on this machine.
        trust: The authority of all servers, in PEM.
        allowed: The certificate of a client that no policy denies.
        rates: How often requests are sent.
    """

    def flow(
        name: str, host: str, connections: Connections = Connections.NEW, path: str = "/status/200", *,
        http2: bool = False, client: Leaf | None = None, status: int = 200,
    ) -> Flow:  # fmt: skip
        return Flow(
            name,
            f"https://{host}.{DOMAIN}{path}",
            address=address,
            connections=connections,
            count=rates.connections,
            http2=http2,
            rate=rates.new if connections is Connections.NEW else rates.kept,
            timeout=TIMEOUT,
            trust=trust,
            client=client,
            status=status,
        )

    stream = f"/stream?every={1000 / rates.kept:.0f}ms&for=2h"
    return [
        flow(GATEWAY, "gateway"),
        flow(KEPT, "gateway", Connections.KEPT),
        flow(HTTP_2, "gateway", Connections.KEPT, http2=True),
        flow(STREAM, "gateway", Connections.STREAM, stream, http2=True),
        flow(MUTUAL, "mutual", path="/status/418", client=allowed, status=418),
        flow(NEWEST, "newest"),
        flow(PASSTHROUGH, "passthrough"),
    ]


def between_sidecars(kube: Kube, client: Client, again: str = "", rates: Rates = USUAL) -> list[Flow]:
    """Return the flows that come from a pod with a sidecar: to another one, and by the egress gateway to the outside.

    Both clients send to the outside, so that one of them does while the other one is replaced.

    Args:
        kube: The cluster.
        client: Whose pod sends.
        again: What to add to the names where a client sends a second time, after it was replaced.
        rates: How often requests are sent.
    """
    source = Workload(kube, NAMESPACE, client.app, container="traffic")
    url = f"http://{client.server}.{NAMESPACE}.svc.cluster.local:{_PORT}/status/200"
    to_a_sidecar = Flow(
        f"{SIDECARS[client]}{again}", url, source=source, count=rates.connections, rate=rates.kept, timeout=TIMEOUT
    )
    outside = Flow(
        f"{_EGRESS[client]}{again}",
        f"http://outside.{DOMAIN}/status/200",
        source=source,
        address=_NO_DNS,
        count=rates.connections,
        rate=rates.kept,
        timeout=TIMEOUT,
    )
    return [to_a_sidecar, outside]


def controls(kube: Kube) -> list[Flow]:
    """Return the flows that cross no proxy: what they lose is no fault of the mesh."""
    source = Workload(kube, PLAIN, "sender", container="traffic")
    url = f"http://server.{PLAIN}.svc.cluster.local:{_PORT}/status/200"
    kept, new = _CONTROLS
    return [
        Flow("control, kept connections", url, source=source, rate=kept, timeout=TIMEOUT),
        Flow("control, new connections", url, source=source, connections=Connections.NEW, rate=new, timeout=TIMEOUT),
    ]
