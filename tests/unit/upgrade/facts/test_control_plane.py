"""Where webhooks lead, and in which versions kinds are served."""

from __future__ import annotations

from typing import Any

import pytest

from meshproof.upgrade.facts.control_plane import istiods, kinds, webhooks

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


def test_the_release_of_each_istiod() -> None:
    """There is a fact for each revision, which has all releases of its pods."""
    assert istiods([("default", "1.30"), ("1-31-0", "1.31.0"), ("1-31-0", "1.31.0"), ("default", "1.31.0")]) == {
        "istiod default": "1.30, 1.31.0",
        "istiod 1-31-0": "1.31.0",
    }


def test_webhooks_of_others_do_not_count() -> None:
    """Only those of Istio are looked at."""
    other = configuration("cert-manager")
    other["webhooks"][0]["name"] = "webhook.cert-manager.io"
    assert webhooks([other], []) == {}


@pytest.mark.parametrize(
    ("name", "client", "leads"),
    [
        (NAME, {"url": "https://istiod.istio-system.svc:443/inject"}, "leads to a ready istiod"),
        (
            NAME,
            {"url": "https://istiod-1-31-0.istio-system.svc.cluster.local/inject"},
            "leads to nobody: injector to istio-system/istiod-1-31-0",
        ),
        (
            NAME,
            {"url": "https://istiod.example:15017/inject"},
            "unknown: injector leads to https://istiod.example:15017/inject, which is not in the cluster",
        ),
        (
            NAME,
            {"service": {"namespace": "istio-system", "name": "pilot"}},
            "leads to nobody: injector to istio-system/pilot",
        ),
        (NAME, {"service": {"namespace": "shop", "name": "front"}}, "leads to shop/front"),
        ("injector.example", {"service": {"namespace": "istio-system", "name": "istiod"}}, "leads to a ready istiod"),
    ],
    ids=[
        "the address of a Service",
        "the address of one that is gone",
        "an address elsewhere",
        "a Service of another name that is gone",
        "a Service of another name",
        "a webhook of another name",
    ],
)
def test_a_webhook_of_istio_has_a_fact(name: str, client: dict[str, Any], leads: str) -> None:
    """Whatever it is called, and however it says where it leads; elsewhere nobody knows whether an istiod is there."""
    document = {"metadata": {"name": "injector"}, "webhooks": [{"name": name, "clientConfig": client}]}
    front = endpoints("front")
    front["metadata"]["namespace"] = "shop"
    assert webhooks([document], [endpoints("istiod"), front])[f"webhook {name}"] == leads


def test_a_configuration_with_the_label_of_a_revision() -> None:
    """Its webhooks are Istio's, whatever they are called."""
    document = {
        "metadata": {"name": "mine", "labels": {"istio.io/rev": "1-31-0"}},
        "webhooks": [{"name": "a.example", "clientConfig": {"service": {"namespace": "shop", "name": "gone"}}}],
    }
    assert webhooks([document], [])["webhook a.example"] == "leads to nobody: mine to shop/gone"


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
