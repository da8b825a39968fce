"""Faults in a Gateway: its ports, its TLS, and the Secrets that it names."""

from __future__ import annotations

from collections.abc import Iterator

from meshproof.cluster.gateway_ports import EGRESS_TARGETS, FIXED
from meshproof.input_files import Node, nearest
from meshproof.mesh import istio
from meshproof.mesh.effects.refusals import PROTOCOLS
from meshproof.mesh.faults.document import Written
from meshproof.mesh.faults.parts import at, need, value_at
from meshproof.mesh.faults.world import World
from meshproof.mesh.gateways import EGRESS_GATEWAY, SELECTORS, selected_gateway
from meshproof.mesh.manifests import CA_SUFFIX, CLIENT_CA, CLIENT_CAS

_MODES = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "PASSTHROUGH", "ISTIO_MUTUAL")
_VERSIONS = ("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")


def gateway(document: Written, world: World) -> Iterator[str]:
    """Look at the servers of a Gateway; of one of another gateway, whose test waits itself, nothing is known."""
    selected = selected_gateway(value_at(document.node, "spec", "selector"))
    if not document.is_waited_for and not selected:
        return
    selector = need(document.node, "spec", "selector")
    if not selected:
        yield document.fault(f"should select the ingress gateway or the egress gateway, by {SELECTORS}", selector)
    for server in need(document.node, "spec", "servers").items():
        protocol = need(server, "port", "protocol")
        if protocol.text().upper() not in PROTOCOLS and document.is_waited_for:
            yield document.fault(
                f"has a server for {protocol.value}, and meshproof knows how to wait for {', '.join(PROTOCOLS)}",
                protocol,
            )
        yield from _port_inside(document, server) if selected == EGRESS_GATEWAY else _port(document, server)
        for host in need(server, "hosts").items():
            host.text()
        yield from _tls_of_a_server(document, world, server, protocol.text().upper())


def _port(document: Written, server: Node) -> Iterator[str]:
    """Look whether the ingress gateway has the port of a server; one without a number is given a free one."""
    need(server, "port", "name").text()
    number, fixed = at(server, "port", "number"), [port.number for port in FIXED]
    if number is not None and number.number() not in fixed:
        yield document.fault(
            f"opens port {number.value}, which the ingress gateway does not have: choose from "
            f"{', '.join(map(str, fixed))}, or leave the number out, and the server is given a free port",
            number,
        )


def _port_inside(document: Written, server: Node) -> Iterator[str]:
    """Look whether the egress gateway has the port of a server."""
    need(server, "port", "name").text()
    if (number := need(server, "port", "number")).number() not in EGRESS_TARGETS:
        yield document.fault(
            f"opens port {number.value}, which the egress gateway does not have: choose from "
            f"{', '.join(map(str, EGRESS_TARGETS))}",
            number,
        )


def _tls_of_a_server(document: Written, world: World, server: Node, protocol: str) -> Iterator[str]:
    """Look at the TLS of a Gateway's server: whether there is any, and the Secret that it names."""
    mode = at(server, "tls", "mode")
    if mode:
        mode.among(_MODES)
    lowest, highest = at(server, "tls", "minProtocolVersion"), at(server, "tls", "maxProtocolVersion")
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
    credential = at(server, "tls", "credentialName")
    if mode and mode.value in ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL") and credential is None:
        yield document.fault(f"ends TLS with mode {mode.value} and names no certificate (`credentialName`)", mode)
    if credential is None:
        return
    secrets = world.of("Secret", istio.NAMESPACE)
    if credential.text() not in secrets:
        elsewhere = [each for each in world.documents if (each.kind, each.name) == ("Secret", credential.value)]
        there = f"it is in {elsewhere[0].namespace}" if elsewhere else nearest(credential.text(), secrets)
        yield document.fault(
            f"takes its certificate from the Secret {credential.value}, which is not in {istio.NAMESPACE}, where the "
            f"ingress gateway looks: {there}",
            credential,
        )
    elif mode and mode.value in ("MUTUAL", "OPTIONAL_MUTUAL"):
        said = [secrets[name] for name in (f"{credential.value}{CA_SUFFIX}", credential.text()) if name in secrets]
        if not any(at(secret.node, "metadata", "annotations", ca) for secret in said for ca in CLIENT_CAS):
            yield document.fault(
                f"asks clients for a certificate, and the Secret {credential.value} does not say whose: annotate it "
                f"with {CLIENT_CA}",
                mode,
            )
