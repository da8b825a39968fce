"""TLS passthrough: the gateway hands a connection on by its SNI and does not open it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from meshproof.posture.istio import CIPHERS
from meshproof.testing import (
    Address,
    Certificates,
    CurlEnd,
    Eventually,
    Opinions,
    Outcome,
    Posture,
    Scenario,
    Server,
    Testbed,
    Workload,
    between,
    held,
    http,
    istio,
    tls,
)
from meshproof.tls import WORDLESS, Answer, ProtocolVersion
from meshproof.tls.scanner.findings import ClientAuthentication
from tests.e2e.gateway.seed import WORDLESS_END, end_of

pytestmark = [pytest.mark.upgrade, pytest.mark.seed(number=2)]
HOST = "sample.aliyun.com"
NGINX = "NGINX"
SERVERS = {NGINX: Server(443, HOST)}
WELCOME = "Welcome to aliyun.com without TLS Termination!"


@pytest.fixture(scope="module")
def nginx_sidecar(testbed: Testbed) -> Workload:
    """The sidecar of the NGINX that terminates TLS itself."""
    return Workload(testbed.kube, "default", "mynginxapp", istio.PROXY)


def test_passes(
    scenario: Scenario, gateway: Mapping[int, Address], certificates: Certificates, eventually: Eventually
) -> None:
    """A client of the host gets NGINX's answer, with the certificate that only NGINX has."""
    trust = certificates.authority("aliyun").pem
    answer = eventually(lambda: http.get(gateway[443], "/", host=HOST, trust=trust), lambda answer: answer.status, 200)
    assert answer.body == WELCOME
    assert answer.headers["server"].startswith("nginx")
    assert answer.certificate == certificates[HOST].serial


@pytest.mark.parametrize(
    ("sni", "outcomes"),
    [
        pytest.param(HOST, [Outcome.ESTABLISHED], id="its SNI: ESTABLISHED"),
        pytest.param("other.aliyun.com", WORDLESS, id="another SNI: closed without a word"),
        pytest.param(None, WORDLESS, id="no SNI: closed without a word"),
    ],
)
def test_sni(
    sni: str | None,
    outcomes: Collection[Outcome],
    scenario: Scenario,
    gateway: Mapping[int, Address],
    eventually: Eventually,
) -> None:
    """Without the host's SNI there is nothing to hand the connection on by: it ends without a word of TLS.

    Envoy resets such a connection; Docker's proxy between it and us makes an orderly end of that. A gateway that is
    down ends connections so, too: right before and after it the host's SNI has to get in.
    """

    def handshake(name: str | None) -> Outcome:
        return tls.handshake(gateway[443], sni=name, trust=None).outcome

    expected = [held(Outcome.ESTABLISHED, outcome) for outcome in outcomes]
    eventually(lambda: between(lambda: handshake(HOST), lambda: handshake(sni)), str, *expected)


def test_from_the_sidecar(scenario: Scenario, nginx_sidecar: Workload, eventually: Eventually) -> None:
    """NGINX answers the same to a request from beside it, that passes no gateway."""
    options = ("--insecure", "--resolve", f"{HOST}:443:127.0.0.1")
    seen = eventually(lambda: nginx_sidecar.curl(f"https://{HOST}", *options), lambda seen: seen.end, CurlEnd.ANSWERED)
    assert (seen.status, seen.body) == (200, WELCOME)


def test_posture(postures: Mapping[str, Posture], certificates: Certificates) -> None:
    """What a scan finds is NGINX: its certificate, and cipher suites that no gateway can offer."""
    seen = postures[NGINX]
    assert [each.serial for each in seen.certificates] == [certificates[HOST].serial]
    assert seen.client_authentication is ClientAuthentication.NOT_REQUESTED
    assert ProtocolVersion.TLS_1_2 in seen.offered
    before_1_3 = {str(suite) for order in seen.ciphers for suite in order.suites if not suite.tls13}
    assert before_1_3 - {*CIPHERS}


@pytest.mark.parametrize("version", ProtocolVersion, ids=str)
def test_suites_say_sslyze(version: ProtocolVersion, second_opinions: Mapping[str, Opinions]) -> None:
    """Another program, with TLS stacks of its own, finds the same cipher suites in each version, and so versions."""
    assert second_opinions[NGINX].sslyze[version] == second_opinions[NGINX].ours[version]


@pytest.mark.parametrize("client", ["IE 11 Win 7", "Chrome 101 (Win 10)", "Java 8u161", "OpenSSL 3.0.3 (git)"])
def test_client_connects(client: str, postures: Mapping[str, Posture]) -> None:
    """A client that sends SNI meets NGINX: even IE 11, which has no suite of a gateway's with such a certificate."""
    assert answer_to(client, postures).negotiated


def test_client_is_refused(postures: Mapping[str, Posture]) -> None:
    """Of two clients that are too old, NGINX tells the one with SNI; nobody speaks to the one without."""
    assert answer_to("IE 8 Win 7", postures).alert is not None
    assert end_of(answer_to("IE 8 XP", postures)) == WORDLESS_END


def answer_to(name: str, postures: Mapping[str, Posture]) -> Answer:
    """Return the answer to a client of that name."""
    return next(client.answer for client in postures[NGINX].clients if client.name == name)
