"""End to end: one request passes both gateways and a sidecar, and each hop tells by whose certificate it came."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from meshproof.testing import (
    Certificates,
    Eventually,
    ExternalServer,
    Measured,
    Outcome,
    Scenario,
    between,
    held,
    http,
    peers,
    tls,
)

pytestmark = [pytest.mark.slow, pytest.mark.seed(number=3)]

HOST, PARTNER = "test.com", "partner.example"
OF_THE_MESH = "spiffe://cluster.local/ns"
INGRESS = f"{OF_THE_MESH}/istio-system/sa/istio-ingressgateway-service-account"
EGRESS = f"{OF_THE_MESH}/istio-system/sa/istio-egressgateway-service-account"
WORKLOAD = f"{OF_THE_MESH}/chain/sa/forwarder"


@dataclass(frozen=True, slots=True)
class Chain:
    """A request that went all the way.

    Attributes:
        workload: What the workload tells of the request that came to it.
        outside: What the server outside of the mesh tells of the one that came to it.
    """

    workload: Mapping[str, Any]
    outside: Mapping[str, Any]


@pytest.fixture
def chain(
    scenario: Scenario,
    certificates: Certificates,
    external: Mapping[str, ExternalServer],
    eventually: Eventually,
) -> Chain:
    """One request, and what the server outside has written of just that one."""
    path = f"/{uuid.uuid4()}"

    def send() -> http.Answer:
        return http.get(
            scenario.address(443), f"/forward?url=http://{PARTNER}{path}",
            host=HOST, trust=certificates.authority("test").pem, client=certificates["test.client"],
        )  # fmt: skip

    answer = eventually(send, lambda answer: answer.status, 200)
    workload = json.loads(answer.body)
    assert workload["forwarded"]["status"] == 200
    outside = external[PARTNER].requests(path)[-1]
    assert outside["headers"]["x-request-id"] == workload["forwarded"]["body"]["headers"]["x-request-id"]
    return Chain(workload, outside)


def test_each_hop_is_by_mutual_tls(chain: Chain, certificates: Certificates, measured: Measured) -> None:
    """Client, ingress gateway, sidecar, egress gateway, server: each saw the certificate of the one before it."""
    client, ingress = peers(chain.workload["headers"])
    (workload,) = peers(chain.outside["headers"])
    outside = chain.outside["tls"]
    hops = [
        ("client", "ingress gateway", client["Hash"]),
        ("ingress gateway", "sidecar", f"{ingress['URI']} by {ingress['By']}"),
        ("sidecar", "egress gateway", f"{workload['URI']} by {workload['By']}"),
        ("egress gateway", "server outside", outside["peer"]["serial"]),
    ]
    for sender, receiver, certificate in hops:
        measured.note([("From", sender), ("To", receiver)], "Certificate that was seen", certificate)
    assert [certificate for *_, certificate in hops] == [
        certificates["test.client"].fingerprint,
        f"{INGRESS} by {WORKLOAD}",
        f"{WORKLOAD} by {EGRESS}",
        str(certificates["egress"].serial),
    ]
    assert client["URI"] == "spiffe://test.client"
    assert (outside["version"], outside["server_name"]) == ("TLSv1.3", PARTNER)


def test_the_workload_speaks_no_tls(chain: Chain) -> None:
    """The workload is sent plain HTTP and sends plain HTTP: that all of it is encrypted is the mesh's doing."""
    assert chain.workload["tls"] is None
    assert chain.workload["forwarded"]["body"]["host"] == PARTNER


def test_nobody_else_begins_it(scenario: Scenario, certificates: Certificates, eventually: Eventually) -> None:
    """Without a client certificate the chain does not begin: the ingress gateway refuses."""
    trust = certificates.authority("test").pem

    def look(client: str | None) -> Outcome:
        shown = certificates[client] if client else None
        return tls.handshake(scenario.address(443), sni=HOST, trust=trust, client=shown).outcome

    eventually(
        lambda: between(lambda: look("test.client"), lambda: look(None)),
        str,
        held(Outcome.ESTABLISHED, Outcome.CLIENT_CERT_REQUIRED),
    )
