"""What the proxies have seen: connections with mutual TLS and without, and who made the latter.

A sidecar counts the connections of each of its HTTP filter chains, and of these the ones with TLS; of the others it
counts only those of the whole listener, and the handshakes. `tls_inspector` does not tell: it counts for all listeners
together. Probes of the kubelet go to pilot-agent, and are in none of these.

Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/stats and
https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/stats
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.access_log import objects_in

_STATS = (
    "stats?filter=^(http[.][iI]nbound.*[.]downstream_cx_(ssl_)?(total|active)"
    "|listener[.].*_15006[.](downstream_cx_total|ssl[.](handshake|connection_error)))$"
)
_OF_HTTP = re.compile(r"http\..*\.downstream_cx_((?:ssl_)?(?:total|active))")
_OF_LISTENER = re.compile(r"listener\..*_15006\.(downstream_cx_total|ssl\.handshake|ssl\.connection_error)")


@dataclass(frozen=True, slots=True)
class ConnectionCounts:
    """The connections that a sidecar was asked for from outside of its pod since it began.

    Attributes:
        mutual_tls: How many completed a handshake, each with a certificate of the mesh.
        plaintext: How many were let in without mutual TLS; TLS that is the application's own is none.
        open_plaintext: How many of the HTTP ones among these are open now.
    """

    mutual_tls: int
    plaintext: int
    open_plaintext: int

    def __add__(self, other: ConnectionCounts) -> ConnectionCounts:
        return ConnectionCounts(
            self.mutual_tls + other.mutual_tls,
            self.plaintext + other.plaintext,
            self.open_plaintext + other.open_plaintext,
        )

    def __sub__(self, other: ConnectionCounts) -> ConnectionCounts:
        return ConnectionCounts(
            self.mutual_tls - other.mutual_tls,
            self.plaintext - other.plaintext,
            self.open_plaintext - other.open_plaintext,
        )


@dataclass(frozen=True, slots=True)
class PlaintextRequest:
    """A request without mutual TLS, as a sidecar's access log has it; of TCP a connection is one.

    Attributes:
        address: Where it came from.
        port: The port there: requests with the same one came on one connection.
        began: When, as Kubernetes writes times.
        server_port: The port of the server's pod; None if the log does not say it.
    """

    address: str
    port: int
    began: str
    server_port: int | None = None


def connections(kube: Kube, pod: Document) -> ConnectionCounts | None:
    """Ask the sidecar of a pod; None if it does not count them (``proxyStatsMatcher`` leaves it out).

    Raises:
        ClusterError: It did not answer.
    """
    metadata = pod["metadata"]
    return read_counters(istio.pod_request(kube, metadata["namespace"], metadata["name"], _STATS))


def read_counters(page: str) -> ConnectionCounts | None:
    """Read Envoy's page of counters; see ``connections``."""
    http, listener = Counter[str](), Counter[str]()
    for line in page.splitlines():
        name, _, value = line.rpartition(": ")
        if of_http := _OF_HTTP.fullmatch(name):
            http[of_http[1]] += int(value)
        elif of_listener := _OF_LISTENER.fullmatch(name):
            listener[of_listener[1]] += int(value)
    if "downstream_cx_total" not in listener:
        return None
    handshakes = listener["ssl.handshake"]
    others = listener["downstream_cx_total"] - http["total"]
    others_with_tls = max(handshakes + listener["ssl.connection_error"] - http["ssl_total"], 0)
    plaintext = http["total"] - http["ssl_total"] + max(others - others_with_tls, 0)
    return ConnectionCounts(handshakes, plaintext, max(http["active"] - http["ssl_active"], 0))


def plaintext_requests(kube: Kube, pod: Document) -> list[PlaintextRequest]:
    """Return what the access log of a pod's sidecar has of requests that came in without mutual TLS.

    Raises:
        ClusterError: It has no log.
    """
    metadata = pod["metadata"]
    log = kube.pods.log(metadata["namespace"], metadata["name"], istio.PROXY, lines=None)
    return list(read_log(log.splitlines()))


def read_log(lines: Iterable[str]) -> Iterator[PlaintextRequest]:
    """Read an access log in JSON with Istio's own fields; other lines are left out.

    So are requests with X-Forwarded-For: of these Envoy writes the address that the header names, which the client may
    have made up. Whose connections they came on is then in no log.

    Source: https://istio.io/latest/docs/tasks/observability/logs/access-log/ and
    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-for
    """
    for entry in objects_in(lines):
        inbound = str(entry.get("upstream_cluster") or "").lower().startswith("inbound")
        if not inbound or entry.get("requested_server_name") or entry.get("x_forwarded_for"):
            continue  # mutual TLS of the mesh always asks for a name
        if client := _endpoint(entry.get("downstream_remote_address")):
            server = _endpoint(entry.get("downstream_local_address"))
            yield PlaintextRequest(*client, str(entry.get("start_time", "")), server[1] if server else None)


def _endpoint(text: object) -> tuple[str, int] | None:
    """Return an address and a port, such as of ``10.0.0.7:80`` or ``[fd00::7]:80``; None if it is something else."""
    address, _, port = str(text).rpartition(":")
    try:
        return str(ip_address(address.strip("[]"))), int(port)
    except ValueError:
        return None
