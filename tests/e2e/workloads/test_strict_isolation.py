"""STRICT isolation: who has no sidecar reaches a workload that is PERMISSIVE, and not one that is STRICT."""

from __future__ import annotations

import json

import pytest

from meshproof.testing import CurlEnd, Eventually, Scenario, Transfer, Workload, between, held

pytestmark = pytest.mark.seed(number=3)
URL = "http://httpbin.default:8000/headers"
BY, URI = "spiffe://cluster.local/ns/default/sa/httpbin", "spiffe://cluster.local/ns/default/sa/client"


def identity(seen: Transfer) -> dict[str, str]:
    """Return what the workload was told of its peer: the elements of X-Forwarded-Client-Cert."""
    forwarded = json.loads(seen.body)["headers"].get("X-Forwarded-Client-Cert", "")
    return dict(element.split("=", 1) for element in forwarded.split(";") if element)


@pytest.mark.step("permissive")
def test_permissive_admits_plaintext(scenario: Scenario, unmeshed: Workload, eventually: Eventually) -> None:
    """Under PERMISSIVE a client without a sidecar gets in, as nobody."""
    assert identity(eventually(lambda: unmeshed.curl(URL), lambda seen: seen.status, 200)) == {}


@pytest.mark.step("permissive")
def test_permissive_admits_the_mesh(scenario: Scenario, meshed: Workload, eventually: Eventually) -> None:
    """Under PERMISSIVE a client with a sidecar gets in with its identity."""
    seen = identity(eventually(lambda: meshed.curl(URL), lambda seen: seen.status, 200))
    assert (seen.get("By"), seen.get("URI")) == (BY, URI)


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
    seen = identity(eventually(lambda: meshed.curl(URL), lambda seen: seen.status, 200))
    assert (seen.get("By"), seen.get("URI")) == (BY, URI)
