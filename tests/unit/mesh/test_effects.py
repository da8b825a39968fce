"""What a proxy has loaded: an effect is there with its content, in every part of every proxy that has to show it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from meshproof.cluster.objects import Document, name_of
from meshproof.errors import ClusterError
from meshproof.mesh.effects import Effect, effects_of
from meshproof.mesh.effects.hosts import is_within
from meshproof.mesh.effects.waiting import gone_with
from meshproof.mesh.envoy import Proxies, ProxyConfig

Json = dict[str, Any]

SERVER: Json = {
    "hosts": ["test.com"],
    "port": {"name": "https", "number": 443, "protocol": "HTTPS"},
    "tls": {"mode": "SIMPLE", "credentialName": "test"},
}
PLAIN: Json = {"hosts": ["*"], "port": {"name": "http", "number": 80, "protocol": "HTTP"}}


def networking(kind: str, spec: Json, name: str) -> Document:
    """Return a document in the namespace `b`."""
    metadata = {"name": name, "namespace": "b"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def gateway(*servers: Json, name: str = "a") -> Document:
    """Return a Gateway."""
    spec = {"selector": {"istio": "ingressgateway"}, "servers": list(servers)}
    return networking("Gateway", spec, name)


def virtual_service(*gateways: str, hosts: tuple[str, ...] = ("test.com",)) -> Document:
    """Return a VirtualService of HTTP routes."""
    spec = {"hosts": list(hosts), "gateways": list(gateways), "http": [{"route": []}]}
    return networking("VirtualService", spec, "v")


def peer_authentication(mode: str, **ports: str) -> Document:
    """Return a PeerAuthentication of the application `a`, with the modes of ports such as `port_80`."""
    spec: Json = {"selector": {"matchLabels": {"app": "a"}}, "mtls": {"mode": mode}}
    if ports:
        spec["portLevelMtls"] = {int(port[5:]): {"mode": its_mode} for port, its_mode in ports.items()}
    return networking("PeerAuthentication", spec, "p")


def policy(action: str = "DENY", rules: int = 1) -> Document:
    """Return an AuthorizationPolicy of an application."""
    spec = {"selector": {"matchLabels": {"app": "a"}}, "action": action, "rules": [{}] * rules}
    return networking("AuthorizationPolicy", spec, "p")


def chain(*names: str, tls: Json | None = None, policies: Json | None = None) -> Json:
    """Return a filter chain as Envoy shows it."""
    rbac = {"name": "envoy.filters.http.rbac", "typed_config": {"rules": policies}}
    manager = {"http_filters": [rbac] if policies else []}
    seen: Json = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if names:
        seen["filter_chain_match"] = {"server_names": list(names)}
    return seen if tls is None else seen | {"transport_socket": {"typed_config": tls}}


def ending(parameters: Json | None = None, *, authority: str = "", required: bool = False) -> Json:
    """Return what Envoy shows of a chain that ends TLS."""
    common: Json = {"tls_certificate_sds_secret_configs": [{"name": "kubernetes://test"}]}
    if parameters:
        common["tls_params"] = parameters
    if authority:
        common["combined_validation_context"] = {"validation_context_sds_secret_config": {"name": authority}}
    return {"common_tls_context": common, "require_client_certificate": required}


def config(routes: dict[str, list[Json]] | None = None, /, **listeners: list[Json]) -> ProxyConfig:
    """Return a proxy's configuration, read from a dump."""
    active = [
        {"name": name.replace("port_", "0.0.0.0_"), "active_state": {"listener": {"filter_chains": chains}}}
        for name, chains in listeners.items()
    ]
    there = [{"route_config": {"name": name, "virtual_hosts": hosts}} for name, hosts in (routes or {}).items()]
    kind = "type.googleapis.com/envoy.admin.v3."
    sections = [
        {"@type": f"{kind}ListenersConfigDump", "dynamic_listeners": active},
        {"@type": f"{kind}RoutesConfigDump", "dynamic_route_configs": there},
    ]
    return ProxyConfig.read("b/a", json.dumps({"configs": sections}))


