"""What both ends see of a request, on real servers: each header by itself, and nothing that is of the moment."""

from __future__ import annotations

import socket
from itertools import count
from pathlib import Path

import pytest

from meshproof.cluster.kube import Kube
from meshproof.mesh import Workload
from meshproof.tls import Address
from meshproof.traffic import Connections, Flow
from meshproof.upgrade.facts.answers import of_ways
from tests.support.certificates import HOST, IDENTITY, OURS, SERVER, TRUSTED
from tests.support.servers import nobody, say, serving
from tests.support.traffic import traffic_program, traffic_server

PEERS = (
    'Hash={};Cert={};Subject="O=ours";URI=spiffe://client,By=spiffe://server;Hash={};Subject="";URI=spiffe://gateway'
)
DENIED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 19\r\nDate: %s\r\nServer: istio-envoy\r\n\r\nRBAC: access denied"


def way(address: Address, *, scheme: str = "http", **asked: object) -> Flow:
    """Return a way to a server."""
    common = {"address": address, "rate": 50, "timeout": 1, "body": True, "connections": Connections.NEW}
    return Flow("it", f"{scheme}://{HOST}/status/418", **(common | asked))  # type: ignore[arg-type]


def seen(*ways: Flow) -> dict[str, str]:
    """Return the facts of some ways."""
    return of_ways([ways], traffic_program())


@pytest.fixture
def tls_options(tmp_path: Path) -> list[str]:
    """A server that lets in our clients only, as options of the program."""
    files = tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "trust.pem"
    SERVER.write_to(*files[:2])
    files[2].write_bytes(OURS.pem)
    names = ("certificate", "key", "client-authority")
    return [
        "--tls=127.0.0.1:0",
        *(f"--{name}={file}" for name, file in zip(names, files, strict=True)),
    ]


@pytest.mark.parametrize(("http2", "protocol"), [(False, "HTTP/1.1"), (True, "HTTP/2.0")], ids=["HTTP/1.1", "HTTP/2"])
def test_both_ends_of_a_request(http2: bool, protocol: str, tls_options: list[str], tmp_path: Path) -> None:  # noqa: FBT001
    """The answer and its headers, the request that reached the server and its headers, and by which TLS it came."""
    with traffic_server(tmp_path / "log", *tls_options) as listening:
        facts = seen(way(listening["tls"], scheme="https", http2=http2, trust=OURS.pem, client=TRUSTED))
    connection = {name: value for name, value in facts.items() if name.endswith(("header connection", "-encoding"))}
    assert {name: value for name, value in facts.items() if name not in connection} == {
        "answer by it": f"{protocol} 418",
        "answer by it: header content-length": "there",
        "answer by it: header content-type": "application/json",
        "answer by it: header date": "there",
        "request by it": f"{protocol} GET {HOST}/status/418",
        "request by it: header user-agent": "meshproof",
        "request by it: TLS": f"TLSv1.3 for {HOST}, client: {IDENTITY}",
    }


def test_another_server_of_the_same_kind_gives_the_same_facts(tmp_path: Path) -> None:
    """What differs between two pods, such as time, port and connection, is in no fact."""
    facts = []
    for number in range(2):
        with traffic_server(tmp_path / f"log{number}", "--http=127.0.0.1:0") as listening:
            facts.append(seen(way(listening["http"])))
    assert facts[0] == facts[1]


