"""Readiness for STRICT: what follows from objects, counters, logs and the configuration of proxies."""

from __future__ import annotations

import json

import pytest

from meshproof.cluster.objects import Document
from meshproof.mesh.readiness.answer import Client, Evidence, Note, Readiness, Server, Verdict
from meshproof.mesh.readiness.clients import Cause, read_clusters, why_without_sidecar
from meshproof.mesh.readiness.inquiry import _conclude
from meshproof.mesh.readiness.modes import modes_of, strict
from meshproof.mesh.readiness.traffic import Connections, PlaintextRequest, read_counters, read_log
from meshproof.mesh.readiness.workloads import Capture, is_behind, ports_of, workloads_of

EARLY, LATE = "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"


def pod(*, created: str = EARLY, spec: Document | None = None, **metadata: object) -> Document:
    """Return the pod shop/cart."""
    its_own = {"name": "cart-7f9-x", "namespace": "shop", "labels": {"app": "cart"}, "creationTimestamp": created}
    return {"kind": "Pod", "metadata": its_own | metadata, "spec": {"containers": [{"name": "cart"}]} | (spec or {})}


def namespace(*, labelled: str = EARLY, **labels: str) -> Document:
    """Return the namespace shop, which was labelled at some time."""
    fields: Document = {f"f:{name.replace('_', '-')}": {} for name in labels}
    managed = [{"time": labelled, "fieldsV1": {"f:metadata": {"f:labels": fields}}}]
    own = {name.replace("_", "-"): value for name, value in labels.items()}
    return {"kind": "Namespace", "metadata": {"name": "shop", "labels": own, "managedFields": managed}}


def peers(where: str, mode: str, *, created: str = EARLY, app: str = "", **ports: str) -> Document:
    """Return a PeerAuthentication."""
    spec: Document = {"mtls": {"mode": mode}} | ({"selector": {"matchLabels": {"app": app}}} if app else {})
    if ports:
        spec["portLevelMtls"] = {name.removeprefix("p"): {"mode": own} for name, own in ports.items()}
    metadata = {"name": f"{mode}-{created}", "namespace": where, "creationTimestamp": created}
    return {"kind": "PeerAuthentication", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("policies", "mode"),
    [
        pytest.param([], "PERMISSIVE", id="none"),
        pytest.param([peers("istio-system", "STRICT")], "STRICT", id="of the mesh"),
        pytest.param([peers("istio-system", "STRICT", app="cart")], "PERMISSIVE", id="a selector in istio-system"),
        pytest.param([peers("istio-system", "STRICT"), peers("shop", "PERMISSIVE")], "PERMISSIVE", id="namespace"),
        pytest.param([peers("istio-system", "STRICT"), peers("shop", "UNSET")], "STRICT", id="UNSET inherits"),
        pytest.param([peers("shop", "STRICT"), peers("shop", "DISABLE", app="cart")], "DISABLE", id="workload"),
        pytest.param([peers("shop", "STRICT"), peers("shop", "DISABLE", app="other")], "STRICT", id="another workload"),
        pytest.param([peers("shop", "STRICT", created=LATE), peers("shop", "DISABLE")], "DISABLE", id="the oldest"),
        pytest.param([peers("other", "STRICT")], "PERMISSIVE", id="another namespace"),
        pytest.param(strict(()), "STRICT", id="switched on for the mesh"),
        pytest.param(strict(["shop"]), "STRICT", id="switched on for the namespace"),
        pytest.param(strict(["other"]), "PERMISSIVE", id="switched on for another namespace"),
    ],
)
def test_the_mode_of_a_pod(policies: list[Document], mode: str) -> None:
    """The nearest PeerAuthentication counts, and of several as near the oldest."""
    assert modes_of(pod(), policies).mode == mode


def test_the_mode_of_a_port() -> None:
    """A port has its own mode, or that of the rest where its own is UNSET."""
    modes = modes_of(pod(), [peers("shop", "STRICT", app="cart", p80="DISABLE", p81="UNSET")])
    assert [modes.at(port) for port in (80, 81, 82)] == ["DISABLE", "STRICT", "STRICT"]


