"""Faults in manifests: each is one sentence, with the file and the line, and none is found where there is none."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from pathlib import Path

import pytest

from meshproof.certificates.tree import read
from meshproof.errors import ClusterError, FaultyManifests, MeshproofError
from meshproof.mesh import faults
from meshproof.mesh.manifests import application_files
from tests.support.checkout import ROOT, SCENARIOS

pytest_plugins = ["pytester"]

CERTIFICATES = ROOT / "manifests" / "certificates.yaml"
MUTUAL, PASSTHROUGH = (SCENARIOS / "gateway" / f"{name}.yaml" for name in ("mutual_tls", "passthrough"))
STRICT = SCENARIOS / "workloads" / "strict_isolation.yaml"
ISTIO = "apiVersion: networking.istio.io/v1\n"
WORLD = application_files()
HTTPBIN, CLIENTS, NGINX = (
    next(file for file in WORLD if file.stem == name) for name in ("httpbin", "clients", "mynginxapp")
)


def found(file: Path, old: str, new: str, where: Path, steps: Collection[str] | None = None) -> list[str]:
    """Put something else into a copy of a manifest of ours, once, and return what is said of it, without its path."""
    text = file.read_text()
    assert old in text
    changed = where / file.name
    changed.write_text(text.replace(old, new, 1))
    applications = [changed if application == file else application for application in WORLD]
    try:
        faults.check(applications, {} if file in WORLD else {changed: steps}, read(CERTIFICATES))
    except FaultyManifests as error:
        return str(error).replace(f"{changed.parent}/", "").splitlines()
    return []


def test_ours_have_none() -> None:
    """The manifests of the checkout, as they are, are without fault."""
    faults.check(WORLD, dict.fromkeys(SCENARIOS.rglob("*.yaml")), read(CERTIFICATES))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("networking.istio.io/v1\n", "networking.istio.io/v1beta1\n", id="an older version of the API"),
        pytest.param("host: httpbin\n", "host: httpbin.default.svc.cluster.local\n", id="the whole name of a Service"),
        pytest.param("host: httpbin\n", "host: elsewhere.test\n", id="a host that may be anywhere"),
        pytest.param("gateways: [httpbin]", "gateways: [default/httpbin]", id="a gateway with its namespace"),
        pytest.param("hosts: [test.com]", "hosts: ['default/*.com']", id="a host with a wildcard and a namespace"),
        pytest.param("gateways: [httpbin]", "gateways: [httpbin, mesh]", id="routes of sidecars, too"),
        pytest.param("  selector:\n    matchLabels: {istio: ingressgateway}\n", "", id="a policy for a namespace"),
        pytest.param("# Mutual TLS", "---\n# Mutual TLS", id="`---` before the first document"),
        pytest.param(
            "meshproof/certificate: test.com", "meshproof/certificate: {name: shop.example, key: ECDSA}",
            id="a certificate of its own",
        ),
    ],
)  # fmt: skip
def test_what_is_no_fault(old: str, new: str, tmp_path: Path) -> None:
    """Other ways to say the same are let through."""
    assert found(MUTUAL, old, new, tmp_path) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        pytest.param(
            MUTUAL, "kind: Gateway\n", "kind: Gateway\n\tx: 1\n",
            "line 12: this is not YAML: while scanning a plain scalar, "
            "found a tab character that violates indentation (indent by spaces, not by a tab).",
            id="a tab",
        ),
        pytest.param(
            MUTUAL, "hosts: ['*']", "hosts: [*]",
            "line 16: this is not YAML: while scanning an alias, "
            "did not find expected alphabetic or numeric character (a * has to be quoted: '*').",
            id="a bare *",
        ),
        pytest.param(
            MUTUAL, "  selector: {istio: ingressgateway}\n  servers:", "  servers: []\n  servers:",
            "line 15: the key 'servers' is there twice, first in line 14.", id="a key twice",
        ),
        pytest.param(
            MUTUAL, f"---\n{ISTIO}kind: V", f"---\n---\n{ISTIO}kind: V",
            "line 24: the document is empty: there is a `---` too many, or all of it is commented out.",
            id="a --- too many",
        ),
        pytest.param(MUTUAL, "kind: Gateway\n", "", "line 10: the document has no kind.", id="no kind"),
        pytest.param(
            MUTUAL, "kind: Gateway\n", "kind: Gatway\n",
            "line 11: kind has 'Gatway', which is not known; the nearest is 'Gateway'.", id="a kind that is not there",
        ),
        pytest.param(
            MUTUAL, f"{ISTIO}kind: Gateway", "apiVersion: networking.k8s.io/v1\nkind: Gateway",
            "line 10: apiVersion should be networking.istio.io/v1 or gateway.networking.k8s.io/v1 for a Gateway, "
            "and is 'networking.k8s.io/v1'.",
            id="a kind of another API",
        ),
        pytest.param(
            MUTUAL, "name: httpbin, namespace: default", "name: httpbin",
            "line 12: metadata has no namespace.", id="no namespace",
        ),
        pytest.param(
            MUTUAL, "name: httpbin, namespace: default", "name: httpbin, namespace: defualt",
            "line 12: Gateway defualt/httpbin is in the namespace defualt, which no manifest makes: "
            "the nearest is 'default'.", id="another namespace",
        ),
        pytest.param(
            MUTUAL, "name: httpbin, namespace: default", "name: Http_Bin, namespace: default",
            "line 12: metadata.name should be a name of small letters, digits, dots and hyphens, and is 'Http_Bin'.",
            id="a name that can't be",
        ),
        pytest.param(
            MUTUAL, "meshproof/certificate: test.com", "meshproof/certificate: {name: a, kye: ECDSA}",
            "line 8: metadata.annotations.meshproof/certificate has 'kye', which is not known; the nearest is 'key'.",
            id="a certificate of its own that can't be",
        ),
        pytest.param(
            MUTUAL, "meshproof/certificate: test.com", "meshproof/certificate: {name: test.com, key: ECDSA}",
            "line 8: Secret istio-system/test.com defines its certificate: The certificate test.com is defined twice, "
            "and not alike: call one of them otherwise.",
            id="a certificate that is another one elsewhere",
        ),
        pytest.param(
            MUTUAL, "number: 443", "number: 8443",
            "line 19: Gateway default/httpbin opens port 8443, which the ingress gateway does not have: choose from "
            "80, 443, or leave the number out, and the server is given a free port.",
            id="a port that the gateway has not",
        ),
        pytest.param(
            MUTUAL, "number: 443", "number: '443'",
            "line 19: spec.servers.port.number should be a whole number, 0 or more, and is '443'.", id="a port as text",
        ),
        pytest.param(
            MUTUAL, "{istio: ingressgateway}", "{istio: ingress-gateway}",
            "line 14: Gateway default/httpbin should select the ingress gateway or the egress gateway, by "
            "`istio: ingressgateway` or `istio: egressgateway`.",
            id="a selector of no gateway",
        ),
        pytest.param(
            MUTUAL, "credentialName: test.com", "credentialName: tset.com",
            "line 22: Gateway default/httpbin takes its certificate from the Secret tset.com, which is not in "
            "istio-system, where the ingress gateway looks: the nearest is 'test.com'.",
            id="a Secret that is not there",
        ),
        pytest.param(
            MUTUAL, ", meshproof/client-ca: test", "",
            "line 21: Gateway default/httpbin asks clients for a certificate, and the Secret test.com does not say "
            "whose: annotate it with meshproof/client-ca.", id="nobody's clients",
        ),
        pytest.param(
            MUTUAL, "meshproof/certificate: test.com", "meshproof/certificate: text.com",
            "line 8: Secret istio-system/test.com names the certificate text.com, which is not there: "
            "the nearest is 'test.com'.", id="a certificate that is not there",
        ),
        pytest.param(
            MUTUAL, "meshproof/client-ca: test", "meshproof/client-ca: tset",
            "line 8: Secret istio-system/test.com names the authority tset, which is not there: the nearest is 'test'.",
            id="an authority that is not there",
        ),
        pytest.param(
            MUTUAL, "gateways: [httpbin]", "gateways: [htpbin]",
            "line 28: VirtualService default/httpbin binds to the Gateway htpbin, which no manifest has: "
            "the nearest is 'httpbin'.", id="a gateway of another name",
        ),
        pytest.param(
            PASSTHROUGH, "hosts: [sample.aliyun.com]\n  gateways", "hosts: [simple.aliyun.com]\n  gateways",
            "line 18: VirtualService default/istio-mynginx-customvirtualservice is for simple.aliyun.com, and its "
            "Gateway istio-mynginx-customingressgateway serves sample.aliyun.com: no request could come to it.",
            id="a host that the gateway has not",
        ),
        pytest.param(
            MUTUAL, "host: httpbin\n", "host: httpbim\n",
            "line 33: VirtualService default/httpbin leads to the Service httpbim, which no manifest has: "
            "the nearest is 'httpbin'.", id="a route to nowhere",
        ),
        pytest.param(
            MUTUAL, "port: {number: 8000}", "port: {number: 80}",
            "line 34: VirtualService default/httpbin leads to port 80 of the Service httpbin, which has 8000.",
            id="a route to another port",
        ),
        pytest.param(
            PASSTHROUGH, "- port: 443", "- port: 442",
            "line 21: VirtualService default/istio-mynginx-customvirtualservice is about port 442, which the ingress "
            "gateway does not have: choose from 80, 443.", id="SNI of another port",
        ),
        pytest.param(
            STRICT, "{app: httpbin}", "{app: httpbni}",
            "line 10: PeerAuthentication default/httpbin selects the pods with app: httpbni, and no Deployment in "
            "default has such: the nearest is 'httpbin'.", id="a policy for nobody",
        ),
        pytest.param(
            STRICT, "mode: STRICT", "mode: STRIKT",
            "line 22: spec.mtls.mode has 'STRIKT', which is not known; the nearest is 'STRICT'.", id="no such mode",
        ),
        pytest.param(
            STRICT, "strict}", "permissive}",
            "line 13: PeerAuthentication default/httpbin is there twice, first in strict_isolation.yaml, line 2.",
            id="a document twice",
        ),
        pytest.param(
            HTTPBIN, "image: httpbin", "image: auto",
            "line 26: Deployment default/httpbin names the image auto, which is not there: "
            "choose from curl, httpbin, nginx, traffic.",
            id="a container that Istio does not complete",
        ),
        pytest.param(
            HTTPBIN, "image: httpbin", "image: httpbn",
            "line 26: Deployment default/httpbin names the image httpbn, which is not there: "
            "the nearest is 'httpbin'.",
            id="an image that is not there",
        ),
        pytest.param(
            HTTPBIN, "serviceAccountName: httpbin", "serviceAccountName: httpbn",
            "line 22: Deployment default/httpbin names the ServiceAccount httpbn, which is not there: "
            "the nearest is 'httpbin'.", id="an account that is not there",
        ),
        pytest.param(
            HTTPBIN, "selector: {app: httpbin}", "selector: {app: htpbin}",
            "line 10: Service default/httpbin selects the pods with app: htpbin, and no Deployment in default has "
            "such: the nearest is 'httpbin'.", id="a Service of no pod",
        ),
        pytest.param(
            CLIENTS, "metadata: {name: legacy}", "metadata: {name: legcy}",
            "line 25: Deployment legacy/client is in the namespace legacy, which no manifest makes: "
            "the nearest is 'legcy'.", id="a namespace that nobody makes",
        ),
        pytest.param(
            NGINX, "configMap: {name: mynginx-configmap}", "configMap: {name: nginx-configmap}",
            "line 57: Deployment default/mynginxapp names the ConfigMap nginx-configmap, which is not there: "
            "the nearest is 'mynginx-configmap'.", id="a ConfigMap that is not there",
        ),
        pytest.param(
            MUTUAL, "labels: {meshproof/step: deny}", "labels:",
            "line 41: metadata.labels should be a mapping, and is empty.", id="labels of which nothing is left",
        ),
        pytest.param(
            MUTUAL, "action: DENY", "action: Deny",
            "line 45: spec.action has 'Deny', which is not known; choose from ALLOW, DENY, AUDIT, CUSTOM.",
            id="no such action",
        ),
        pytest.param(
            MUTUAL, "mode: MUTUAL", "mode: MUTAL",
            "line 21: spec.servers.tls.mode has 'MUTAL', which is not known; the nearest is 'MUTUAL'.",
            id="no such mode of a server",
        ),
        pytest.param(
            MUTUAL, "port: {name: test, number: 80, protocol: HTTP}", "port: {name: test, number: 80, protocol: MYSQL}",
            "line 17: Gateway default/httpbin has a server for MYSQL, and meshproof knows how to wait for HTTP, HTTP2, "
            "GRPC, HTTPS, TLS.", id="another protocol",
        ),
        pytest.param(
            STRICT, "apiVersion: security.istio.io/v1\n", "apiVersion: security.istio.io/v1alpha3\n",
            "line 2: apiVersion should be security.istio.io/v1 for a PeerAuthentication, "
            "and is 'security.istio.io/v1alpha3'.", id="a version that was never served",
        ),
        pytest.param(
            HTTPBIN, "  selector: {app: httpbin}\n", "",
            "line 6: Service default/httpbin has no spec.selector: it would have no pods.", id="a Service of nobody",
        ),
        pytest.param(
            HTTPBIN, "    metadata: {labels: {app: httpbin}}\n", "",
            "line 19: spec.template has no metadata.", id="pods without labels",
        ),
        pytest.param(
            HTTPBIN, "{labels: {app: httpbin}}\n    spec:", "{labels: [app]}\n    spec:",
            "line 20: spec.template.metadata.labels should be a mapping, and is a list.", id="labels as a list",
        ),
        pytest.param(
            CLIENTS, "      containers:\n      - {name: curl, image: curl, command: [sleep, infinity]}\n", "",
            "line 17: spec.template.spec has no containers.", id="no containers",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_one_sentence(file: Path, old: str, new: str, sentence: str, tmp_path: Path) -> None:
    """A slip is named with its file and line, what is wrong, and what could have been meant."""
    assert found(file, old, new, tmp_path) == [f"{file.name}, {sentence}"]


def said(text: str, where: Path) -> list[str]:
    """Return what is said of a manifest, without its path."""
    manifest = where / "a.yaml"
    manifest.write_text(text)
    try:
        faults.check(WORLD, {manifest: None}, read(CERTIFICATES))
    except FaultyManifests as error:
        return str(error).replace(f"{where}/", "").splitlines()
    return []


def document(kind: str, spec: str, *, annotated: bool = False, group: str = "networking.istio.io") -> str:
    """Return a document `default/a` whose spec begins in line 4."""
    mark = ", annotations: {meshproof/wait: none}" if annotated else ""
    return f"apiVersion: {group}/v1\nkind: {kind}\nmetadata: {{name: a, namespace: default{mark}}}\nspec: {spec}\n"


def server_outside(annotation: str, resolution: str = "STATIC") -> str:
    """Return a ServiceEntry that asks for a server outside of the mesh."""
    spec = f"{{hosts: [a.example], ports: [{{name: a, number: 80, protocol: HTTP}}], resolution: {resolution}}}"
    written = document("ServiceEntry", spec, annotated=True)
    return written.replace("{meshproof/wait: none}", f"{{meshproof/{annotation}}}")


ENTRY = document("ServiceEntry", "{hosts: [shop.example], ports: [{name: a, number: 80, protocol: HTTP}]}")
KUBERNETES = "gateway.networking.k8s.io"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(document("DestinationRule", "{host: httpbin}"), id="for a Service"),
        pytest.param(document("DestinationRule", "{host: httpbin.default.svc.cluster.local}"), id="for its whole name"),
        pytest.param(f"{document('DestinationRule', '{host: shop.example}')}---\n{ENTRY}", id="for a ServiceEntry"),
        pytest.param(
            server_outside("certificate: {name: a.example, key: ECDSA}, meshproof/client-ca: partner"),
            id="a server outside of the mesh",
        ),
        pytest.param(
            document("DestinationRule", "{host: istio-egressgateway.istio-system.svc.cluster.local}"),
            id="for the egress gateway",
        ),
        pytest.param(document("Sidecar", "{egress: [{hosts: ['./*', istio-system/*]}]}"), id="a Sidecar"),
        pytest.param(document("EnvoyFilter", "{}", annotated=True).replace("/v1", "/v1alpha3"), id="an EnvoyFilter"),
        pytest.param(document("Telemetry", "{}", annotated=True, group="telemetry.istio.io"), id="a Telemetry"),
        pytest.param(document("Gateway", "{}", annotated=True, group=KUBERNETES), id="a Gateway of Kubernetes"),
        pytest.param(
            document("AuthorizationPolicy", "{action: AUDIT}", annotated=True, group="security.istio.io"), id="AUDIT"
        ),
        pytest.param(
            document("Gateway", "{selector: {istio: other}, servers: []}", annotated=True), id="another gateway"
        ),
        pytest.param(document("VirtualService", "{hosts: [httpbin], http: [{route: []}]}"), id="routes of sidecars"),
        pytest.param(
            f"{document('Gateway', '{selector: {istio: other}, servers: []}', annotated=True)}---\n"
            f"{document('Gateway', '{}', annotated=True, group=KUBERNETES)}",
            id="two Gateways of one name and of two kinds",
        ),
    ],
)
def test_a_document_that_is_in_order(text: str, tmp_path: Path) -> None:
    """What is waited for, and what says that its test waits, is let through."""
    assert said(text, tmp_path) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            document("DestinationRule", "{host: htpbin}"),
            "line 4: DestinationRule default/a is for the Service htpbin, which no manifest has: "
            "the nearest is 'httpbin'.", id="a rule for no Service",
        ),
        pytest.param(
            f"{document('DestinationRule', '{host: shop.exmple}')}---\n{ENTRY}",
            "line 4: DestinationRule default/a is for shop.exmple, which is no Service of the cluster "
            "(NAME.NAMESPACE.svc.cluster.local), and no ServiceEntry has it: the nearest is 'shop.example'.",
            id="a rule for no ServiceEntry",
        ),
        pytest.param(
            server_outside("certificate: partner.exmple"),
            "line 3: ServiceEntry default/a names the certificate partner.exmple, which is not there: "
            "the nearest is 'partner.example'.", id="a server outside with a certificate that is not there",
        ),
        pytest.param(
            server_outside("certificate: partner.example, meshproof/client-ca: partnr"),
            "line 3: ServiceEntry default/a names the authority partnr, which is not there: the nearest is 'partner'.",
            id="a server outside with clients of nobody",
        ),
        pytest.param(
            server_outside("client-ca: partner"),
            "line 3: ServiceEntry default/a says whose clients a server lets in, and not what it shows: "
            "meshproof/certificate.", id="a server outside that shows nothing",
        ),
        pytest.param(
            server_outside("certificate: partner.example", "DNS"),
            "line 4: spec.resolution should be STATIC, for the server has an address and no name in DNS, and is 'DNS'.",
            id="a server outside that would be looked up",
        ),
        pytest.param(
            server_outside("certificate: partner.example", "STATIC, endpoints: [{address: 192.0.2.1}]"),
            "line 4: ServiceEntry default/a has endpoints, and those of its server are put in at run time.",
            id="a server outside that is elsewhere",
        ),
        pytest.param(
            document("Gateway", "{selector: {istio: egressgateway}, servers: [{hosts: [a.example], port: {name: a, "
                     "number: 8443, protocol: HTTPS}, tls: {mode: ISTIO_MUTUAL}}]}"),
            "line 4: Gateway default/a opens port 8443, which the egress gateway does not have: choose from 80, 443.",
            id="a port that the egress gateway has not",
        ),
        pytest.param(
            document("Sidecar", "{workloadSelector: {labels: {app: htpbin}}, egress: [{hosts: ['./*']}]}"),
            "line 4: Sidecar default/a selects the pods with app: htpbin, and no Deployment in default has such: "
            "the nearest is 'httpbin'.", id="a Sidecar of nobody",
        ),
        pytest.param(
            document("Sidecar", "{egress: [{hosts: [legcy/*]}]}"),
            "line 4: Sidecar default/a lets a proxy know hosts of the namespace legcy, which no manifest makes: "
            "the nearest is 'legacy'.", id="hosts of no namespace",
        ),
        pytest.param(
            document("Sidecar", "{egress: [{hosts: ['*']}]}"),
            "line 4: spec.egress.hosts should be a namespace and a host, such as ./* or istio-system/*, and is '*'.",
            id="a host without a namespace",
        ),
        pytest.param(
            document("RequestAuthentication", "{selector: {matchLabels: {app: x}}}", group="security.istio.io"),
            "line 4: RequestAuthentication default/a selects the pods with app: x, and no Deployment in default has "
            "such: choose from client, httpbin, mynginxapp, productpage.", id="tokens of nobody",
        ),
        pytest.param(
            document("RequestAuthentication", "{jwtRules: [{jwksUri: x}]}", group="security.istio.io"),
            "line 4: spec.jwtRules has no issuer.", id="a rule without an issuer",
        ),
        pytest.param(
            document("HTTPRoute", "{parentRefs: [{name: g}]}", group=KUBERNETES, annotated=True),
            "line 4: HTTPRoute default/a names the Kubernetes Gateway g, which is not there: there is none.",
            id="a route of no Gateway",
        ),
        pytest.param(
            document("HTTPRoute", "{rules: [{backendRefs: [{name: htpbin}]}]}", group=KUBERNETES, annotated=True),
            "line 4: HTTPRoute default/a names the Service htpbin, which is not there: the nearest is 'httpbin'.",
            id="a route to no Service",
        ),
        pytest.param(
            document("Telemetry", "{}", group="telemetry.istio.io"),
            "line 1: Telemetry default/a can't be waited for: how a proxy shows that it has loaded one of its kind "
            "is not known. If its test waits itself, with `eventually`, say so with the annotation "
            "`meshproof/wait: none`.",
            id="what can't be waited for",
        ),
        pytest.param(
            document("Gateway", "{gatewayClassName: istio}", group=KUBERNETES),
            "line 1: Kubernetes Gateway default/a can't be waited for: how a proxy shows that it has loaded one of its "
            "kind is not known. If its test waits itself, with `eventually`, say so with the annotation "
            "`meshproof/wait: none`.", id="a Gateway of Kubernetes",
        ),
        pytest.param(
            document("AuthorizationPolicy", "{action: DENY, rules: [{}]}", annotated=True, group="security.istio.io"),
            "line 3: AuthorizationPolicy default/a says `meshproof/wait: none`, and could be waited for: leave that "
            "out, or nobody would wait for its end.", id="a wait for what can be waited for",
        ),
        pytest.param(
            document("Sidecar", "{}", annotated=True).replace("wait: none", "wait: nine"),
            "line 3: metadata.annotations.meshproof/wait has 'nine', which is not known; the nearest is 'none'.",
            id="another wait",
        ),
        pytest.param(
            "apiVersion: v1\n" + document("ConfigMap", "{}", annotated=True).partition("\n")[2],
            "line 3: metadata.annotations.meshproof/wait is for Deployments, Istio's kinds and those of the Gateway "
            "API only.",
            id="a wait for what is never waited for",
        ),
    ],
)  # fmt: skip
def test_a_fault_in_a_document(text: str, sentence: str, tmp_path: Path) -> None:
    """References of every kind are looked at, and what can't be waited for is told before there is a cluster."""
    assert said(text, tmp_path) == [f"a.yaml, {sentence}"]