@pytest.mark.parametrize(
    ("header", "value", "fact"),
    [
        (
            "x-forwarded-client-cert",
            PEERS.format("0a" * 32, '"-----BEGIN%20CERTIFICATE-----%0AMII"', "0b" * 32),
            PEERS.format("…", "…", "…"),
        ),
        ("x-forwarded-for", "192.0.2.1, 2001:db8::1", "2 addresses"),
        ("x-forwarded-proto", "https", "https"),
        ("x-envoy-attempt-count", "1", "1"),
        ("x-request-id", "7dbb5ab7-30b1-4f3c-9d2b-0f0a9d3f6c11", "there"),
        ("traceparent", f"00-{'1f' * 16}-{'2e' * 8}-01", "there"),
        ("x-b3-sampled", "0", "there"),
        ("x-envoy-peer-metadata-id", "router~10.244.0.7~a-gateway.istio-system~x", "there"),
        ("x-where", "10.244.0.7:8080 of server-first-578c445f65-l4mz7", "… of server-first-…"),
        ("x-which", "7dbb5ab7-30b1-4f3c-9d2b-0f0a9d3f6c11", "…"),
    ],
    ids=[
        *("peers", "hops", "the scheme", "a number that counts", "the request's id", "a trace", "a sample"),
        *("a proxy's node", "an address and a pod", "an id"),
    ],
)
def test_what_of_a_header_is_of_the_moment(header: str, value: str, fact: str, tmp_path: Path) -> None:
    """Who the peers are, how many hops there were, and what is configured is kept; the rest only counts as there."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        facts = seen(way(listening["http"], headers={header: value}))
    assert facts[f"request by it: header {header}"] == fact


@pytest.mark.parametrize("header", ["authorization", "cookie", "x-api-key", "x-shop-token"])
def test_a_header_that_may_be_secret(header: str, tmp_path: Path) -> None:
    """Another value is another fact, and neither can be read."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        first, other, again = (
            seen(way(listening["http"], headers={header: value}))[f"request by it: header {header}"]
            for value in ("Bearer old", "Bearer new", "Bearer old")
        )
    assert first == again != other
    assert first.startswith("SHA-256 ")
    assert not {"old", "new"} & {*first.split(), *other.split()}


def test_what_a_proxy_answers_itself(tmp_path: Path) -> None:
    """A short answer that is none of the server's has its body, and nothing is said of a request that reached it."""
    with serving(say(DENIED % b"today")) as address:
        facts = seen(way(address))
    assert facts == {
        "answer by it": "HTTP/1.1 403",
        "answer by it: header content-length": "there",
        "answer by it: header date": "there",
        "answer by it: header server": "istio-envoy",
        "answer by it: body": "RBAC: access denied",
    }


def test_requests_that_do_not_agree() -> None:
    """What is another one in each request is no fact but that; the other headers are."""
    numbers = count()

    def behave(connection: socket.socket) -> None:
        say(DENIED % str(next(numbers)).encode().join((b"a\r\nX-Number: ", b"")))(connection)

    with serving(behave) as address:
        facts = seen(way(address))
    assert facts["answer by it: header x-number"] == "differs from request to request"
    assert facts["answer by it: header server"] == "istio-envoy"


def test_an_alert_is_an_answer_too(tls_options: list[str], tmp_path: Path) -> None:
    """A client that TLS refuses is told apart from one whose request was lost."""
    with traffic_server(tmp_path / "log", *tls_options) as listening:
        assert seen(way(listening["tls"], scheme="https", trust=OURS.pem)) == {"answer by it": "TLS alert 116"}


def test_a_request_that_is_lost_is_unknown(tmp_path: Path) -> None:
    """Nothing is said of either end, with the reason; ways from other places are looked at all the same."""
    config = tmp_path / "kubeconfig"
    cluster = "clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: a, user: {}}]"
    config.write_text(f"{{{cluster}, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], current-context: a}}")
    pod = Workload(Kube(config), "a", "b", container="traffic")
    with nobody() as address, traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        gone, inside = way(address), Flow("pod", "http://a.test/", source=pod, body=True)
        there = Flow("there", f"http://{listening['http']}/", body=True)
        facts = of_ways([[gone, there], [inside]], traffic_program())
    assert facts["answer by it"].startswith("unknown: no request was answered: REFUSED")
    assert facts["request by it"] == facts["answer by it"]
    assert facts["answer by pod"].startswith("unknown: ")
    assert facts["answer by there"] == "HTTP/1.1 200"