def everywhere(documents: list[Document], *configs: ProxyConfig) -> bool:
    """Tell whether proxies show all that documents ask for."""
    return all(effect.everywhere(configs) for effect in effects_of(documents))


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        pytest.param({}, ending(), id="nothing special"),
        pytest.param(
            {"minProtocolVersion": "TLSV1_2"}, ending({"tls_minimum_protocol_version": "TLSv1_2"}), id="a minimum"
        ),
        pytest.param(
            {"maxProtocolVersion": "TLSV1_2"}, ending({"tls_maximum_protocol_version": "TLSv1_2"}), id="a maximum"
        ),
        pytest.param(
            {"cipherSuites": ["AES128-SHA", "AES128-SHA", "no-suite"]},
            ending({"cipher_suites": ["AES128-SHA"]}),
            id="suites, but for what Istio leaves out",
        ),
        pytest.param(
            {"mode": "MUTUAL"}, ending(authority="kubernetes://test-cacert", required=True), id="a client certificate"
        ),
        pytest.param({"mode": "OPTIONAL_MUTUAL"}, ending(authority="kubernetes://test-cacert"), id="one, if there is"),
    ],
)
def test_a_server_is_known_by_its_content(asked: Json, shown: Json) -> None:
    """A chain for the host counts when it has the settings that are asked for now, and not with those from before."""
    document = gateway(SERVER | {"tls": SERVER["tls"] | asked})
    assert everywhere([document], config(port_8443=[chain("test.com", tls=shown)]))
    another = gateway(SERVER | {"tls": SERVER["tls"] | {"minProtocolVersion": "TLSV1_1"}})
    assert not everywhere([another], config(port_8443=[chain("test.com", tls=shown)]))
    if asked:
        assert not everywhere([gateway(SERVER)], config(port_8443=[chain("test.com", tls=shown)]))
        assert not everywhere([document], config(port_8443=[chain("test.com", tls=ending())]))


@pytest.mark.parametrize(
    ("defaults", "asked", "parameters", "there"),
    [
        pytest.param(
            {"minProtocolVersion": "TLSV1_3"}, {}, {"tls_minimum_protocol_version": "TLSv1_3"}, True, id="a minimum"
        ),
        pytest.param(
            # https://github.com/istio/istio/pull/58912
            {"minProtocolVersion": "TLSV1_3"}, {}, {"tls_minimum_protocol_version": "TLSv1_1"}, True,
            id="a minimum that Istio takes for another",
        ),
        pytest.param({"cipherSuites": ["AES128-SHA"]}, {}, {"cipher_suites": ["AES128-SHA"]}, True, id="suites"),
        pytest.param({"ecdhCurves": ["P-256"]}, {}, {"ecdh_curves": ["P-256"]}, True, id="curves"),
        pytest.param(
            {"minProtocolVersion": "TLSV1_2"}, {}, {"tls_minimum_protocol_version": "TLSv1_3"}, False,
            id="a minimum from before",
        ),
        pytest.param(
            {"cipherSuites": ["AES256-SHA"]}, {}, {"cipher_suites": ["AES128-SHA"]}, False, id="suites from before"
        ),
        pytest.param({}, {}, {"tls_minimum_protocol_version": "TLSv1_3"}, False, id="no default"),
        pytest.param(
            {"ecdhCurves": ["P-256"]}, {}, {"tls_minimum_protocol_version": "TLSv1_3"}, False, id="of another setting"
        ),
        pytest.param(
            {"minProtocolVersion": "TLSV1_3"}, {"minProtocolVersion": "TLSV1_2"},
            {"tls_minimum_protocol_version": "TLSv1_3"}, False, id="a minimum that the server has itself",
        ),
        pytest.param(
            {"minProtocolVersion": "TLSV1_3"}, {"minProtocolVersion": "TLSV1_2"},
            {"tls_minimum_protocol_version": "TLSv1_2"}, True, id="its own, which has come",
        ),
        pytest.param(
            {"minProtocolVersion": "TLSV1_3"}, {"maxProtocolVersion": "TLSV1_2"},
            {"tls_minimum_protocol_version": "TLSv1_3"}, False, id="a maximum, which the mesh has none of",
        ),
    ],
)  # fmt: skip
def test_what_a_server_leaves_to_the_mesh_is_as_the_mesh_has_it(
    defaults: Json,
    asked: Json,
    parameters: Json,
    there: bool,  # noqa: FBT001 - of the table
) -> None:
    """Where ``meshConfig.tlsDefaults`` says something, a server that says nothing is waited for with that."""
    document = gateway(SERVER | {"tls": SERVER["tls"] | asked})
    shown = config(port_8443=[chain("test.com", tls=ending(parameters))])
    assert everywhere([document], replace(shown, tls_defaults=defaults)) is there
    without = config(port_8443=[chain("test.com")])
    assert not everywhere([document], replace(without, tls_defaults=defaults))


