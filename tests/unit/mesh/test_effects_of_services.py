"""Endpoints: a Service is in force once each proxy that knows it has somebody to send its requests to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshproof.cluster.objects import Document
from meshproof.mesh.effects import effects_of
from meshproof.mesh.envoy import ProxyConfig

CLUSTER = "outbound|8080||shop.default.svc.cluster.local"


def service(**spec: Any) -> Document:  # noqa: ANN401
    """Return a Service."""
    metadata = {"name": "shop", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": {"app": "shop"}, **spec}}


def deployment(
    namespace: str = "default", app: str = "shop", replicas: int = 1, annotations: dict[str, str] | None = None
) -> Document:
    """Return a Deployment."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": namespace, "annotations": annotations or {}},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": app}}}},
    }


def config(*health: str, cluster: str = CLUSTER) -> ProxyConfig:
    """Return what a proxy has loaded that knows a Service, with endpoints of this health."""
    endpoints = [{"lb_endpoints": [{"health_status": status} for status in health]}]
    dump = [
        {"@type": "x.ClustersConfigDump", "dynamic_active_clusters": [{"cluster": {"name": cluster}}]},
        {
            "@type": "x.EndpointsConfigDump",
            "dynamic_endpoint_configs": [{"endpoint_config": {"cluster_name": cluster, "endpoints": endpoints}}],
        },
    ]
    return ProxyConfig.read("default/client", json.dumps({"configs": dump}))


@pytest.mark.parametrize(
    ("proxies", "there"),
    [
        pytest.param([config("HEALTHY")], True, id="an endpoint"),
        pytest.param([config("UNHEALTHY", "HEALTHY")], True, id="one of two"),
        pytest.param([config("UNHEALTHY")], False, id="one that takes no requests"),
        pytest.param([config()], False, id="none yet"),
        pytest.param([config("HEALTHY"), config()], False, id="one proxy is late"),
        pytest.param(
            [config("HEALTHY"), config("HEALTHY", cluster="another")], True, id="one proxy does not know the Service"
        ),
        pytest.param([config("HEALTHY", cluster="another")], False, id="nobody knows it"),
    ],
)
def test_it_has_endpoints_wherever_it_is_known(proxies: list[ProxyConfig], *, there: bool) -> None:
    """A request that comes before the endpoints is answered 503."""
    (effect,) = effects_of([service(), deployment()])
    assert effect.everywhere(proxies) is there


def test_it_is_gone_with_its_endpoints() -> None:
    """A Service of which no proxy has an endpoint is in force nowhere."""
    (effect,) = effects_of([service(), deployment()])
    assert effect.nowhere([config()])
    assert not effect.nowhere([config("HEALTHY")])


@pytest.mark.parametrize(
    "documents",
    [
        pytest.param([service()], id="its pods are no document"),
        pytest.param([service(), deployment(app="other")], id="pods of another application"),
        pytest.param([service(), deployment(namespace="other")], id="pods of another namespace"),
        pytest.param([service(), deployment(replicas=0)], id="no pods"),
        pytest.param(
            [service(), deployment(annotations={"meshproof/wait": "none"})], id="pods that need not get ready"
        ),
        pytest.param([service(clusterIP="None"), deployment()], id="headless"),
        pytest.param([service(selector=None), deployment()], id="without a selector"),
    ],
)
def test_what_has_no_endpoints_is_not_waited_for(documents: list[Document]) -> None:
    """It would be waited for in vain."""
    assert effects_of(documents) == []
