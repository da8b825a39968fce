"""A snapshot of a cluster: what differs is told by its name and field, and what the cluster writes is no difference."""

from __future__ import annotations

from typing import Any

import pytest

from meshproof.cluster.kube.snapshot import Snapshot, _is_in_every_namespace, _is_owned, _lasting
from meshproof.cluster.objects import Document


def service(**others: Any) -> Document:  # noqa: ANN401
    """Return a Service as the API gives it."""
    metadata = {"name": "shop", "namespace": "default", "uid": "1", "resourceVersion": "7", "generation": 2}
    spec = {"ports": [{"port": 80}], "selector": {"app": "shop"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": {}} | others


def snapshot(*documents: Document) -> Snapshot:
    """Return a snapshot of some objects."""
    return Snapshot({f"{each['kind']} {each['metadata']['name']}": _lasting(each) for each in documents})


@pytest.mark.parametrize(
    "later",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"status": {"loadBalancer": {"ingress": []}}}, id="its status"),
        pytest.param(
            {"metadata": {"name": "shop", "namespace": "default", "uid": "2", "resourceVersion": "8"}}, id="made anew"
        ),
    ],
)
def test_what_the_cluster_writes_is_no_difference(later: dict[str, Any]) -> None:
    """Two looks at an object of which nobody has changed anything are the same."""
    assert snapshot(service()).differences(snapshot(service(**later))) == []


def test_a_change_is_told_with_its_fields() -> None:
    """Also one in a list, and one that is a field more."""
    later = service(spec={"ports": [{"port": 81}], "selector": {"app": "shop"}, "type": "NodePort"})
    expected = ["Service shop has changed: spec.ports[0].port, spec.type."]
    assert snapshot(service()).differences(snapshot(later)) == expected


def test_what_is_new_and_what_is_gone_is_told() -> None:
    """Each by its name."""
    assert snapshot().differences(snapshot(service())) == ["Service shop is there, and was not."]
    assert snapshot(service()).differences(snapshot()) == ["Service shop is gone."]


def test_a_secret_is_known_by_its_hash() -> None:
    """What is in it is in no snapshot; that it has changed is told."""
    metadata = {"name": "key", "namespace": "default"}
    one, other = ({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"a": it}} for it in "bc")
    assert "'b'" not in str(snapshot(one))
    assert snapshot(one).differences(snapshot(other)) == ["Secret key has changed: data."]


def test_what_istiod_writes_into_its_webhooks() -> None:
    """It has them refuse what it can't be asked about once it is ready: a look in between would call them changed."""

    def validation(policy: str, service: str) -> Document:
        webhook = {"name": "shop", "failurePolicy": policy, "clientConfig": {"service": service}}
        metadata = {"name": "istiod", "uid": "1"}
        return {"kind": "ValidatingWebhookConfiguration", "metadata": metadata, "webhooks": [webhook]}

    before = snapshot(validation("Ignore", "istiod"))
    assert before.differences(snapshot(validation("Fail", "istiod"))) == []
    (sentence,) = before.differences(snapshot(validation("Fail", "nobody")))
    assert "webhooks[0].clientConfig.service" in sentence


def test_a_pod_counts_once_its_owner_is_gone() -> None:
    """As long as that is there, the pod comes and goes with it."""
    pod = {"metadata": {"name": "shop-1", "ownerReferences": [{"uid": "1"}]}}
    assert _is_owned(pod, {"1", "2"})
    assert not _is_owned(pod, {"2"})


@pytest.mark.parametrize(
    ("kind", "metadata", "in_every_namespace"),
    [
        pytest.param("ServiceAccount", {"name": "default"}, True, id="the ServiceAccount"),
        pytest.param("ServiceAccount", {"name": "shop"}, False, id="a ServiceAccount of the user's"),
        pytest.param("ConfigMap", {"name": "kube-root-ca.crt"}, True, id="the authority of Kubernetes"),
        pytest.param("ConfigMap", {"name": "istio-ca-crl", "labels": {"istio.io/config": "true"}}, True, id="istiod's"),
        pytest.param("ConfigMap", {"name": "istio-ca-crl"}, False, id="a name like istiod's"),
        pytest.param("Secret", {"name": "key", "labels": {"istio.io/config": "true"}}, False, id="a Secret"),
    ],
)
def test_what_controllers_write_into_every_namespace(
    kind: str, metadata: dict[str, Any], *, in_every_namespace: bool
) -> None:
    """It comes some time after the namespace: a look in between would call it new."""
    assert _is_in_every_namespace({"kind": kind, "metadata": metadata}) is in_every_namespace