def test_what_is_replaced_by_the_default_of_the_mesh_need_not_be_gone() -> None:
    """A server that asked for what is the mesh's default as well looks the same when it no longer asks for it."""
    with_its_own, other = (
        effects_of([gateway(SERVER | {"tls": SERVER["tls"] | tls})])
        for tls in ({"minProtocolVersion": "TLSV1_3"}, {"credentialName": "other"})
    )
    without = effects_of([gateway(SERVER)])
    elsewhere = effects_of([gateway(SERVER | {"hosts": ["other.com"]})])
    assert gone_with(without, with_its_own) == []
    assert gone_with(without, other) == []
    (from_files,) = effects_of(
        [gateway(SERVER | {"tls": {"mode": "SIMPLE", "serverCertificate": "/a", "privateKey": "/b"}})]
    )
    assert gone_with([from_files], without) == without, "the first one's certificate may still be there"
    assert gone_with(elsewhere, with_its_own) == with_its_own
    assert gone_with([], with_its_own) == with_its_own


def test_another_credential_is_another_content() -> None:
    """A server that shows another Secret has not loaded this one."""
    other = gateway(SERVER | {"tls": {"mode": "SIMPLE", "credentialName": "other"}})
    assert not everywhere([other], config(port_8443=[chain("test.com", tls=ending())]))


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        pytest.param(None, [], id="of nobody"),
        pytest.param("SIMPLE", ["certificate"], id="of a server for anybody"),
        pytest.param("MUTUAL", ["certificate", "authority of the clients"], id="of one with mutual TLS"),
    ],
)
def test_a_secret_does_what_a_server_asks_of_it(mode: str | None, words: list[str]) -> None:
    """A proxy fetches a Secret that a server names, and the authority in it only to hold clients against it."""
    data = {"tls.crt": "", "ca.crt": ""}
    metadata = {"name": "test", "namespace": "istio-system"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    servers = [gateway(SERVER | {"tls": {"mode": mode, "credentialName": "test"}})] if mode else []
    of_secret = [effect.what for effect in effects_of([secret, *servers]) if effect.what.startswith("this run's")]
    assert of_secret == [f"this run's {word} test" for word in words]


def test_a_secret_that_gateways_send_with() -> None:
    """A Secret that a DestinationRule names is for each gateway with a cluster that names it, and no other proxy."""
    contents = {"tls.crt": b"a certificate", "ca.crt": b"an authority"}
    data = {key: base64.b64encode(content).decode() for key, content in contents.items()}
    metadata = {"name": "partner", "namespace": "istio-system"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    tls = {"mode": "MUTUAL", "credentialName": "partner"}
    rule = networking("DestinationRule", {"host": "partner.example", "trafficPolicy": {"tls": tls}}, "r")
    sent = [effect for effect in effects_of([secret, rule]) if effect.what.startswith("this run's")]
    assert [effect.what for effect in sent] == [
        "this run's certificate to show to servers partner", "this run's authority of the servers partner",
    ]  # fmt: skip
    named = {"common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "kubernetes://partner"}]}}
    clusters = {"c": {"name": "c", "transport_socket": named}}
    secrets = {
        "kubernetes://partner": {"tls_certificate": {"certificate_chain": {"inline_bytes": data["tls.crt"]}}},
        "kubernetes://partner-cacert": {"validation_context": {"trusted_ca": {"inline_bytes": data["ca.crt"]}}},
    }
    loaded, waiting = (ProxyConfig({}, its, {}, clusters, "istio-system") for its in (secrets, {}))
    unconcerned = ProxyConfig({}, {}, {}, {}, "istio-system")
    assert all(effect.everywhere([loaded, unconcerned]) for effect in sent)
    assert not any(effect.everywhere([loaded, waiting]) for effect in sent)
    assert not any(effect.everywhere([unconcerned]) for effect in sent)


def test_the_egress_gateway_has_its_own_ports() -> None:
    """A server that ends the mesh's own TLS is known by the proxy's identity and the mesh's root."""
    server = SERVER | {"tls": {"mode": "ISTIO_MUTUAL"}}
    document = networking("Gateway", {"selector": {"istio": "egressgateway"}, "servers": [server]}, "a")
    (effect,) = effects_of([document])
    assert str(effect.proxies) == "istio-system/istio-egressgateway"
    common = {
        "tls_certificate_sds_secret_configs": [{"name": "default"}],
        "combined_validation_context": {"validation_context_sds_secret_config": {"name": "ROOTCA"}},
    }
    shown = {"common_tls_context": common, "require_client_certificate": True}
    assert effect.everywhere([config(port_8443=[chain("test.com", tls=shown)])])
    assert not effect.everywhere([config(port_8443=[chain("test.com", tls=ending(required=True))])])
    (routes,) = [each for each in effects_of([document, virtual_service("a")]) if each != effect]
    assert (str(routes.proxies), routes.what.rpartition(" ")[2]) == (str(effect.proxies), "https.443.https.a.b")


@pytest.mark.parametrize(
    ("of_its_own", "beside", "authorities"),
    [
        pytest.param({"ca.crt": "YQ=="}, None, [b"a"], id="in the Secret"),
        pytest.param({"ca.crt": "YQ==", "cacert": "Yg=="}, None, [b"b"], id="cacert goes before ca.crt"),
        pytest.param({"ca.crt": "YQ=="}, {"ca.crt": "Yw=="}, [b"c"], id="in the one beside it, which goes before it"),
        pytest.param({"ca.crt": "YQ=="}, {"tls.crt": ""}, [], id="one beside it has none, and is asked all the same"),
    ],
)
def test_the_authority_of_the_clients(
    of_its_own: dict[str, str], beside: dict[str, str] | None, authorities: list[bytes]
) -> None:
    """Of several the proxy shows the one that istiod takes."""
    secrets = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "istio-system"}, "data": data}
        for name, data in (("test", of_its_own), ("test-cacert", beside))
        if data is not None
    ]
    server = gateway(SERVER | {"tls": {"mode": "MUTUAL", "credentialName": "test"}})
    told = [each for each in effects_of([*secrets, server]) if each.what == "this run's authority of the clients test"]
    for authority in (b"a", b"b", b"c"):
        trusted = {"validation_context": {"trusted_ca": {"inline_bytes": base64.b64encode(authority).decode()}}}
        shown = ProxyConfig({}, {"kubernetes://test-cacert": trusted}, {})
        assert [effect.everywhere([shown]) for effect in told] == [authority in authorities for _ in told]
    assert len(told) == len(authorities)


