"""The control plane: the release of each istiod, where webhooks lead, and in which versions kinds are served."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import NotSettled
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS
from meshproof.upgrade.evidence import UNKNOWN
from meshproof.upgrade.facts.names import ISTIOD, KIND, WEBHOOK
from meshproof.upgrade.facts.secrecy import digest

LEADS, LEADS_NOWHERE = "leads to a ready istiod", "leads to nobody"
_ADMISSION = "admissionregistration.k8s.io/v1"
WEBHOOKS = {f"{kind}WebhookConfiguration": (_ADMISSION,) for kind in ("Mutating", "Validating")}
SLICES = {"EndpointSlice": ("discovery.k8s.io/v1",)}
DEFINITIONS = {"CustomResourceDefinition": ("apiextensions.k8s.io/v1",)}
_OF_SERVICE = "kubernetes.io/service-name"
_ISTIOD = "istiod"  # how the names of its Services begin
_REVISION = "istio.io/rev"  # a label of Istio's configurations
_OF_ISTIO = ".istio.io"  # how the names of its webhooks end
_IN_CLUSTER = re.compile(r"([^.]+)\.([^.]+)\.svc(\..+)?")  # the host of a Service
_GROUPS = (".istio.io", ".gateway.networking.k8s.io", ".gateway.networking.x-k8s.io")
_BUNDLE = "gateway.networking.k8s.io/bundle-version"


def istiods(releases: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return which Istio the istiod of each revision runs; all of them where its pods differ.

    Args:
        releases: The revision and the release of each pod.
    """
    values: dict[str, set[str]] = {}
    for revision, release in releases:
        values.setdefault(f"{ISTIOD}{revision}", set()).add(release)
    return {name: ", ".join(sorted(several)) for name, several in values.items()}


def webhooks(configurations: Iterable[Document], slices: Iterable[Document]) -> dict[str, str]:
    """Return of each webhook of Istio where it leads, by the webhook's name.

    Each revision has configurations of its own, with webhooks of the same names: a name leads somewhere if all that
    have it do. A webhook is Istio's by its own name, by the Service that it leads to or by the label of its
    configuration. Of one that leads out of the cluster it is not known whether an istiod is there.

    Args:
        configurations: The configurations of webhooks, of both kinds.
        slices: The EndpointSlices.

    Source: https://istio.io/latest/docs/ops/configuration/mesh/webhook/
    """
    ready = _ready_services(slices)
    values: dict[str, set[str]] = {}
    for document in configurations:
        for webhook in document.get("webhooks", []):
            client = webhook["clientConfig"]
            service = _service(client)
            if not (
                webhook["name"].endswith(_OF_ISTIO)
                or service.partition("/")[2].startswith(_ISTIOD)
                or _REVISION in document["metadata"].get("labels", {})
            ):
                continue
            name, bundle = f"{WEBHOOK}{webhook['name']}", client.get("caBundle")
            where = service or client["url"]
            values.setdefault(name, set()).add(_leads(document["metadata"]["name"], where, ready))
            values.setdefault(f"{name}: failure policy", set()).add(webhook.get("failurePolicy", "Fail"))
            values.setdefault(f"{name}: authority", set()).add(digest(bundle) if bundle else "none")
    return {name: _worst(several) for name, several in values.items()}


def _service(client: Document) -> str:
    """Return the namespace and the name of the Service that a webhook leads to; empty if that is out of the cluster."""
    if service := client.get("service"):
        return f"{service['namespace']}/{service['name']}"
    host = _IN_CLUSTER.fullmatch(urlsplit(client["url"]).hostname or "")
    return f"{host[2]}/{host[1]}" if host else ""


def _leads(configuration: str, where: str, ready: set[str]) -> str:
    """Return where a webhook leads: to a Service, or to an address outside of the cluster."""
    if "://" in where:
        return f"{UNKNOWN}{configuration} leads to {where}, which is not in the cluster"
    if where not in ready:
        return f"{LEADS_NOWHERE}: {configuration} to {where}"
    return LEADS if where.partition("/")[2].startswith(_ISTIOD) else f"leads to {where}"


def settled_webhooks(kube: Kube) -> dict[str, str]:
    """Return the same of now, or of when each leads somewhere and lets nothing pass unasked, if that comes in time.

    A validation has the failure policy ``Ignore`` until its istiod has tried it.
    Source: the chart ``istio-control/istio-discovery``, validatingwebhookconfiguration.yaml
    """

    def look() -> dict[str, str]:
        return webhooks(kube.labelled("", WEBHOOKS), kube.labelled("", SLICES))

    def are_settled(facts: Mapping[str, str]) -> bool:
        return not any(value.startswith(LEADS_NOWHERE) or "Ignore" in value for value in facts.values())

    try:
        return until(look, "in force", are_settled, what="The webhooks", timeout=TIMEOUTS.behaviour, interval=0.5)
    except NotSettled:
        return look()


def _worst(values: set[str]) -> str:
    return ", ".join(sorted(values - {LEADS}) or values)


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
