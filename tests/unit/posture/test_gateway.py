"""Gateway manifests: what is refused, left out or without effect is told; what would do as it says is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshproof.errors import Unreadable
from meshproof.posture.gateway import gateway_warnings
from meshproof.posture.istio import CIPHERS, ENVOY_DEFAULTS
from meshproof.posture.verdict import Finding, Severity
from tests.support.postures import GCM

GATEWAY = """
apiVersion: v1
kind: Secret
metadata: {name: other}
---
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web}
spec:
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: SIMPLE, credentialName: web, %s}
"""

WHOLE = """
apiVersion: networking.istio.io/v1beta1
kind: Gateway
metadata: {name: whole, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - name: everything
    bind: 0.0.0.0
    defaultEndpoint: 127.0.0.1:8080
    hosts: [example.test]
    port: {number: 8443, name: https, protocol: HTTPS, targetPort: 8443}
    tls:
      httpsRedirect: false
      mode: MUTUAL
      minProtocolVersion: TLSV1_2
      maxProtocolVersion: TLSV1_3
      cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256]
      credentialName: web
      credentialNames: [web, web-ecdsa]
      caCertCredentialName: clients
      serverCertificate: /a
      privateKey: /b
      caCertificates: /c
      caCrl: /d
      tlsCertificates: [{serverCertificate: /a, privateKey: /b, caCertificates: /c}]
      subjectAltNames: [a]
      verifyCertificateSpki: [b]
      verifyCertificateHash: [c]
      insecureSkipVerify: false
status: {}
"""
"""Every field that there is."""

GATEWAY_API = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: new}
spec: {gatewayClassName: istio, listeners: [{name: https, port: 443, protocol: HTTPS}]}
"""


def warnings(directory: Path, tls: str, text: str = GATEWAY) -> list[Finding]:
    """Return what is said of a Gateway with these settings."""
    path = directory / "gateway.yaml"
    path.write_text(text % tls if "%s" in text else text)
    return list(gateway_warnings(path))


def test_a_gateway_with_a_dropped_name(tmp_path: Path) -> None:
    """The sentence names file, Gateway, port and cipher, and says how to spell it."""
    (warning,) = warnings(tmp_path, f"cipherSuites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, {CIPHERS[-1]}]")
    for word in (str(tmp_path / "gateway.yaml"), "Gateway web", "port 443", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"):
        assert word in warning.why
    assert warning.id == "dropped-by-istio"
    assert warning.remedy == f"servers[].tls.cipherSuites: [{GCM}]"
    assert warning.what == (f"{tmp_path / 'gateway.yaml'}: Gateway web, port 443",)
    (warning,) = warnings(tmp_path, f"cipherSuites: [HIGH, {GCM}]")
    assert warning.remedy == "leave it out"


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        (f"cipherSuites: [{GCM}], minProtocolVersion: TLSV1_2", []),
        (f"cipherSuites: [{GCM}], minProtocolVersion: TLSV1_3", ["cipher-suites-ignored"]),
        (f"cipherSuites: [{GCM}], minProtocolVersion: TLSV1_0", ["legacy-without-suites"]),
        ("minProtocolVersion: TLSV1_1", ["legacy-without-suites"]),
        ("cipherSuites: [AES128-SHA], minProtocolVersion: TLSV1_0", []),
        ("cipherSuites: [ALL], minProtocolVersion: TLSV1_0", []),
        ("cipherSuites: null, mode: MUTUAL", []),
        (f"mode: PASSTHROUGH, cipherSuites: [{GCM}]", ["cipher-suites-ignored"]),
        (f"mode: AUTO_PASSTHROUGH, cipherSuites: [{GCM}]", ["cipher-suites-ignored"]),
        (f"mode: ISTIO_MUTUAL, cipherSuites: [{GCM}]", ["cipher-suites-ignored"]),
        (f"mode: OPTIONAL_MUTUAL, cipherSuites: [{GCM}]", []),
        ("mode: PASSTHROUGH, minProtocolVersion: TLSV1_0, maxProtocolVersion: TLSV1_1", []),
    ],
)
def test_settings_without_effect(tmp_path: Path, tls: str, expected: list[str]) -> None:
    """What would not do as it says is told, what would is not."""
    text = GATEWAY.replace("mode: SIMPLE, ", "") if "mode:" in tls else GATEWAY
    assert [warning.id for warning in warnings(tmp_path, tls, text)] == expected


