"""Boundaries: what mutual TLS of the mesh covers and what it does not, as docs/boundaries.md says."""

from __future__ import annotations

import json

import pytest

from meshproof.testing import CurlEnd, Eventually, Measured, Scenario, Testbed, Workload, between, held, peers
from tests.support.boundaries import Boundary, boundaries

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
ROWS = boundaries()


def ask(testbed: Testbed, row: Boundary) -> str:
    """Send one request, or listen for a greeting; return what came, as the page calls it."""
    namespace, app = CLIENTS[row.client]
    client, url = Workload(testbed.kube, namespace, app), TARGETS[row.target]
    if url.startswith("telnet"):
        heard = client.curl(url, "--max-time", "1")
        return "ANSWERED" if GREETING in heard.body else "SILENCE" if heard.end is CurlEnd.TIMED_OUT else str(heard.end)
    seen = client.curl(url)
    if seen.status != 200:
        return "BROKEN" if seen.status == 503 else str(seen)
    account = "client" if app == "client" else "default"
    identities = [peer["URI"] for peer in peers(json.loads(seen.body)["headers"])]
    return "IDENTITY" if identities == [f"spiffe://cluster.local/ns/{namespace}/sa/{account}"] else "ANSWERED"


def expected(testbed: Testbed, row: Boundary, word: str) -> str:
    """Return what the page says; with Istio's own Envoy a port without protocol is HTTP under mutual TLS as well."""
    istios_own = not testbed.images.mesh.upstream_envoy
    return "IDENTITY" if istios_own and str(row) == "a sidecar to no protocol" else word


@pytest.mark.step("permissive")
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_permissive(
    row: Boundary, scenario: Scenario, testbed: Testbed, eventually: Eventually, measured: Measured
) -> None:
    """Where the server takes both, what is sent by mutual TLS has the client's identity, and the rest has none."""
    seen = eventually(lambda: ask(testbed, row), str, expected(testbed, row, row.permissive))
    measured.note([("From", row.client), ("To", row.target)], "PERMISSIVE", seen)


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
    word = expected(testbed, row, row.strict)
    if word == "RESET":  # an end without a word
        eventually(
            lambda: between(lambda: meshed.curl(TARGETS["HTTP"]).status, lambda: ask(testbed, row)),
            str,
            held(200, word),
        )
    else:
        eventually(lambda: ask(testbed, row), str, word)
    measured.note([("From", row.client), ("To", row.target)], "STRICT", word)
