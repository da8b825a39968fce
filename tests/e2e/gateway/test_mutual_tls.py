"""Mutual TLS: the gateway lets in who shows a certificate it trusts, and a policy denies one of them one path."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from meshproof.http import Answer
from meshproof.testing import Address, Certificates, Eventually, Opinions, Outcome, Posture, Scenario, Server, http, tls
from meshproof.tls import Options, Phase, ProtocolVersion, Target
from meshproof.tls.protocol.clients import built_in
from meshproof.tls.protocol.hello import SERVER_NAME
from meshproof.tls.scanner.findings import ClientAuthentication
from tests.e2e.gateway.seed import NO_CONNECTION, WORDLESS_END, Row, end_of, seed_rows

pytestmark = [pytest.mark.upgrade, pytest.mark.seed(number=1)]
HOST = "test.com"
TEAPOT = "/status/418"  # what the policy denies
MUTUAL = "MUTUAL"
SERVERS = {MUTUAL: Server(443, HOST)}
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@dataclass(frozen=True, slots=True)
class Handshake:
    """Who knocks, with which version, and what comes of it, and when."""

    client: str | None
    version: ssl.TLSVersion
    outcome: Outcome
    phase: Phase | None = None

    def __str__(self) -> str:
        return f"{self.client or 'no certificate'}, {self.version.name}: {self.outcome.name}"


# Under TLS 1.3 the client has finished before the server judges: a refusal comes on the first read (RFC 8446, 4.4.2.4).
HANDSHAKES = [
    Handshake("test.client", TLS_1_2, Outcome.ESTABLISHED),
    Handshake("test.client", TLS_1_3, Outcome.ESTABLISHED),
    Handshake("test.com", TLS_1_2, Outcome.ESTABLISHED),
    Handshake("test.com", TLS_1_3, Outcome.ESTABLISHED),
    Handshake(None, TLS_1_2, Outcome.CLIENT_CERT_REQUIRED, Phase.HANDSHAKE),
    Handshake(None, TLS_1_3, Outcome.CLIENT_CERT_REQUIRED, Phase.FIRST_READ),
    Handshake("stranger", TLS_1_2, Outcome.CLIENT_CERT_UNKNOWN_CA, Phase.HANDSHAKE),
    Handshake("stranger", TLS_1_3, Outcome.CLIENT_CERT_UNKNOWN_CA, Phase.FIRST_READ),
    Handshake("expired", TLS_1_2, Outcome.CLIENT_CERT_EXPIRED, Phase.HANDSHAKE),
    Handshake("expired", TLS_1_3, Outcome.CLIENT_CERT_EXPIRED, Phase.FIRST_READ),
]


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for what, and the answer."""

    client: str
    path: str
    status: int
    body: str

    def __str__(self) -> str:
        return f"{self.client} {self.path}: {self.status}"


WITHOUT_POLICY = [
    Request("test.client", "/status/200", 200, ""),
    Request("test.client", TEAPOT, 418, "-=[ teapot ]=-"),
]
WITH_POLICY = [
    Request("test.client", "/status/200", 200, ""),
    Request("test.client", TEAPOT, 403, "RBAC: access denied"),
    Request("test.com", "/status/200", 200, ""),
    Request("test.com", TEAPOT, 418, "-=[ teapot ]=-"),
]

# The same as at a gateway that asks for no certificate. The minimum of that one, TLS 1.2, is Envoy's default. But this
# one has a certificate only for its host: who sends no server name is left without a word.
NAMELESS = {"IE 6 XP": WORDLESS_END, "IE 8 XP": WORDLESS_END}
CLIENTS = [
    replace(row, server=MUTUAL, end=NAMELESS.get(row.client, row.end))
    for row in seed_rows()
    if row.server == "minimum 1.2"
]


@pytest.mark.parametrize("case", HANDSHAKES, ids=str)
def test_handshake(
    case: Handshake,
    scenario: Scenario,
    gateway: Mapping[int, Address],
    certificates: Certificates,
    eventually: Eventually,
) -> None:
    """The gateway admits the clients of its authority, and names its reason to any other."""

    def handshake() -> tls.Observation:
        return tls.handshake(
            gateway[443],
            sni=HOST,
            trust=certificates.authority("test").pem,
            client=certificates[case.client] if case.client else None,
            version=case.version,
        )

    seen = eventually(handshake, lambda seen: seen.outcome, case.outcome)
    assert seen.phase is case.phase
    if case.version is TLS_1_2:
        assert seen.client_cert_requested


@pytest.mark.parametrize("case", WITHOUT_POLICY, ids=str)
def test_request(
    case: Request,
    scenario: Scenario,
    gateway: Mapping[int, Address],
    certificates: Certificates,
    eventually: Eventually,
) -> None:
    """Before there is a policy every client of the authority has every path."""
    check(case, gateway[443], certificates, eventually)


