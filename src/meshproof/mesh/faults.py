"""Faults in manifests, looked for before anything is applied.

A slip in a manifest is quick to make and slow to find: a Gateway on a port that is not there, or a route to a Service
of another name, is taken by the API without a word, and a test waits for it in vain. Here each fault is one sentence,
with the file and the line. What only the API knows (a field that a kind does not have, a value that Istio refuses) it
says when a scenario begins, before any of its documents is applied: see ``Kube.check``.

Source of the kinds: https://istio.io/latest/docs/reference/config/networking/ and ``…/security/``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshproof.certificates.tree import Certificates
from meshproof.cluster.kind import CONFIGURATION
from meshproof.cluster.objects import name_of
from meshproof.errors import FaultyManifests
from meshproof.images import ROLES
from meshproof.mesh import istio
from meshproof.mesh.effects import hosts_meet
from meshproof.mesh.manifests import CERTIFICATE, CLIENT_CA, KINDS, STEP
from meshproof.posture.reading import Node, Unreadable, yaml_documents
from meshproof.project import as_typed_here

_GATEWAY = {"istio": "ingressgateway"}
_OLDER = {"networking.istio.io": ("v1beta1", "v1alpha3"), "security.istio.io": ("v1beta1",)}  # served as well
_LABELS = (STEP,)  # of ours, those that a manifest can have
_MODES = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "PASSTHROUGH")
_VERSIONS = ("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")
_PROTOCOLS = ("HTTP", "HTTP2", "GRPC", "HTTPS", "TLS")
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")  # RFC 1123, as Kubernetes has it
_OF_THE_CLUSTER = ".svc.cluster.local"
_ALWAYS_THERE = ("default", istio.NAMESPACE)


@dataclass(slots=True)
class _Written:
    """A document of a manifest.

    Attributes:
        node: Its content, with the lines.
        kind: Its kind.
        namespace: Where it belongs; empty for a Namespace.
        name: What it is called.
        step: The step that it belongs to; None if it is there from the start.
    """

    node: Node
    kind: str
    namespace: str
    name: str
    step: str | None

    def __str__(self) -> str:
        return name_of({"kind": self.kind, "metadata": {"namespace": self.namespace, "name": self.name}})

    def fault(self, what: str, node: Node | None = None) -> str:
        """Return the sentence on a fault of it, at the line of a part of it."""
        place = node or self.node
        return f"{place.file}, line {place.line}: {self} {what}."


@dataclass(slots=True)
class _World:
    """What the documents that are in force together have in them."""

    certificates: Certificates
    documents: list[_Written] = field(default_factory=list)

    def of(self, kind: str, namespace: str) -> dict[str, _Written]:
        """Return the documents of a kind in a namespace, by name."""
        return {each.name: each for each in self.documents if (each.kind, each.namespace) == (kind, namespace)}

    def namespaces(self) -> list[str]:
        """Return the namespaces that there are."""
        return [*_ALWAYS_THERE, *(each.name for each in self.documents if each.kind == "Namespace")]

    def labels(self, namespace: str) -> list[Mapping[str, Any]]:
        """Return the labels of the pods in a namespace, those of the gateway among them."""
        pods: list[Mapping[str, Any]] = [
            labels if isinstance(labels := _value(each.node, "spec", "template", "metadata", "labels"), dict) else {}
            for each in self.of("Deployment", namespace).values()
        ]
        return [*pods, {**_GATEWAY, "app": "istio-ingressgateway"}] if namespace == istio.NAMESPACE else pods


def check(applications: Path, scenarios: Mapping[Path, Collection[str] | None], certificates: Certificates) -> None:
    """Look for faults in the manifests of the applications, and in those of scenarios beside them.

    Args:
        applications: The directory of the world that all scenarios share.
        scenarios: The file of each scenario, with the steps that its rows ask for; None if that is not known.
        certificates: What a Secret can name.

    Raises:
        FaultyManifests: With all of them.
    """
    shared = _World(certificates)
    sentences = list(_configurations())
    sentences += _read(sorted(applications.glob("*.yaml")), shared)
    if not sentences:  # else each scenario would say it again
        sentences += _faults_of(shared, shared.documents)
        for file, steps in scenarios.items():
            world = _World(shared.certificates, list(shared.documents))
            unreadable = list(_read([file], world))
            own = world.documents[len(shared.documents) :]
            sentences += unreadable or _faults_of(world, own)
            sentences += () if unreadable or steps is None else _steps_of_nobody(file, steps, own)
    if sentences:
        raise FaultyManifests("\n".join(dict.fromkeys(sentences)))


def _configurations() -> Iterator[str]:
    """Say what is wrong with what istioctl and kind are given: whether it is YAML, and has the gateway's ports."""
    for file in (*sorted(istio.MANIFESTS.glob("*.yaml")), CONFIGURATION):
        try:
            count = len(yaml_documents(as_typed_here(file)))
        except Unreadable as error:
            yield str(error)
            return
        if count != 1:
            yield f"{as_typed_here(file)}: there should be one document in it, and there are {count or 'none'}."
            return
    operator = as_typed_here(istio.MANIFESTS / "operator.yaml")
    try:
        node_ports, _ = istio.gateway_ports().values(), istio.gateway_target_ports()
    except (LookupError, TypeError, ValueError):
        yield (
            f"{operator}: there should be one ingress gateway, whose Service has `ports` with a `port`, a `targetPort` "
            "and a `nodePort` each, under spec.components.ingressGateways."
        )
        return
    (cluster,) = yaml_documents(as_typed_here(CONFIGURATION))
    try:
        nodes = _list(cluster, "nodes")
        mapped = [_value(port, "containerPort") for node in nodes for port in _list(node, "extraPortMappings")]
    except Unreadable as error:
        yield str(error)
        return
    if missing := sorted(set(node_ports) - set(mapped)):
        ports = ", ".join(map(str, missing))
        yield f"{cluster.file}: extraPortMappings lacks node ports of the gateway ({operator}): {ports}."