def test_a_document_that_can_be_waited_for_in_some_steps(tmp_path: Path) -> None:
    """What can't be waited for beside a document of a step may say so, though without the step it could be."""
    marked = document("DestinationRule", "{host: httpbin}", annotated=True)
    twin = marked.replace("name: a", "name: b, labels: {meshproof/step: s}")
    assert said(f"{marked}---\n{twin}", tmp_path) == []
    (sentence,) = said(marked, tmp_path)
    assert "line 3: DestinationRule default/a says `meshproof/wait: none`, and could be waited for" in sentence


def of_certificate(name: str, certificate: str, client_ca: str = "test") -> str:
    """Return a Secret with a certificate, in line 6."""
    return (
        f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: istio-system\n"
        f"  annotations: {{meshproof/certificate: {certificate}, meshproof/client-ca: {client_ca}}}\n"
    )


@pytest.mark.parametrize("turned", [False, True])
def test_each_manifest_has_its_own_certificates(tmp_path: Path, *, turned: bool) -> None:
    """What a manifest defines is there for its own documents, whatever their order, and not for another manifest."""
    one, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    one.write_text(f"{of_certificate('b', 'shop.example')}---\n{of_certificate('a', '{name: shop.example}')}")
    other.write_text(of_certificate("c", "shop.example"))
    files = [other, one] if turned else [one, other]
    with pytest.raises(FaultyManifests) as told:
        faults.check(WORLD, dict.fromkeys(files), read(CERTIFICATES))
    (sentence,) = str(told.value).splitlines()
    assert f"{other}, line 6: Secret istio-system/c names the certificate shop.example, which is not" in sentence
    faults.check(WORLD, {one: None}, read(CERTIFICATES))