def test_every_pod_has_to_show_it() -> None:
    """One pod of several that is late, or has no such listener, is not there yet; one that is late to forget counts."""
    (effect,) = effects_of([gateway(SERVER)])
    loaded, late = config(port_8443=[chain("test.com", tls=ending())]), config()
    assert effect.everywhere([loaded, loaded])
    assert not effect.everywhere([loaded, late])
    assert not effect.everywhere([late])
    assert not effect.nowhere([loaded, late])
    assert effect.nowhere([late, late])


def route(name: str = "v") -> list[Json]:
    """Return the virtual hosts of a route configuration that a VirtualService is in."""
    istio = {"config": f"/apis/networking.istio.io/v1/namespaces/b/virtual-service/{name}"}
    return [{"domains": ["test.com"], "routes": [{"metadata": {"filter_metadata": {"istio": istio}}}]}]


@pytest.mark.parametrize(
    ("routes", "loaded"),
    [
        pytest.param({"https.443.https.a.b": route(), "http.8080": route()}, True, id="in each"),
        pytest.param({"https.443.https.a.b": route(), "http.8080": []}, False, id="only in that for HTTPS"),
        pytest.param({"https.443.https.a.b": route()}, False, id="the other is not there yet"),
        pytest.param({"https.443.https.a.b": route("v2"), "http.8080": route("v2")}, False, id="another's in each"),
    ],
)
def test_routes_are_in_each_gateway_that_they_bind_to(routes: dict[str, list[Json]], *, loaded: bool) -> None:
    """A VirtualService is in force when the routes of every server with a host of its hosts have its name."""
    effects = effects_of([gateway(SERVER), gateway(PLAIN, name="plain"), virtual_service("a", "plain")])
    named = [effect for effect in effects if "virtual-service" in effect.what]
    assert len(named) == 2
    assert all(effect.everywhere([config(routes)]) for effect in named) is loaded