def _read(files: Sequence[Path], world: _World) -> Iterator[str]:
    """Add the documents of files to a world, and say what keeps others from being one."""
    for file in files:
        try:
            nodes = yaml_documents(as_typed_here(file), keep_empty=True)
        except Unreadable as error:
            yield str(error)
            continue
        if not nodes:
            yield f"{as_typed_here(file)}: there is no document in it."
        for node in nodes:
            try:
                document = _document(node)
            except Unreadable as error:
                yield str(error)
                continue
            twin = next((other for other in world.documents if _same(other, document, file)), None)
            if twin:
                yield document.fault(f"is there twice, first in {twin.node.file}, line {twin.node.line}")
            world.documents.append(document)


def _same(one: _Written, other: _Written, file: Path) -> bool:
    """Return whether two documents are one object; a step may replace what the same manifest has, and nothing else."""
    by_a_step = one.step != other.step and one.node.file == as_typed_here(file)
    return (one.kind, one.namespace, one.name) == (other.kind, other.namespace, other.name) and not by_a_step


def _document(node: Node) -> _Written:
    """Read what each document has to have.

    Raises:
        Unreadable: It has it not.
    """
    if node.value is None:
        raise node.wrong("is empty: there is a `---` too many, or all of it is commented out")
    for key in ("apiVersion", "kind", "metadata"):
        _need(node, key)
    kind = _need(node, "kind").among(KINDS)
    version = _need(node, "apiVersion")
    if version.text() not in _versions(KINDS[kind]):
        raise version.is_not(f"{KINDS[kind]} for a {kind}")
    for key, ours in (("labels", _LABELS), ("annotations", (CERTIFICATE, CLIENT_CA))):
        part = _need(node, "metadata").fields().get(key)
        for word, value in part.fields().items() if part else ():
            value.text()
            if word.startswith("meshproof/"):
                Node(node.file, f"metadata.{key}", word, value.line).among(ours)
    name = _need(node, "metadata", "name")
    if not _NAME.fullmatch(name.text()):
        raise name.is_not("a name of small letters, digits, dots and hyphens")
    namespace = ""
    if kind == "Namespace":
        if spare := _at(node, "metadata", "namespace"):
            raise spare.wrong("is there, and a Namespace is in none")
    else:
        namespace = _need(node, "metadata", "namespace").text()
    step = _at(node, "metadata", "labels", STEP)
    return _Written(node, kind, namespace, name.text(), step.text() if step else None)


def _versions(newest: str) -> list[str]:
    """Return the API versions that serve a kind; Istio's have older names, too."""
    group = newest.rpartition("/")[0]
    return [newest, *(f"{group}/{name}" for name in _OLDER.get(group, ()))]


