"""A document of a manifest, with its lines, and what each has to have."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import cast

from meshproof.cluster.objects import Document, name_of
from meshproof.input_files import Node, nearest
from meshproof.mesh.faults.parts import at, need
from meshproof.mesh.manifests import (
    CERTIFICATES,
    CLIENT_CAS,
    GATEWAY_API,
    KINDS,
    STEP,
    TURN,
    WAIT,
    group_of,
    is_waited_for,
)

_LABELS = (STEP, TURN)  # of ours, those that a manifest can have
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")  # RFC 1123, as Kubernetes has it


@dataclass(slots=True)
class Written:
    """A document of a manifest.

    Attributes:
        node: Its content, with the lines.
        kind: Its kind.
        namespace: Where it belongs; empty for a Namespace.
        name: What it is called.
        step: The step that it belongs to; None if it is there from the start.
    """

    node: Node
    kind: str
    namespace: str
    name: str
    step: str | None

    def __str__(self) -> str:
        return name_of(self.content)

    @property
    def content(self) -> Document:
        """The document as plain data."""
        return cast("Document", self.node.value)

    @property
    def is_of_gateway_api(self) -> bool:
        """Whether it is of Kubernetes' Gateway API, whose Gateway is another one than Istio's."""
        return group_of(self.content) == GATEWAY_API

    @property
    def is_waited_for(self) -> bool:
        """Whether meshproof waits until it is in force, and not its test itself."""
        return is_waited_for(self.content)

    def fault(self, what: str, node: Node | None = None) -> str:
        """Return the sentence on a fault of it, at the line of a part of it."""
        place = node or self.node
        return f"{place.file}, line {place.line}: {self} {what}."


def read_document(node: Node) -> Written:
    """Read what each document has to have.

    Raises:
        Unreadable: It has it not.
    """
    if node.value is None:
        raise node.wrong("is empty: there is a `---` too many, or all of it is commented out")
    for key in ("apiVersion", "kind", "metadata"):
        need(node, key)
    kind = need(node, "kind").among(KINDS)
    version = need(node, "apiVersion")
    if version.text() not in KINDS[kind]:
        newest = [each for each in KINDS[kind] if each.endswith("/v1")] or KINDS[kind]
        raise version.is_not(f"{' or '.join(newest)} for a {kind}")
    _look_at_marks(node, version.text().rpartition("/")[0])
    name = need(node, "metadata", "name")
    if not _NAME.fullmatch(name.text()):
        raise name.is_not("a name of small letters, digits, dots and hyphens")
    namespace = ""
    if kind == "Namespace":
        if spare := at(node, "metadata", "namespace"):
            raise spare.wrong("is there, and a Namespace is in none")
    else:
        namespace = need(node, "metadata", "namespace").text()
    step = at(node, "metadata", "labels", STEP)
    return Written(node, kind, namespace, name.text(), step.text() if step else None)


def _look_at_marks(node: Node, group: str) -> None:
    """Look at the labels and annotations of a document of a group of the API: at those that are ours.

    Raises:
        Unreadable: One is not known, or not for such a document.
    """
    for key, ours in (("labels", _LABELS), ("annotations", (*CERTIFICATES, *CLIENT_CAS, WAIT))):
        part = need(node, "metadata").fields().get(key)
        for word, value in part.fields().items() if part else ():
            if word not in CERTIFICATES:  # which can be a definition
                value.text()
            if word.startswith("meshproof/"):
                Node(node.file, f"metadata.{key}", word, value.line).among(ours)
    if wait := at(node, "metadata", "annotations", WAIT):
        wait.among(("none",))
        if group not in (GATEWAY_API, "apps") and not group.endswith(".istio.io"):
            raise wait.wrong("is for Deployments, Istio's kinds and those of the Gateway API only")


def named(document: Written, node: Node | None, what: str, there: Collection[str]) -> Iterator[str]:
    """Look whether something that a document names is there."""
    if node is not None and node.text() not in there:
        yield document.fault(f"names the {what} {node.value}, which is not there: {nearest(node.text(), there)}", node)