def test_routes_of_another_host_are_not_waited_for() -> None:
    """A server that has no host of the VirtualService's never gets its routes."""
    other = SERVER | {"hosts": ["b/other.com"]}
    effects = effects_of([gateway(other), virtual_service("b/a")])
    assert [effect.what for effect in effects if "virtual-service" in effect.what] == []


@pytest.mark.parametrize(
    ("ours", "theirs", "meets"),
    [
        ("test.com", "test.com", True),
        ("test.com", "*", True),
        ("*", "test.com", True),
        ("*", "*", True),
        ("a.test.com", "*.test.com", True),
        ("*.test.com", "a.test.com", True),
        ("*.a.test.com", "*.test.com", True),
        ("test.com", "*.test.com", False),
        ("test.com", "other.com", False),
        ("*.test.com", "*.other.com", False),
    ],
)
def test_hosts_meet(ours: str, theirs: str, *, meets: bool) -> None:
    """A VirtualService binds to the servers that have a name in common with it."""
    effects = effects_of([gateway(SERVER | {"hosts": [theirs]}), virtual_service("a", hosts=(ours,))])
    assert any("virtual-service" in effect.what for effect in effects) is meets


@pytest.mark.parametrize(
    ("host", "other", "within"),
    [
        ("a.test", "a.test", True),
        ("a.test", "*.test", True),
        ("*.a.test", "*.test", True),
        ("*.test", "*", True),
        ("*.test", "a.test", False),
        ("*.test", "*.a.test", False),
        ("a.test", "b.test", False),
    ],
)
def test_a_host_within_another(host: str, other: str, *, within: bool) -> None:
    """A rule for all names of a domain counts for each of them, and one for a name not for all."""
    assert is_within(host, other) is within


def test_a_gateway_that_is_not_there_is_named() -> None:
    """A VirtualService that binds to nothing of its manifest would be waited for in vain: it is refused at once."""
    with pytest.raises(ClusterError, match=r"^VirtualService b/v can't be waited for: it binds to the gateway c,"):
        effects_of([gateway(SERVER), virtual_service("c")])


def test_a_redirect_is_waited_for() -> None:
    """A server that redirects is in force when its host requires TLS."""
    document = gateway(PLAIN | {"hosts": ["test.com"], "tls": {"httpsRedirect": True}})
    hosts = [{"domains": ["test.com"], "require_tls": "ALL"}]
    assert everywhere([document], config({"http.8080": hosts}, port_8080=[chain()]))
    assert not everywhere([document], config({"http.8080": route()}, port_8080=[chain()]))
    assert not everywhere([document], config({"http.8080": hosts}))


def test_what_is_passed_on_is_not_opened() -> None:
    """The chain of a server that passes TLS on comes with its routes; one that ends TLS is that of before."""
    spec = {"hosts": ["test.com"], "gateways": ["a"], "tls": [{"match": [{"port": 443, "sniHosts": ["test.com"]}]}]}
    passing = gateway(SERVER | {"tls": {"mode": "PASSTHROUGH"}})
    documents = [passing, networking("VirtualService", spec, "v")]
    assert everywhere(documents, config(port_8443=[chain("test.com")]))
    assert not everywhere(documents, config(port_8443=[chain("test.com", tls=ending())]))


@pytest.mark.parametrize(
    ("rules", "loaded"),
    [
        pytest.param({"action": "DENY", "policies": {"ns[b]-policy[p]-rule[0]": {}}}, True, id="there"),
        pytest.param({"policies": {"ns[b]-policy[p]-rule[0]": {}}}, False, id="still as it was, to ALLOW"),
        pytest.param({"action": "DENY", "policies": {"ns[b]-policy[p2]-rule[0]": {}}}, False, id="another"),
        pytest.param(None, False, id="none"),
    ],
)
def test_a_policy_is_on_every_listener(rules: Json | None, *, loaded: bool) -> None:
    """A policy of the gateway is in force when each of its listeners has all its rules, with its action."""
    there = chain(policies={"action": "DENY", "policies": {"ns[b]-policy[p]-rule[0]": {}}})
    assert everywhere([policy()], config(port_8080=[there], port_8443=[chain(policies=rules)])) is loaded
    assert not everywhere([policy(rules=2)], config(port_8080=[there]))