def test_no_mode_is_a_mode(tmp_path: Path) -> None:
    """PASSTHROUGH is the first value of the enum, and so the one that is meant where none is given."""
    (warning,) = warnings(tmp_path, f"cipherSuites: [{GCM}]", GATEWAY.replace("mode: SIMPLE, ", ""))
    assert "no effect in mode PASSTHROUGH, which it is when no mode is given" in warning.why
    (warning,) = warnings(tmp_path, f"minProtocolVersion: TLSV1_3, cipherSuites: [{GCM}]")
    assert "no effect on TLS 1.3" in warning.why


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        (
            "minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2",
            "TLSV1_3, is newer than maxProtocolVersion, TLSV1_2",
        ),
        ("maxProtocolVersion: TLSV1_1", "TLSV1_2, the default, is newer than maxProtocolVersion, TLSV1_1"),
        ("minProtocolVersion: TLS_AUTO, maxProtocolVersion: TLSV1_0", "TLSV1_2, the default, is newer than"),
        ("minProtocolVersion: TLSV1_3, maxProtocolVersion: TLS_AUTO", None),
        ("minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_3", None),
        ("minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_3", None),
        ("maxProtocolVersion: TLSV1_2", None),
    ],
)
def test_a_minimum_above_the_maximum(tmp_path: Path, tls: str, words: str | None) -> None:
    """Istio does not refuse it; the defaults count as well."""
    found = [warning for warning in warnings(tmp_path, tls) if warning.id == "no-version-left"]
    assert len(found) == (words is not None)
    for warning in found:
        assert words
        assert f"port 443: minProtocolVersion, {words}" in warning.why
        assert warning.severity is Severity.BROKEN
        least = words.partition(",")[0]
        assert warning.remedy == f"servers[].tls.maxProtocolVersion: {least} or newer"


@pytest.mark.parametrize(
    ("tls", "field", "value", "remedy"),
    [
        ("mode: SIMPEL", "mode", "SIMPEL", "SIMPLE"),
        ("mode: simple", "mode", "simple", "SIMPLE"),
        ("minProtocolVersion: TLSv1.2", "minProtocolVersion", "TLSv1.2", "TLSV1_2"),
        ("maxProtocolVersion: 1.3", "maxProtocolVersion", "1.3", "one of TLS_AUTO, TLSV1_0, TLSV1_1, TLSV1_2, TLSV1_3"),
        ("maxProtocolVersion: [TLSV1_3]", "maxProtocolVersion", "['TLSV1_3']", "TLSV1_3"),
    ],
)
def test_a_value_that_there_is_not(tmp_path: Path, tls: str, field: str, value: str, remedy: str) -> None:
    """The API server refuses it; the value that was meant is named, or all that there are."""
    text = GATEWAY.replace("mode: SIMPLE, ", "") if "mode:" in tls else GATEWAY
    (warning,) = warnings(tmp_path, tls, text)
    assert warning.id == "unknown-value"
    assert f"servers[].tls.{field} can't be {value}: the API server refuses the manifest." in warning.why
    assert warning.remedy == f"servers[].tls.{field}: {remedy}"


@pytest.mark.parametrize(
    ("old", "new", "field", "remedy"),
    [
        ("spec:", "Spec: {}\nspec:", "Spec", "spec"),
        ("selector:", "selectors:", "spec.selectors", "spec.selector"),
        ("hosts:", "host:", "servers[].host", "servers[].hosts"),
        ("bind:", "TLS:", "servers[].TLS", "servers[].tls"),
        ("targetPort:", "target_port:", "servers[].port.target_port", "servers[].port.targetPort"),
        (
            "minProtocolVersion:",
            "minProtcolVersion:",
            "servers[].tls.minProtcolVersion",
            "servers[].tls.minProtocolVersion",
        ),
        ("cipherSuites:", "cipher_suites:", "servers[].tls.cipher_suites", "servers[].tls.cipherSuites"),
        (
            "{serverCertificate:",
            "{serverCertficate:",
            "servers[].tls.tlsCertificates[].serverCertficate",
            "servers[].tls.tlsCertificates[].serverCertificate",
        ),
        ("caCrl:", "xyz:", "servers[].tls.xyz", "leave it out"),
    ],
)
def test_a_field_that_there_is_not(tmp_path: Path, old: str, new: str, field: str, remedy: str) -> None:
    """It is told with its place, and with the field that was meant."""
    (warning,) = warnings(tmp_path, "", WHOLE.replace(old, new, 1))
    assert warning.id == "unknown-field"
    near = f"; the nearest is {remedy.rpartition('.')[2]}" if remedy != "leave it out" else ""
    assert f": {field} is no field{near}: the API server" in warning.why
    assert warning.remedy == remedy
    assert "Gateway whole" in warning.why
    assert ("port 8443" in warning.why) is field.startswith("servers[]")


