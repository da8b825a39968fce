"""The TLS of a Gateway's server: what Istio is asked for, and what Envoy shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshproof.posture.istio import accepted

CLIENT_CA = ("MUTUAL", "OPTIONAL_MUTUAL")
"""Modes whose clients are held against the Secret's authority."""


def settings(tls: Mapping[str, Any]) -> dict[str, object]:
    """Return what Envoy has to show for the ``tls`` of a server."""
    mode, credential = tls.get("mode", "SIMPLE"), tls.get("credentialName")
    settings: dict[str, object] = {
        "minimum": _version(tls.get("minProtocolVersion")),
        "maximum": _version(tls.get("maxProtocolVersion")),
        "suites": [name for name in dict.fromkeys(tls.get("cipherSuites", [])) if accepted(name)],
        "client certificate required": mode in ("MUTUAL", "ISTIO_MUTUAL"),
    }
    if credential:
        settings["certificate"] = f"kubernetes://{credential}"
        settings["authority of the clients"] = f"kubernetes://{credential}-cacert" if mode in CLIENT_CA else "none"
    if mode == "ISTIO_MUTUAL":  # the proxy's own identity, and the mesh's root
        settings |= {"certificate": "default", "authority of the clients": "ROOTCA"}
    return settings


def settings_in_force(chain: Mapping[str, Any]) -> dict[str, object]:
    """Return the same of a chain; nothing if it ends no TLS."""
    if "transport_socket" not in chain:
        return {}
    context = chain["transport_socket"]["typed_config"]
    common = context.get("common_tls_context", {})
    parameters, authority = common.get("tls_params", {}), common.get("combined_validation_context", {})
    return {
        "minimum": parameters.get("tls_minimum_protocol_version", "default"),
        "maximum": parameters.get("tls_maximum_protocol_version", "default"),
        "suites": parameters.get("cipher_suites", []),
        "client certificate required": context.get("require_client_certificate", False),
        "certificate": ", ".join(each["name"] for each in common.get("tls_certificate_sds_secret_configs", [])),
        "authority of the clients": authority.get("validation_context_sds_secret_config", {}).get("name", "none"),
    }


def _version(name: str | None) -> str:
    """Return a version of Istio's, such as ``TLSV1_2``, as Envoy calls it."""
    return "default" if name in (None, "TLS_AUTO") else str(name).replace("TLSV", "TLSv")
