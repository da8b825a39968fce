"""Faults in policies: whom they select, and what they ask for."""

from __future__ import annotations

from collections.abc import Iterator

from meshproof.input_files import nearest
from meshproof.mesh import istio
from meshproof.mesh.faults.document import Written
from meshproof.mesh.faults.parts import at, list_at, need
from meshproof.mesh.faults.world import World
from meshproof.mesh.manifests import GATEWAY_API


def authorization_policy(document: Written, world: World) -> Iterator[str]:
    """Look at whom an AuthorizationPolicy selects, and at its action."""
    yield from selects(document, world, "spec", "selector", "matchLabels")
    if action := at(document.node, "spec", "action"):
        action.among(("ALLOW", "DENY", "AUDIT", "CUSTOM"))


def peer_authentication(document: Written, world: World) -> Iterator[str]:
    """Look at whom a PeerAuthentication selects, and at its mode."""
    yield from selects(document, world, "spec", "selector", "matchLabels")
    if mode := at(document.node, "spec", "mtls", "mode"):
        mode.among(("PERMISSIVE", "STRICT", "DISABLE", "UNSET"))


def request_authentication(document: Written, world: World) -> Iterator[str]:
    """Look at whom a RequestAuthentication selects, and at the issuers of its rules."""
    yield from selects(document, world, "spec", "selector", "matchLabels")
    for rule in list_at(document.node, "spec", "jwtRules"):
        need(rule, "issuer").text()


def telemetry(document: Written, world: World) -> Iterator[str]:
    """Look at whom a Telemetry, or another document with a selector, selects."""
    yield from selects(document, world, "spec", "selector", "matchLabels")


def selects(document: Written, world: World, *path: str) -> Iterator[str]:
    """Look whether a selector, if there is one, selects pods of a manifest; in ``istio-system`` of any namespace."""
    selector = at(document.node, *path)
    if selector is None:
        return
    wanted = {name: label.text() for name, label in selector.fields().items()}
    if any(name.startswith(f"{GATEWAY_API}/") for name in wanted):
        return  # pods that Istio makes for a Gateway of Kubernetes
    everywhere = document.namespace == istio.NAMESPACE
    where = "any namespace" if everywhere else document.namespace
    pods = [
        labels for each in (world.namespaces() if everywhere else [document.namespace]) for labels in world.labels(each)
    ]
    if not any(wanted.items() <= labels.items() for labels in pods):
        apps = {str(labels["app"]) for labels in pods if "app" in labels}
        words = ", ".join(f"{name}: {label}" for name, label in wanted.items())
        yield document.fault(
            f"selects the pods with {words}, and no Deployment in {where} has such: "
            f"{nearest(wanted.get('app', ''), apps)}",
            selector,
        )
