"""TLS versions: a gateway offers those between its minimum and its maximum, and no others."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import pytest

from meshproof.testing import Certificates, Eventually, Opinions, Outcome, Posture, Scenario, Server, Since, http, tls
from meshproof.tls import WORDLESS, Offered, ProtocolVersion
from tests.e2e.gateway.seed import PROTOCOL_VERSION, SSL_3_CLIENT, Row, refused_ssl_3, seed_rows

pytestmark = pytest.mark.seed(number=0)
HOST = "aliyun.com"
SERVERS = {
    "minimum 1.2": Server("https", HOST),
    "only 1.2": Server("https-only-1-2", HOST),
    "only 1.3": Server("https-only-1-3", HOST),
}


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
# How Envoy refuses a version; between it and us, Docker's proxy may make a close of a reset.
REFUSALS: dict[ProtocolVersion, Since[Collection[Outcome]]] = {
    ProtocolVersion.SSL_3: refused_ssl_3(WORDLESS, [Outcome.PROTOCOL_VERSION])
}
CLIENTS = [
    refused_ssl_3(row, replace(row, end=PROTOCOL_VERSION)) if row.client == SSL_3_CLIENT else row for row in seed_rows()
]
COMPLETED = {ProtocolVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2, ProtocolVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3}
HANDSHAKES = [case for case in CASES if case.version in COMPLETED]
ROUTES = ["/productpage", "/static", "/static/logo.svg", "/login", "/logout", "/api/v1/products", "/api/v1/products/0"]
NO_ROUTES = ["/other", "/productpage/reviews", "/login/now", "/api/v1"]


@pytest.mark.parametrize(
    ("case", "refusals"),
    [pytest.param(case, REFUSALS.get(case.version, [Outcome.PROTOCOL_VERSION]), id=str(case)) for case in CASES],
)
def test_version(case: Case, refusals: Collection[Outcome], postures: Mapping[str, Posture]) -> None:
    """A hello of a version is answered in that version exactly where the gateway is to offer it."""
    seen = postures[case.server].versions[case.version]
    assert seen.offered is case.offered, seen
    if case.offered is Offered.NOT_OFFERED:
        assert seen.refusal in refusals, seen


@pytest.mark.parametrize("row", CLIENTS, ids=str)
def test_client(row: Row, postures: Mapping[str, Posture]) -> None:
    """A client of the seed's tables gets the protocol, the cipher suite and the key exchange that they have for it.

    Who gets no connection is told so by the alert that stands there.
    """
    row.check(postures)


@pytest.mark.parametrize("case", HANDSHAKES, ids=str)
def test_handshake(case: Case, scenario: Scenario, certificates: Certificates, eventually: Eventually) -> None:
    """A client that speaks only one version gets in with it, and sees the gateway's certificate, or gets alert 70."""
    expected = Outcome.ESTABLISHED if case.offered is Offered.OFFERED else Outcome.PROTOCOL_VERSION

    def handshake() -> tls.Observation:
        trust = certificates.authority("aliyun").pem
        return tls.handshake(
            scenario.address(SERVERS[case.server].port), sni=HOST, trust=trust, version=COMPLETED[case.version]
        )

    seen = eventually(handshake, lambda seen: seen.outcome, expected)
    shown = certificates[HOST].serial if case.offered is Offered.OFFERED else None
    assert (seen.peer.serial if seen.peer else None) == shown


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("path", ROUTES)
def test_route(
    server: str, path: str, scenario: Scenario, certificates: Certificates,
    eventually: Eventually,
) -> None:  # fmt: skip
    """A path of the VirtualService reaches the backend, which says which path that was."""
    trust = certificates.authority("aliyun").pem
    answer = eventually(
        lambda: http.get(scenario.address(SERVERS[server].port), path, host=HOST, trust=trust),
        lambda answer: answer.status,
        200,
    )
    assert answer.body == f"productpage {path}"


@pytest.mark.parametrize("path", NO_ROUTES)
def test_no_route(path: str, scenario: Scenario, certificates: Certificates, eventually: Eventually) -> None:
    """Any other path ends at the gateway: 404 from Envoy itself, without a body."""
    trust = certificates.authority("aliyun").pem
    answer = eventually(
        lambda: http.get(scenario.address(SERVERS["minimum 1.2"].port), path, host=HOST, trust=trust),
        lambda answer: answer.status,
        404,
    )
    assert (answer.headers["server"], answer.body) == ("istio-envoy", "")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_suites_say_sslyze(case: Case, second_opinions: Mapping[str, Opinions]) -> None:
    """Another program, with TLS stacks of its own, finds the same cipher suites in each version, and so versions."""
    assert second_opinions[case.server].sslyze[case.version] == second_opinions[case.server].ours[case.version]
    assert bool(second_opinions[case.server].sslyze[case.version]) is (case.offered is Offered.OFFERED)
