"""All objects of a cluster at one moment, to tell what something has left behind or changed.

What the cluster itself writes is not in it: the status of an object and the like, events, leases, the endpoints of
Services, objects that belong to another one, as pods belong to their Deployment, as long as that is there, and what
controllers write into every namespace, and istiod into its validating webhooks, some time after they were made. What
Kubernetes deletes together with a namespace is not in it either. What is in a Secret is known by its hash only.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/,
https://kubernetes.io/docs/concepts/architecture/garbage-collection/ (owners),
https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/ (what is in every namespace) and
https://istio.io/latest/docs/reference/config/labels/ (istio.io/config is istiod's own label)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from meshproof.cluster.kube.connection import Connection
from meshproof.cluster.objects import Document, name_of

_AT_ONCE = 8  # kinds that are listed side by side
_WRITTEN_BY_THE_CLUSTER = {
    "CertificateSigningRequest",
    "ComponentStatus",
    "EndpointSlice",
    "Endpoints",
    "Event",
    "Lease",
}
"""Kinds that nobody but the cluster writes."""
_IN_EVERY_NAMESPACE = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
_WRITTEN_BY_ISTIOD = ("istio.io/config", "true")
"""The label of the ConfigMaps that istiod writes into every namespace: its roots and what it has revoked."""
_METADATA = ("annotations", "finalizers", "labels", "name", "namespace")
_ANNOTATIONS = {
    "control-plane.alpha.kubernetes.io/leader",  # the time at which somebody has said that he leads
    "deployment.kubernetes.io/revision",  # how often a Deployment was changed
}
_SECRET = ("data", "stringData")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The objects of a cluster.

    Attributes:
        objects: The objects by their names, such as ``Secret default/shop``, without what the cluster writes.
    """

    objects: Mapping[str, Document]

    @classmethod
    def of(cls, connection: Connection) -> Snapshot:
        """List the objects of all kinds that the API can list, each in the version that the API prefers."""
        lists = sorted(set(_lists(connection)))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            listed = pool.map(lambda path_and_kind: _listed(connection, *path_and_kind), lists)
            everything = [document for documents in listed for document in documents]
        uids = {document["metadata"]["uid"] for document in everything}
        ending = {
            document["metadata"]["name"]
            for document in everything
            if document["kind"] == "Namespace" and "deletionTimestamp" in document["metadata"]
        }
        lasting = (
            document
            for document in everything
            if not _is_owned(document, uids) and not _ends(document, ending) and not _is_in_every_namespace(document)
        )
        return cls({name_of(document): _lasting(document) for document in lasting})

    def differences(self, later: Snapshot) -> list[str]:
        """Return a sentence for each object that is in a later snapshot and not in this one, or gone, or changed."""
        sentences = []
        for name in sorted({*self.objects, *later.objects}):
            if name not in self.objects:
                sentences.append(f"{name} is there, and was not.")
            elif name not in later.objects:
                sentences.append(f"{name} is gone.")
            elif changed := sorted(set(_changed(self.objects[name], later.objects[name]))):
                sentences.append(f"{name} has changed: {', '.join(changed)}.")
        return sentences


def _lists(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield where the objects of each kind are listed, and the kind."""
    groups = json.loads(connection.page("/apis"))["groups"]
    for path in ("/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)):
        for resource in json.loads(connection.page(path))["resources"]:
            if "list" in resource["verbs"] and resource["kind"] not in _WRITTEN_BY_THE_CLUSTER:
                yield f"{path}/{resource['name']}", resource["kind"]


def _listed(connection: Connection, path: str, kind: str) -> list[Document]:
    answer = json.loads(connection.page(path))
    return [{**item, "kind": kind, "apiVersion": answer["apiVersion"]} for item in answer["items"]]


def _is_owned(document: Document, uids: set[str]) -> bool:
    """Return whether an object belongs to one that is there: it comes and goes with that."""
    return any(owner["uid"] in uids for owner in document["metadata"].get("ownerReferences", []))


def _ends(document: Document, ending: set[str]) -> bool:
    """Return whether an object is a namespace that Kubernetes deletes, or is in one."""
    metadata = document["metadata"]
    return metadata.get("namespace") in ending or (document["kind"] == "Namespace" and metadata["name"] in ending)


def _is_in_every_namespace(document: Document) -> bool:
    """Return whether an object is one that a controller writes into every namespace, sooner or later."""
    metadata = document["metadata"]
    by_istiod = document["kind"] == "ConfigMap" and _WRITTEN_BY_ISTIOD in metadata.get("labels", {}).items()
    return by_istiod or (document["kind"], metadata["name"]) in _IN_EVERY_NAMESPACE


def _lasting(document: Document) -> Document:
    """Return an object without what the cluster writes, and a Secret without what is in it."""
    metadata = {name: value for name, value in document["metadata"].items() if name in _METADATA}
    if annotations := metadata.get("annotations"):
        metadata["annotations"] = {name: text for name, text in annotations.items() if name not in _ANNOTATIONS}
    lasting = {name: value for name, value in document.items() if name != "status"} | {"metadata": metadata}
    if document["kind"] == "Secret":
        lasting |= {name: _hash(lasting[name]) for name in _SECRET if name in lasting}
    if document["kind"] == "ValidatingWebhookConfiguration":
        lasting["webhooks"] = [_without_policy(webhook) for webhook in document.get("webhooks", [])]
    return lasting


def _without_policy(webhook: Document) -> Document:
    """Return a validating webhook without what istiod writes into it once it is ready, some time after it came."""
    return {name: value for name, value in webhook.items() if name != "failurePolicy"}


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _changed(before: Any, after: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - it can be anything
    """Yield the ways of the fields in which two objects differ, such as ``spec.replicas``."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {*before, *after}:
            yield from _changed(before.get(name), after.get(name), f"{path}.{name}" if path else name)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _changed(one, other, f"{path}[{number}]")
    elif before != after:
        yield path
