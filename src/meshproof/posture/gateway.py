"""Warnings about Gateway manifests: settings that are refused, left out, or taken and not put in force.

The fields and their values are those of Istio's CustomResourceDefinition of Gateway (1.31); what becomes of them is
from its source, ``pilot/pkg/networking/core``.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from meshproof.errors import Unreadable
from meshproof.input_files import Node, yaml_documents
from meshproof.posture.istio import CIPHERS, LEGACY, accepted, dropped_by_istio
from meshproof.posture.verdict import Finding, finding

ISTIO = "networking.istio.io/"
GATEWAY_API = "gateway.networking.k8s.io/"

_DOCUMENT = ("apiVersion", "kind", "metadata", "spec", "status")
_SPEC = ("servers", "selector")
_SERVER = ("port", "bind", "hosts", "tls", "defaultEndpoint", "name")
_PORT = ("number", "protocol", "name", "targetPort")
_CERTIFICATE = ("serverCertificate", "privateKey", "caCertificates")
_TLS = (
    *("httpsRedirect", "mode", "minProtocolVersion", "maxProtocolVersion", "cipherSuites"),
    *("credentialName", "credentialNames", "caCertCredentialName", "tlsCertificates", *_CERTIFICATE, "caCrl"),
    *("subjectAltNames", "verifyCertificateSpki", "verifyCertificateHash", "insecureSkipVerify"),
)
_VERSIONS = ("TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")
_AUTO = "TLS_AUTO"
_DEFAULT = {"minProtocolVersion": "TLSV1_2", "maxProtocolVersion": "TLSV1_3"}
_OLD = ("TLSV1_0", "TLSV1_1")
_NO_SETTINGS = ("PASSTHROUGH", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL")
_VALUES = {
    "mode": ("PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"),
    "minProtocolVersion": (_AUTO, *_VERSIONS),
    "maxProtocolVersion": (_AUTO, *_VERSIONS),
}
_NOT_LOOKED_AT = (
    "A Gateway of the Gateway API has no field for TLS versions or cipher suites: Istio takes suites from the option "
    "gateway.istio.io/tls-cipher-suites of a listener and versions from meshConfig.tlsDefaults."
)


def gateway_warnings(path: Path) -> tuple[Finding, ...]:
    """Read Gateways of Istio from a file of YAML, and tell what would not do as it says.

    Other documents in the file, and lists as ``kubectl get -o yaml`` prints them, are fine.

    Raises:
        Unreadable: The file cannot be read, is not YAML, has no Gateway of Istio, or one of another shape.
    """
    documents = [document for node in yaml_documents(path) for document in _documents(node)]
    gateways = [node for node in documents if _kind(node)[1] == "Gateway" and _kind(node)[0].startswith(ISTIO)]
    if not gateways:
        raise _nothing_to_check(path, documents)
    others = [node for node in documents if _is_of_gateway_api(node) and _kind(node)[1] == "Gateway"]
    return (
        *(warning for node in gateways for warning in _gateway(node)),
        *(
            _warning("gateway-api", f"{path}: {_name(node)}", "look at it by hand", fact=_NOT_LOOKED_AT)
            for node in others
        ),
    )


def _nothing_to_check(path: Path, documents: Sequence[Node]) -> Unreadable:
    kinds = dict.fromkeys(" of ".join(filter(None, reversed(_kind(node)))) or "no kind" for node in documents)
    has = f"it has {', '.join(kinds)}" if kinds else "it is empty"
    fact = f" {_NOT_LOOKED_AT}" if any(map(_is_of_gateway_api, documents)) else ""
    return Unreadable(f"{path}: looked for a Gateway of networking.istio.io, and {has}. Nothing was checked.{fact}")


def _documents(node: Node) -> Iterator[Node]:
    """Give a document, or those in a list."""
    if isinstance(node.value, dict) and _kind(node)[1].endswith("List") and "items" in node.value:
        for item in node.fields()["items"].items():
            yield from _documents(item)
    else:
        yield node


def _kind(node: Node) -> tuple[str, str]:
    """Return apiVersion and kind, empty where there is none."""
    document = node.value if isinstance(node.value, dict) else {}
    return str(document.get("apiVersion") or ""), str(document.get("kind") or "")


def _is_of_gateway_api(node: Node) -> bool:
    return _kind(node)[0].startswith(GATEWAY_API)


def _name(node: Node) -> str:
    metadata = node.value.get("metadata") if isinstance(node.value, dict) else None
    return f"Gateway {metadata.get('name', '?') if isinstance(metadata, dict) else '?'}"


def _gateway(node: Node) -> Iterator[Finding]:
    where = f"{node.file}: {_name(node)}"
    top = node.fields()
    yield from _unknown_fields(where, "", top, _DOCUMENT)
    spec = Node(node.file, f"{_name(node)}: spec", top["spec"].value or {} if "spec" in top else {}).fields()
    yield from _unknown_fields(where, "spec.", spec, _SPEC)
    for server in spec["servers"].items() if "servers" in spec else ():
        yield from _server(where, server.fields())


def _server(where: str, server: Mapping[str, Node]) -> Iterator[Finding]:
    port, tls = (_mapping(server.get(key)) for key in ("port", "tls"))
    where = f"{where}, port {port['number'].value if 'number' in port else '?'}"
    yield from _unknown_fields(where, "servers[].", server, _SERVER)
    yield from _unknown_fields(where, "servers[].port.", port, _PORT)
    yield from _unknown_fields(where, "servers[].tls.", tls, _TLS)
    for pair in tls["tlsCertificates"].items() if "tlsCertificates" in tls else ():
        yield from _unknown_fields(where, "servers[].tls.tlsCertificates[].", pair.fields(), _CERTIFICATE)
    yield from _unknown_values(where, tls)
    yield from _settings(where, tls)


def _mapping(node: Node | None) -> Mapping[str, Node]:
    """Return what is in a mapping, without what is null: that is as if it were not there."""
    fields = node.fields() if node and node.value is not None else {}
    return {key: value for key, value in fields.items() if value.value is not None}


def _unknown_fields(where: str, way: str, fields: Mapping[str, Node], known: Collection[str]) -> Iterator[Finding]:
    for key in (key for key in fields if key not in known):
        near = _nearest(key, known)
        remedy = f"{way}{near}" if near else "leave it out"
        hint = f"; the nearest is {near}" if near else ""
        yield _warning("unknown-field", where, remedy, field=f"{way}{key}", near=hint)


def _nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the word that was meant; capitals and underlines do not count."""
    plain = {name.replace("_", "").lower(): name for name in known}
    near = difflib.get_close_matches(word.replace("_", "").lower(), plain, n=1)
    return plain[near[0]] if near else None


