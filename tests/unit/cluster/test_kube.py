"""What is told of a cluster's objects without a cluster: whether a pod is the one that would be made now."""

from __future__ import annotations

from typing import Any

import pytest

from meshproof.cluster.kube.same_pod import is_same_pod
from meshproof.cluster.objects import Document

MADE_AT, LATER = "2026-01-01T09:59:59Z", "2026-01-01T10:00:00Z"


def pod(tokens: str = "abcde", **fields: Any) -> Document:  # noqa: ANN401
    """Return a pod with a volume for its tokens; fields are those of its spec."""
    mounts = [{"name": f"kube-api-access-{tokens}", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]
    spec = {"containers": [{"name": "curl", "volumeMounts": mounts}], **fields}
    metadata = {"labels": {"app": "a"}, "annotations": {"b": "c"}, "creationTimestamp": MADE_AT}
    return {"metadata": metadata, "spec": spec}


def changed(*times: str) -> Document:
    """Return an object that was made with the pod, and changed then."""
    return {"metadata": {"creationTimestamp": MADE_AT, "managedFields": [{"time": time} for time in times]}}


def test_a_pod_with_a_node_is_the_one_that_would_be_made() -> None:
    """A pod gets its node after it is made, its tokens have a random name, and a node may annotate it."""
    running = pod("fghij", nodeName="node")
    running["metadata"]["annotations"]["network"] = "joined"
    assert is_same_pod(running, pod("abcde"), [])


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(pod(initContainers=[{"name": "istio-proxy"}]), id="a sidecar more"),
        pytest.param(pod(serviceAccountName="client"), id="another identity"),
        pytest.param(pod() | {"metadata": {"labels": {"app": "z"}}}, id="another label"),
        pytest.param(pod() | {"metadata": {"labels": {"app": "a"}, "annotations": {"b": "d"}}}, id="an annotation"),
    ],
)
def test_a_pod_that_would_not_be_made_now_is_told(made: Document) -> None:
    """What Istio injects, a template or a person has changed shows as a difference, in both directions."""
    assert not is_same_pod(pod(), made, [])
    made["metadata"]["creationTimestamp"] = MADE_AT
    assert not is_same_pod(made, pod(), [])


@pytest.mark.parametrize(
    ("read", "same"),
    [
        pytest.param(changed(), True, id="never changed"),
        pytest.param(changed(MADE_AT), True, id="changed before"),
        pytest.param(changed(MADE_AT, LATER), False, id="changed later"),
        pytest.param({"metadata": {"creationTimestamp": LATER}}, False, id="made later"),
    ],
)
def test_a_pod_has_read_what_is_there_now(read: Document, *, same: bool) -> None:
    """A pod that is older than a ConfigMap, a Secret or a ServiceAccount that it names has read another one."""
    assert is_same_pod(pod(), pod(), [changed(), read]) is same