def _faults_of(world: _World, documents: Sequence[_Written]) -> list[str]:
    """Say what is wrong with documents, each on its own and with the rest of its world."""
    sentences = [
        document.fault(
            f"is in the namespace {document.namespace}, which no manifest makes: "
            f"{_choose(document.namespace, world.namespaces())}",
            _at(document.node, "metadata", "namespace"),
        )
        for document in documents
        if document.namespace and document.namespace not in world.namespaces()
    ]
    if sentences:  # what refers to one of these would be said to be wrong as well
        return sentences
    deployments = [document for document in documents if document.kind == "Deployment"]
    others = [document for document in documents if document.kind != "Deployment"]
    return _checked(world, deployments) or _checked(world, others)


def _checked(world: _World, documents: Sequence[_Written]) -> list[str]:
    """Return the faults of documents; where one lacks what it has to have, no others, for they may come of that."""
    shapeless: list[str] = []
    sentences: list[str] = []
    for document in documents:
        try:
            if document.kind in _CHECKS:
                sentences += _CHECKS[document.kind](document, world)
        except Unreadable as error:
            shapeless.append(str(error))
    return shapeless or sentences


def _gateway(document: _Written, world: _World) -> Iterator[str]:
    if (selector := _need(document.node, "spec", "selector")).value != _GATEWAY:
        yield document.fault("should select the ingress gateway, by `istio: ingressgateway`", selector)
    ports = istio.gateway_ports()
    for server in _need(document.node, "spec", "servers").items():
        number, protocol = _need(server, "port", "number"), _need(server, "port", "protocol")
        _need(server, "port", "name").text()
        if protocol.text().upper() not in _PROTOCOLS:
            yield document.fault(
                f"has a server for {protocol.value}, and meshproof knows how to wait for {', '.join(_PROTOCOLS)}",
                protocol,
            )
        if number.number() not in ports:
            yield document.fault(
                f"opens port {number.value}, which the ingress gateway does not have: choose from "
                f"{', '.join(map(str, ports))}, or add it to {istio.MANIFESTS / 'operator.yaml'} and "
                f"{CONFIGURATION}",
                number,
            )
        for host in _need(server, "hosts").items():
            host.text()
        yield from _tls_of_a_server(document, world, server, protocol.text().upper())


def _tls_of_a_server(document: _Written, world: _World, server: Node, protocol: str) -> Iterator[str]:
    """Look at the TLS of a Gateway's server: whether there is any, and the Secret that it names."""
    mode = _at(server, "tls", "mode")
    if mode:
        mode.among(_MODES)
    lowest, highest = _at(server, "tls", "minProtocolVersion"), _at(server, "tls", "maxProtocolVersion")
    limits = [_VERSIONS.index(limit.among(_VERSIONS)) for limit in (lowest, highest) if limit]
    if len(limits) > 1 and limits[1] and limits[0] > limits[1]:
        yield document.fault("has a minimum version above its maximum", lowest)
    if protocol in ("HTTPS", "TLS") and mode is None:
        yield document.fault(f"has a server for {protocol} without a `tls.mode`", server)
    if protocol in ("HTTP", "HTTP2", "GRPC") and mode is not None:
        yield document.fault(
            f"has a server for {protocol} with a `tls.mode`: Istio ends no TLS there; its protocol should be HTTPS",
            mode,
        )
    credential = _at(server, "tls", "credentialName")
    if mode and mode.value in ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL") and credential is None:
        yield document.fault(f"ends TLS with mode {mode.value} and names no certificate (`credentialName`)", mode)
    if credential is None:
        return
    secrets = world.of("Secret", istio.NAMESPACE)
    if credential.text() not in secrets:
        elsewhere = [each for each in world.documents if (each.kind, each.name) == ("Secret", credential.value)]
        there = f"it is in {elsewhere[0].namespace}" if elsewhere else _choose(credential.text(), secrets)
        yield document.fault(
            f"takes its certificate from the Secret {credential.value}, which is not in {istio.NAMESPACE}, where the "
            f"ingress gateway looks: {there}",
            credential,
        )
    elif mode and mode.value in ("MUTUAL", "OPTIONAL_MUTUAL"):
        secret = secrets[credential.text()]
        if not _at(secret.node, "metadata", "annotations", CLIENT_CA):
            yield document.fault(
                f"asks clients for a certificate, and the Secret {credential.value} does not say whose: annotate it "
                f"with {CLIENT_CA}",
                mode,
            )