@pytest.mark.parametrize(
    ("of_pod", "of_namespace", "reason"),
    [
        (pod(spec={"hostNetwork": True}), namespace(istio_injection="enabled"), "network of its node"),
        (pod(labels={"sidecar.istio.io/inject": "false"}), namespace(istio_injection="enabled"), "Its label"),
        (pod(annotations={"sidecar.istio.io/inject": "false"}), namespace(istio_injection="enabled"), "annotation"),
        (pod(), namespace(), "no label istio-injection"),
        (pod(), namespace(istio_injection="disabled"), "no label istio-injection"),
        (pod(), namespace(istio_injection="enabled", labelled=LATE), "older than the label"),
        (pod(created=LATE), namespace(istio_injection="enabled"), "made without one"),
        (pod(labels={"sidecar.istio.io/inject": "true"}), namespace(), "made without one"),
    ],
)
def test_why_a_pod_has_no_sidecar(of_pod: Document, of_namespace: Document, reason: str) -> None:
    """The reason is the first one that would keep the pod from a sidecar, and says what to do."""
    cause = why_without_sidecar(of_pod, of_namespace, "restart it")
    assert reason in cause.reason
    assert cause.remedy


def test_what_goes_past_the_proxy() -> None:
    """What istio-init was given tells which ports and addresses go past the proxy; without it nothing is known."""
    args = [
        "istio-iptables",
        "-p",
        "15001",
        "-i",
        "10.0.0.0/8",
        "-x",
        "10.9.0.0/16",
        "-b",
        "*",
        "-d",
        "15020,81",
        "-o",
        "82",
    ]
    capture = Capture.of(pod(spec={"initContainers": [{"name": "istio-init", "args": args}]}))
    assert capture
    assert [capture.lets_in(port) for port in (80, 81)] == [False, True]
    at = [(80, "10.1.1.1"), (82, "10.1.1.1"), (80, "10.9.1.1"), (80, "192.168.1.1")]
    assert [capture.lets_out(*each) for each in at] == [False, True, True, True]
    assert Capture.of(pod()) is None
    assert not Capture(inbound="80,81").lets_in(80)
    assert Capture(inbound="80,81").lets_in(82)


def test_workloads() -> None:
    """A ReplicaSet stands for its Deployment; what nothing keeps is a workload of its own."""
    owner = {"controller": True, "kind": "ReplicaSet", "name": "cart-7f9"}
    kept = pod(ownerReferences=[owner], labels={"pod-template-hash": "7f9"})
    assert [(str(each), each.kind) for each in workloads_of([kept])] == [("shop/cart", "Deployment")]
    assert [(str(each), each.kind) for each in workloads_of([pod()])] == [("shop/cart-7f9-x", "Pod")]


def test_ports_by_name() -> None:
    """A port of a Service that names one of the pods leads to its number; without a selector it leads to no pod."""
    ports = [{"port": 80, "targetPort": "web"}, {"port": 81}, {"port": 82, "targetPort": "gone"}]
    service = {"metadata": {"namespace": "shop"}, "spec": {"selector": {"app": "cart"}, "ports": ports}}
    server = pod(spec={"containers": [{"name": "cart", "ports": [{"name": "web", "containerPort": 8080}]}]})
    assert [(port.number, port.target) for port in ports_of(service, server)] == [(80, 8080), (81, 81)]
    assert is_behind(server, service)
    assert not is_behind(server, {**service, "spec": {"ports": ports}})


COUNTERS = """\
http.inbound_0.0.0.0_80;.downstream_cx_active: 4
http.inbound_0.0.0.0_80;.downstream_cx_ssl_active: 3
http.inbound_0.0.0.0_80;.downstream_cx_ssl_total: 10
http.inbound_0.0.0.0_80;.downstream_cx_total: 12
listener.0.0.0.0_15006.downstream_cx_total: 20
listener.0.0.0.0_15006.ssl.connection_error: 1
listener.0.0.0.0_15006.ssl.handshake: 14
"""


def test_counters() -> None:
    """HTTP tells its plaintext itself; of the rest, that is what neither completed a handshake nor failed in one."""
    assert read_counters(COUNTERS) == Connections(mutual_tls=14, plaintext=2 + 3, open_plaintext=1)


def test_counters_that_are_not_kept() -> None:
    """A proxy that does not keep these counters has not counted nothing: it is not known."""
    assert read_counters("http.inbound_0.0.0.0_80;.downstream_cx_active: 4\n") is None
    assert read_counters("") is None


