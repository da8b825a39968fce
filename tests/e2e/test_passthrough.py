"""TLS passthrough: the gateway hands a connection on by its SNI and does not open it."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import pytest

from fixtures.scenario import Eventually
from meshproof import http, tls
from meshproof.certificates import Certificates
from meshproof.scenario import Scenario
from meshproof.tls import WORDLESS, Address, Outcome
from meshproof.workload import CurlEnd, Workload

HOST = "sample.aliyun.com"
WELCOME = "Welcome to aliyun.com without TLS Termination!"


def test_passes(
    scenario: Scenario, gateway: Mapping[int, Address], certificates: Certificates, eventually: Eventually
) -> None:
    """A client of the host gets NGINX's answer, with the certificate that only NGINX has."""
    trust = certificates.authorities["aliyun"].pem
    answer = eventually(
        lambda: http.get(gateway[443], "/", host=HOST, trust=trust), lambda answer: answer.status == 200
    )
    assert answer.body == WELCOME
    assert answer.headers["server"].startswith("nginx")
    assert answer.certificate == certificates.servers[HOST].serial


@pytest.mark.parametrize(
    ("sni", "outcomes"),
    [
        pytest.param(HOST, {Outcome.ESTABLISHED}, id="its SNI: ESTABLISHED"),
        pytest.param("other.aliyun.com", WORDLESS, id="another SNI: closed without a word"),
        pytest.param(None, WORDLESS, id="no SNI: closed without a word"),
    ],
)
def test_sni(
    sni: str | None,
    outcomes: AbstractSet[Outcome],
    scenario: Scenario,
    gateway: Mapping[int, Address],
    eventually: Eventually,
) -> None:
    """Without the host's SNI there is nothing to hand the connection on by: it ends without a word of TLS.

    Envoy resets such a connection; Docker's proxy between it and us makes an orderly end of that.
    """
    eventually(lambda: tls.handshake(gateway[443], sni=sni, trust=None), lambda seen: seen.outcome in outcomes)


def test_from_the_sidecar(scenario: Scenario, nginx_sidecar: Workload, eventually: Eventually) -> None:
    """NGINX answers the same to a request from beside it, that passes no gateway."""
    options = ("--insecure", "--resolve", f"{HOST}:443:127.0.0.1")
    seen = eventually(
        lambda: nginx_sidecar.curl(f"https://{HOST}", *options), lambda seen: seen.end is CurlEnd.ANSWERED
    )
    assert (seen.status, seen.body) == (200, WELCOME)
