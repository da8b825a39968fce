"""Which servers are scanned, and the facts of a posture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meshproof.mesh.gateways import INGRESS_HOST
from meshproof.tls import Outcome
from meshproof.upgrade.facts.listeners import labels_of, postures, rows, server_names
from tests.support.postures import BEGAN, CERTIFICATE, GOOD, SILENT, TLS_1_2, UNKNOWN
from tests.support.servers import nobody

LABELS = {"istio": "ingressgateway", "app": "istio-ingressgateway", "istio.io/rev": "default"}


def gateway(*servers: tuple[str, str, int], selector: str = "ingressgateway") -> dict[str, Any]:
    """Return a Gateway of servers, each with its host, its protocol and its port."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "spec": {
            "selector": {"istio": selector},
            "servers": [
                {"hosts": [host], "port": {"number": port, "protocol": protocol}} for host, protocol, port in servers
            ],
        },
    }


def of_gateway_api(host: str | None, protocol: str = "HTTPS", address: str | None = INGRESS_HOST) -> dict[str, Any]:
    """Return a Gateway of the Gateway API with one listener, in the namespace of the ingress gateway."""
    listener = {"name": "a", "port": 443, "protocol": protocol} | ({"hostname": host} if host else {})
    addresses = {"addresses": [{"type": "Hostname", "value": address}]} if address else {}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "metadata": {"name": "a", "namespace": "istio-system"},
        "spec": {"gatewayClassName": "istio", "listeners": [listener], **addresses},
    }


@pytest.mark.parametrize(
    ("document", "names"),
    [
        (gateway(("a.test", "HTTPS", 443), ("b.test", "TLS", 8501)), {("a.test", 443), ("b.test", 8501)}),
        (gateway(("a.test", "HTTP", 80)), set()),
        (gateway(("a.test", "HTTPS", 443), selector="egressgateway"), set()),
        (gateway(("shop/a.test", "HTTPS", 443)), {("a.test", 443)}),
        (gateway(("*.known.test", "HTTPS", 443)), {("one.known.test", 443)}),
        (gateway(("*.other.test", "HTTPS", 443)), {("any.other.test", 443)}),
        (of_gateway_api("a.test"), {("a.test", 443)}),
        (of_gateway_api("a.test", "TLS", "istio-ingressgateway"), {("a.test", 443)}),
        (of_gateway_api("*.known.test"), {("one.known.test", 443)}),
        (of_gateway_api(None), {("one.known.test", 443)}),
        (of_gateway_api("a.test", "HTTP"), set()),
        (of_gateway_api("a.test", address=None), set()),
        (of_gateway_api("a.test", address="other.istio-system.svc.cluster.local"), set()),
    ],
    ids=[
        *("each TLS server", "no HTTP", "no other gateway", "a namespace", "a known wildcard", "another wildcard"),
        *("a listener", "a listener by the gateway's short name", "a listener's wildcard", "a listener for any host"),
        *("no listener of HTTP", "no gateway of its own", "no other gateway's listener"),
    ],
)
def test_the_servers_that_are_scanned(document: dict[str, Any], names: set[tuple[str, int]]) -> None:
    """All servers, and listeners of the Gateway API, for which the ingress gateway takes TLS, by their names.

    A host that is known stands for a wildcard.
    """
    assert server_names([document], ["one.known.test"], LABELS) == names


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ({"app": "istio-ingressgateway"}, {("a.test", 443)}),
        ({"istio": "ingressgateway", "app": "istio-ingressgateway"}, {("a.test", 443)}),
        ({}, {("a.test", 443)}),
        (None, {("a.test", 443)}),
        ({"istio": "ingressgateway", "app": "other"}, set()),
        ({"shop": "ingressgateway"}, set()),
    ],
)
def test_a_gateway_selects_pods_by_any_of_their_labels(
    selector: dict[str, str] | None, names: set[tuple[str, int]]
) -> None:
    """One without a selector is for all gateways."""
    document = gateway(("a.test", "HTTPS", 443))
    document["spec"]["selector"] = selector
    assert server_names([document], [], LABELS) == names


