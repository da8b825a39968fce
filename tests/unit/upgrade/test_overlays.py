"""Overlays: what istioctl takes beside ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from meshproof.errors import Unreadable
from meshproof.images import MeshImages
from meshproof.mesh.istio import Installation, operator
from meshproof.upgrade.blame import DRAINED_MS
from meshproof.upgrade.flows import TIMEOUT
from meshproof.upgrade.overlays import OURS, documents_of, of_kubernetes, operators_of, overlay_of


def test_ours_is_one() -> None:
    """Two replicas of each gateway are asked for as a user would ask for them."""
    (ours,) = OURS
    components = yaml.safe_load(ours)["spec"]["components"]
    replicas = [gateway["k8s"]["replicaCount"] for kind in components.values() for gateway in kind]
    assert replicas == [2, 2]


def test_what_a_drain_cuts_is_known() -> None:
    """A proxy that ends drains for longer than a request has time; for how long a listener does the verdict knows."""
    (ours,) = OURS
    drains = yaml.safe_load(ours)["spec"]["meshConfig"]["defaultConfig"]
    assert drains.keys() == {"drainDuration", "terminationDrainDuration"}
    listener, proxy = (float(drains[name].removesuffix("s")) for name in ("drainDuration", "terminationDrainDuration"))
    assert proxy > TIMEOUT
    assert listener * 1000 == DRAINED_MS


def test_an_overlay_says_how_long_proxies_drain() -> None:
    """What it leaves out is as an upgrade has it; no gateway has a value of its own that would be stronger."""
    mine = "{spec: {meshConfig: {defaultConfig: {drainDuration: 60s}}}}"
    mesh = MeshImages("1.31.0", "hub", "tag", Path("istioctl"), upstream_envoy=False)
    document = yaml.safe_load(operator(Installation(mesh, (*OURS, mine))))
    settings = document["spec"]["meshConfig"]["defaultConfig"]
    assert (settings["drainDuration"], settings["terminationDrainDuration"]) == ("60s", "6s")
    assert "proxy.istio.io/config" not in yaml.safe_dump(document["spec"]["components"])


OPERATOR = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {}\n"
EGRESS = "{name: istio-egressgateway"
POLICY = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: mine}\n"


def test_an_overlay_is_for_istioctl_or_for_kubernetes(tmp_path: Path) -> None:
    """Each document goes to whom it is for."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"{OPERATOR}---\n{POLICY}---\n")
    overlay = overlay_of(file)
    assert [yaml.safe_load(operator)["kind"] for operator in overlay.operators] == ["IstioOperator"]
    assert [document["kind"] for document in documents_of([overlay])] == ["AuthorizationPolicy"]
    assert operators_of([overlay]) == (*OURS, *overlay.operators)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(None, "can't be read: No such file or directory", id="not there"),
        pytest.param("apiVersion: v1\nkind: Gateway\n", "each with its kind and a name", id="without a name"),
        pytest.param("kind: IstioOperator\n", "should have documents of the kind", id="without a version"),
        pytest.param("kind: [IstioOperator]\napiVersion: v1\n", "should have documents", id="a kind that is no text"),
        pytest.param(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 5}\n",
            "each with its kind and a name",
            id="a number as a name",
        ),
        pytest.param(
            "apiVersion: v1\nkind: IstioOperator\n", "its apiVersion is v1, and istioctl knows", id="another version"
        ),
        pytest.param(OPERATOR.replace("{}", "3"), "its spec is no mapping", id="a spec that is no mapping"),
        pytest.param(OPERATOR.replace("{}", "{revision: mine}"), r"it has spec\.revision", id="with a revision"),
        pytest.param(
            OPERATOR.replace("{}", "{values: {revision: mine}}"),
            r"it has spec\.values\.revision",
            id="with one in its values",
        ),
        *(
            pytest.param(
                OPERATOR.replace("{}", f"{{{spec}}}"),
                f"can't be used: it has {says}.*: leave it out",
                id=f"with {says}",
            )
            for spec, says in (
                ("hub: mine.example", "spec.hub, and the images are"),
                ("tag: mine", "spec.tag, and the images are"),
                ("values: {global: {tag: mine}}", "spec.values.global.tag, and"),
                ("namespace: mine", "spec.namespace, and the mesh is brought up in istio-system"),
                ("values: {global: {istioNamespace: mine}}", "spec.values.global.istioNamespace, and"),
                ("components: {pilot: {hub: mine.example}}", "hub of spec.components.pilot, and"),
                *(
                    (f"{values}: {said}", f"spec.{values}.{place}, and")
                    for values in ("values", "unvalidatedValues")
                    for said, place in (
                        ("{revision: ''}", "revision"),
                        ("{revisionTags: [mine]}", "revisionTags"),
                        ("{profile: remote}", "profile"),
                        ("{global: {hub: mine.example}}", "global.hub"),
                        ("{global: {variant: distroless}}", "global.variant"),
                        ("{global: {proxy: {image: mine}}}", "global.proxy.image"),
                        ("{global: {proxy_init: {image: mine}}}", "global.proxy_init.image"),
                        ("{pilot: {hub: mine.example}}", "pilot.hub"),
                        ("{pilot: {tag: mine}}", "pilot.tag"),
                        ("{pilot: {variant: debug}}", "pilot.variant"),
                        ("{pilot: {image: mine}}", "pilot.image"),
                        ("{pilot: {enabled: false}}", "pilot.enabled"),
                    )
                ),
                (f"components: {{egressGateways: [{EGRESS}, tag: mine}}]}}", "tag of spec.components.egressGateways"),
                (
                    f"components: {{egressGateways: [{EGRESS}, namespace: mine}}]}}",
                    "namespace of spec.components.egress",
                ),
            )
        ),
        pytest.param(
            OPERATOR.replace("spec:", "metadata: {namespace: mine}\nspec:"),
            r"it has metadata\.namespace, and the mesh",
            id="in another namespace",
        ),
        pytest.param(
            OPERATOR.replace("{}", f"{{components: {{egressGateways: [{EGRESS}, enabled: false}}]}}}}"),
            "it takes spec.components.egressGateways istio-egressgateway away",
            id="without a gateway",
        ),
        pytest.param(
            OPERATOR.replace("{}", "{components: {pilot: {enabled: false}}}"),
            "it takes spec.components.pilot away",
            id="without istiod",
        ),
        pytest.param(
            OPERATOR.replace("{}", "{components: {base: {enabled: false}}}"),
            "it takes spec.components.base away",
            id="without Istio's kinds",
        ),
        *(
            pytest.param(
                OPERATOR.replace("{}", f"{{components: {{{part}: {{enabled: true}}}}}}"),
                f"it brings spec.components.{part} .*, and there are no images for it",
                id=f"with {part}",
            )
            for part in ("cni", "ztunnel")
        ),
        pytest.param(
            OPERATOR.replace("{}", "{profile: ambient}"), "it has spec.profile ambient, and one of", id="ambient"
        ),
        pytest.param(
            "apiVersion: apps/v1\nkind: Deploymentt\nmetadata: {name: a, namespace: b}\n",
            "has Deploymentt b/a, and there is no such kind: Deployment is one",
            id="a kind that is misspelt",
        ),
        pytest.param(
            OPERATOR.replace("Operator", "Operater") + "metadata: {name: mine}\n",
            "there is no such kind: IstioOperator is one",
            id="that of istioctl, misspelt",
        ),
        pytest.param("text\n", "should have documents", id="no document"),
        pytest.param("a: [", "can't be read: ", id="no YAML"),
        pytest.param("", "should have documents", id="empty"),
        pytest.param("\xff", "can't be read: ", id="no text"),
    ],
)
def test_what_is_no_overlay(tmp_path: Path, text: str | None, says: str) -> None:
    """It is refused in one sentence, before anything is done."""
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    with pytest.raises(Unreadable, match=says):
        overlay_of(file)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(OPERATOR.replace("{}", "{profile: demo, namespace: istio-system}"), id="what is so anyway"),
        pytest.param(OPERATOR.replace("{}", "{profile: '', revision: ''}"), id="what says nothing"),
        pytest.param(
            OPERATOR.replace("{}", "{components: {base: {enabled: true}, cni: {enabled: false}}}"),
            id="components as they are anyway",
        ),
        pytest.param(
            OPERATOR.replace("{}", "{values: {pilot: {enabled: true, env: {A: b}}, revisionTags: []}}"),
            id="values that are not ours",
        ),
        pytest.param(
            OPERATOR.replace("{}", "{components: {ingressGateways: [{name: mine, enabled: false, namespace: mine}]}}"),
            id="a gateway of its own",
        ),
        pytest.param(OPERATOR.replace("{}", "{components: [], values: 3}"), id="what istioctl refuses"),
        pytest.param(
            "apiVersion: k8s.nginx.org/v1\nkind: VirtualServer\nmetadata: {name: mine}\n", id="a kind of another group"
        ),
        pytest.param("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: mine}\n", id="a kind like no other"),
    ],
)
def test_what_can_be_laid_over_ours(tmp_path: Path, text: str) -> None:
    """What meshproof does not say itself, and what it does not know, is for istioctl and Kubernetes to judge."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert overlay_of(file).file == file


def test_kubernetes_tries_its_own_kinds() -> None:
    """Others may come only with the new side: the old one could not know them, or not all of their fields."""
    versions = [
        "v1",
        "apps/v1",
        "policy/v1",
        "networking.k8s.io/v1",
        "gateway.networking.k8s.io/v1",
        "security.istio.io/v1",
    ]
    documents = [{"apiVersion": version, "kind": "Any", "metadata": {"name": "a"}} for version in versions]
    assert [document["apiVersion"] for document in of_kubernetes(documents)] == versions[:4]