def _unknown_values(where: str, tls: Mapping[str, Node]) -> Iterator[Finding]:
    for key, known in _VALUES.items():
        value = tls[key].value if key in tls else None
        if value is not None and value not in known:
            near = _nearest(str(value), known) or f"one of {', '.join(known)}"
            remedy = f"servers[].tls.{key}: {near}"
            yield _warning("unknown-value", where, remedy, field=f"servers[].tls.{key}", value=str(value))


def _settings(where: str, tls: Mapping[str, Node]) -> Iterator[Finding]:
    names = [name.text() for name in tls["cipherSuites"].items()] if "cipherSuites" in tls else []
    mode = tls["mode"].value if "mode" in tls else None
    in_force = mode is not None and mode not in _NO_SETTINGS
    oldest, newest = (tls[key].value if key in tls else _AUTO for key in _DEFAULT)
    if names and not in_force:
        reason = f"in mode {mode}" if mode else "in mode PASSTHROUGH, which it is when no mode is given"
        yield _warning("cipher-suites-ignored", where, "leave them out", reason=reason)
    elif names and oldest == "TLSV1_3":
        yield _warning("cipher-suites-ignored", where, "leave them out", reason="on TLS 1.3")
    for dropped in dropped_by_istio(names):
        remedy = f"servers[].tls.cipherSuites: [{dropped.instead}]" if dropped.instead else "leave it out"
        yield _warning(
            "dropped-by-istio", where, remedy, cipher=dropped.name, fault=dropped.why, applies=dropped.applies
        )
    # An operator of BoringSSL may stand for anything.
    old_ones = any(accepted(name) and (name in LEGACY or name not in CIPHERS) for name in names)
    if oldest in _OLD and in_force and not old_ones:
        remedy = f"servers[].tls.cipherSuites: one of {', '.join(LEGACY)} as well"
        yield _warning("legacy-without-suites", where, remedy, oldest=str(oldest))
    if in_force:
        yield from _no_version_left(where, str(oldest), str(newest))


def _no_version_left(where: str, oldest: str, newest: str) -> Iterator[Finding]:
    least, most = (
        {_AUTO: default}.get(word, word) for word, default in zip((oldest, newest), _DEFAULT.values(), strict=True)
    )
    if least in _VERSIONS and most in _VERSIONS and _VERSIONS.index(least) > _VERSIONS.index(most):
        facts = {"oldest": f"{least}, the default" if oldest == _AUTO else least, "newest": most}
        yield _warning("no-version-left", where, f"servers[].tls.maxProtocolVersion: {least} or newer", **facts)


def _warning(kind: str, where: str, remedy: str, **facts: str) -> Finding:
    return finding(kind, [where], remedy, where=where, **facts)
