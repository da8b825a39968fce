"""Manifests: completed as data when they are read, and in order as they are written."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshproof.certificates.leaf import Leaf
from meshproof.certificates.tree import read
from meshproof.cluster.gateway_ports import LEASED
from meshproof.cluster.kind.configuration import kind_configuration
from meshproof.cluster.objects import Document, name_of
from meshproof.errors import ClusterError
from meshproof.images import ImageSet, MeshImages
from meshproof.mesh.istio import Installation, identity, operator
from meshproof.mesh.manifests import KINDS, application_files, images_of, lease, load, mark_images, step_of
from tests.support.checkout import ROOT, SCENARIOS

MANIFESTS = ROOT / "manifests"
APPLIED = [*application_files(), *sorted(SCENARIOS.rglob("*.yaml"))]
ROLES = {"httpbin": "hub/httpbin:1", "nginx": "hub/nginx:2", "curl": "hub/curl:3", "traffic": "hub/traffic:4"}
MESH = MeshImages("1.31.0", "hub", "tag", Path("istioctl"), upstream_envoy=True)
IMAGES = ImageSet("node", own_cni=True, meshes=(MESH,), applications=ROLES, traffic=Path("traffic"), kind=Path("kind"))
CERTIFICATES = read(MANIFESTS / "certificates.yaml")

# https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/#explicit-protocol-selection
DECLARED = re.compile(r"(grpc|grpc-web|http|http2|https|mongo|mysql|redis|tcp|tls|udp)(-.+)?")


def gateway_service(images: ImageSet) -> list[dict[str, Any]]:
    """Return the ports of the ingress gateway's Service that istioctl is given."""
    document = yaml.safe_load(operator(Installation(images.mesh)))
    ports: list[dict[str, Any]] = document["spec"]["components"]["ingressGateways"][0]["k8s"]["service"]["ports"]
    return ports


def test_a_pinned_mesh_is_installed_by_its_digests() -> None:
    """istiod, gateways, sidecars and istio-init get the whole name: with a slash in it Istio's charts take it as it is.

    Source: istio/istio, manifests/charts/istio-control/istio-discovery: templates/deployment.yaml, files/*template.yaml
    """
    pins = {"pilot": "hub/pilot@sha256:1", "proxyv2": "hub/proxyv2@sha256:2"}
    values = yaml.safe_load(operator(Installation(replace(MESH, pinned=pins))))["spec"]["values"]
    assert values["pilot"]["image"] == pins["pilot"]
    assert values["global"]["proxy"]["image"] == values["global"]["proxy_init"]["image"] == pins["proxyv2"]
    by_tag = yaml.safe_load(operator(Installation(MESH)))["spec"]["values"]
    assert "image" not in by_tag["pilot"]
    assert "proxy_init" not in by_tag["global"]
    assert identity(Installation(replace(MESH, pinned=pins))) != identity(Installation(MESH))


def secret(**annotations: str) -> Document:
    """Return a Secret with annotations of ours."""
    metadata = {"name": "a", "namespace": "b", "annotations": {f"meshproof/{k}": v for k, v in annotations.items()}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}


def deployment(image: str = "nginx", **annotations: str) -> Document:
    """Return a Deployment whose pods have annotations of ours."""
    metadata = {"labels": {"app": "a"}, "annotations": {f"meshproof/{k}": v for k, v in annotations.items()}}
    template = {"metadata": metadata, "spec": {"containers": [{"name": "a", "image": image}]}}
    return {"kind": "Deployment", "metadata": {"name": "a", "namespace": "b"}, "spec": {"template": template}}


def loaded(directory: Path, *documents: Document) -> list[Document]:
    """Write documents to a file and load it."""
    file = directory / "manifest.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return load([file], images=IMAGES, certificates=CERTIFICATES)


def raw(*files: Path) -> Iterator[Document]:
    """Read the documents of files as they are written."""
    for file in files:
        yield from yaml.safe_load_all(file.read_text())


def test_the_image_of_a_sidecar_is_put_in_by_istio(tmp_path: Path) -> None:
    """A container that a pod has for Istio to complete keeps its word for that, and nobody copies an image of it."""
    (read,) = loaded(tmp_path, deployment("auto"))
    assert read["spec"]["template"]["spec"]["containers"][0]["image"] == "auto"
    assert images_of(read) == []


@pytest.mark.parametrize(("role", "image"), ROLES.items(), ids=ROLES)
def test_a_role_becomes_an_image(role: str, image: str, tmp_path: Path) -> None:
    """A container runs what its role is called where the images come from."""
    (read,) = loaded(tmp_path, deployment(role))
    assert read["spec"]["template"]["spec"]["containers"][0]["image"] == image


