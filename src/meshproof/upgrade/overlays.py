"""What a side of an upgrade has beside what every mesh has: two replicas of each gateway, and the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from meshproof.cluster.objects import Document, name_of
from meshproof.errors import Unreadable
from meshproof.mesh import istio
from meshproof.mesh.gateways import DEPLOYMENTS
from meshproof.mesh.manifests import GATEWAY_API, KINDS, group_of

_KIND, _VERSION = "IstioOperator", "install.istio.io/v1alpha1"
_PROFILES = ("default", "demo", "minimal", "preview", "stable")
"""Those with an istiod, and without parts that there are no images for (CNI, ztunnel).

Source: https://istio.io/latest/docs/setup/additional-setup/config-profiles/
"""
_REVISION = "each control plane gets one from meshproof"
_IMAGES = "the images are those of --from and --to"
_PLACE = f"the mesh is brought up in {istio.NAMESPACE}"
_NEEDED = "traffic needs it"
_OURS_IN_VALUES: Mapping[tuple[str, ...], str] = {
    ("revision",): _REVISION,
    ("revisionTags",): _REVISION,
    ("profile",): "spec.profile is the place for it",
    ("global", "istioNamespace"): _PLACE,
    ("global", "hub"): _IMAGES,
    ("global", "tag"): _IMAGES,
    ("global", "variant"): _IMAGES,
    ("global", "proxy", "image"): _IMAGES,
    ("global", "proxy_init", "image"): _IMAGES,
    ("pilot", "hub"): _IMAGES,
    ("pilot", "tag"): _IMAGES,
    ("pilot", "variant"): _IMAGES,
    ("pilot", "image"): _IMAGES,
    ("pilot", "enabled"): _NEEDED,
}
_OURS_TO_SAY: Mapping[tuple[str, ...], str] = {
    ("metadata", "namespace"): _PLACE,
    ("spec", "namespace"): _PLACE,
    ("spec", "revision"): _REVISION,
    ("spec", "hub"): _IMAGES,
    ("spec", "tag"): _IMAGES,
    **{("spec", "values", *place): why for place, why in _OURS_IN_VALUES.items()},
    **{("spec", "unvalidatedValues", *place): why for place, why in _OURS_IN_VALUES.items()},
}
"""What meshproof says itself, so that istioctl would go by it, or the mesh be none that can be looked at.

Source: https://istio.io/latest/docs/reference/config/istio.operator.v1alpha1/#IstioOperatorSpec
"""
_SAYS = {"namespace": istio.NAMESPACE, "istioNamespace": istio.NAMESPACE, "enabled": True, "revisionTags": []}
"""What may be said all the same."""
_ALIKE = 0.8
"""From 0 to 1: how much of a kind's name another one has that is taken for it misspelt."""
OURS = (Path(__file__).with_name("gateways.yaml").read_text(encoding="utf-8"),)
"""Of a gateway with one replica nobody could expect that it loses nothing."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """A file of the user's.

    Attributes:
        file: Where it is.
        operators: Its documents of the kind IstioOperator, in YAML: istioctl installs with them.
        documents: All others: they are applied.
    """

    file: Path
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
        if near := _misspelt(document):
            raise Unreadable(f"The overlay {file} has {name_of(document)}, and there is no such kind: {near} is one.")
    return Overlay(
        file,
        tuple(yaml.safe_dump(document) for document in documents if document["kind"] == _KIND),
        tuple(document for document in documents if document["kind"] != _KIND),
    )


def operators_of(overlays: Sequence[Overlay]) -> tuple[str, ...]:
    """Return what istioctl is given of some overlays, beside ours."""
    return (*OURS, *(operator for overlay in overlays for operator in overlay.operators))


def documents_of(overlays: Sequence[Overlay]) -> list[Document]:
    """Return what is applied of some overlays."""
    return [document for overlay in overlays for document in overlay.documents]


def of_kubernetes(documents: Sequence[Document]) -> list[Document]:
    """Return the documents of Kubernetes' own kinds, which istioctl does not look at.

    All others may be of a kind that comes only with the new side.
    """
    return [
        document
        for document in documents
        if "." not in group_of(document)
        or (group_of(document).endswith(".k8s.io") and group_of(document) != GATEWAY_API)
    ]


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
    spec = {name: value for name, value in spec.items() if value or name not in {"profile", "revision"}}
    operator = {**operator, "spec": spec}
    if (profile := spec.get("profile", _PROFILES[0])) not in _PROFILES:
        return f"it has spec.profile {profile}, and one of {', '.join(_PROFILES)} is what can be upgraded here"
    for place in _OURS_TO_SAY:
        if (value := _at(operator, place)) is not None and value != _SAYS.get(place[-1]):
            return f"it has {'.'.join(place)}, and {_OURS_TO_SAY[place]}: leave it out"
    return next(_faults_of_components(spec), "")


def _faults_of_components(spec: Document) -> Iterator[str]:
    """Yield what parts of the mesh have that can't be laid over ours; traffic needs istiod and both gateways."""
    components = spec.get("components")
    for kind, parts in components.items() if isinstance(components, dict) else ():
        for part in parts if isinstance(parts, list) else [parts]:
            if not isinstance(part, dict):
                continue
            name = f"spec.components.{kind}" + (f" {part['name']}" if "name" in part else "")
            for field in sorted({"hub", "tag"} & part.keys()):
                yield f"it has {field} of {name}, and {_IMAGES}: leave it out"
            if kind in {"cni", "ztunnel"} and part.get("enabled"):
                yield f"it brings {name} (enabled: true), and there are no images for it: leave that out"
            if kind in {"base", "pilot"} or part.get("name") in DEPLOYMENTS:
                if part.get("enabled") is False:
                    yield f"it takes {name} away (enabled: false), and {_NEEDED}: leave that out"
                if part.get("namespace", istio.NAMESPACE) != istio.NAMESPACE:
                    yield f"it has namespace of {name}, and {_PLACE}: leave it out"


def _at(document: Any, place: Sequence[str]) -> Any:  # noqa: ANN401 - as YAML has it
    """Return what a document has at a place; None where it has nothing."""
    for name in place:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _misspelt(document: Document) -> str:
    """Return how a kind of the same group is spelt that a document is likely to mean; empty where it means its own."""
    kind, group = document["kind"], group_of(document)
    kinds = {**KINDS, _KIND: (_VERSION,)}
    known = [name for name, versions in kinds.items() if group in {version.rpartition("/")[0] for version in versions}]
    near = get_close_matches(kind, known, 1, _ALIKE)
    return near[0] if near and kind not in known else ""
