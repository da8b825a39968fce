"""What istioctl is given beside what every mesh of ours has: two replicas of each gateway, and the user's own."""

from __future__ import annotations

from pathlib import Path

import yaml

from meshproof.errors import Unreadable

_KIND = "IstioOperator"
OURS = (Path(__file__).with_name("gateways.yaml").read_text(encoding="utf-8"),)
"""Of a gateway with one replica nobody could expect that it loses nothing."""


def overlay_of(file: Path) -> str:
    """Return an overlay of the user's, as text.

    Args:
        file: A document of the kind IstioOperator.

    Raises:
        Unreadable: It is not there, or is something else.

    Source: https://istio.io/latest/docs/reference/config/istio.operator.v1alpha1/
    """
    try:
        text = file.read_text(encoding="utf-8")
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except (OSError, ValueError, yaml.YAMLError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise Unreadable(f"The overlay {file} can't be read: {what}.") from error
    if len(documents) != 1 or not isinstance(documents[0], dict) or documents[0].get("kind") != _KIND:
        raise Unreadable(f"The overlay {file} should be one document of the kind {_KIND}, as istioctl takes it.")
    return text