def matched(protocol: str, port: int | None = None) -> Json:
    """Return a chain of a sidecar."""
    return {"filter_chain_match": {"transport_protocol": protocol} | ({"destination_port": port} if port else {})}


def sidecar(mode: str, **ports: str) -> ProxyConfig:
    """Return a sidecar's configuration with that mode, and with those of ports such as `port_80`."""
    chains = [matched("tls"), *([matched("raw_buffer")] if mode == "PERMISSIVE" else [])]
    for port, its_mode in ports.items():
        number = int(port[5:])
        chains += [matched("tls", number), *([matched("raw_buffer", number)] if its_mode == "PERMISSIVE" else [])]
    return config(virtualInbound=chains)


def test_plaintext_decides_the_mode() -> None:
    """A sidecar is STRICT when none of its chains takes plaintext; without chains it is nothing yet."""
    strict, permissive = (effects_of([peer_authentication(mode)])[0] for mode in ("STRICT", "PERMISSIVE"))
    closed, open_too = config(virtualInbound=[matched("tls")]), config(
        virtualInbound=[matched("tls"), matched("raw_buffer")]
    )  # fmt: skip
    assert strict.proxies == Proxies("b", (("app", "a"),))
    assert [strict.everywhere([each]) for each in (closed, open_too, config())] == [True, False, False]
    assert [permissive.everywhere([each]) for each in (closed, open_too, config())] == [False, True, False]
    assert (strict.outlasts, permissive.outlasts) == (False, True)


P, S = "PERMISSIVE", "STRICT"


@pytest.mark.parametrize(("mode", "other"), [(P, S), (S, P)])
def test_a_port_may_have_a_mode_of_its_own(mode: str, other: str) -> None:
    """Its mode and that of the rest are waited for each, and each has an end, but for PERMISSIVE of the rest."""
    rest, port = effects_of([peer_authentication(mode, port_80=other, port_90=mode)])
    assert [(each.what, each.outlasts) for each in (rest, port)] == [(mode, mode == P), (f"port 80 {other}", False)]
    now, without = sidecar(mode, port_80=other, port_90=mode), sidecar(P, port_80=P, port_90=P)
    assert rest.everywhere([now])
    assert port.everywhere([now])
    assert rest.outlasts or rest.nowhere([without])
    assert port.nowhere([without])
    assert not port.everywhere([sidecar(mode, port_80=mode, port_90=mode)])
    assert not rest.everywhere([sidecar(other, port_80=other, port_90=other)])
    assert mode == P or not rest.everywhere([sidecar(mode, port_80=other, port_90=other)])


@pytest.mark.parametrize(
    "after", [{"mode": P}, {"mode": S}, {"mode": S, "port_80": P}, {"mode": P, "port_80": S}], ids=str
)
@pytest.mark.parametrize("before", [{"mode": S}, {"mode": S, "port_80": P}, {"mode": P, "port_80": S}], ids=str)
def test_one_policy_follows_another(before: dict[str, str], after: dict[str, str]) -> None:
    """With the new one in force nothing is left of the old one that has to go; and until then something is missing."""
    effects = effects_of([peer_authentication(**after)])
    gone = [each for each in effects_of([peer_authentication(**before)]) if each not in effects and not each.outlasts]
    old, new = sidecar(**{"port_80": before["mode"]} | before), sidecar(**{"port_80": after["mode"]} | after)
    assert all(each.everywhere([new]) for each in effects)
    assert all(each.nowhere([new]) for each in gone)
    if before != after:
        assert not all(each.everywhere([old]) for each in effects) or not all(each.nowhere([old]) for each in gone)


