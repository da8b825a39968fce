"""The facts of a proxy: the same for what does the same, and another for each thing that does not."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from meshproof.certificates.authority import Authority
from meshproof.upgrade.facts.configuration import identity, resources_of, with_names

DUMPS = Path(__file__).with_name("dumps")
NAME = "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account"
CHAIN = "listener 0.0.0.0_8443: filter chain gateway-rotation.test"


def dump(name: str, **secrets: bytes) -> str:
    """Return a dump, with certificates in some of its secrets."""
    document = json.loads((DUMPS / f"{name}.json").read_text())
    for entry in document["configs"][-1]["dynamic_active_secrets"]:
        secret, pem = entry["secret"], secrets.get(entry["name"].rpartition("/")[2].replace("-", "_"), b"")
        inline = {"inline_bytes": base64.b64encode(pem).decode()}
        if "tls_certificate" in secret:
            secret["tls_certificate"]["certificate_chain"] = inline
        else:
            secret["validation_context"]["trusted_ca"] = inline
    return json.dumps(document)


def section(document: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - JSON
    """Return a section of a dump."""
    return next(each for each in document["configs"] if each["@type"].endswith(name))


def test_another_proxy_that_does_the_same_has_the_same_facts() -> None:
    """Names and addresses of pods, versions of resources and times tell nothing of what a proxy does."""
    first = dump("sidecar")
    other = first.replace("httpbin-578c445f65-l4mz7", "httpbin-6fcd5b4d7c-abcde").replace("10.244.0.9", "10.244.0.77")
    other = other.replace("2026-11-22T10:0", "2026-11-23T11:1")
    assert other != first
    assert resources_of(other) == resources_of(first)


def test_a_service_that_was_made_anew_has_the_same_facts() -> None:
    """The address of a Service is replaced by its name, in the name of a listener too, and no longer number is."""
    first = dump("sidecar")
    facts = resources_of(with_names(first, {"10.96.0.10": "kube-dns.kube-system", "10.96.0.1": "kubernetes.default"}))
    assert "listener kube-dns.kube-system_53" in facts
    assert not any("kubernetes.default" in name or "kubernetes.default" in value for name, value in facts.items())
    anew = first.replace("10.96.0.10", "10.96.7.7")
    assert resources_of(with_names(anew, {"10.96.7.7": "kube-dns.kube-system"})) == facts


def test_what_leads_to_istiod_is_left_out() -> None:
    """Each revision has Services of its own, to which no application goes."""
    facts = resources_of(with_names(dump("sidecar"), {"10.96.67.31": "istiod.istio-system"}))
    assert "listener istiod.istio-system_15012" not in facts
    assert [name for name in facts if "istiod." in name] == []
    assert "routes 15010: host allow_any" in facts
    assert "cluster outbound|8000||httpbin.default.svc.cluster.local" in facts


def test_what_a_gateway_has() -> None:
    """Each filter chain is a fact by its server name, and each virtual host and secret one by its own."""
    names = set(resources_of(dump("gateway")))
    assert {
        "listener 0.0.0.0_8443",
        CHAIN,
        "routes https.443.https.gateway-rotation.gateway-rotation: host gateway-rotation.test:443",
        "secret kubernetes://gateway-rotation-cacert",
        "bootstrap: layered_runtime",
    } <= names
    assert "bootstrap: node" not in names


def test_chains_of_a_port_are_told_apart() -> None:
    """A sidecar's port has a chain for TLS of the mesh and, if it is permissive, one for plaintext."""
    facts = resources_of(dump("sidecar"))
    chains = {name.rpartition(": ")[2] for name in facts if name.startswith("listener virtualInbound: ")}
    assert chains == {"filter chain port 80 tls", "filter chain port 80 raw_buffer"}


def test_a_certificate_is_told_by_its_hash() -> None:
    """Another authority of clients is another fact, and neither certificates nor keys are in one."""
    first, second = (
        resources_of(dump("gateway", gateway_rotation_cacert=authority.pem)) for authority in (Authority(), Authority())
    )
    assert [name for name in first if first[name] != second[name]] == ["secret kubernetes://gateway-rotation-cacert"]
    assert "SHA-256" in first["secret kubernetes://gateway-rotation-cacert"]
    assert not any("LS0tLS" in value for value in first.values())


TYPE = "type.googleapis.com/google.protobuf.StringValue"


@pytest.mark.parametrize(
    "config",
    [
        {"request_headers_to_add": [{"header": {"key": "authorization", "value": "SECRET"}, "append_action": "ADD"}]},
        {"response_headers_to_add": [{"header": {"key": "x-key", "raw_value": "SECRET"}}]},
        {"initial_metadata": [{"key": "authorization", "value": "SECRET"}]},
        {"headers": [{"name": "x-api-key", "string_match": {"exact": "SECRET", "ignore_case": True}}]},
        {"header": {"name": "x-api-key", "exact_match": "SECRET"}},
        {"header": {"name": "x-api-key", "string_match": {"safe_regex": {"regex": "SECRET|b"}}}},
        {"query_parameters": [{"name": "token", "string_match": {"exact": "SECRET"}}]},
        {"users": {"inline_string": "bob:{SHA}SECRET"}},
        {"tls_certificate": {"private_key": {"inline_bytes": "SECRET"}}},
        {"inline_code": "local key = 'SECRET'"},
        {"vm_config": {"environment_variables": {"key_values": {"TOKEN": "SECRET"}}}},
        {"configuration": {"@type": TYPE, "value": '{"key": "SECRET"}'}},
    ],
    ids=[
        "a header of requests",
        "bytes of a header",
        "metadata of a call",
        "a header of a route",
        "a header of a policy",
        "a pattern of a header",
        "a parameter of a query",
        "users",
        "a key",
        "a program in Lua",
        "the environment of a plugin",
        "a plugin",
    ],
)
def test_what_may_be_secret_can_be_compared_and_not_be_read(config: dict[str, Any]) -> None:
    """Where it is another one the fact is another one, and neither of them is in a fact."""

    def fact(text: str) -> str:
        document = json.loads(dump("gateway"))
        clusters = section(document, "ClustersConfigDump")["dynamic_active_clusters"]
        clusters.append({"cluster": {"name": "it", **json.loads(json.dumps(config).replace("SECRET", text))}})
        return resources_of(json.dumps(document))["cluster it"]

    first, second = fact("OLD-SECRET"), fact("NEW-SECRET")
    assert first != second
    assert first == fact("OLD-SECRET")
    assert "SECRET" not in first + second
    assert "SHA-256 " in first


