"""Overlays: what istioctl takes beside ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from meshproof.errors import Unreadable
from meshproof.upgrade.overlays import OURS, overlay_of


def test_ours_is_one() -> None:
    """Two replicas of each gateway are asked for as a user would ask for them."""
    (ours,) = OURS
    components = yaml.safe_load(ours)["spec"]["components"]
    replicas = [gateway["k8s"]["replicaCount"] for kind in components.values() for gateway in kind]
    assert replicas == [2, 2]


def test_an_overlay_is_taken_as_it_is(tmp_path: Path) -> None:
    """Its text is what istioctl is given."""
    file = tmp_path / "mine.yaml"
    file.write_text("apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {}\n")
    assert overlay_of(file) == file.read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(None, "can't be read: No such file or directory", id="not there"),
        pytest.param("kind: Gateway\n", "should be one document of the kind IstioOperator", id="another kind"),
        pytest.param("kind: IstioOperator\n---\nkind: IstioOperator\n", "should be one document", id="two"),
        pytest.param("a: [", "can't be read: ", id="no YAML"),
        pytest.param("", "should be one document", id="empty"),
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