def test_a_name_is_one_certificate_in_all_manifests(tmp_path: Path) -> None:
    """A test finds a certificate by its name, and a run makes each name once."""
    one, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    one.write_text(of_certificate("a", "{name: shop.example}"))
    other.write_text(of_certificate("a", "{name: shop.example}"))
    faults.check(WORLD, dict.fromkeys((one, other)), read(CERTIFICATES))
    other.write_text(of_certificate("a", "{name: shop.example, key: ECDSA}"))
    with pytest.raises(FaultyManifests, match=r"b\.yaml, line 6: .* shop\.example is defined twice, and not alike"):
        faults.check(WORLD, dict.fromkeys((one, other)), read(CERTIFICATES))


def test_an_authority_that_is_not_there(tmp_path: Path) -> None:
    """A definition adds none: an authority that nobody asked for would be trusted by nobody."""
    text = of_certificate("a", "{name: shop.example, authority: meshprof}", "meshprof")
    sentence = (
        "Secret istio-system/a defines its certificate: There is no authority meshprof: the nearest is 'meshproof'."
    )
    assert said(text, tmp_path) == [f"a.yaml, line 6: {sentence}"]


def test_a_step_leaves_the_applications_alone(tmp_path: Path) -> None:
    """A document of a step is deleted after it: it can't be an object that the applications have."""
    metadata = "metadata: {name: httpbin, namespace: default, labels: {meshproof/step: s}}"
    service = f"apiVersion: v1\nkind: Service\n{metadata}\n"
    sentences = found(STRICT, "# The same", f"{service}---\n# The same", tmp_path)
    assert len(sentences) == 1
    assert "Service default/httpbin is there twice, first in" in sentences[0]


