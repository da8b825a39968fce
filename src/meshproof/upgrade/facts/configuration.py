"""What a proxy has loaded, as facts: without what differs between two proxies that do the same.

Left out are versions of resources, times, and what a node is called; addresses of Services and pods have their names
instead. Certificates, inline texts and values of headers have their SHA-256: there may be secrets in them. What leads
to istiod itself is left out as well: each revision of the control plane has Services of its own, which no application
calls.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/config_dump.proto
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from meshproof.cluster.objects import Document
from meshproof.mesh import istio
from meshproof.mesh.envoy import refused_name
from meshproof.mesh.workload_certificate import WorkloadCertificate
from meshproof.upgrade.evidence import UNKNOWN
from meshproof.upgrade.facts.secrecy import digest

_OWN, _TRUSTED = "default", "ROOTCA"  # as Istio calls a proxy's own certificate, and whom it trusts
_ISTIOD = re.compile(rf"(^|\W)istiod(-[a-z0-9-]+)?\.{istio.NAMESPACE}(\W|_|$)")
_INLINE = {"inline_bytes", "inline_string", "inline_code"}
_HEADER = {"key", "value", "raw_value"}  # the fields of a header that is added, or sent to a service
_OF_THE_ENVIRONMENT = "key_values"  # of the variables of a WebAssembly plugin, by their names
_PSEUDO_HEADER = ":"  # how the names of these begin, such as :path: no secret is in one
_MATCHERS = {"exact_match", "prefix_match", "suffix_match", "contains_match", "safe_regex_match", "string_match"}
_TEXT = "type.googleapis.com/google.protobuf.StringValue"  # such as the configuration of a WebAssembly plugin
_READ = {
    "BootstrapConfigDump",
    "ListenersConfigDump",
    "ClustersConfigDump",
    "RoutesConfigDump",
    "EcdsConfigDump",
    "SecretsConfigDump",
}
"""The sections of a dump that facts are made of; what is static in them is in the first, too."""
_OF_THE_NODE = ("node", "admin")  # of the bootstrap: who the proxy is, and its own port


def with_names(dump: str, addresses: Mapping[str, str]) -> str:
    """Return a text in which addresses are replaced by the names of what has them.

    Args:
        dump: The text.
        addresses: The name by address, such as ``10.96.0.10``.
    """
    if not addresses:
        return dump
    pattern = re.compile(rf"(?<![\d.])({'|'.join(map(re.escape, addresses))})(?![\d.])")
    return pattern.sub(lambda match: addresses[match[1]], dump)


def resources_of(dump: str) -> dict[str, str]:
    """Return what a dump of Envoy has, each resource by its name as JSON, listeners apart from their filter chains."""
    facts: dict[str, str] = {}
    for name, value in _resources(_sections(dump)):
        text = value if isinstance(value, str) else json.dumps(_plain(value), sort_keys=True)
        if facts.setdefault(name, text) != text:  # such as the listeners of two pods behind one headless Service
            facts[f"{name} ({hashlib.sha256(text.encode()).hexdigest()[:8]})"] = text
    return facts


def active_listeners(dump: str) -> dict[str, Document]:
    """Return the listeners that are in force, by their names; what is refused or warming beside them does not count."""
    listeners = _sections(dump).get("ListenersConfigDump", {}).get("dynamic_listeners", [])
    return {entry["name"]: entry["active_state"]["listener"] for entry in listeners if "active_state" in entry}


def identity(dump: str) -> dict[str, str]:
    """Return whom a proxy says that it is in the mesh, whom it trusts, and what it is made of."""
    sections = _sections(dump)
    node = sections["BootstrapConfigDump"]["bootstrap"]["node"]
    build = node["user_agent_build_version"]["version"]
    chain, roots = (_pem(sections, name) for name in (_OWN, _TRUSTED))
    return {
        "Istio": node["metadata"].get("ISTIO_VERSION", f"{UNKNOWN}it does not say"),
        "Envoy": ".".join(str(build.get(part, 0)) for part in ("major_number", "minor_number", "patch")),
        "revision": node["metadata"].get("ANNOTATIONS", {}).get("istio.io/rev", "none"),
        "identity": ", ".join(WorkloadCertificate.from_pem(chain).names) if chain else "none",
        "trusted roots": ", ".join(sorted(map(_root, x509.load_pem_x509_certificates(roots)))) if roots else "none",
    }


def _root(certificate: x509.Certificate) -> str:
    return f"{certificate.subject.rfc4514_string()}, SHA-256 {certificate.fingerprint(SHA256()).hex()[:16]}"


def _sections(dump: str) -> dict[str, Document]:
    """Return the sections by their kinds; of extensions there is one for each kind of filter, and they are one here."""
    sections: dict[str, Document] = {}
    for section in json.loads(dump)["configs"]:
        whole = sections.setdefault(section["@type"].rsplit(".", 1)[1], {})
        for name, value in section.items():
            whole[name] = whole[name] + value if isinstance(value, list) and name in whole else value
    return sections


def _resources(sections: Mapping[str, Document]) -> Iterator[tuple[str, object]]:
    bootstrap = sections.get("BootstrapConfigDump", {}).get("bootstrap", {})
    yield from ((f"bootstrap: {key}", value) for key, value in bootstrap.items() if key not in _OF_THE_NODE)
    for listener in sections.get("ListenersConfigDump", {}).get("dynamic_listeners", []):
        yield from _listener(listener)
    yield from _clusters(sections.get("ClustersConfigDump", {}))
    for entry in sections.get("RoutesConfigDump", {}).get("dynamic_route_configs", []):
        yield from _routes(entry["route_config"])
    for entry in sections.get("EcdsConfigDump", {}).get("ecds_filters", []):
        if extension := entry.get("ecds_filter"):
            yield f"extension {extension['name']}", extension
    yield from _secrets(sections.get("SecretsConfigDump", {}))
    for name, section in sections.items():
        fields = ", ".join(field for field in section if field != "@type")
        if fields and name not in _READ:
            yield f"section {name}", f"{UNKNOWN}it is not read, and has {fields}"


def _clusters(section: Document) -> Iterator[tuple[str, object]]:
    for state in ("active", "warming"):
        for entry in section.get(f"dynamic_{state}_clusters", []):
            name = entry["cluster"]["name"]
            if not _ISTIOD.search(name):
                yield (f"cluster {name}", entry["cluster"]) if state == "active" else (f"warming cluster {name}", "yes")


def _secrets(section: Document) -> Iterator[tuple[str, object]]:
    for entry in section.get("dynamic_active_secrets", []):
        if entry["name"] not in (_OWN, _TRUSTED):  # see `identity`
            yield f"secret {entry['name']}", entry["secret"]
    for entry in section.get("dynamic_warming_secrets", []):
        yield f"warming secret {entry['name']}", "yes"


def _listener(entry: Document) -> Iterator[tuple[str, object]]:
    """Yield a listener, then each of its filter chains; one that only drains takes nobody any more."""
    if "error_state" in entry:
        yield f"refused listener {refused_name(entry)}", entry["error_state"].get("details", "no reason given")
    name = f"listener {entry.get('name')}"
    if "warming_state" in entry:
        yield f"warming {name}", "yes"
    if "active_state" not in entry or _ISTIOD.search(entry["name"]):
        return
    listener = dict(entry["active_state"]["listener"])
    chains = [(_match(chain), chain) for chain in listener.pop("filter_chains", [])]
    if "default_filter_chain" in listener:
        chains.append(("of any other", listener.pop("default_filter_chain")))
    yield name, listener
    number = Counter[str]()
    for match, chain in chains:
        number[match] += 1
        again = f" {number[match]}" if number[match] > 1 else ""
        yield f"{name}: filter chain {match}{again}", chain


def _match(chain: Document) -> str:
    """Return which connections a filter chain takes, as far as that tells it from most others."""
    match = chain.get("filter_chain_match", {})
    if names := match.get("server_names"):
        return " ".join(names)
    where = [f"port {match['destination_port']}"] if "destination_port" in match else []
    if "transport_protocol" in match:
        where.append(match["transport_protocol"])
    return " ".join(where) or chain.get("name", "of any")


def _routes(config: Document) -> Iterator[tuple[str, object]]:
    name = f"routes {config['name']}"
    if _ISTIOD.search(config["name"]):
        return
    yield name, {key: value for key, value in config.items() if key != "virtual_hosts"}
    for host in config.get("virtual_hosts", []):
        if not _ISTIOD.search(host["name"]):
            yield f"{name}: host {host['name']}", host


def _plain(value: Any) -> Any:  # noqa: ANN401 - it is JSON
    """Return a value in which what may be secret has its SHA-256 instead: what is inline, and values of headers.

    Also the values that headers and parameters of queries are compared with, such as those that a policy asks for, and
    those of environment variables that a plugin is given.

    Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/core/v3/base.proto (DataSource, HeaderValue) and
    https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto (HeaderMatcher)
    """
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    secret = {*_INLINE, _OF_THE_ENVIRONMENT}
    if (value.keys() <= _HEADER and "key" in value) or value.get("@type") == _TEXT:
        secret |= {"value", "raw_value"}
    if isinstance(value.get("name"), str) and not value["name"].startswith(_PSEUDO_HEADER):
        secret |= _MATCHERS
    return {key: _hidden(inner) if key in secret else _plain(inner) for key, inner in value.items()}


def _hidden(value: Any) -> Any:  # noqa: ANN401 - it is JSON
    """Return a value with the digests of its texts."""
    if isinstance(value, dict):
        return {key: _hidden(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hidden(inner) for inner in value]
    return digest(value) if isinstance(value, str) else value


def _pem(sections: Mapping[str, Document], name: str) -> bytes:
    """Return the certificates of a secret, in PEM; none where the proxy has none of that name."""
    for entry in sections.get("SecretsConfigDump", {}).get("dynamic_active_secrets", []):
        if entry["name"] == name:
            chain = entry["secret"].get("tls_certificate", {}).get("certificate_chain", {})
            roots = entry["secret"].get("validation_context", {}).get("trusted_ca", {})
            return base64.b64decode((chain or roots).get("inline_bytes", ""))
    return b""
