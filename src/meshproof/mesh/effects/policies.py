"""What policies do to the proxies that they select."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshproof.cluster.objects import Document, name_of
from meshproof.errors import ClusterError
from meshproof.mesh.effects.effect import Effect, key_of
from meshproof.mesh.envoy import ProxyConfig


def effects_of_policy(document: Document) -> Iterator[Effect]:
    """Return what an AuthorizationPolicy does; one without a rule has one that nobody meets."""
    (namespace, name), spec = key_of(document), document["spec"]
    for number in range(len(spec.get("rules", [])) or 1):
        rule = f"ns[{namespace}]-policy[{name}]-rule[{number}]"
        yield _rule(selected(document), spec.get("action", "ALLOW"), rule)


def _rule(proxy: tuple[str, str], action: str, rule: str) -> Effect:
    def places(config: ProxyConfig) -> Iterator[bool]:
        return ((action, rule) in policies for policies in config.policies())

    return Effect(proxy, f"{action} {rule}", places)


def plaintext(proxy: tuple[str, str], mode: str, ports: Mapping[int, Mapping[str, str]]) -> Effect:
    """Return the effect of a PeerAuthentication; without one a mesh is PERMISSIVE."""
    modes = {int(port): setting["mode"] for port, setting in ports.items()}
    permissive = "PERMISSIVE" in (mode, *modes.values())

    def places(config: ProxyConfig) -> Iterator[bool]:
        yield config.takes_plaintext() is permissive
        yield from (config.takes_plaintext(port) is (wanted == "PERMISSIVE") for port, wanted in modes.items())

    words = ", ".join([mode, *(f"port {port} {wanted}" for port, wanted in modes.items())])
    return Effect(proxy, words, places, outlasts=permissive)


def selected(document: Document) -> tuple[str, str]:
    """Return the application that a document selects, by its ``app`` label; a gateway's is ``istio-`` and its name."""
    labels = document["spec"].get("selector", {}).get("matchLabels", {})
    if not {"app", "istio"} & set(labels):
        raise ClusterError(
            f"{name_of(document)} can't be waited for: it selects no application by the label `app` or `istio`. "
            "Give it a selector, or add to mesh/effects/ how to tell that every proxy has loaded it."
        )
    return document["metadata"]["namespace"], labels.get("app") or f"istio-{labels['istio']}"
