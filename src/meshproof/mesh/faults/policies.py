"""Faults in policies: whom they select, and what they ask for."""

from __future__ import annotations

from collections.abc import Iterator

from meshproof.input_files import nearest
from meshproof.mesh.faults.document import Written
from meshproof.mesh.faults.parts import at, need
from meshproof.mesh.faults.world import World


def authorization_policy(document: Written, world: World) -> Iterator[str]:
    """Look at whom an AuthorizationPolicy selects, and at its action."""
    yield from selects(document, world, "spec", "selector", "matchLabels")
    if action := at(document.node, "spec", "action"):
        action.among(("ALLOW", "DENY"))


def peer_authentication(document: Written, world: World) -> Iterator[str]:
    """Look at whom a PeerAuthentication selects, and at its mode."""
    yield from selects(document, world, "spec", "selector", "matchLabels")
    need(document.node, "spec", "mtls", "mode").among(("PERMISSIVE", "STRICT"))


def selects(document: Written, world: World, *path: str) -> Iterator[str]:
    """Look whether a selector selects pods of a manifest."""
    selector = at(document.node, *path)
    if selector is None:
        yield document.fault(
            f"has no {'.'.join(path)}: without one it is for all pods, and meshproof waits for those of an application"
        )
        return
    wanted = {name: label.text() for name, label in selector.fields().items()}
    pods = world.labels(document.namespace)
    if not any(wanted.items() <= labels.items() for labels in pods):
        apps = {str(labels["app"]) for labels in pods if "app" in labels}
        words = ", ".join(f"{name}: {label}" for name, label in wanted.items())
        yield document.fault(
            f"selects the pods with {words}, and no Deployment in {document.namespace} has such: "
            f"{nearest(wanted.get('app', ''), apps)}",
            selector,
        )
