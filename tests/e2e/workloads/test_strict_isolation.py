"""STRICT isolation: who has no sidecar reaches a workload that is PERMISSIVE, and not one that is STRICT."""

from __future__ import annotations

import json

import pytest

from meshproof.testing import CurlEnd, Eventually, Scenario, Transfer, Workload, between, held, peers

pytestmark = [pytest.mark.upgrade, pytest.mark.seed(number=3)]
URL = "http://httpbin.default:8000/headers"
BY, URI = "spiffe://cluster.local/ns/default/sa/httpbin", "spiffe://cluster.local/ns/default/sa/client"


def peers_of(answer: Transfer) -> list[tuple[str, str]]:
    """Return whom the workload was told of, for each hop of the request: itself and its peer."""
    return [(peer["By"], peer["URI"]) for peer in peers(json.loads(answer.body)["headers"])]


@pytest.mark.step("permissive")
def test_permissive_admits_plaintext(scenario: Scenario, unmeshed: Workload, eventually: Eventually) -> None:
    """Under PERMISSIVE a client without a sidecar gets in, as nobody."""
    assert peers_of(eventually(lambda: unmeshed.curl(URL), lambda answer: answer.status, 200)) == []


@pytest.mark.step("permissive")
def test_permissive_admits_the_mesh(scenario: Scenario, meshed: Workload, eventually: Eventually) -> None:
    """Under PERMISSIVE a client with a sidecar gets in with its identity."""
    assert peers_of(eventually(lambda: meshed.curl(URL), lambda answer: answer.status, 200)) == [(BY, URI)]


@pytest.mark.step("strict")
def test_strict_refuses_plaintext(
    scenario: Scenario, meshed: Workload, unmeshed: Workload, eventually: Eventually
) -> None:
    """Under STRICT the connection of a client without a sidecar is reset, while one with a sidecar is answered."""
    eventually(
        lambda: between(lambda: meshed.curl(URL).status, lambda: unmeshed.curl(URL).end),
        str,
        held(200, CurlEnd.RESET),
    )


@pytest.mark.step("strict")
def test_strict_admits_the_mesh(scenario: Scenario, meshed: Workload, eventually: Eventually) -> None:
    """Under STRICT the same client with a sidecar still gets in with its identity."""
    assert peers_of(eventually(lambda: meshed.curl(URL), lambda answer: answer.status, 200)) == [(BY, URI)]
