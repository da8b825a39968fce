"""Where webhooks lead, and in which versions kinds are served."""

from __future__ import annotations

from typing import Any

import pytest

from meshproof.upgrade.facts.control_plane import kinds, webhooks

NAME = "rev.namespace.sidecar-injector.istio.io"


def configuration(service: str) -> dict[str, Any]:
    """Return a configuration with one webhook, which leads to a Service."""
    return {
        "metadata": {"name": f"injector-to-{service}"},
        "webhooks": [
            {
                "name": NAME,
                "clientConfig": {"service": {"namespace": "istio-system", "name": service}, "caBundle": "Q0E="},
            }
        ],
    }


def endpoints(service: str, *, ready: bool = True) -> dict[str, Any]:
    """Return an EndpointSlice of a Service with one endpoint."""
    labels = {"kubernetes.io/service-name": service}
    return {
        "metadata": {"namespace": "istio-system", "labels": labels},
        "endpoints": [{"conditions": {"ready": ready}}],
    }


@pytest.mark.parametrize(
    ("slices", "leads"),
    [
        ([endpoints("istiod"), endpoints("istiod-1-31-0")], "leads to a ready istiod"),
        ([endpoints("istiod")], "leads to nobody: injector-to-istiod-1-31-0 to istio-system/istiod-1-31-0"),
        (
            [endpoints("istiod"), endpoints("istiod-1-31-0", ready=False)],
            "leads to nobody: injector-to-istiod-1-31-0 to istio-system/istiod-1-31-0",
        ),
    ],
    ids=["both are there", "one Service is gone", "one is not ready"],
)
def test_where_a_webhook_leads(slices: list[dict[str, Any]], leads: str) -> None:
    """A webhook that two revisions have leads to a ready istiod only if both do."""
    facts = webhooks([configuration("istiod"), configuration("istiod-1-31-0")], slices)
    assert facts[f"webhook {NAME}"] == leads
    assert facts[f"webhook {NAME}: failure policy"] == "Fail"
    assert facts[f"webhook {NAME}: authority"].startswith("SHA-256 ")


def test_webhooks_of_others_do_not_count() -> None:
    """Only those of Istio are looked at."""
    assert webhooks([configuration("cert-manager")], []) == {}


def test_the_versions_of_a_kind() -> None:
    """Of Istio's kinds, and of those of the Gateway API with their bundle, which are served and which is stored."""
    versions = [
        {"name": "v1", "served": True, "storage": True},
        {"name": "v1beta1", "served": True, "storage": False},
        {"name": "v1alpha3", "served": False, "storage": False},
    ]
    bundle = {"annotations": {"gateway.networking.k8s.io/bundle-version": "v1.5.1"}}
    definitions = [
        {"metadata": {"name": "gateways.networking.istio.io"}, "spec": {"versions": versions}},
        {"metadata": {"name": "gateways.gateway.networking.k8s.io", **bundle}, "spec": {"versions": versions[:1]}},
        {"metadata": {"name": "shops.example.com"}, "spec": {"versions": versions}},
    ]
    assert kinds(definitions) == {
        "kind gateways.networking.istio.io": "served v1, v1beta1; stored v1",
        "kind gateways.gateway.networking.k8s.io": "served v1; stored v1; bundle v1.5.1",
    }
