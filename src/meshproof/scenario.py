"""A scenario: what one manifest asks of the mesh, in steps, in force and then gone again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meshproof import interrupts, manifests, proxy
from meshproof.errors import ClusterError
from meshproof.manifests import Document
from meshproof.testbed import Testbed


class Scenario:
    """The documents of one manifest.

    Attributes:
        name: The stem of the manifest.
    """

    def __init__(self, manifest: Path, testbed: Testbed) -> None:
        """Read the manifest; apply nothing."""
        self.name = manifest.stem
        self._kube = testbed.kube
        self._documents = manifests.load(manifest, images=testbed.images, certificates=testbed.certificates)
        self._applied: list[Document] = []

    def step(self, name: str | None) -> None:
        """Apply the documents of a step (None: those of no step), and wait until the proxies have loaded them.

        Raises:
            ClusterError: The manifest has no such step, or something refused a document.
            NotSettled: A proxy did not load one.
        """
        documents = [document for document in self._documents if manifests.step_of(document) == name]
        if name is not None and not documents:
            raise ClusterError(
                f"The scenario {self.name} has no step {name}: label a document of its manifest with it."
            )
        self._applied += documents
        self._kube.apply(documents)
        proxy.wait_until_loaded(self._kube, documents)

    def remove(self) -> None:
        """Delete all that was applied, and wait until the proxies have forgotten it."""
        self._kube.delete(self._applied)
        proxy.wait_until_forgotten(self._kube, [document for document in self._applied if _leaves_a_trace(document)])


@contextmanager
def scenario(manifest: Path, testbed: Testbed) -> Iterator[Scenario]:
    """Have a scenario in force, its first documents applied, for as long as the context lasts."""
    mine = Scenario(manifest, testbed)
    try:
        mine.step(None)
        yield mine
    finally:
        with interrupts.held_back():
            mine.remove()


def _leaves_a_trace(document: Document) -> bool:
    """Tell whether a proxy differs when the document is gone; without a PeerAuthentication the mesh is PERMISSIVE."""
    return document["kind"] not in ("PeerAuthentication", "Secret")
