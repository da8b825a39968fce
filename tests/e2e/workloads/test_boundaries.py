"""Boundaries: what mutual TLS of the mesh covers and what it does not, as docs/boundaries.md says."""

from __future__ import annotations

import json

import pytest

from meshproof.testing import CurlEnd, Eventually, Measured, Scenario, Testbed, Workload, between, held, peers
from tests.support.boundaries import Boundary, Came, boundaries

pytestmark = [pytest.mark.slow, pytest.mark.seed(number=3)]

GREETING = "meshproof greets"
CLIENTS = {
    "a sidecar": ("default", "client"),
    "no sidecar": ("boundaries", "bare"),
    "the network of the host": ("boundaries", "host"),
    "a sidecar that excludes other ports": ("boundaries", "excluding"),
    "a sidecar that excludes the address": ("boundaries", "excluding"),
    "a sidecar that excludes the port": ("boundaries", "excluding"),
}
TARGETS = {
    "HTTP": "http://server.boundaries:8080/",
    "HTTP, headless Service": "http://headless.boundaries:8080/",
    "no protocol": "http://server.boundaries:8081/",
    "excluded inbound port": "http://server.boundaries:8082/",
    "a pod without a sidecar": "http://bare.boundaries:8080/",
    "a pod in the network of the host": "http://host.boundaries:18080/",
    "server first, TCP": "telnet://server.boundaries:9000",
    "server first, no protocol": "telnet://server.boundaries:9001",
}
SPEAKS = TARGETS["server first, TCP"]
CONTROL = "The server speaks to nobody: the silence says nothing of the mesh."
ROWS = boundaries()


def ask(testbed: Testbed, row: Boundary) -> Came | str:
    """Send one request, or listen for a greeting; return what came, or in words what the page has no name for."""
    namespace, app = CLIENTS[row.client]
    client, url = Workload(testbed.kube, namespace, app), TARGETS[row.target]
    if url.startswith("telnet"):
        return listen(client, url)
    answer = client.curl(url)
    if answer.status == 503:
        return Came.BROKEN
    if answer.status != 200:
        return Came.RESET if answer.end is CurlEnd.RESET else str(answer)
    account = "client" if app == "client" else "default"
    identities = [peer["URI"] for peer in peers(json.loads(answer.body)["headers"])]
    own = identities == [f"spiffe://cluster.local/ns/{namespace}/sa/{account}"]
    return Came.IDENTITY if own else Came.ANSWERED


def listen(client: Workload, url: str) -> Came | str:
    """Wait half a second for the greeting of a server that speaks first: where it comes, it is there in some ms."""
    answer = client.curl(url, "--max-time", "0.5")
    if GREETING in answer.body:
        return Came.ANSWERED
    return Came.SILENCE if answer.end is CurlEnd.TIMED_OUT else str(answer.end)


def expected(testbed: Testbed, row: Boundary, came: Came) -> Came:
    """Return what the page says, which is measured with upstream Envoy.

    Istio's own Envoy has the HTTP filter `istio.alpn`: by it the sidecar of the client tells the server's that HTTP is
    inside of the mutual TLS, so that a port without a protocol is HTTP there as well. Without it that is TCP.
    Source: docs/boundaries.md; and in Istio pilot/pkg/xds/filters/filters.go (Alpn) and
    pilot/pkg/networking/core/listener_inbound.go
    """
    if (row.client, row.target) == ("a sidecar", "no protocol") and not testbed.images.mesh.upstream_envoy:
        return Came.IDENTITY
    return came


@pytest.mark.step("permissive")
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_permissive(
    row: Boundary,
    scenario: Scenario,
    testbed: Testbed,
    meshed: Workload,
    eventually: Eventually,
    measured: Measured,
) -> None:
    """Where the server takes both, what is sent by mutual TLS has the client's identity, and the rest has none."""
    came = eventually(lambda: ask(testbed, row), lambda came: came, expected(testbed, row, row.permissive))
    measured.note([("From", row.client), ("To", row.target)], "PERMISSIVE", came)
    if came is Came.SILENCE:
        assert listen(meshed, SPEAKS) is Came.ANSWERED, CONTROL


@pytest.mark.step("strict")
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_strict(
    row: Boundary,
    scenario: Scenario,
    testbed: Testbed,
    meshed: Workload,
    eventually: Eventually,
    measured: Measured,
) -> None:
    """Where the server takes mutual TLS only, the rest is refused, but for what does not come to its sidecar."""
    expectation, came = expected(testbed, row, row.strict), list[Came | str]()

    def note() -> Came | str:
        came.append(ask(testbed, row))
        return came[-1]

    if expectation is Came.RESET:  # an end without a word
        eventually(lambda: between(lambda: meshed.curl(TARGETS["HTTP"]).status, note), str, held(200, expectation))
    else:
        eventually(note, lambda came: came, expectation)
    measured.note([("From", row.client), ("To", row.target)], "STRICT", came[-1])
    if expectation is Came.SILENCE:
        assert listen(meshed, SPEAKS) is Came.ANSWERED, CONTROL