def _virtual_service(document: _Written, world: _World) -> Iterator[str]:
    hosts = [host.text() for host in _need(document.node, "spec", "hosts").items()]
    bound = _at(document.node, "spec", "gateways")
    if bound is None:
        yield document.fault(
            "names no `gateways`: it would be for the sidecars only, and meshproof waits for the ingress gateway"
        )
    for gateway in bound.items() if bound else []:
        yield from _binding(document, world, gateway, hosts)
    routes = [route for kind in ("http", "tls") for route in _list(document.node, "spec", kind)]
    if not routes:
        yield document.fault("has no route under `http` or `tls`, which is what meshproof knows how to wait for")
    for route in routes:
        for target in _list(route, "route"):
            yield from _destination(document, world, _need(target, "destination"))
    for match in (match for route in _list(document.node, "spec", "tls") for match in _list(route, "match")):
        port = _need(match, "port")
        _need(match, "sniHosts").items()
        if port.number() not in istio.gateway_ports():
            yield document.fault(
                f"is about port {port.value}, which the ingress gateway does not have: "
                f"choose from {', '.join(map(str, istio.gateway_ports()))}",
                port,
            )


def _binding(document: _Written, world: _World, bound: Node, hosts: Sequence[str]) -> Iterator[str]:
    """Look at a gateway that a VirtualService names: whether it is there, and serves one of the hosts."""
    namespace, _, name = bound.text().rpartition("/")
    if bound.value == "mesh":
        yield document.fault("binds to `mesh`, the sidecars, and meshproof does not know how to wait for them", bound)
        return
    gateways = world.of("Gateway", namespace or document.namespace)
    if name not in gateways:
        yield document.fault(
            f"binds to the Gateway {bound.value}, which no manifest has: {_choose(name, gateways)}", bound
        )
        return
    served = [
        host.text() for server in _list(gateways[name].node, "spec", "servers") for host in _list(server, "hosts")
    ]
    if not any(hosts_meet(ours, theirs.rpartition("/")[2]) for ours in hosts for theirs in served):
        yield document.fault(
            f"is for {', '.join(hosts)}, and its Gateway {bound.value} serves {', '.join(served)}: no request could "
            "come to it",
            bound,
        )


def _destination(document: _Written, world: _World, destination: Node) -> Iterator[str]:
    """Look at where a route leads: whether there is such a Service, with such a port."""
    host = _need(destination, "host")
    name = host.text().removesuffix(_OF_THE_CLUSTER)
    if "." in name and not host.text().endswith(_OF_THE_CLUSTER):
        return  # a host that may be anywhere
    name, _, namespace = name.partition(".")
    services = world.of("Service", namespace or document.namespace)
    if name not in services:
        yield document.fault(
            f"leads to the Service {host.value}, which no manifest has: {_choose(name, services)}", host
        )
        return
    ports = [_value(port, "port") for port in _list(services[name].node, "spec", "ports")]
    number = _at(destination, "port", "number")
    if number is not None and number.number() not in ports:
        yield document.fault(
            f"leads to port {number.value} of the Service {name}, which has {', '.join(map(str, ports))}", number
        )


def _policy(document: _Written, world: _World) -> Iterator[str]:
    yield from _selects(document, world, "spec", "selector", "matchLabels")
    if action := _at(document.node, "spec", "action"):
        action.among(("ALLOW", "DENY"))


def _peer_authentication(document: _Written, world: _World) -> Iterator[str]:
    yield from _selects(document, world, "spec", "selector", "matchLabels")
    _need(document.node, "spec", "mtls", "mode").among(("PERMISSIVE", "STRICT"))


def _service(document: _Written, world: _World) -> Iterator[str]:
    yield from _selects(document, world, "spec", "selector")
    for port in _need(document.node, "spec", "ports").items():
        _need(port, "port").number()


def _selects(document: _Written, world: _World, *path: str) -> Iterator[str]:
    """Look whether a selector selects pods of a manifest."""
    selector = _at(document.node, *path)
    if selector is None:
        yield document.fault(
            f"has no {'.'.join(path)}: without one it is for all pods, and meshproof waits for those of an application"
        )
        return
    wanted = {name: label.text() for name, label in selector.fields().items()}
    pods = world.labels(document.namespace)
    if not any(wanted.items() <= labels.items() for labels in pods):
        apps = {str(labels["app"]) for labels in pods if "app" in labels}
        words = ", ".join(f"{name}: {label}" for name, label in wanted.items())
        yield document.fault(
            f"selects the pods with {words}, and no Deployment in {document.namespace} has such: "
            f"{_choose(wanted.get('app', ''), apps)}",
            selector,
        )