@pytest.mark.parametrize(
    ("annotations", "keys"),
    [
        pytest.param({"certificate": "test.com"}, {"tls.crt", "tls.key"}, id="a certificate"),
        pytest.param(
            {"certificate": "test.com", "client-ca": "test"}, {"tls.crt", "tls.key", "ca.crt"}, id="and whom to let in"
        ),
        pytest.param(
            {"generic-certificate": "test.com", "generic-client-ca": "test"},
            {"cert", "key", "cacert"},
            id="both under Istio's other keys",
        ),
        pytest.param({"client-ca": "test"}, {"ca.crt"}, id="whom to let in, and no certificate"),
    ],
)
def test_a_secret_gets_what_it_asks_for(annotations: dict[str, str], keys: set[str], tmp_path: Path) -> None:
    """A Secret holds the certificate of its role with the key, and the authority only where it asks for one."""
    (read,) = loaded(tmp_path, secret(**annotations))
    data = {name: base64.b64decode(value) for name, value in read["data"].items()}
    wanted = CERTIFICATES["test.com"]
    assert data.keys() == keys
    for chain, key in (("tls.crt", "tls.key"), ("cert", "key")):
        assert chain not in data or Leaf.from_pem(data[chain], data[key]) == wanted
    assert {data[name] for name in data.keys() & {"ca.crt", "cacert"}} <= {CERTIFICATES.authority("test").pem}


def test_a_secret_may_name_what_a_later_one_defines(tmp_path: Path) -> None:
    """Definitions are read first: the order of the documents says nothing."""
    definition: Any = {"name": "later.example", "key": "ECDSA"}
    one, other = loaded(tmp_path, secret(certificate="later.example"), secret(certificate=definition))
    assert one["data"] == other["data"]


def test_an_anchor_is_a_copy(tmp_path: Path) -> None:
    """What is put into a mapping is in no other one, though YAML has one name for both."""
    file = tmp_path / "a.yaml"
    service = "kind: Service\nmetadata: {name: a, labels: &l {app: a}}\nspec: {selector: *l, ports: [*l, *l]}\n"
    file.write_text(service)
    (read,) = load([file], images=IMAGES, certificates=CERTIFICATES)
    read["metadata"]["labels"]["ours"] = ""
    read["spec"]["ports"][0]["ours"] = ""
    assert (read["spec"]["selector"], read["spec"]["ports"][1]) == ({"app": "a"}, {"app": "a"})


MOUNTED = {"volumes": [{"name": "v", "configMap": {"name": "a"}}]}
PROJECTED = {"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "a"}}]}}]}
IN_ENVIRONMENT = {"initContainers": [{"image": "curl", "envFrom": [{"configMapRef": {"name": "a"}}]}]}


def content(directory: Path, pods: dict[str, Any], *documents: Document) -> str | None:
    """Load a Deployment beside documents; return what its pods tell of the content that they read."""
    reader = deployment()
    reader["spec"]["template"]["spec"] |= pods
    annotations = loaded(directory, reader, *documents)[0]["spec"]["template"]["metadata"]["annotations"]
    told: str | None = annotations.get("meshproof/content")
    return told


@pytest.mark.parametrize("pods", [MOUNTED, PROJECTED, IN_ENVIRONMENT], ids=["mounted", "projected", "environment"])
def test_a_pod_is_another_one_with_another_configuration(pods: dict[str, Any], tmp_path: Path) -> None:
    """What a pod's ConfigMap says is part of the pod's template, wherever the template names the ConfigMap."""
    one, other = (
        {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}, "data": {"x": value}} for value in "yz"
    )
    elsewhere = one | {"metadata": {"name": "a", "namespace": "elsewhere"}}
    assert content(tmp_path, pods, one) == content(tmp_path, pods, one, elsewhere)
    assert content(tmp_path, pods, one) != content(tmp_path, pods, other)
    assert content(tmp_path, pods, elsewhere) is None


def test_a_pod_is_another_one_with_another_certificate(tmp_path: Path) -> None:
    """What a pod's Secret says is part of the pod's template: a program reads its certificate when it starts."""
    pods = {"volumes": [{"name": "v", "secret": {"secretName": "a"}}]}
    one, other = (content(tmp_path, pods, secret(certificate=name)) for name in ("test.com", "aliyun.com"))
    assert one
    assert one != other


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(secret(certificate="nobody.test"), id="a Secret's certificate"),
        pytest.param(secret(**{"certificate": "test.com", "client-ca": "nobody.test"}), id="a Secret's authority"),
        pytest.param(deployment("nobody.test"), id="a container's image"),
    ],
)
def test_what_is_not_there_is_named(document: Document, tmp_path: Path) -> None:
    """A manifest that asks for what we have not is refused in one sentence: who asks, and for what."""
    with pytest.raises(ClusterError, match=rf"^{document['kind']} b/a .*nobody\.test.*\.$"):
        loaded(tmp_path, document)