@pytest.mark.parametrize(
    ("protocol", "settings", "names"),
    [
        ("https", {"mode": "SIMPLE"}, {("a.test", 443)}),
        ("tls", {"mode": "PASSTHROUGH"}, {("a.test", 443)}),
        ("TCP", {"mode": "SIMPLE"}, {("a.test", 443)}),
        ("HTTP2", {"httpsRedirect": True}, set()),
        ("grpc", {"httpsRedirect": True}, set()),
        ("TCP", {}, set()),
        ("HTTP", {"httpsRedirect": True}, set()),
    ],
)
def test_a_server_takes_tls_by_its_protocol_or_its_settings(
    protocol: str, settings: dict[str, Any], names: set[tuple[str, int]]
) -> None:
    """Istio takes a protocol in lower case, too, and TLS with what is not HTTP."""
    document = gateway(("a.test", protocol, 443))
    document["spec"]["servers"][0]["tls"] = settings
    assert server_names([document], [], LABELS) == names


def test_the_labels_of_the_gateway_are_those_that_all_of_its_pods_have() -> None:
    """While its pods are replaced there are two kinds; without any it has the label that Istio gives it."""

    def pod(namespace: str, deployment: str, **labels: str) -> dict[str, Any]:
        owner = {"kind": "ReplicaSet", "name": f"{deployment}-{labels.get('pod-template-hash', '')}"}
        return {"metadata": {"name": "a", "namespace": namespace, "labels": labels, "ownerReferences": [owner]}}

    ours = {"istio": "ingressgateway"}
    pods = [
        pod("istio-system", "istio-ingressgateway", **ours, app="a", **{"pod-template-hash": "1"}),
        pod("istio-system", "istio-ingressgateway", **ours, app="a", **{"pod-template-hash": "2"}),
        pod("istio-system", "second", **ours, app="b", **{"pod-template-hash": "3"}),
        pod("shop", "istio-ingressgateway", **ours, app="c", **{"pod-template-hash": "4"}),
        {"metadata": {"name": "bare", "namespace": "istio-system"}},
    ]
    assert labels_of(pods) == {"istio": "ingressgateway", "app": "a"}
    assert labels_of([]) == {"istio": "ingressgateway"}


def test_a_certificate_that_is_issued_anew_is_the_same() -> None:
    """Serial numbers and dates are no facts; names and kinds of keys are."""
    anew = replace(CERTIFICATE, serial=7, fingerprint="cd" * 32, not_before=BEGAN, not_after=BEGAN)
    assert dict(rows(replace(GOOD, certificates=(anew,)))) == dict(rows(GOOD))
    others = dict(rows(replace(GOOD, certificates=(replace(CERTIFICATE, names=("other.test",)),))))
    assert [name for name, value in rows(GOOD) if others[name] != value] == ["RSA certificate"]


def test_what_is_unknown_says_so() -> None:
    """A version that nothing is known of, and a server that does not answer, are unknown and not refused."""
    versions = {**GOOD.versions, TLS_1_2: UNKNOWN}
    assert dict(rows(replace(GOOD, versions=versions)))["TLS 1.2"].startswith("unknown")
    assert [value.partition(":")[0] for _, value in rows(SILENT)] == ["unknown"]


def test_a_port_that_is_not_here_is_not_looked_at() -> None:
    """A listener that nobody can get at from this machine was not looked at."""
    ((name, value),) = postures([("a.test", 9443)], {}).items()
    assert (name, value.partition(":")[0]) == ("posture a.test:9443", "not looked at")


def test_a_server_that_is_not_there() -> None:
    """One that refuses connections answers nothing, so that nothing is said of it but that."""
    with nobody() as address:
        facts = postures([("a.test", 443)], {443: address})
    assert facts == {"posture a.test:443": f"unknown: {Outcome.REFUSED.value}"}