def test_a_port_without_chains_has_those_of_no_port() -> None:
    """A port that is no Service's is not STRICT before its proxy says so."""
    (_, port) = effects_of([peer_authentication(P, port_80=S)])
    assert not port.everywhere([sidecar(P)])


def test_who_lets_in_drains() -> None:
    """A policy of a sidecar is waited for on its open connections, too: other proxies keep theirs to it.

    The clients of the ingress gateway are outside of the mesh and keep none, and a client's own routes are those of its
    next request.
    """
    tokens = {"jwtRules": [{"issuer": "a"}]}
    before_it = [peer_authentication("STRICT"), policy(), networking("RequestAuthentication", tokens, "r")]
    assert [effect.drains for document in before_it for effect in effects_of([document])] == [True, True, True]
    of_the_gateway = policy()
    of_the_gateway["metadata"]["namespace"] = "istio-system"
    of_the_gateway["spec"]["selector"] = {"matchLabels": {"istio": "ingressgateway"}}
    others = [of_the_gateway, gateway(SERVER), networking("DestinationRule", {"host": "a"}, "d")]
    assert [effect.drains for document in others for effect in effects_of([document])] == [False, False, False]


def test_where_a_sidecar_leads_what_it_does_not_know() -> None:
    """REGISTRY_ONLY is in the listener for everything and in each route; its end shows as ALLOW_ANY, the default."""
    spec = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
    (effect,) = effects_of([networking("Sidecar", spec, "s")])

    def sidecar(cluster: str, host: str) -> ProxyConfig:
        chain = {"name": "virtualOutbound-catchall-tcp", "filters": [{"typed_config": {"cluster": cluster}}]}
        routes = {"80": [{"name": "a:80"}, {"name": host}]}
        return config(routes, virtualInbound=[matched("tls")], virtualOutbound=[chain])

    asked, default = sidecar("BlackHoleCluster", "block_all"), sidecar("PassthroughCluster", "allow_any")
    late = sidecar("BlackHoleCluster", "allow_any")
    assert [effect.everywhere([each]) for each in (asked, late, default)] == [True, False, False]
    assert [effect.nowhere([each]) for each in (asked, late, default)] == [False, False, True]


def test_effects_are_the_same_by_their_words() -> None:
    """What a step leaves as it was is not waited for to go: the same content is the same effect."""
    assert effects_of([gateway(SERVER)]) == effects_of([gateway(SERVER, name="another")])
    other = gateway(SERVER | {"tls": SERVER["tls"] | {"minProtocolVersion": "TLSV1_3"}})
    assert effects_of([gateway(SERVER)]) != effects_of([other])


REFUSED = [
    (policy("AUDIT"), "a proxy does not show by its name what is only for AUDIT"),
    (policy("CUSTOM"), "a proxy does not show by its name what is only for CUSTOM"),
    (peer_authentication("DISABLE"), "it asks for DISABLE, and meshproof waits for PERMISSIVE and STRICT"),
    (networking("Telemetry", {}, "t"), "how a proxy shows that it has loaded one of its kind is not known"),
    (networking("EnvoyFilter", {}, "f"), "how a proxy shows that it has loaded one of its kind is not known"),
    (
        {**gateway(SERVER), "apiVersion": "gateway.networking.k8s.io/v1"},
        "how a proxy shows that it has loaded one of its kind is not known",
    ),
    (
        networking("Gateway", {"selector": {"istio": "other"}, "servers": []}, "g"),
        "it selects another gateway than `istio: ingressgateway` or `istio: egressgateway`",
    ),
    (
        gateway(SERVER | {"port": {"name": "db", "number": 443, "protocol": "MYSQL"}}),
        "it has a server for MYSQL, and meshproof waits for HTTP, HTTP2, GRPC, HTTPS, TLS",
    ),
    (
        networking("Sidecar", {}, "s"),
        "it has no `egress`, `ingress` or `outboundTrafficPolicy`, which a proxy would show",
    ),
    (
        networking("ServiceEntry", {"hosts": ["a.b.svc.cluster.local"], "ports": [{"number": 80}]}, "s"),
        "a.b.svc.cluster.local can be a Service, whose clusters are there without it",
    ),
    (networking("ServiceEntry", {"hosts": ["a.test"]}, "s"), "it has no `ports`, so that no proxy shows it"),
    (networking("RequestAuthentication", {}, "r"), "it has no `jwtRules`, so that no proxy shows it"),
    (
        networking("AuthorizationPolicy", {"targetRefs": [{"kind": "Gateway", "name": "g"}]}, "p"),
        "`targetRefs` is for the Gateway API, and meshproof does not look at its proxies",
    ),
    (
        networking("VirtualService", {"hosts": ["a"], "http": [{"match": [{"sourceLabels": {"app": "c"}}]}]}, "v"),
        "its `http` routes are for clients by their labels or their namespace",
    ),
]


