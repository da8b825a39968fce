"""Warnings about Gateway manifests: settings that Istio takes without a word and does not put in force."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from meshproof.posture.istio import CIPHERS, LEGACY, accepted, dropped_by_istio
from meshproof.posture.reading import Node, yaml_documents
from meshproof.posture.verdict import Finding, finding

_OLD = ("TLSV1_0", "TLSV1_1")
_NO_SETTINGS = ("PASSTHROUGH", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL")


def gateway_warnings(path: Path) -> tuple[Finding, ...]:
    """Read Gateways of Istio from a file of YAML, and tell what would not do as it says.

    Other documents in the file, and lists as ``kubectl get -o yaml`` prints them, are fine.

    Raises:
        Unreadable: The file cannot be read, is not YAML, or has a Gateway of another shape.
    """
    return tuple(warning for node in yaml_documents(path) for warning in _document(node))


def _document(node: Node) -> Iterator[Finding]:
    document = node.value if isinstance(node.value, dict) else {}
    kind, version = str(document.get("kind")), str(document.get("apiVersion"))
    if kind.endswith("List") and "items" in document:
        for item in node.fields()["items"].items():
            yield from _document(item)
    elif kind == "Gateway" and version.startswith("networking.istio.io/"):
        metadata = document.get("metadata")
        name = metadata.get("name", "?") if isinstance(metadata, dict) else "?"
        spec = Node(node.file, f"Gateway {name}: spec", document.get("spec") or {}).fields()
        for server in spec["servers"].items() if "servers" in spec else ():
            yield from _server(f"{node.file}: Gateway {name}", server.fields())


def _server(where: str, server: dict[str, Node]) -> Iterator[Finding]:
    tls = server["tls"].fields() if "tls" in server else {}
    port = server["port"].fields() if "port" in server else {}
    where = f"{where}, port {port['number'].value if 'number' in port else '?'}"
    names = [name.text() for name in tls["cipherSuites"].items()] if "cipherSuites" in tls else []
    oldest, mode = (tls[key].value if key in tls else None for key in ("minProtocolVersion", "mode"))
    if names and mode in _NO_SETTINGS:
        yield _warning("cipher-suites-ignored", where, "leave them out", reason=f"in mode {mode}")
    elif names and oldest == "TLSV1_3":
        yield _warning("cipher-suites-ignored", where, "leave them out", reason="on TLS 1.3")
    for each in dropped_by_istio(names):
        remedy = f"servers[].tls.cipherSuites: [{each.instead}]" if each.instead else "leave it out"
        yield _warning("dropped-by-istio", where, remedy, cipher=each.name, fault=each.why, applies=each.applies)
    # An operator of BoringSSL may stand for anything.
    old_ones = any(accepted(name) and (name in LEGACY or name not in CIPHERS) for name in names)
    if oldest in _OLD and mode not in _NO_SETTINGS and not old_ones:
        remedy = f"servers[].tls.cipherSuites: one of {', '.join(LEGACY)} as well"
        yield _warning("legacy-without-suites", where, remedy, oldest=str(oldest))


def _warning(kind: str, where: str, remedy: str, **facts: str) -> Finding:
    return finding(kind, [where], remedy, where=where, **facts)
