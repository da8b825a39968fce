"""What a scenario touches: objects, hosts at ports of the gateway, and proxies; and what two have in common."""

from __future__ import annotations

import pytest

from meshproof.certificates.tree import read
from meshproof.cluster.objects import Document
from meshproof.mesh.footprint import Footprint
from meshproof.mesh.manifests import lease, load, step_of
from tests.support.checkout import ROOT, SCENARIOS
from tests.unit.mesh.test_manifests import IMAGES

CERTIFICATES = read(ROOT / "manifests" / "certificates.yaml")


def documents(name: str, *steps: str, leased: set[int] | None = None) -> list[Document]:
    """Return the documents of a scenario of ours that are in force with some steps, with ports for its servers."""
    ours = load([SCENARIOS / f"{name}.yaml"], images=IMAGES, certificates=CERTIFICATES)
    lease(ours, set() if leased is None else leased)
    return [document for document in ours if step_of(document) in (None, *steps)]


def footprint(name: str, *steps: str, leased: set[int] | None = None) -> Footprint:
    """Return what such a scenario touches."""
    return Footprint.of(documents(name, *steps, leased=leased))


@pytest.mark.parametrize(
    ("one", "steps", "other", "shared"),
    [
        ("gateway/tls_versions", (), "gateway/tls_ciphers", None),
        ("gateway/mutual_tls", (), "gateway/passthrough", None),
        ("gateway/passthrough", (), "workloads/strict_isolation", None),
        ("workloads/strict_isolation", ("strict",), "gateway/tls_ciphers", None),
        ("gateway/mutual_tls", (), "gateway/mutual_tls", "Gateway default/httpbin"),
        (
            "gateway/mutual_tls",
            ("deny",),
            "gateway/passthrough",
            "what passes through istio-system/istio-ingressgateway",
        ),
        ("workloads/strict_isolation", ("strict",), "gateway/mutual_tls", "what passes through default/httpbin"),
    ],
)
def test_what_two_have_in_common(one: str, steps: tuple[str, ...], other: str, shared: str | None) -> None:
    """A policy for a gateway touches all that passes through it; hosts and policies elsewhere touch nothing of it."""
    leased: set[int] = set()
    ours, theirs = footprint(one, *steps, leased=leased), footprint(other, leased=leased)
    assert [ours.meets(theirs) is None, theirs.meets(ours) is None] == [shared is None] * 2
    assert ours.meets(theirs) == shared


def test_routes_of_sidecars_touch_every_sidecar() -> None:
    """Requests for a host of `mesh` may begin at any sidecar, and not at the gateway, which has routes of its own."""
    routes: Document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"hosts": ["httpbin"], "http": [{"directResponse": {"status": 418}}]},
    }
    of_sidecars = Footprint.of([routes])
    assert of_sidecars.meets(footprint("workloads/strict_isolation", "strict")) is not None
    assert of_sidecars.meets(footprint("gateway/passthrough")) is None


def test_a_host_is_touched_at_its_port() -> None:
    """Two Gateways may have the same port, and not the same host at it."""
    ours, theirs = documents("gateway/passthrough"), documents("gateway/passthrough")
    for document in theirs:
        document["metadata"]["name"] += "-2"
    assert Footprint.of(ours).meets(Footprint.of(theirs)) == (
        "the host sample.aliyun.com at port 443 of the ingress gateway"
    )
    theirs[0]["spec"]["servers"][0]["hosts"] = ["other.aliyun.com"]
    assert Footprint.of(ours).meets(Footprint.of(theirs)) is None


def test_what_is_not_waited_for_may_touch_anything() -> None:
    """Nobody knows which proxies a document changes whose test waits itself."""
    ours = documents("gateway/passthrough")
    filters: Document = {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "a", "namespace": "b", "annotations": {"meshproof/wait": "none"}},
    }
    theirs = Footprint.of([filters])
    assert Footprint.of(ours).meets(theirs) == "what passes through all proxies in the mesh"


ROUTES: Document = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "inside", "namespace": "default"},
    "spec": {"hosts": ["httpbin"], "http": [{"route": [{"destination": {"host": "httpbin"}}]}]},
}
WORKLOAD: Document = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {"template": {"metadata": {"labels": {"app": "httpbin"}}}},
}
DENY: Document = {
    "apiVersion": "security.istio.io/v1",
    "kind": "AuthorizationPolicy",
    "metadata": {"name": "deny", "namespace": "default"},
    "spec": {"selector": {"matchLabels": {"app": "httpbin"}}, "action": "DENY", "rules": [{}]},
}


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (ROUTES, {**ROUTES, "metadata": {"name": "other", "namespace": "default"}}, "routes for httpbin"),
        (ROUTES, DENY, "what passes through default/httpbin"),
        (WORKLOAD, DENY, "what passes through default/httpbin"),
        (WORKLOAD, {**DENY, "metadata": {"name": "deny", "namespace": "elsewhere"}}, None),
    ],
)
def test_what_is_inside_of_the_mesh_is_touched_too(one: Document, other: Document, shared: str | None) -> None:
    """Routes of sidecars, and pods that a policy selects."""
    seen = Footprint.of([one]).meets(Footprint.of([other]))
    assert (seen or "").startswith(shared or "")
    assert (seen is None) is (shared is None)