def test_every_field_that_there_is(tmp_path: Path) -> None:
    """None of those in Istio's CustomResourceDefinition is taken for a mistake."""
    assert warnings(tmp_path, "", WHOLE) == []


def test_a_list_as_kubectl_prints_it(tmp_path: Path) -> None:
    """Gateways in a list, and in a list in it, are looked at; those of the Gateway API are not, which is said."""
    server = f"{{port: {{number: 8443}}, tls: {{mode: PASSTHROUGH, cipherSuites: [{GCM}]}}}}"
    gateway = "{apiVersion: %s/v1, kind: Gateway, metadata: {name: web}, spec: {servers: [" + server + "]}}"
    ours, others = (gateway.replace("%s", group) for group in ("networking.istio.io", "gateway.networking.k8s.io"))
    inner = f"{{apiVersion: v1, kind: GatewayList, items: [{ours}]}}"
    ignored, unchecked = warnings(tmp_path, "", f"apiVersion: v1\nkind: List\nitems:\n- {inner}\n- {others}\n")
    assert "no effect in mode PASSTHROUGH" in ignored.why
    assert (unchecked.id, unchecked.severity) == ("gateway-api", Severity.NOTE)
    assert "Gateway web: nothing of it was checked. A Gateway of the Gateway API has no field" in unchecked.why


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("", "it is empty"),
        ("---\n---\n", "it is empty"),
        ("just text", "it has no kind"),
        ("apiVersion: v1\nkind: Service\n---\napiVersion: v1\nkind: Service", "it has Service of v1"),
        ("kind: Gateway", "it has Gateway"),
        (GATEWAY_API, "it has Gateway of gateway.networking.k8s.io/v1"),
        (
            GATEWAY_API.replace("kind: Gateway", "kind: HTTPRoute") + "---\n[1]",
            "it has HTTPRoute of gateway.networking.k8s.io/v1, no kind",
        ),
        ("apiVersion: networking.istio.io/v1\nkind: Gatway", "it has Gatway of networking.istio.io/v1"),
        ("apiVersion: v1\nkind: List\nitems: []", "it is empty"),
    ],
)
def test_a_file_without_a_gateway_of_istio(tmp_path: Path, text: str, kinds: str) -> None:
    """It is an error that says what there is, and for the Gateway API where such settings are."""
    with pytest.raises(Unreadable) as error:
        warnings(tmp_path, "", text)
    said = f"looked for a Gateway of networking.istio.io, and {kinds}. Nothing was checked."
    assert str(error.value).startswith(f"{tmp_path / 'gateway.yaml'}: {said}")
    assert ("gateway.istio.io/tls-cipher-suites" in str(error.value)) is ("gateway.networking.k8s.io" in text)
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "this is not YAML"),
        (GATEWAY.replace("{mode: SIMPLE, credentialName: web, %s}", "[]"), "should be a mapping"),
        (GATEWAY % "cipherSuites: AES128-SHA", "should be a list"),
        (GATEWAY % "cipherSuites: [1]", "should be text, and is 1"),
        ("apiVersion: networking.istio.io/v1\nkind: Gateway\nspec: {servers: 1}", "Gateway ?: spec.servers should be"),
        ("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: 1\nspec: 1", "Gateway ?: spec should be"),
    ],
)
def test_a_bad_manifest_is_one_sentence(tmp_path: Path, text: str, why: str) -> None:
    """It names the file and what is wrong with it."""
    with pytest.raises(Unreadable) as error:
        warnings(tmp_path, "", text)
    assert why in str(error.value)
    assert str(tmp_path / "gateway.yaml") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_gateway_that_is_nearly_empty(tmp_path: Path) -> None:
    """Nothing is asked of it, so nothing is wrong with it here."""
    for spec in ("", "spec:", "spec: {servers: [{port: , tls: }]}", "spec: {servers: [{}]}"):
        assert warnings(tmp_path, "", f"apiVersion: networking.istio.io/v1\nkind: Gateway\n{spec}") == []


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Nor is it a traceback."""
    with pytest.raises(Unreadable, match="cannot be read: No such file"):
        gateway_warnings(tmp_path / "none.yaml")


def test_the_defaults_are_no_mistake(tmp_path: Path) -> None:
    """All that Envoy offers by itself may be written down."""
    assert warnings(tmp_path, f"cipherSuites: [{', '.join(ENVOY_DEFAULTS)}]") == []
