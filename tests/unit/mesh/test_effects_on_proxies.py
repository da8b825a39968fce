"""Effects on what istiod really tells proxies: each is seen where it is in force, and nowhere before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from meshproof.cluster.objects import Document
from meshproof.mesh.effects import Effect, effects_of
from meshproof.mesh.envoy import Proxies, ProxyConfig, has_ready_proxy

DUMPS = Path(__file__).with_name("proxies")
PODS = {
    "gateway": ("istio-system/gateway", {"app": "istio-ingressgateway", "istio": "ingressgateway"}),
    "httpbin": ("default/httpbin", {"app": "httpbin"}),
    "client": ("default/client", {"app": "client"}),
}
CASES = ("destinations", "mesh_routes", "mesh_wide", "policies", "sidecars")


def documents(case: str) -> list[Document]:
    """Return the documents of a manifest."""
    return list(yaml.safe_load_all((DUMPS / f"{case}.yaml").read_text()))


def configs(case: str) -> list[ProxyConfig]:
    """Return what the proxies have loaded while a manifest is in force."""
    dumps = json.loads((DUMPS / f"{case}.json").read_text())
    return [ProxyConfig.read(pod, json.dumps(dumps[name]), labels) for name, (pod, labels) in PODS.items()]


def asked(proxies: Proxies, there: list[ProxyConfig]) -> list[ProxyConfig]:
    """Return those that have to show something."""
    return [
        each
        for each in there
        if proxies.namespace in ("", each.namespace) and dict(proxies.labels).items() <= each.labels.items()
    ]


def effects(case: str) -> list[Effect]:
    """Return the effects of a manifest, without those of the Gateway and its routes that are always there."""
    always = effects_of(documents("nothing"))
    return [effect for effect in effects_of([*documents("nothing"), *documents(case)]) if effect not in always]


ALL = [pytest.param(case, effect, id=f"{case}: {effect.what}") for case in CASES for effect in effects(case)]


@pytest.mark.parametrize(("case", "effect"), ALL)
def test_an_effect_is_seen(case: str, effect: Effect) -> None:
    """It is everywhere while its document is in force, and nowhere without it; one that outlasts it may be there."""
    now, before = (asked(effect.proxies, configs(name)) for name in (case, "nothing"))
    assert effect.everywhere(now)
    assert effect.nowhere(before) or effect.outlasts
    if effect.what != "PERMISSIVE":  # which a mesh is from the start
        assert not effect.everywhere(before)


@pytest.mark.parametrize(("case", "effect"), ALL)
def test_one_proxy_that_is_late_is_waited_for(case: str, effect: Effect) -> None:
    """As long as one of the proxies that have to show it has loaded nothing yet, it is not everywhere."""
    now, before = (asked(effect.proxies, configs(name)) for name in (case, "nothing"))
    for index, late in enumerate(before):
        if list(effect.places(late)) and not effect.everywhere([late]):
            assert not effect.everywhere([*now[:index], late, *now[index + 1 :]])


def test_who_has_to_show_what() -> None:
    """A DestinationRule counts where its host or its client is in its namespace, and a ServiceEntry where it is known.

    That of the gateway is in `istio-system`, where neither is exported to or at home.
    """
    gateway, httpbin, client = configs("destinations")
    concerned = {
        effect.what: [bool(list(effect.places(config))) for config in (gateway, httpbin, client)]
        for effect in effects("destinations")
    }
    rule = "/namespaces/default/destination-rule/to-nginx2 in the clusters of nginx2.other.svc.cluster.local"
    assert concerned[rule] == [False, True, True]
    assert concerned["a cluster outbound|8000||shop.example"] == [False, True, True]
    assert concerned["a cluster outbound|80||*.wild.example"] == [True, True, True]


def test_a_nearer_document_counts() -> None:
    """Where an application has a PeerAuthentication or a Sidecar of its own, that of the mesh is not looked for."""
    _, httpbin, client = configs("mesh_wide")
    (strict,) = (effect for effect in effects("mesh_wide") if effect.what == "STRICT")
    assert [list(strict.places(each)) for each in (httpbin, client)] == [[], [True]]
    _, httpbin, client = configs("sidecars")
    (wide,) = (effect for effect in effects("sidecars") if effect.what.endswith("./shop.example"))
    assert [list(wide.places(each)) for each in (httpbin, client)] == [[True], []]


@pytest.mark.parametrize(
    ("changed", "there"),
    [
        pytest.param({}, True, id="a sidecar"),
        pytest.param(
            {"spec": {"containers": [], "initContainers": [{"name": "istio-proxy"}]}}, True, id="a native one"
        ),
        pytest.param({"spec": {"containers": [{"name": "curl"}]}}, False, id="no proxy"),
        pytest.param({"metadata": {"deletionTimestamp": "2026-01-01T10:00:00Z"}}, False, id="on its way out"),
        pytest.param({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, False, id="not ready"),
        pytest.param({"status": {}}, False, id="just made"),
    ],
)
def test_whose_proxy_is_asked(changed: Document, *, there: bool) -> None:
    """A proxy is asked if its pod is ready and stays."""
    pod: Document = {
        "metadata": {},
        "spec": {"containers": [{"name": "istio-proxy"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert has_ready_proxy(pod | changed) is there


@pytest.mark.parametrize(
    ("proxies", "words"),
    [
        (Proxies(), "all proxies in the mesh"),
        (Proxies("default"), "all proxies in default"),
        (Proxies("default", (("app", "a"),)), "default/a"),
        (Proxies("", (("app", "a"),)), "the mesh/a"),
        (Proxies("default", (("app", "a"), ("version", "v1"))), "default/app=a,version=v1"),
    ],
    ids=str,
)
def test_proxies_have_words(proxies: Proxies, words: str) -> None:
    """A wait that fails says whose proxies did not show what was asked for."""
    assert str(proxies) == words