@pytest.mark.parametrize(("document", "why"), REFUSED, ids=[f"{each['kind']}-{why}" for each, why in REFUSED])
def test_what_nobody_can_wait_for_is_refused(document: Document, why: str) -> None:
    """A document of which no proxy would tell is refused, unless it says that its test waits itself."""
    with pytest.raises(ClusterError) as refusal:
        effects_of([document])
    assert str(refusal.value) == (
        f"{name_of(document)} can't be waited for: {why}. If its test waits itself, with `eventually`, say so with "
        "the annotation `meshproof/wait: none`."
    )
    document = document | {"metadata": document["metadata"] | {"annotations": {"meshproof/wait": "none"}}}
    assert effects_of([document]) == []


@pytest.mark.parametrize("document", [policy(), peer_authentication(P), gateway(SERVER)], ids=lambda each: each["kind"])
def test_what_can_be_waited_for_is_waited_for(document: Document) -> None:
    """Nobody waits for the end of a document whose test waits itself: only what proxies don't tell of may be one."""
    document = document | {"metadata": document["metadata"] | {"annotations": {"meshproof/wait": "none"}}}
    with pytest.raises(ClusterError, match="says `meshproof/wait: none`, and could be waited for: leave that out"):
        effects_of([document])


def test_routes_of_a_gateway_that_can_not_be_waited_for_are_refused() -> None:
    """The ingress gateway does not show what is for another one; and a Secret that only that one names does nothing."""
    metadata = {"name": "a", "namespace": "b", "annotations": {"meshproof/wait": "none"}}
    other = networking("Gateway", {"selector": {"istio": "other"}, "servers": [SERVER]}, "a")
    other["metadata"] = metadata
    with pytest.raises(ClusterError, match="it binds to the gateway a, which can't be waited for: it selects another"):
        effects_of([other, virtual_service("a")])
    data = {"tls.crt": ""}
    secret = {"metadata": {"name": "test", "namespace": "istio-system"}, "data": data}
    assert effects_of([other, {"apiVersion": "v1", "kind": "Secret", **secret}]) == []


def test_two_rules_for_one_host_are_refused() -> None:
    """Of two DestinationRules for a host a proxy names only one: nobody could wait for the other."""
    one, other = (networking("DestinationRule", {"host": host}, host[0]) for host in ("a", "*.b.svc.cluster.local"))
    assert len(effects_of([one])) == 1
    with pytest.raises(ClusterError, match=r"^DestinationRule b/a can't be waited for: DestinationRule b/\* is for "):
        effects_of([one, other])


@pytest.mark.parametrize(
    "listener",
    [
        {"name": "0.0.0.0_8443", "error_state": {"details": "no such suite"}},
        {"error_state": {"details": "no such suite", "failed_configuration": {"name": "0.0.0.0_8443"}}},
    ],
    ids=["another version of it is active", "none is active"],
)
def test_a_refused_listener_ends_the_wait(listener: dict[str, object]) -> None:
    """Envoy's reason is the error, whatever else is waited for."""
    dump = {"configs": [{"@type": "a.ListenersConfigDump", "dynamic_listeners": [listener]}]}
    with pytest.raises(ClusterError, match=r"^The proxy of b/a refuses its listener 0\.0\.0\.0_8443: no such suite$"):
        ProxyConfig.read("b/a", json.dumps(dump))


def test_an_effect_has_words() -> None:
    """A wait that fails says what was asked for, with its content."""
    (effect,) = effects_of([gateway(SERVER)])
    assert isinstance(effect, Effect)
    assert effect.what == (
        "TLS for test.com on port 8443 (minimum default, maximum default, suites [], client certificate required "
        "False, certificate kubernetes://test, authority of the clients none)"
    )
