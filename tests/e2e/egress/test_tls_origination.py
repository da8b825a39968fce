"""Egress: plain HTTP of an application leaves the mesh by the egress gateway, which shows its certificate outside."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from meshproof.testing import (
    Certificates,
    CurlEnd,
    Eventually,
    ExternalServer,
    Logged,
    ProxyEnd,
    Testbed,
    Transfer,
    Workload,
    between,
    held,
    logged,
    peers,
)

pytestmark = [pytest.mark.slow, pytest.mark.seed(number=3)]

PARTNER = "partner.example"
ANYWHERE = "192.0.2.1"  # RFC 5737: what a name outside of the mesh may lead to; the sidecar goes by the name
TO_THE_GATEWAY = "outbound|443||istio-egressgateway.istio-system.svc.cluster.local"
CLIENT = "spiffe://cluster.local/ns/default/sa/client"
EGRESS_GATEWAY = "spiffe://cluster.local/ns/istio-system/sa/istio-egressgateway-service-account"
NO_CERTIFICATE = "tls: client didn't provide a certificate"


@pytest.fixture
def partner(external: Mapping[str, ExternalServer]) -> ExternalServer:
    """The server outside of the mesh."""
    return external[PARTNER]


@pytest.fixture
def insider(testbed: Testbed) -> Workload:
    """A pod without a sidecar that has a certificate of its own."""
    return Workload(testbed.kube, "legacy", "insider")


def send(client: Workload, host: str) -> tuple[str, Transfer]:
    """Send plain HTTP to a host outside; return the path, which no other request has, and what came of it."""
    path = f"/{uuid.uuid4()}"
    return path, client.curl(f"http://{host}{path}", "--resolve", f"{host}:80:{ANYWHERE}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that was sent to the server outside.

    Attributes:
        transfer: What came of it.
        refusals: Why the server refused handshakes meanwhile.
    """

    transfer: Transfer
    refusals: list[str]


def try_outside(server: ExternalServer, send: Callable[[], Transfer]) -> Attempt:
    """Send something, and look what the server says of it."""
    before = len(server.refusals())
    transfer = send()
    return Attempt(transfer, server.refusals()[before:])


def line_of(testbed: Testbed, namespace: str, app: str, path: str) -> Logged | None:
    """Return what a proxy has written of a request."""
    return next((line for line in logged(testbed.kube, namespace, app) if line.fields["path"] == path), None)


def test_the_server_sees_the_gateway(
    meshed: Workload, partner: ExternalServer, certificates: Certificates, eventually: Eventually
) -> None:
    """The server outside of the mesh is spoken to by TLS, with its name, and shown the egress gateway's certificate."""
    path, _ = eventually(lambda: send(meshed, PARTNER), lambda sent: sent[1].status, 200)
    (request,) = partner.requests(path)
    assert (request["tls"]["version"], request["tls"]["server_name"]) == ("TLSv1.3", PARTNER)
    assert request["tls"]["peer"]["serial"] == str(certificates["egress"].serial)


def test_the_application_sends_plain_http(
    meshed: Workload, partner: ExternalServer, testbed: Testbed, eventually: Eventually
) -> None:
    """The sidecar is given HTTP without TLS, and sends it to the egress gateway by mutual TLS of the mesh."""
    path, _ = eventually(lambda: send(meshed, PARTNER), lambda sent: sent[1].status, 200)
    line = eventually(lambda: line_of(testbed, "default", "client", path), lambda line: line is not None, True)
    assert line
    assert (line.fields["requested_server_name"], line.fields["upstream_cluster"]) == (None, TO_THE_GATEWAY)
    (request,) = partner.requests(path)
    (peer,) = peers(request["headers"])
    assert (peer["By"], peer["URI"]) == (EGRESS_GATEWAY, CLIENT)


