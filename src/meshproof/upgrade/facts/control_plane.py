"""What Kubernetes has of Istio: webhooks and where they lead, and in which versions kinds are served."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import NotSettled
from meshproof.machine.wait import until
from meshproof.upgrade.facts.names import KIND, SOON, WEBHOOK

LEADS, LEADS_NOWHERE = "leads to a ready istiod", "leads to nobody"
_ADMISSION = "admissionregistration.k8s.io/v1"
WEBHOOKS = {f"{kind}WebhookConfiguration": (_ADMISSION,) for kind in ("Mutating", "Validating")}
SLICES = {"EndpointSlice": ("discovery.k8s.io/v1",)}
DEFINITIONS = {"CustomResourceDefinition": ("apiextensions.k8s.io/v1",)}
_OF_SERVICE = "kubernetes.io/service-name"
_GROUPS = (".istio.io", ".gateway.networking.k8s.io", ".gateway.networking.x-k8s.io")
_BUNDLE = "gateway.networking.k8s.io/bundle-version"


def webhooks(configurations: Iterable[Document], slices: Iterable[Document]) -> dict[str, str]:
    """Return of each webhook of Istio where it leads, by the webhook's name.

    Each revision has configurations of its own, with webhooks of the same names: a name leads somewhere if all that
    have it do.

    Args:
        configurations: The configurations of webhooks, of both kinds.
        slices: The EndpointSlices.

    Source: https://istio.io/latest/docs/ops/configuration/mesh/webhook/
    """
    ready = _ready_services(slices)
    values: dict[str, set[str]] = {}
    for document in configurations:
        for webhook in document.get("webhooks", []):
            if service := webhook["clientConfig"].get("service"):
                name = f"{WEBHOOK}{webhook['name']}"
                where = f"{service['namespace']}/{service['name']}"
                if not service["name"].startswith("istiod"):
                    continue
                leads = LEADS if where in ready else f"{LEADS_NOWHERE}: {document['metadata']['name']} to {where}"
                values.setdefault(name, set()).add(leads)
                values.setdefault(f"{name}: failure policy", set()).add(webhook.get("failurePolicy", "Fail"))
                values.setdefault(f"{name}: authority", set()).add(_digest(webhook["clientConfig"].get("caBundle")))
    return {name: _worst(several) for name, several in values.items()}


def settled_webhooks(kube: Kube) -> dict[str, str]:
    """Return the same of now, or of when each leads somewhere and lets nothing pass unasked, if that is soon.

    A validation has the failure policy ``Ignore`` until its istiod has tried it.
    Source: the chart ``istio-control/istio-discovery``, validatingwebhookconfiguration.yaml
    """

    def look() -> dict[str, str]:
        return webhooks(kube.labelled("", WEBHOOKS), kube.labelled("", SLICES))

    def are_settled(facts: Mapping[str, str]) -> bool:
        return not any(value.startswith(LEADS_NOWHERE) or "Ignore" in value for value in facts.values())

    try:
        return until(look, "in force", are_settled, what="The webhooks", timeout=SOON, interval=0.5)
    except NotSettled:
        return look()


def _worst(values: set[str]) -> str:
    return ", ".join(sorted(values - {LEADS}) or values)


def _digest(bundle: str | None) -> str:
    return f"SHA-256 {hashlib.sha256(bundle.encode()).hexdigest()[:16]}" if bundle else "none"


def _ready_services(slices: Iterable[Document]) -> set[str]:
    """Return the Services that have a ready endpoint, each by its namespace and name."""
    return {
        f"{slice_['metadata']['namespace']}/{slice_['metadata'].get('labels', {}).get(_OF_SERVICE)}"
        for slice_ in slices
        for endpoint in slice_.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready")
    }


def kinds(definitions: Iterable[Document]) -> dict[str, str]:
    """Return in which versions each kind of Istio and of the Gateway API is served, and in which it is stored."""
    return {
        f"{KIND}{document['metadata']['name']}": _versions(document)
        for document in definitions
        if document["metadata"]["name"].endswith(_GROUPS)
    }


def _versions(document: Document) -> str:
    versions = document["spec"]["versions"]
    served = ", ".join(version["name"] for version in versions if version["served"])
    stored = ", ".join(version["name"] for version in versions if version["storage"])
    bundle = document["metadata"].get("annotations", {}).get(_BUNDLE)
    return f"served {served}; stored {stored}{f'; bundle {bundle}' if bundle else ''}"
