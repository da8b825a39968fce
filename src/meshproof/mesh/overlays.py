"""Documents of the kind IstioOperator, one laid over the other.

istioctl takes several, but replaces a list as a whole: an overlay that says something of a gateway would take its ports
from it. Here the items of a list that have a name are merged by it.

Source: https://istio.io/latest/docs/reference/config/istio.operator.v1alpha1/ (GatewaySpec, K8sObjectOverlay)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAMES = ("kind", "name", "path")
"""What tells the items of a list apart: gateways and variables by their name, patches by their path."""


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with another one laid over it; neither is changed."""
    return {**below, **{name: _merged(below.get(name), value) for name, value in above.items()}}


def _merged(below: Any, above: Any) -> Any:  # noqa: ANN401 - as YAML has it
    if isinstance(below, dict) and isinstance(above, dict):
        return laid_over(below, above)
    if _is_named(below) and _is_named(above):
        items = {_name(item): item for item in below}
        items.update({_name(item): _merged(items.get(_name(item)), item) for item in above})
        return list(items.values())
    return above


def _is_named(value: Any) -> bool:  # noqa: ANN401 - as above
    return isinstance(value, Sequence) and all(isinstance(item, dict) and any(_name(item)) for item in value)


def _name(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(item.get(name) for name in _NAMES)
