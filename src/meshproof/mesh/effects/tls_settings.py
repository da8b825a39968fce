"""The TLS of a Gateway's server: what Istio is asked for, and what Envoy shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshproof.posture.istio import accepted

CLIENT_CA = ("MUTUAL", "OPTIONAL_MUTUAL")
"""Modes whose clients are held against the Secret's authority."""
_AUTO = "default"
_TAKEN_FOR = {"TLSv1_2": "TLSv1_0", "TLSv1_3": "TLSv1_1"}
"""For which version some releases of Istio take the mesh's default: https://github.com/istio/istio/pull/58912"""


def settings(tls: Mapping[str, Any]) -> dict[str, object]:
    """Return what Envoy has to show for the ``tls`` of a server."""
    mode, credential = tls.get("mode", "SIMPLE"), tls.get("credentialName")
    settings: dict[str, object] = {
        "minimum": _version(tls.get("minProtocolVersion")),
        "maximum": _version(tls.get("maxProtocolVersion")),
        "suites": _suites(tls),
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
        "minimum": parameters.get("tls_minimum_protocol_version", _AUTO),
        "maximum": parameters.get("tls_maximum_protocol_version", _AUTO),
        "suites": parameters.get("cipher_suites", []),
        "client certificate required": context.get("require_client_certificate", False),
        "certificate": ", ".join(each["name"] for each in common.get("tls_certificate_sds_secret_configs", [])),
        "authority of the clients": authority.get("validation_context_sds_secret_config", {}).get("name", "none"),
    }


def are_in_force(settings: Mapping[str, object], chain: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    """Return whether a chain shows what a server asks for; what it leaves to the mesh is as the mesh's default is.

    Args:
        settings: What Envoy has to show; see ``settings``.
        chain: The chain.
        defaults: The mesh's ``tlsDefaults``. What they don't say is left to Envoy: its configuration says nothing.
    """
    in_force = settings_in_force(chain)
    return all(
        in_force.get(name) == value or (bool(in_force) and in_force[name] in _by_default(name, value, defaults))
        for name, value in settings.items()
    )


def _by_default(name: str, value: object, defaults: Mapping[str, Any]) -> list[object]:
    """Return what the mesh's defaults make of a setting that a server leaves to them; nothing of any other."""
    if name == "minimum" and value == _AUTO:
        version = _version(defaults.get("minProtocolVersion"))
        return [version, _TAKEN_FOR.get(version, version)]
    if name == "suites" and not value:
        return [_suites(defaults)]
    return []


def _suites(tls: Mapping[str, Any]) -> list[str]:
    """Return the cipher suites that Istio hands on of those in the ``tls`` of a server, or in the mesh's defaults."""
    return [name for name in dict.fromkeys(tls.get("cipherSuites", [])) if accepted(name)]


def _version(name: str | None) -> str:
    """Return a version of Istio's, such as ``TLSV1_2``, as Envoy calls it."""
    return _AUTO if name in (None, "TLS_AUTO") else str(name).replace("TLSV", "TLSv")
