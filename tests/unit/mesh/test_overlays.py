"""Documents for istioctl, one laid over the other."""

from __future__ import annotations

from typing import Any

import pytest

from meshproof.mesh.overlays import laid_over

PORTS = [{"name": "https", "port": 443}]


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        pytest.param({"a": 1, "b": {"c": 1}}, {"b": {"d": 2}}, {"a": 1, "b": {"c": 1, "d": 2}}, id="mappings"),
        pytest.param({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}, id="another kind of value"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="a list without names"),
        pytest.param({"a": [{"name": "x"}]}, {"a": []}, {"a": [{"name": "x"}]}, id="nothing more"),
        pytest.param(
            {"gateways": [{"name": "in", "k8s": {"service": {"ports": PORTS}}}]},
            {"gateways": [{"name": "in", "k8s": {"replicaCount": 2}}, {"name": "other"}]},
            {
                "gateways": [
                    {"name": "in", "k8s": {"service": {"ports": PORTS}, "replicaCount": 2}},
                    {"name": "other"},
                ]
            },
            id="a gateway keeps its ports",
        ),
        pytest.param(
            {"overlays": [{"kind": "Deployment", "name": "in", "patches": [{"path": "a", "value": 1}]}]},
            {"overlays": [{"kind": "Service", "name": "in", "patches": [{"path": "a", "value": 2}]}]},
            {
                "overlays": [
                    {"kind": "Deployment", "name": "in", "patches": [{"path": "a", "value": 1}]},
                    {"kind": "Service", "name": "in", "patches": [{"path": "a", "value": 2}]},
                ]
            },
            id="one name of two kinds",
        ),
        pytest.param(
            {"patches": [{"path": "a", "value": {"preStop": 1}}]},
            {"patches": [{"path": "a", "value": None}]},
            {"patches": [{"path": "a", "value": None}]},
            id="a patch is replaced by that of its path",
        ),
    ],
)
def test_laid_over(below: dict[str, Any], above: dict[str, Any], expected: dict[str, Any]) -> None:
    """What the one above says goes before; what it does not speak of stays."""
    before = repr((below, above))
    assert laid_over(below, above) == expected
    assert repr((below, above)) == before
