"""TLS versions: a gateway offers those between its minimum and its maximum, and no others."""

from __future__ import annotations

import ssl
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pytest

from fixtures.scenario import Eventually
from meshproof import http, tls
from meshproof.certificates import Certificates
from meshproof.scenario import Scenario
from meshproof.tls import WORDLESS, Address, Offer, Offered, Outcome, ProtocolVersion, sslyze

HOST = "aliyun.com"
PORTS = {"minimum 1.2": 8441, "only 1.2": 8442, "only 1.3": 8444}


@dataclass(frozen=True, slots=True)
class Case:
    """Whether a server offers a version."""

    server: str
    version: ProtocolVersion
    offered: Offered

    def __str__(self) -> str:
        return f"{self.server}: {self.version} {self.offered.name}"


def rows(server: str, **offered: bool) -> list[Case]:
    """Return a server's rows; what is not named is not offered."""
    return [
        Case(server, version, Offered.OFFERED if offered.get(version.name, False) else Offered.NOT_OFFERED)
        for version in ProtocolVersion
    ]


CASES = [
    *rows("minimum 1.2", TLS_1_2=True, TLS_1_3=True),
    *rows("only 1.2", TLS_1_2=True),
    *rows("only 1.3", TLS_1_3=True),
]
# How Envoy refuses a version. Its TLS library knows SSLv3 no more, not even to refuse it: the connection just ends.
REFUSALS = defaultdict(lambda: {Outcome.PROTOCOL_VERSION}, {ProtocolVersion.SSL_3: {*WORDLESS}})
COMPLETED = {ProtocolVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2, ProtocolVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3}
HANDSHAKES = [case for case in CASES if case.version in COMPLETED]
ROUTES = ["/productpage", "/static", "/static/logo.svg", "/login", "/logout", "/api/v1/products", "/api/v1/products/0"]
NO_ROUTES = ["/other", "/productpage/reviews", "/login/now", "/api/v1"]


@pytest.fixture(scope="module")
def offered(
    scenario: Scenario, gateway: Mapping[int, Address], eventually: Eventually
) -> dict[str, Mapping[ProtocolVersion, Offer]]:
    """What each server answers to one hand-made hello of each version, once it has an answer to every one."""

    def known(offers: Mapping[ProtocolVersion, Offer]) -> bool:
        return all(offer.offered is not Offered.UNKNOWN for offer in offers.values())

    return {server: eventually(partial(tls.offers, gateway[at], sni=HOST), known) for server, at in PORTS.items()}


@pytest.fixture(scope="module")
def second_opinion(offered: object, gateway: Mapping[int, Address]) -> dict[str, frozenset[ProtocolVersion]]:
    """What sslyze finds offered by each server."""
    targets = {server: sslyze.Target(gateway[port], HOST) for server, port in PORTS.items()}
    found = sslyze.scan(list(targets.values()))
    return {server: found[target].offered for server, target in targets.items()}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_version(case: Case, offered: dict[str, Mapping[ProtocolVersion, Offer]]) -> None:
    """A hello of a version is answered in that version exactly where the gateway is to offer it."""
    seen = offered[case.server][case.version]
    assert seen.offered is case.offered, seen
    if case.offered is Offered.NOT_OFFERED:
        assert seen.refusal in REFUSALS[case.version], seen


@pytest.mark.parametrize("case", CASES, ids=str)
def test_version_says_sslyze(case: Case, second_opinion: dict[str, frozenset[ProtocolVersion]]) -> None:
    """Another program, with TLS stacks of its own, finds the same."""
    assert (case.version in second_opinion[case.server]) is (case.offered is Offered.OFFERED)


@pytest.mark.parametrize("case", HANDSHAKES, ids=str)
def test_handshake(
    case: Case, scenario: Scenario, gateway: Mapping[int, Address], certificates: Certificates, eventually: Eventually
) -> None:
    """A client that speaks only one version gets in with it, and sees the gateway's certificate, or gets alert 70."""
    expected = Outcome.ESTABLISHED if case.offered is Offered.OFFERED else Outcome.PROTOCOL_VERSION

    def handshake() -> tls.Observation:
        trust = certificates.authorities["aliyun"].pem
        return tls.handshake(gateway[PORTS[case.server]], sni=HOST, trust=trust, version=COMPLETED[case.version])

    seen = eventually(handshake, lambda seen: seen.outcome is expected)
    shown = certificates.servers[HOST].serial if case.offered is Offered.OFFERED else None
    assert (seen.peer.serial if seen.peer else None) == shown


@pytest.mark.parametrize("server", PORTS)
@pytest.mark.parametrize("path", ROUTES)
def test_route(
    server: str, path: str, scenario: Scenario, gateway: Mapping[int, Address], certificates: Certificates,
    eventually: Eventually,
) -> None:  # fmt: skip
    """A path of the VirtualService reaches the backend, which says which path that was."""
    trust = certificates.authorities["aliyun"].pem
    answer = eventually(
        lambda: http.get(gateway[PORTS[server]], path, host=HOST, trust=trust), lambda answer: answer.status == 200
    )
    assert answer.body == f"productpage {path}"


@pytest.mark.parametrize("path", NO_ROUTES)
def test_no_route(
    path: str, scenario: Scenario, gateway: Mapping[int, Address], certificates: Certificates, eventually: Eventually
) -> None:
    """Any other path ends at the gateway: 404 from Envoy itself, without a body."""
    trust = certificates.authorities["aliyun"].pem
    answer = eventually(
        lambda: http.get(gateway[PORTS["minimum 1.2"]], path, host=HOST, trust=trust),
        lambda answer: answer.status == 404,
    )
    assert (answer.headers["server"], answer.body) == ("istio-envoy", "")
