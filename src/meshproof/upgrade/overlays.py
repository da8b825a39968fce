"""What a side of an upgrade has beside what every mesh has: two replicas of each gateway, and the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from meshproof.cluster.objects import Document
from meshproof.errors import Unreadable

_KIND, _VERSION = "IstioOperator", "install.istio.io/v1alpha1"
OURS = (Path(__file__).with_name("gateways.yaml").read_text(encoding="utf-8"),)
"""Of a gateway with one replica nobody could expect that it loses nothing."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """A file of the user's.

    Attributes:
        operators: Its documents of the kind IstioOperator, in YAML: istioctl installs with them.
        documents: All others: they are applied.
    """

    operators: tuple[str, ...]
    documents: tuple[Document, ...]


def overlay_of(file: Path) -> Overlay:
    """Read an overlay.

    Args:
        file: Documents of the kind IstioOperator, and others that Kubernetes takes.

    Raises:
        Unreadable: It is not there, or has something else.

    Source: https://istio.io/latest/docs/reference/config/istio.operator.v1alpha1/
    """
    try:
        documents = [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document]
    except (OSError, ValueError, yaml.YAMLError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise Unreadable(f"The overlay {file} can't be read: {what}.") from error
    if not documents or not all(map(_is_one, documents)):
        raise Unreadable(
            f"The overlay {file} should have documents of the kind {_KIND}, as istioctl takes them, or of others, each "
            "with its kind and a name."
        )
    for document in documents:
        if document["kind"] == _KIND and (fault := _fault(document)):
            raise Unreadable(f"The overlay {file} has a document of the kind {_KIND} that can't be used: {fault}.")
    return Overlay(
        tuple(yaml.safe_dump(document) for document in documents if document["kind"] == _KIND),
        tuple(document for document in documents if document["kind"] != _KIND),
    )


def operators_of(overlays: Sequence[Overlay]) -> tuple[str, ...]:
    """Return what istioctl is given of some overlays, beside ours."""
    return (*OURS, *(operator for overlay in overlays for operator in overlay.operators))


def documents_of(overlays: Sequence[Overlay]) -> list[Document]:
    """Return what is applied of some overlays."""
    return [document for overlay in overlays for document in overlay.documents]


def _is_one(document: object) -> bool:
    if not isinstance(document, dict) or not all(_is_text(document.get(name)) for name in ("apiVersion", "kind")):
        return False
    metadata = document.get("metadata")
    return document["kind"] == _KIND or (isinstance(metadata, dict) and _is_text(metadata.get("name")))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _fault(operator: Document) -> str:
    """Return why an IstioOperator can't be laid over ours; empty where it can."""
    if operator["apiVersion"] != _VERSION:
        return f"its apiVersion is {operator['apiVersion']}, and istioctl knows {_VERSION}"
    spec = operator.get("spec") or {}
    if not isinstance(spec, dict):
        return "its spec is no mapping"
    values = spec.get("values") or {}
    for where, settings in (("spec", spec), ("spec.values", values if isinstance(values, dict) else {})):
        if "revision" in settings:
            return f"it has {where}.revision, and each control plane gets one from meshproof: leave it out"
    return ""
