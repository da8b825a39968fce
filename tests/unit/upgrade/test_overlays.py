"""Overlays: what istioctl takes beside ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from meshproof.errors import Unreadable
from meshproof.upgrade.overlays import OURS, documents_of, operators_of, overlay_of


def test_ours_is_one() -> None:
    """Two replicas of each gateway are asked for as a user would ask for them."""
    (ours,) = OURS
    components = yaml.safe_load(ours)["spec"]["components"]
    replicas = [gateway["k8s"]["replicaCount"] for kind in components.values() for gateway in kind]
    assert replicas == [2, 2]


OPERATOR = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {}\n"
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
