"""Whether a pod that runs is the one that would be made now."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from meshproof.cluster.objects import Document

_TOKENS = re.compile(r"(?<=kube-api-access-)[a-z0-9]+")
"""The random end of the name of the volume that has a pod's tokens."""


def is_same_pod(pod: Document, made: Document, read: Sequence[Document]) -> bool:
    """Return whether a pod that runs is one that would be made now, as far as that is known before it has a node.

    Args:
        pod: The one that runs.
        made: What the API server would make (dry run).
        read: The ConfigMaps and Secrets that a program reads when it starts, and the ServiceAccount whose tokens it
            has: a pod that is older than their last change, by a second or more, is another one.
    """

    def comparable(of: Document) -> tuple[Any, str]:
        spec = {key: value for key, value in of["spec"].items() if key != "nodeName"}
        return of["metadata"]["labels"], _TOKENS.sub("", json.dumps(spec, sort_keys=True))

    annotations, wanted = (document["metadata"].get("annotations", {}) for document in (pod, made))
    same = comparable(pod) == comparable(made) and wanted.items() <= annotations.items()
    return same and all(_changed(document) <= pod["metadata"]["creationTimestamp"] for document in read)


def _changed(document: Document) -> str:
    """Return when an object was changed last, as RFC 3339 writes it; in UTC, so that later ones sort behind."""
    metadata = document["metadata"]
    times: list[str] = [metadata["creationTimestamp"], *(entry["time"] for entry in metadata.get("managedFields", []))]
    return max(times)