def _secret(document: _Written, world: _World) -> Iterator[str]:
    certificate = _at(document.node, "metadata", "annotations", CERTIFICATE)
    if certificate is None:
        yield document.fault(f"says no content: annotate it with {CERTIFICATE}, the name of a certificate")
    yield from _named(document, certificate, "certificate", world.certificates.definitions)
    authority = _at(document.node, "metadata", "annotations", CLIENT_CA)
    yield from _named(document, authority, "authority", world.certificates.authorities)


def _deployment(document: _Written, world: _World) -> Iterator[str]:
    template = _need(document.node, "spec", "template")
    selector = _need(document.node, "spec", "selector", "matchLabels").fields()
    labels = {name: label.text() for name, label in _need(template, "metadata", "labels").fields().items()}
    if missing := [name for name, node in selector.items() if labels.get(name) != node.value]:
        yield document.fault(f"selects pods by {', '.join(missing)}, and its own pods have other labels", template)
    for container in [*_need(template, "spec", "containers").items(), *_list(template, "spec", "initContainers")]:
        _need(container, "name").text()
        yield from _named(document, _need(container, "image"), "image", ROLES)
    account = _at(template, "spec", "serviceAccountName")
    accounts = {"default", *world.of("ServiceAccount", document.namespace)}
    yield from _named(document, account, "ServiceAccount", accounts)
    for volume in _list(template, "spec", "volumes"):
        for kind, path in (("ConfigMap", ("configMap", "name")), ("Secret", ("secret", "secretName"))):
            yield from _named(document, _at(volume, *path), kind, world.of(kind, document.namespace))


def _steps_of_nobody(file: Path, steps: Collection[str], documents: Sequence[_Written]) -> Iterator[str]:
    """Say which steps have rows and no documents, and which have documents and no rows."""
    there = {document.step for document in documents if document.step}
    missing = sorted(set(steps) - there)
    for step in missing:
        near = _choose(step, there)
        yield f"{as_typed_here(file)}: rows ask for the step {step}, and no document has its label: {near}."
    for document in documents:
        if not missing and document.step and document.step not in steps:
            yield document.fault(
                f"belongs to the step {document.step}, and no row asks for it: {_choose(document.step, steps)}",
                _at(document.node, "metadata", "labels", STEP),
            )


_CHECKS: dict[str, Callable[[_Written, _World], Iterator[str]]] = {
    "Gateway": _gateway,
    "VirtualService": _virtual_service,
    "AuthorizationPolicy": _policy,
    "PeerAuthentication": _peer_authentication,
    "Service": _service,
    "Secret": _secret,
    "Deployment": _deployment,
}


def _named(document: _Written, node: Node | None, what: str, there: Collection[str]) -> Iterator[str]:
    """Look whether something that a document names is there."""
    if node is not None and node.text() not in there:
        yield document.fault(f"names the {what} {node.value}, which is not there: {_choose(node.text(), there)}", node)


def _choose(wrong: str, there: Collection[str]) -> str:
    """Return what could have been meant."""
    near = difflib.get_close_matches(wrong, there, n=1)
    if near:
        return f"the nearest is {near[0]}"
    return f"choose from {', '.join(sorted(there))}" if there else "there is none"


def _at(node: Node, *path: str) -> Node | None:
    """Return a part of a document; None where it is absent.

    Raises:
        Unreadable: What should hold it is no mapping.
    """
    for key in path:
        below = node.fields().get(key)
        if below is None or below.value is None:
            return None
        node = below
    return node


def _need(node: Node, *path: str) -> Node:
    """Return a part that has to be there.

    Raises:
        Unreadable: It is absent.
    """
    for key in path:
        part = _at(node, key)
        if part is None:
            raise node.wrong(f"has no {key}")
        node = part
    return node


def _list(node: Node, *path: str) -> list[Node]:
    """Return the items of a part; none where it is absent."""
    part = _at(node, *path)
    return part.items() if part else []


def _value(node: Node, *path: str) -> Any:  # noqa: ANN401 - it can be anything
    """Return the value of a part; None where it is absent."""
    part = _at(node, *path)
    return part.value if part else None