@pytest.mark.step("deny")
@pytest.mark.parametrize("case", WITH_POLICY, ids=str)
def test_request_with_policy(
    case: Request,
    scenario: Scenario,
    gateway: Mapping[int, Address],
    certificates: Certificates,
    eventually: Eventually,
) -> None:
    """The policy denies one identity one path: not its other paths, and not the path to another identity."""
    check(case, gateway[443], certificates, eventually)


def test_port_80(scenario: Scenario, gateway: Mapping[int, Address], eventually: Eventually) -> None:
    """The Gateway's port 80 leads to the same routes: who speaks plain HTTP needs no certificate."""
    check_in_the_clear(gateway[80], eventually)


@pytest.mark.step("deny")
def test_port_80_with_policy(scenario: Scenario, gateway: Mapping[int, Address], eventually: Eventually) -> None:
    """Nor does the policy deny the path there: who shows no certificate has no identity for it to match."""
    check_in_the_clear(gateway[80], eventually)


@pytest.mark.step("redirect")
def test_port_80_redirects(scenario: Scenario, gateway: Mapping[int, Address], eventually: Eventually) -> None:
    """What closes it: a server on port 80 with `httpsRedirect` and exactly the host of the VirtualService."""
    check_redirect(HOST, gateway[80], eventually)


@pytest.mark.step("redirect-any-host")
def test_port_80_redirects_any_other_host(
    scenario: Scenario, gateway: Mapping[int, Address], eventually: Eventually
) -> None:
    """Such a server of another Gateway with the host `*` leaves it open: it redirects only who has no routes."""
    check_redirect("other.com", gateway[80], eventually)
    check_in_the_clear(gateway[80], eventually)


def test_posture(postures: Mapping[str, Posture], certificates: Certificates) -> None:
    """A scan that has no certificate to show finds out that one is required, and all the rest."""
    seen = postures[MUTUAL]
    assert seen.client_authentication is ClientAuthentication.REQUIRED
    assert [each.serial for each in seen.certificates] == [certificates[HOST].serial]
    assert seen.offered == (ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3)


@pytest.mark.parametrize("version", ProtocolVersion, ids=str)
def test_suites_say_sslyze(version: ProtocolVersion, second_opinions: Mapping[str, Opinions]) -> None:
    """Another program, with TLS stacks of its own, finds the same cipher suites in each version, and so versions."""
    assert second_opinions[MUTUAL].sslyze[version] == second_opinions[MUTUAL].ours[version]


@pytest.mark.parametrize("row", CLIENTS, ids=str)
def test_client(row: Row, postures: Mapping[str, Posture]) -> None:
    """A client gets as far as to show its certificate exactly where it would get in without one."""
    row.check(postures)


def test_clients_without_sni(postures: Mapping[str, Posture], gateway: Mapping[int, Address]) -> None:
    """The same clients without SNI are left without a word, and are told why; their controls are the rows above."""
    nameless = [
        replace(each, extensions=tuple(code for code in each.extensions if code != SERVER_NAME))
        for each in built_in().of("seed")
    ]
    seen = tls.scan_one(Target(gateway[443], HOST), Options(clients=nameless, lists=False)).clients
    assert {end_of(client.answer) for client in seen} == {WORDLESS_END}
    connect = {row.client for row in CLIENTS if row.expected != NO_CONNECTION}
    reasons = {client.reason.partition(": ")[2] for client in seen if client.name in connect}
    assert reasons == {"it sends no server name, and the server has nothing for that"}


def check_in_the_clear(address: Address, eventually: Eventually) -> None:
    """Ask for what the policy denies, without TLS, until the backend answers."""
    answer = eventually(lambda: http.get_in_the_clear(address, TEAPOT, host=HOST), lambda answer: answer.status, 418)
    assert (answer.headers["server"], answer.certificate) == ("istio-envoy", None)
    assert "-=[ teapot ]=-" in answer.body


def check_redirect(host: str, address: Address, eventually: Eventually) -> None:
    """Ask for the same until the gateway redirects to HTTPS."""
    answer = eventually(lambda: http.get_in_the_clear(address, TEAPOT, host=host), lambda answer: answer.status, 301)
    assert (answer.headers["location"], answer.body) == (f"https://{host}{TEAPOT}", "")


def check(case: Request, address: Address, certificates: Certificates, eventually: Eventually) -> None:
    """Ask until the answer is the expected one, then look at what else it says."""

    def ask() -> Answer:
        trust = certificates.authority("test").pem
        return http.get(address, case.path, host=HOST, trust=trust, client=certificates[case.client])

    answer = eventually(ask, lambda answer: answer.status, case.status)
    assert (answer.version, answer.headers["server"]) == ("HTTP/2", "istio-envoy")
    assert answer.certificate == certificates[HOST].serial
    assert case.body in answer.body