def test_an_access_log() -> None:
    """Requests without a server name came in without mutual TLS; those that went out, and other lines, don't count."""
    inbound = {"upstream_cluster": "inbound|80||", "downstream_remote_address": "10.0.0.7:4711", "start_time": LATE}
    entries = [
        inbound | {"requested_server_name": None},
        inbound | {"requested_server_name": "outbound_.80_._.cart.shop.svc.cluster.local"},
        inbound | {"requested_server_name": None, "upstream_cluster": "outbound|80||cart.shop.svc.cluster.local"},
        inbound | {"requested_server_name": None, "upstream_cluster": "InboundPassthroughCluster"},
    ]
    lines = ["2026 info Envoy proxy is ready", "{broken", *map(json.dumps, entries)]
    assert [*read_log(lines)] == [PlaintextRequest("10.0.0.7", 4711, LATE)] * 2


def test_what_a_proxy_sends() -> None:
    """A cluster with mutual TLS of the mesh, by itself or by a rule, is left out; the others say why they are in."""
    rule = {"filter_metadata": {"istio": {"config": "/apis/networking.istio.io/v1/namespaces/a/destination-rule/b"}}}
    socket = {
        "name": "tls",
        "typed_config": {"common_tls_context": {"alpn_protocols": ["istio-peer-exchange", "istio"]}},
    }
    host = "cart.shop.svc.cluster.local"
    clusters: list[Document] = [
        {"name": f"outbound|1||{host}", "transport_socket_matches": [{"name": "tlsMode-istio"}]},
        {"name": f"outbound|2||{host}", "transport_socket": socket, "metadata": rule},
        {"name": f"outbound|3|v1|{host}", "metadata": rule},
        {"name": f"outbound|4||{host}", "transport_socket": {"name": "tls"}, "metadata": rule},
        {"name": f"outbound|5||{host}"},
        {"name": "PassthroughCluster"},
    ]
    assert [(plain.port, plain.cause.reason) for plain in read_clusters(clusters)] == [
        (3, "DestinationRule a/b has it send plaintext (subset v1)."),
        (4, "DestinationRule a/b has it send TLS of another kind."),
        (5, "Its proxy sends plaintext there."),
    ]


@pytest.mark.parametrize(
    ("counted", "seen", "named", "verdict"),
    [
        (Connections(5, 0, 0), {}, 0, Verdict.READY),
        (Connections(5, 2, 0), {}, 2, Verdict.READY),
        (Connections(5, 2, 0), {}, 1, Verdict.UNKNOWN),
        (Connections(5, 2, 1), {}, 2, Verdict.NOT_READY),
        (Connections(5, 2, 0), {"shop/cart": 1}, 2, Verdict.NOT_READY),
        (Connections(0, 0, 0), {}, 0, Verdict.UNKNOWN),
        (None, {}, 0, Verdict.UNKNOWN),
        (None, {"shop/cart": 1}, 1, Verdict.NOT_READY),
    ],
)
def test_the_verdict_of_a_server(
    counted: Connections | None, seen: dict[str, int], named: int, verdict: Verdict
) -> None:
    """Ready is who was called, and by nobody in the clear who is still there; what is not known is never ready."""
    server = Server("shop/cart", [], [80], counted)
    _conclude(server, seen, named)
    assert server.verdict is verdict
    assert server.why


def test_the_verdict_of_all() -> None:
    """Who would be refused goes before what is not known, and that before ready."""
    ready = Server("a/a", [], [80], Connections(1, 0, 0), verdict=Verdict.READY)
    unknown = Server("a/b", [], [80])
    client = Client("b/c", [], ["a/a"], Cause("why", "what to do"), {Evidence.CONFIGURATION})
    assert Readiness([], [], [ready], [], [], []).verdict is Verdict.READY
    assert Readiness([], [], [ready, unknown], [], [], []).verdict is Verdict.UNKNOWN
    assert Readiness([], [], [ready], [], [], [Note("a/p", "no answer")]).verdict is Verdict.UNKNOWN
    assert Readiness([], [client], [ready, unknown], [], [], []).verdict is Verdict.NOT_READY