@pytest.mark.parametrize(
    ("host", "end", "refusal"),
    [
        pytest.param(
            "wrong-ca.example",
            ProxyEnd.SERVER_CERT_UNTRUSTED,
            "remote error: tls: unknown certificate authority",
            id="the wrong authority for the server",
        ),
        pytest.param(
            "other-name.example",
            ProxyEnd.SERVER_CERT_OTHER_NAME,
            "remote error: tls: unknown certificate",
            id="a server certificate of another name",
        ),
        pytest.param("no-secret.example", ProxyEnd.SECRET_MISSING, "EOF", id="no secret"),
    ],
)
def test_what_the_gateway_refuses(
    host: str,
    end: ProxyEnd,
    refusal: str,
    meshed: Workload,
    partner: ExternalServer,
    testbed: Testbed,
    eventually: Eventually,
) -> None:
    """A server that the gateway can't trust, or can't show itself to, gets no request; the application is told 503.

    Hosts that differ in one thing lead to the same server: the one without a fault is answered before and after it.
    """
    paths = [""]

    def try_host() -> int | None:
        paths[0], transfer = send(meshed, host)
        return transfer.status

    eventually(lambda: between(lambda: send(meshed, PARTNER)[1].status, try_host), str, held(200, 503))
    (path,) = paths
    line = eventually(
        lambda: line_of(testbed, "istio-system", "istio-egressgateway", path), lambda line: line and line.end, end
    )
    assert line
    assert (line.status, line.flags >= {"UF"}) == (503, True)
    assert partner.requests(path) == []
    assert refusal in partner.refusals()


def test_other_ways_out_are_open(meshed: Workload, partner: ExternalServer, eventually: Eventually) -> None:
    """Without REGISTRY_ONLY an application reaches the server itself: it is the server who refuses it, unshown."""
    url = f"https://{partner.host}:{partner.port}/"
    attempt = eventually(
        lambda: try_outside(partner, lambda: meshed.curl(url, "--insecure")),
        lambda attempt: attempt.refusals,
        [NO_CERTIFICATE],
    )
    assert attempt.transfer.end is CurlEnd.RESET


@pytest.mark.step("registry-only")
def test_registry_only_closes_other_ways_out(
    meshed: Workload, partner: ExternalServer, testbed: Testbed, eventually: Eventually
) -> None:
    """With REGISTRY_ONLY the sidecar lets nothing out but to hosts of the mesh: the server is not reached round it."""
    path, url = f"/{uuid.uuid4()}", f"https://{partner.host}:{partner.port}/"

    def other_ways() -> str:
        direct = meshed.curl(url, "--insecure")
        named = meshed.curl(f"http://elsewhere.example{path}", "--resolve", f"elsewhere.example:80:{ANYWHERE}")
        return f"{direct.end}, {named.status}"

    eventually(
        lambda: between(lambda: send(meshed, PARTNER)[1].status, other_ways),
        str,
        held(200, f"{CurlEnd.TLS_FAILED}, 502"),
    )
    where = f"{partner.host}:{partner.port}"

    def ends() -> set[tuple[str, ProxyEnd]]:
        lines = logged(testbed.kube, "default", "client")
        targets = [(line.fields["path"] or line.fields["downstream_local_address"], line.end) for line in lines]
        return {(target, end) for target, end in targets if target in {path, where}} - {(where, ProxyEnd.UNKNOWN)}

    eventually(ends, set, {(path, ProxyEnd.NOT_IN_REGISTRY), (where, ProxyEnd.NOT_IN_REGISTRY)})
    assert try_outside(partner, lambda: meshed.curl(url, "--insecure")).refusals == []


def test_without_a_sidecar_only_the_server_refuses(
    insider: Workload, partner: ExternalServer, certificates: Certificates, eventually: Eventually
) -> None:
    """A boundary: no policy of the mesh holds a pod without a sidecar. It reaches the server, and needs a certificate.

    With one of its own, whose authority the server knows, it is let in: the egress gateway is then gone round. What
    would keep it is a NetworkPolicy, and our network enforces none.
    """
    url = f"https://{partner.host}:{partner.port}"

    own = ["--insecure", "--cert", "/certificate/tls.crt", "--key", "/certificate/tls.key"]

    def without() -> str:
        attempt = try_outside(partner, lambda: insider.curl(f"{url}/", "--insecure"))
        return f"{attempt.transfer.end} {attempt.refusals}"

    eventually(
        lambda: between(lambda: insider.curl(f"{url}/with-its-own", *own).status, without),
        str,
        held(200, f"{CurlEnd.RESET} {[NO_CERTIFICATE]}"),
    )
    serials = {request["tls"]["peer"]["serial"] for request in partner.requests("/with-its-own")}
    assert serials == {str(certificates["insider"].serial)}
