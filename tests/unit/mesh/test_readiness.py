"""Readiness for STRICT: what follows from objects, counters, logs and the configuration of proxies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshproof.cluster.kube import Kube
from meshproof.cluster.objects import Document
from meshproof.errors import ExitCode, NotThere
from meshproof.mesh.readiness.answer import Client, Evidence, Note, Readiness, Server, Verdict
from meshproof.mesh.readiness.callers import ANY_SERVER, Callers
from meshproof.mesh.readiness.capture import Capture
from meshproof.mesh.readiness.clients import Cause, Plain, read_clusters, why_without_sidecar
from meshproof.mesh.readiness.counters import ConnectionCounts, PlaintextRequest, read_counters, read_log
from meshproof.mesh.readiness.exposure import Exposure, exposure_of
from meshproof.mesh.readiness.inquiry import answer_for
from meshproof.mesh.readiness.modes import modes_of, strict
from meshproof.mesh.readiness.pods import has_proxy_alone, has_sidecar, is_there, owners_of
from meshproof.mesh.readiness.services import Entrance, Port, is_behind, ports_of
from meshproof.mesh.readiness.verdicts import conclude
from meshproof.mesh.readiness.world import World

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


def revision(name: str, injection: str = "") -> Document:
    """Return the namespace shop with the label istio.io/rev, and perhaps istio-injection too."""
    labels = {"istio.io/rev": name} | ({"istio-injection": injection} if injection else {})
    return {"kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}


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
        pytest.param([{**peers("shop", ""), "spec": None}], "PERMISSIVE", id="an empty one"),
        pytest.param(
            [
                peers("shop", "STRICT"),
                {**peers("shop", "", app="cart"), "spec": {"selector": {"matchLabels": {"app": "cart"}}}},
            ],
            "STRICT",
            id="one without a mode",
        ),
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
        (pod(labels={"istio.io/rev": "canary"}), namespace(), "made without one"),
        (pod(labels={"sidecar.istio.io/inject": "true"}), namespace(istio_injection="disabled"), "no label istio-inj"),
        (pod(annotations={"sidecar.istio.io/inject": "true"}), namespace(), "no label istio-injection"),
        (pod(created=LATE), revision("canary"), "revision that it asks for"),
        (pod(created=LATE), revision("canary", "enabled"), "made without one"),
        (pod(created=LATE), revision("canary", "disabled"), "no label istio-injection=enabled"),
        (pod(namespace="kube-system"), {"metadata": {"name": "kube-system"}}, "Istio gives no pod"),
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
    assert [capture.lets_out(*port_and_address) for port_and_address in at] == [False, True, True, True]
    assert Capture.of(pod()) is None
    assert not Capture(inbound="80,81").lets_in(80)
    assert Capture(inbound="80,81").lets_in(82)


def test_owners() -> None:
    """A ReplicaSet stands for its Deployment, a Job for its CronJob; a pod that nothing keeps stands for itself."""
    owner = {"controller": True, "kind": "ReplicaSet", "name": "cart-7f9"}
    kept = pod(ownerReferences=[owner], labels={"pod-template-hash": "7f9"})
    of_cron_job = pod(ownerReferences=[{"controller": True, "kind": "Job", "name": "bill-29012345"}])
    of_job = pod(ownerReferences=[{"controller": True, "kind": "Job", "name": "import-2026"}])
    of_set = pod(ownerReferences=[{"controller": True, "kind": "StatefulSet", "name": "cart"}])
    owners = [
        (str(owner), owner.kind) for a_pod in (kept, pod(), of_cron_job, of_job, of_set) for owner in owners_of([a_pod])
    ]
    assert owners == [
        ("shop/cart", "Deployment"),
        ("shop/cart-7f9-x", "Pod"),
        ("shop/bill", "CronJob"),
        ("shop/import-2026", "Job"),
        ("shop/cart", "StatefulSet"),
    ]
    assert len(owners_of([kept, of_set])) == 2


PROXY: Document = {"name": "istio-proxy", "args": ["proxy", "sidecar"]}


@pytest.mark.parametrize(
    ("spec", "sidecar", "alone"),
    [
        pytest.param({"containers": [{"name": "cart"}, PROXY]}, True, False, id="sidecar"),
        pytest.param({"containers": [{"name": "cart"}], "initContainers": [PROXY]}, True, False, id="native sidecar"),
        pytest.param({"containers": [PROXY | {"args": ["proxy", "router"]}]}, False, True, id="gateway"),
        pytest.param({"containers": [{"name": "discovery"}]}, False, False, id="an application called discovery"),
    ],
)
def test_which_pods_have_a_proxy(spec: Document, *, sidecar: bool, alone: bool) -> None:
    """A sidecar is a container of its own kind, wherever it stands; a gateway is a proxy alone, in any namespace."""
    assert (has_sidecar(pod(spec=spec)), has_proxy_alone(pod(spec=spec))) == (sidecar, alone)


@pytest.mark.parametrize(
    ("phase", "there"),
    [("Pending", True), ("Running", True), ("Unknown", True), ("Succeeded", False), ("Failed", False)],
)
def test_which_pods_are_there(phase: str, *, there: bool) -> None:
    """A pod that has not begun will send; one that has ended will not, and neither will one that is told to end."""
    assert is_there(pod() | {"status": {"phase": phase}}) is there
    assert not is_there(pod(deletionTimestamp=LATE) | {"status": {"phase": phase}})


def test_ports_by_name() -> None:
    """A port of a Service that names one of the pods leads to its number; without a selector it leads to no pod.

    UDP has no mutual TLS.
    """
    ports: list[Document] = [{"port": 80, "targetPort": "web"}, {"port": 81}, {"port": 82, "targetPort": "gone"}]
    ports.append({"port": 53, "protocol": "UDP"})
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
    assert read_counters(COUNTERS) == ConnectionCounts(mutual_tls=14, plaintext=2 + 3, open_plaintext=1)


def test_counters_that_are_not_kept() -> None:
    """A proxy that does not keep these counters has not counted nothing: it is not known."""
    assert read_counters("http.inbound_0.0.0.0_80;.downstream_cx_active: 4\n") is None
    assert read_counters("") is None


def test_an_access_log() -> None:
    """Requests without a server name came in without mutual TLS; those that went out, and other lines, don't count.

    Nor does an address that a client can make up, in X-Forwarded-For.
    """
    inbound = {"upstream_cluster": "inbound|80||", "downstream_remote_address": "10.0.0.7:4711", "start_time": LATE}
    entries = [
        inbound | {"requested_server_name": None},
        inbound | {"requested_server_name": "outbound_.80_._.cart.shop.svc.cluster.local"},
        inbound | {"requested_server_name": None, "upstream_cluster": "outbound|80||cart.shop.svc.cluster.local"},
        inbound | {"requested_server_name": None, "upstream_cluster": "InboundPassthroughCluster"},
    ]
    with_port = {"requested_server_name": None, "downstream_local_address": "10.0.0.9:8080"}
    entries += [
        inbound | {"requested_server_name": None, "x_forwarded_for": "10.0.0.8"},
        inbound | {"requested_server_name": None, "downstream_remote_address": None},
        inbound | with_port | {"downstream_remote_address": "[fd00::7]:4711"},
    ]
    lines = ["2026 info Envoy proxy is ready", "{broken", *map(json.dumps, entries)]
    assert [*read_log(lines)] == [
        *[PlaintextRequest("10.0.0.7", 4711, LATE)] * 2,
        PlaintextRequest("fd00::7", 4711, LATE, 8080),
    ]


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
    ("counts", "requests", "named", "verdict"),
    [
        (ConnectionCounts(5, 0, 0), {}, 0, Verdict.READY),
        (ConnectionCounts(5, 2, 0), {}, 2, Verdict.READY),
        (ConnectionCounts(5, 2, 0), {}, 1, Verdict.UNKNOWN),
        (ConnectionCounts(5, 2, 1), {}, 2, Verdict.NOT_READY),
        (ConnectionCounts(5, 2, 0), {"shop/cart": 1}, 2, Verdict.NOT_READY),
        (ConnectionCounts(0, 0, 0), {}, 0, Verdict.UNKNOWN),
        (None, {}, 0, Verdict.UNKNOWN),
        (None, {"shop/cart": 1}, 1, Verdict.NOT_READY),
    ],
)
def test_the_verdict_of_a_server(
    counts: ConnectionCounts | None, requests: dict[str, int], named: int, verdict: Verdict
) -> None:
    """Ready is who was called, and by nobody in the clear who is still there; what is not known is never ready."""
    server = Server("shop/cart", [], [80], counts)
    conclude(server, requests, named)
    assert server.verdict is verdict
    assert server.why


def test_the_verdict_of_all() -> None:
    """Who would be refused goes before what is not known, and that before ready."""
    ready = Server("a/a", [], [80], ConnectionCounts(1, 0, 0), verdict=Verdict.READY)
    unknown = Server("a/b", [], [80])
    client = Client("b/c", [], ["a/a"], Cause("why", "what to do"), {Evidence.CONFIGURATION})
    assert Readiness([], [], [ready], [], [], []).verdict is Verdict.READY
    assert Readiness([], [], [ready, unknown], [], [], []).verdict is Verdict.UNKNOWN
    assert Readiness([], [], [ready], [], [], [Note("a/p", "no answer")]).verdict is Verdict.UNKNOWN
    assert Readiness([], [client], [ready, unknown], [], [], []).verdict is Verdict.NOT_READY
    assert Readiness([], [], [ready], [], [], [], accepted=[client]).verdict is Verdict.READY


INIT = {"name": "istio-init", "args": ["istio-iptables", "-b", "*", "-i", "*"]}
SERVER_LABELS = {"app": "cart", "security.istio.io/tlsMode": "istio"}


def meshed(name: str = "cart", *, address: str = "10.244.0.5", **labels: str) -> Document:
    """Return a pod with a sidecar."""
    spec: Document = {"containers": [{"name": "app"}, PROXY], "initContainers": [INIT]}
    metadata: Document = {"name": name, "labels": SERVER_LABELS | labels}
    return pod(spec=spec, **metadata) | {"status": {"phase": "Running", "podIP": address}}


def bare(name: str, *, address: str, **spec: object) -> Document:
    """Return a pod without a sidecar."""
    return pod(spec=spec, name=name, labels={}) | {"status": {"phase": "Running", "podIP": address}}


def service(port: int = 80, *, target: int = 8080, address: str = "10.96.0.9") -> Document:
    """Return the Service of the pods with the label app=cart."""
    spec: Document = {"selector": {"app": "cart"}, "clusterIP": address}
    spec["ports"] = [{"port": port, "targetPort": target}]
    return {"kind": "Service", "metadata": {"name": "cart", "namespace": "shop"}, "spec": spec}


def node(name: str, address: str, network: str) -> Document:
    """Return a node with the network of its pods."""
    status = {"addresses": [{"type": "InternalIP", "address": address}]}
    return {"kind": "Node", "metadata": {"name": name}, "spec": {"podCIDRs": [network]}, "status": status}


NODES = [node("one", "172.18.0.2", "10.244.0.0/24"), node("two", "172.18.0.3", "10.244.1.0/24")]


def exposure(world: World, policies: list[Document] | None = None) -> Exposure:
    """Return what STRICT for the mesh changes at the first workload that there is."""
    return exposure_of(owners_of(world.pods)[0], world, [*world.policies, *(policies or []), *strict(())])


def test_a_server_without_a_service() -> None:
    """A pod that no Service leads to refuses plaintext under STRICT all the same."""
    of_server = exposure(World([meshed()]))
    assert (of_server.begins_to_refuse, of_server.ports) == (True, set())
    assert not exposure(World([meshed(), peers("shop", "STRICT")])).begins_to_refuse


def test_a_workload_of_which_one_pod_has_no_sidecar() -> None:
    """The pods with a sidecar begin to refuse, the others stay open: neither stands for the other."""
    kept: Document = {"ownerReferences": [{"controller": True, "kind": "StatefulSet", "name": "cart"}]}
    old, new = pod(**kept), meshed()
    new["metadata"] |= kept
    of_server = exposure(World([old, new, service()]))
    assert of_server.server.pod_names == ["cart"]
    assert (of_server.ports, of_server.stay_open) == ({8080}, {"It has no sidecar, so it takes plaintext": {8080}})
    assert of_server.counts(8080)


def test_plaintext_at_a_port_that_stays_open() -> None:
    """What comes in at a port that stays PERMISSIVE counts against nobody; what comes in elsewhere does."""
    of_server = exposure(World([meshed(), service(), peers("shop", "UNSET", app="cart", p9090="PERMISSIVE")]))
    assert [of_server.counts(port) for port in (8080, 9090, 9091, None)] == [True, False, True, True]


def test_a_server_that_takes_no_mutual_tls_now() -> None:
    """Of a server that is DISABLE, proxies send plaintext because of it: they are not called clients to be refused."""
    world = World([meshed(), service(), peers("istio-system", "DISABLE"), *NODES])
    policies = strict(())
    of_server = exposure_of(owners_of(world.pods)[0], world, policies)
    assert of_server.takes_no_mutual_tls
    host, cause = "cart.shop.svc.cluster.local", Cause("why", "what to do")
    for by_rule, names in ((False, []), (True, ["shop/cart"])):
        callers = Callers(world)
        callers.add_those_with_proxy(world.pods, {"shop/cart": [Plain(host, 80, cause, by_rule)]}, [of_server])
        assert [client.name for client in callers.all()] == names


def test_a_headless_service_past_the_proxy() -> None:
    """Clients of a headless Service connect to the port of its pods; those of another one to that of the Service."""
    (server,) = owners_of([meshed()])
    headless = Entrance(service(address="None"), Port(80, 8080), server)
    usual = Entrance(service(), Port(80, 8080), server)
    assert [headless.is_past(Capture(outbound_left=port)) for port in ("80", "8080")] == [False, True]
    assert [usual.is_past(Capture(outbound_left=port)) for port in ("80", "8080")] == [True, False]


def test_who_sent_a_request_from_the_network_of_a_node() -> None:
    """The client is the one on the network of that node, if there is only one; else nobody is named in its place."""
    first = bare("first", address="172.18.0.2", hostNetwork=True, nodeName="one")
    second = bare("second", address="172.18.0.3", hostNetwork=True, nodeName="two")
    third = bare("third", address="172.18.0.3", hostNetwork=True, nodeName="two")
    of_shop = namespace(istio_injection="enabled")
    for pods, address, name in [
        ([first, second], "172.18.0.2", "shop/first"),
        ([first, second], "172.18.0.3", "shop/second"),
        ([first, second], "10.244.1.1", "shop/second"),
        ([first, second, third], "172.18.0.3", "address 172.18.0.3"),
        ([first], "172.18.0.3", "address 172.18.0.3"),
    ]:
        world = World([of_shop, *NODES, *pods])
        callers = Callers(world)
        callers.add_those_without_sidecar(owners_of(world.pods))
        client = callers.client_of(PlaintextRequest(address, 4711, LATE), "shop/cart")
        assert client
        assert client.name == name


def test_who_sent_a_request_from_a_pod() -> None:
    """A pod without a sidecar that only traffic names is told why it has none; with one, what else it can be."""
    prometheus = pod(name="prometheus", namespace="istio-system") | {"status": {"podIP": "10.244.0.8"}}
    of_istio: Document = {"kind": "Namespace", "metadata": {"name": "istio-system"}}
    callers = Callers(World([namespace(), of_istio, *NODES, prometheus, meshed()]))
    reasons = []
    for address in ("10.244.0.8", "10.244.0.5"):
        client = callers.client_of(PlaintextRequest(address, 4711, LATE), "shop/cart")
        assert client
        assert client.evidence == set()
        reasons.append(client.cause.reason[:16])
    assert reasons == ["Its namespace ha", "It has a proxy, "]
    assert callers.client_of(PlaintextRequest("10.244.0.77", 4711, LATE), "shop/cart") is None


def test_a_pod_in_ambient() -> None:
    """A pod whose traffic a ztunnel carries is no client without mutual TLS, and no server that stays open."""
    ambient = pod(annotations={"ambient.istio.io/redirection": "enabled"})
    world = World([namespace(), ambient, service()])
    callers = Callers(world)
    callers.add_those_without_sidecar(owners_of(world.pods))
    assert callers.all() == []
    assert exposure(world).stay_open == {}


@pytest.mark.parametrize(
    ("of_namespace", "is_refused"), [(namespace(), True), (namespace(istio_injection="enabled"), False)]
)
def test_a_cron_job_between_its_runs(of_namespace: Document, *, is_refused: bool) -> None:
    """A CronJob has no pod most of the time: whether the next one gets a sidecar follows from its template."""
    spec: Document = {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "bill"}]}}}}}
    cron_job: Document = {"kind": "CronJob", "metadata": {"name": "bill", "namespace": "shop"}, "spec": spec}
    callers = Callers(World([of_namespace, cron_job]))
    assert callers.add_cron_job(cron_job) is is_refused
    assert [(client.name, client.refused_by) for client in callers.all()] == [("shop/bill", [ANY_SERVER])] * is_refused
    assert World([{**cron_job, "spec": {"suspend": True}}]).cron_jobs == []


def test_counters_of_a_server_with_open_ports() -> None:
    """Open connections may be at a port that stays open: then the server is unknown, and not ready is not said."""
    server = Server("shop/cart", [], [80], ConnectionCounts(5, 2, 1))
    conclude(server, {}, 2, stays_open=True)
    assert server.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("counts", "others", "verdict"),
    [
        pytest.param(ConnectionCounts(5, 2, 0), {}, Verdict.READY, id="all of it is of an accepted client"),
        pytest.param(ConnectionCounts(5, 2, 0), {"shop/cart": 1}, Verdict.NOT_READY, id="another client too"),
        pytest.param(ConnectionCounts(5, 3, 0), {}, Verdict.UNKNOWN, id="one more that no log names"),
        pytest.param(ConnectionCounts(5, 2, 1), {}, Verdict.UNKNOWN, id="one is open"),
        pytest.param(ConnectionCounts(0, 2, 0), {}, Verdict.UNKNOWN, id="no mutual TLS"),
    ],
)
def test_what_an_accepted_client_sent(counts: ConnectionCounts, others: dict[str, int], verdict: Verdict) -> None:
    """Its plaintext does not count against a server, and nothing else is excused by it."""
    server = Server("shop/orders", [], [80], counts)
    conclude(server, others, 2, accepted={"legacy/client": 2})
    assert server.verdict is verdict
    assert ("legacy/client (2)" in server.why) is (not others and counts.mutual_tls > 0 and counts.plaintext == 2)


def deployment(name: str, **labels: str) -> Document:
    """Return the object of a Deployment of the namespace shop."""
    ours = {label.replace("__", "/"): value for label, value in labels.items()}
    return {"kind": "Deployment", "metadata": {"name": name, "namespace": "shop", "labels": ours}}


def shop() -> World:
    """Return a server with a sidecar and two clients without, one of which comes with the cluster; none runs yet."""
    pods = [{**made, "status": {}} for made in (meshed(), bare("till", address=""), bare("meter", address=""))]
    deployments = [deployment("till", meshproof__application=""), deployment("meter")]
    return World([namespace(), service(), *NODES, *deployments, *pods])


@pytest.fixture(name="kube")
def api_that_nobody_serves(tmp_path: Path) -> Kube:
    """The API of a cluster that is not there: where no pod runs, no proxy is asked by it."""
    context: Document = {"name": "c", "context": {"cluster": "c", "user": "c"}}
    clusters = [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}]
    config = {"current-context": "c", "contexts": [context], "clusters": clusters, "users": [{"name": "c", "user": {}}]}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    return Kube(tmp_path / "kubeconfig")


def test_a_client_that_may_be_refused(kube: Kube) -> None:
    """It is listed apart, and so is what is accepted in vain; the others count as before."""
    plain, one, both = (
        answer_for(kube, shop(), [], accepted)
        for accepted in ([], ["shop/till", "shop/cart"], ["shop/till", "shop/meter"])
    )
    assert [client.name for client in plain.clients] == ["shop/meter", "shop/till"]
    assert (plain.accepted, plain.not_refused, plain.applications) == ([], [], {"shop/till"})
    assert [client.name for client in one.clients] == ["shop/meter"]
    assert [client.name for client in one.accepted] == ["shop/till"]
    assert one.not_refused == ["shop/cart"]
    assert (one.verdict, both.verdict) == (Verdict.NOT_READY, Verdict.UNKNOWN)
    assert both.clients == []


@pytest.mark.parametrize("name", ["shop/tills", "till", "street/till"])
def test_a_client_that_is_not_there(name: str, kube: Kube) -> None:
    """Who accepts a workload that there is none of is told, with the one that could be meant."""
    with pytest.raises(NotThere, match=f"There is no workload {name} .*the nearest is 'shop/till'") as error:
        answer_for(kube, shop(), [], [name])
    assert error.value.exit_code is ExitCode.BAD_INPUT