def test_a_step_without_documents(tmp_path: Path) -> None:
    """Rows that ask for a step of another name would see the scenario without it."""
    assert found(MUTUAL, "step: deny", "step: denied", tmp_path, ("deny",)) == [
        "mutual_tls.yaml: rows ask for the step deny, and no document has its label: the nearest is 'denied'."
    ]


def test_a_step_without_rows(tmp_path: Path) -> None:
    """A document of a step that no row asks for would never be in force; a misspelt label of ours is told as well."""
    steps = ("deny", "redirect")
    (sentence,) = found(MUTUAL, "step: redirect-any-host", "step: redirekt", tmp_path, steps)
    assert sentence == (
        "mutual_tls.yaml, line 72: Gateway default/redirect-any-host belongs to the step redirekt, and no row asks for "
        "it: the nearest is 'redirect'."
    )


def test_a_misspelt_label_of_ours(tmp_path: Path) -> None:
    """It would be taken for somebody else's, and its document be in force from the start."""
    (sentence,) = found(MUTUAL, "meshproof/step: deny", "meshproof/setp: deny", tmp_path)
    assert sentence == (
        "mutual_tls.yaml, line 41: metadata.labels has 'meshproof/setp', which is not known; "
        "the nearest is 'meshproof/step'."
    )


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    """Who mends a manifest sees all that is wrong with it."""
    text = "credentialName: test.com\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
    metadata, spec = "metadata: {name: httpbin, namespace: default}\n", "spec:\n  gateways: [httpbin]"
    both = text.replace("test.com", "other.com") + metadata + spec.replace("[httpbin]", "[other]")
    assert len(found(MUTUAL, text + metadata + spec, both, tmp_path)) == 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A test module without a manifest is told which file it lacks."""
    with pytest.raises(FaultyManifests, match=r"missing\.yaml: cannot be read: No such file or directory\.$"):
        faults.check(WORLD, {tmp_path / "missing.yaml": ()}, read(CERTIFICATES))


@pytest.mark.usefixtures("own_project")
@pytest.mark.parametrize("error", [FaultyManifests, ClusterError])
def test_a_fault_ends_the_run(
    error: type[MeshproofError], pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With whatever error of ours the look at the manifests ends: its sentence is all that is said, and the code 4."""

    def check(*_: object) -> None:
        raise error("One sentence.")

    monkeypatch.setattr(faults, "check", check)
    module = pytester.path / "tests" / "e2e" / "gateway" / "test_passthrough.py"
    module.write_text(
        textwrap.dedent(
            """
        import pytest

        @pytest.fixture
        def testbed(): pass

        @pytest.fixture
        def scenario(testbed): pass

        def test_row(scenario): pass
        """
        )
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert (result.ret, [line for line in result.errlines if line]) == (4, ["ERROR: One sentence."])