def test_a_document_may_belong_to_a_step() -> None:
    """The label tells the step; without it a document is there from the start."""
    metadata: dict[str, Any] = {"name": "a", "labels": {"meshproof/step": "deny", "app": "a"}}
    assert step_of({"kind": "Secret", "metadata": metadata}) == "deny"
    assert step_of({"kind": "Secret", "metadata": {"name": "a"}}) is None


@pytest.mark.parametrize(("namespace", "name"), [({}, "Namespace a"), ({"namespace": "b"}, "Namespace b/a")])
def test_a_document_has_a_name(namespace: dict[str, str], name: str) -> None:
    """In a sentence a document is its kind, its namespace if it has one, and its name."""
    assert name_of({"kind": "Namespace", "metadata": {"name": "a", **namespace}}) == name


@pytest.mark.parametrize("file", APPLIED, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_manifest_is_complete(file: Path) -> None:
    """Every manifest can be completed, and each of its documents says what it is and where it belongs."""
    for document in load([file], images=IMAGES, certificates=CERTIFICATES):
        assert document["apiVersion"]
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"], name_of(document)


def test_every_port_declares_its_protocol() -> None:
    """Upstream Envoy can't tell the protocol of a connection: the name of each port of a Service has to.

    Two ports of one scenario do not, on purpose: its rows show what becomes of them.
    """
    ports = [port for each in raw(*APPLIED) if each["kind"] == "Service" for port in each["spec"]["ports"]]
    ports += gateway_service(IMAGES)
    assert [port["name"] for port in ports if not DECLARED.fullmatch(port["name"])] == ["unnamed", "greeting"]


def test_an_image_of_ones_own_stays_as_it_is(tmp_path: Path) -> None:
    """What has a tag or a registry in it is no role."""
    for image in ("shop:dev", "ghcr.io/me/shop"):
        (document,) = loaded(tmp_path, deployment(image))
        assert document["spec"]["template"]["spec"]["containers"][0]["image"] == image


def test_a_pod_is_another_one_with_another_image(tmp_path: Path) -> None:
    """An image that was built anew under its old name is part of the pod's template; a pinned one is not."""
    (document, other) = loaded(tmp_path, deployment("shop:dev"), deployment())
    assert images_of(document) == ["shop:dev"]
    told = []
    for image_id in ("sha256:a", "sha256:b"):
        mark_images([document, other, secret()], {"shop:dev": image_id})
        told.append(document["spec"]["template"]["metadata"]["annotations"]["meshproof/images"])
    assert told == ["sha256:a", "sha256:b"]
    assert "meshproof/images" not in other["spec"]["template"]["metadata"]["annotations"]


def test_a_server_without_a_port_is_given_a_free_one() -> None:
    """It is one that no scenario has; servers whose ports are called alike share it, and a number stays as it is."""
    ports: list[dict[str, Any]] = [{"name": "a"}, {"name": "b"}, {"name": "a"}, {"name": "c", "number": 443}]
    gateway = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "spec": {"servers": [{"port": port} for port in ports]},
    }
    leased = {LEASED[0]}
    assert lease([gateway], leased) == {"a": LEASED[1], "b": LEASED[2]}
    assert [port["number"] for port in ports] == [LEASED[1], LEASED[2], LEASED[1], 443]
    assert leased == {*LEASED[:3]}
    with pytest.raises(ClusterError, match=rf"^All {len(LEASED)} ports of the ingress gateway"):
        lease([{**gateway, "spec": {"servers": [{"port": {"name": "d"}}]}}], {*LEASED})


def test_what_a_killed_run_leaves_can_be_found() -> None:
    """Each kind of document in a manifest is one that the next run looks for."""
    assert [each for each in raw(*APPLIED) if each["apiVersion"] not in KINDS[each["kind"]]] == []


def test_kind_and_the_gateway_have_the_same_ports() -> None:
    """Each node port of the ingress gateway is a port that Docker chooses, on this machine only; and no other is."""
    (node,) = kind_configuration(own_cni=True)["nodes"]
    wanted = {"hostPort": -1, "listenAddress": "127.0.0.1"}
    node_ports = [port["nodePort"] for port in gateway_service(IMAGES)]
    assert node["extraPortMappings"] == [{"containerPort": port, **wanted} for port in node_ports]
    assert [port["port"] for port in gateway_service(IMAGES)] == [80, 443, *LEASED]
