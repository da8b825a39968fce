"""Scenarios: what replaces a document that a proxy can't tell from it."""

from __future__ import annotations

import pytest

from meshproof.cluster.objects import Document
from meshproof.mesh.scenario import _replaced_unseen


def document(kind: str, **spec: object) -> Document:
    """Return a document called ``b/a``."""
    return {"kind": kind, "metadata": {"name": "a", "namespace": "b"}, "spec": spec}


@pytest.mark.parametrize(
    ("kind", "unseen"),
    [
        *((kind, True) for kind in ("AuthorizationPolicy", "VirtualService", "DestinationRule", "ServiceEntry")),
        *((kind, False) for kind in ("Gateway", "PeerAuthentication")),
    ],
)
def test_what_a_proxy_knows_by_name_only_has_to_go_first(kind: str, *, unseen: bool) -> None:
    """A policy of the same name looks the same to the wait, whatever it says: the old one must not be taken for it."""
    old, new = document(kind, rules=[1]), document(kind, rules=[2])
    assert _replaced_unseen([old], [new]) == ([new] if unseen else [])
    assert _replaced_unseen([old], [old]) == []
    assert _replaced_unseen([], [new]) == []
