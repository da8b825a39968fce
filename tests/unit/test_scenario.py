"""Scenarios: what is put in force is taken away again, and the first error is the one that is told."""

from __future__ import annotations

import pytest

from meshproof.cluster.objects import Document
from meshproof.errors import ClusterError
from meshproof.mesh.scenario import _afterwards, _replaced_unseen


def document(kind: str, **spec: object) -> Document:
    """Return a document called ``b/a``."""
    return {"kind": kind, "metadata": {"name": "a", "namespace": "b"}, "spec": spec}


@pytest.mark.parametrize(
    ("kind", "unseen"), [("AuthorizationPolicy", True), ("VirtualService", True), ("Gateway", False)]
)
def test_what_a_proxy_knows_by_name_only_has_to_go_first(kind: str, *, unseen: bool) -> None:
    """A policy of the same name looks the same to the wait, whatever it says: the old one must not be taken for it."""
    old, new = document(kind, rules=[1]), document(kind, rules=[2])
    assert _replaced_unseen([old], [new]) == ([new] if unseen else [])
    assert _replaced_unseen([old], [old]) == []
    assert _replaced_unseen([], [new]) == []


def test_what_is_begun_is_undone_whatever_ends_it() -> None:
    """Also an interrupt, and also in the midst of the beginning."""
    undone: list[str] = []
    with pytest.raises(KeyboardInterrupt), _afterwards(lambda: undone.append("it")):
        raise KeyboardInterrupt
    with _afterwards(lambda: undone.append("and after a good end")):
        pass
    assert undone == ["it", "and after a good end"]


def test_the_first_error_is_told() -> None:
    """That something could not be undone is told after why it was to be."""

    def fail() -> None:
        raise ClusterError("The API did not answer.")

    with (
        pytest.raises(ClusterError, match=r"^No such field\. And then .*: The API did not answer\.$"),
        _afterwards(fail),
    ):
        raise ClusterError("No such field.")
    with pytest.raises(ClusterError, match=r"^The API did not answer\.$"), _afterwards(fail):
        pass
