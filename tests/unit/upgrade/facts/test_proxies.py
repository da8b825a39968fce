"""Which proxies are the same one, and whether they have what istiod sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshproof.upgrade.facts.proxies import in_step, promises, workload_of

DUMPS = Path(__file__).with_name("dumps")


def status(pod: str, **acknowledged: str) -> dict[str, str]:
    """Return what istiod says of a proxy that it has sent everything as ``1``."""
    kinds = ("cluster", "listener", "route", "endpoint")
    return {
        "proxy": pod,
        **{f"{kind}_sent": "1" for kind in kinds},
        **{f"{kind}_acked": acknowledged.get(kind, "1") for kind in kinds},
    }


@pytest.mark.parametrize(
    ("statuses", "value"),
    [
        ([status("shop-1.default"), status("shop-2.default")], "SYNCED"),
        ([status("shop-1.default"), status("shop-2.default", route="0")], "not yet: route"),
        ([status("shop-1.default")], "not yet: not connected"),
        ([status("shop-1.default"), status("shop-2.default"), status("gone.default", route="0")], "SYNCED"),
    ],
    ids=["all acknowledged", "one is behind", "one is not connected", "a pod that is going"],
)
def test_whether_proxies_are_in_step(statuses: list[dict[str, str]], value: str) -> None:
    """A workload is in step if each of its ready proxies has acknowledged all that some istiod sent it."""
    workloads = {"shop-1.default": "default/shop", "shop-2.default": "default/shop"}
    pages = [json.dumps(statuses[:1]), json.dumps(statuses[1:]), "null"]
    assert in_step(pages, workloads) == {"in step with istiod: default/shop": value}


def test_what_a_sidecar_holds_its_clients_to() -> None:
    """A permissive port takes plaintext, a strict one does not; and the policies are those that are in force."""
    dump = (DUMPS / "sidecar.json").read_text()
    assert promises(dump) == {"policies": "none", "takes plaintext": "on port 80"}
    document = json.loads(dump)
    (listener,) = (
        each["active_state"]["listener"]
        for each in document["configs"][2]["dynamic_listeners"]
        if each["name"] == "virtualInbound"
    )
    listener["filter_chains"] = [
        chain for chain in listener["filter_chains"] if chain["filter_chain_match"]["transport_protocol"] == "tls"
    ]
    rules = {"action": "DENY", "policies": {"ns[default]-policy[deny]-rule[0]": {}}}
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    filters.insert(0, {"name": "envoy.filters.http.rbac", "typed_config": {"rules": rules}})
    assert promises(json.dumps(document)) == {
        "policies": "DENY ns[default]-policy[deny]-rule[0]",
        "takes plaintext": "on no port",
    }


def test_a_gateway_is_no_sidecar() -> None:
    """Whether it takes plaintext is a matter of its listeners, which have facts of their own."""
    assert promises((DUMPS / "gateway.json").read_text()) == {"policies": "none"}


def test_pods_of_a_deployment_have_its_name() -> None:
    """A pod has the name of its Deployment, whatever its template is called."""
    metadata = {
        "name": "shop-578c445f65-l4mz7",
        "namespace": "default",
        "labels": {"pod-template-hash": "578c445f65"},
        "ownerReferences": [{"name": "shop-578c445f65"}],
    }
    assert workload_of({"metadata": metadata}) == "default/shop"
    assert workload_of({"metadata": {"name": "alone", "namespace": "default"}}) == "default/alone"