def test_what_is_no_secret_can_be_read() -> None:
    """Methods and paths that a policy is about, and names of headers, are in the facts."""
    rules = {
        "headers": [{"name": ":method", "string_match": {"exact": "GET"}}, {"name": "x-key", "present_match": True}],
        "custom_tags": [{"tag": "istio.canonical_revision", "literal": {"value": "latest"}}],
    }
    document = json.loads(dump("gateway"))
    section(document, "ClustersConfigDump")["dynamic_active_clusters"].append({"cluster": {"name": "it", **rules}})
    assert json.loads(resources_of(json.dumps(document))["cluster it"]) == {"name": "it", **rules}


def test_who_a_proxy_is() -> None:
    """Its releases, its name in the mesh, and the root that it trusts by its hash."""
    authority = Authority("mesh")
    text = dump("gateway", default=authority.client(NAME).chain_pem, ROOTCA=authority.pem)
    facts = identity(text)
    assert (facts["Istio"], facts["Envoy"], facts["identity"]) == ("1.31.0", "1.39.3", NAME)
    assert "O=mesh, SHA-256 " in facts["trusted roots"]
    other = identity(dump("gateway", default=authority.client(NAME).chain_pem, ROOTCA=Authority("mesh").pem))
    assert [name for name in facts if facts[name] != other[name]] == ["trusted roots"]


def test_a_proxy_without_a_certificate() -> None:
    """It has no name, which is no failure of the look."""
    assert identity(dump("gateway"))["identity"] == "none"


@pytest.mark.parametrize(
    ("entry", "name", "value"),
    [
        ({"name": "0.0.0.0_9", "error_state": {"details": "no suite"}}, "refused listener 0.0.0.0_9", "no suite"),
        (
            {"error_state": {"details": "no suite", "failed_configuration": {"name": "0.0.0.0_9"}}},
            "refused listener 0.0.0.0_9",
            "no suite",
        ),
        ({"name": "0.0.0.0_9", "warming_state": {}}, "warming listener 0.0.0.0_9", "yes"),
    ],
    ids=["refused", "refused from the start", "warming"],
)
def test_a_listener_that_is_not_as_it_was_asked_for(entry: Mapping[str, object], name: str, value: str) -> None:
    """That a proxy refuses a listener, or waits with it, is a fact beside the listeners that are in force."""
    document = json.loads(dump("gateway"))
    section(document, "ListenersConfigDump")["dynamic_listeners"].append(entry)
    facts = resources_of(json.dumps(document))
    assert facts[name] == value
    assert CHAIN in facts


def test_a_filter_that_comes_by_itself() -> None:
    """WasmPlugins and EnvoyFilters of extensions do: a listener has only their names."""

    def extended(action: str) -> dict[str, str]:
        document = json.loads(dump("gateway"))
        rbac = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
        extension = {"name": "deny", "typed_config": {"@type": rbac, "rules": {"action": action}}}
        entry = {"version_info": "1", "ecds_filter": extension, "last_updated": "2026-11-20T00:00:00Z"}
        of_tcp = {"version_info": "1", "ecds_filter": {"name": "of tcp"}}
        for kind in ([entry], [of_tcp], []):  # one for each kind of filter
            document["configs"].insert(0, {"@type": "a.EcdsConfigDump", "ecds_filters": kind})
        return resources_of(json.dumps(document))

    before, after = extended("DENY"), extended("LOG")
    assert {name for name in before if before[name] != after[name]} == {"extension deny"}
    assert "extension of tcp" in before


def test_a_section_that_nobody_reads_is_unknown() -> None:
    """One that is empty has nothing to be read."""
    document = json.loads(dump("gateway"))
    facts = resources_of(json.dumps(document))
    document["configs"].insert(0, {"@type": "a.ScopedRoutesConfigDump"})
    assert resources_of(json.dumps(document)) == facts
    document["configs"][0]["dynamic_scoped_route_configs"] = [{"name": "a"}]
    (name,) = (read := resources_of(json.dumps(document))).keys() - facts.keys()
    assert (name, read[name].partition(":")[0]) == ("section ScopedRoutesConfigDump", "unknown")


def test_two_resources_of_one_name() -> None:
    """Two that are equal are one fact, and two that are not are both told."""
    document = json.loads(dump("gateway"))
    clusters = section(document, "ClustersConfigDump")["dynamic_active_clusters"]
    clusters.append(json.loads(json.dumps(clusters[-1])))
    assert resources_of(json.dumps(document)) == resources_of(dump("gateway"))
    clusters[-1]["cluster"]["connect_timeout"] = "1s"
    assert len(resources_of(json.dumps(document))) == len(resources_of(dump("gateway"))) + 1
