"""The server of the traffic program: what it answers, what it logs, and how it fails on purpose."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import httpx
import pytest

from meshproof import http
from tests.support.certificates import HOST, IDENTITY, OURS, SERVER, TRUSTED
from tests.support.traffic import logged, traffic_server

GREETING = b"meshproof greets\n"


def test_an_answer_tells_what_reached_the_server(tmp_path: Path) -> None:
    """Method, path, host, headers and protocol are told, in the answer and in the log."""
    log = tmp_path / "log"
    with traffic_server(log, "--http=127.0.0.1:0") as listening:
        answer = http.get_in_the_clear(listening["http"], "/a?b=c", host="shop.example", headers={"X-Word": "w"})
        (line,) = logged(log, 1)
    account = json.loads(answer.body)
    assert (account["method"], account["path"], account["host"], account["headers"]["x-word"]) == (
        "GET",
        "/a?b=c",
        "shop.example",
        ["w"],
    )
    assert (account["tls"], line["path"], line["protocol"]) == (None, "/a?b=c", "HTTP/1.1")


def test_the_certificate_of_a_client_is_told(tmp_path: Path) -> None:
    """Of a client that shows a certificate the server tells the serial number and the names; TLS and SNI, too."""
    with traffic_server(tmp_path / "log", "--tls=127.0.0.1:0", *_files(tmp_path)) as listening:
        answer = http.get(listening["tls"], "/", host=HOST, trust=OURS.pem, client=TRUSTED, headers={"Host": "other"})
    account = json.loads(answer.body)
    assert (answer.version, account["host"], account["tls"]["server_name"]) == ("HTTP/2", "other", HOST)
    assert account["tls"]["peer"]["serial"] == str(TRUSTED.serial)
    assert account["tls"]["peer"]["names"] == [IDENTITY]


def test_a_client_without_a_certificate_is_logged(tmp_path: Path) -> None:
    """A client that the server refuses gets no answer, and its handshake is a line in the log."""
    log = tmp_path / "log"
    with traffic_server(log, "--tls=127.0.0.1:0", *_files(tmp_path)) as listening:
        answer = http.get(listening["tls"], "/", host=HOST, trust=OURS.pem)
        (line,) = logged(log, 1)
    assert answer.status is None
    assert line["handshake_failed"] == "tls: client didn't provide a certificate"


def test_a_status_is_answered_as_asked(tmp_path: Path) -> None:
    """The path says which status is answered."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening:
        assert http.get_in_the_clear(listening["http"], "/status/418", host="shop.example").status == 418


@pytest.mark.parametrize(
    ("path", "failure"),
    [
        pytest.param("/reset", httpx.ReadError, id="reset"),
        pytest.param("/truncate", httpx.RemoteProtocolError, id="truncated"),
        pytest.param("/hang", httpx.ReadTimeout, id="never answered"),
    ],
)
def test_an_answer_is_lost_on_purpose(tmp_path: Path, path: str, failure: type[Exception]) -> None:
    """What asks to be lost is lost, in the way that it asks for."""
    with traffic_server(tmp_path / "log", "--http=127.0.0.1:0") as listening, pytest.raises(failure):
        httpx.get(f"http://{listening['http']}{path}", timeout=0.5, trust_env=False)


def test_a_request_is_forwarded(tmp_path: Path) -> None:
    """A server asks another one, and tells what that answered."""
    with (
        traffic_server(tmp_path / "behind", "--http=127.0.0.1:0") as behind,
        traffic_server(tmp_path / "front", "--http=127.0.0.1:0") as front,
    ):
        path = f"/forward?url=http://{behind['http']}/status/418"
        answer = json.loads(http.get_in_the_clear(front["http"], path, host="shop.example").body)
    assert (answer["forwarded"]["status"], answer["forwarded"]["body"]["path"]) == (418, "/status/418")


def test_the_server_speaks_first(tmp_path: Path) -> None:
    """On the port of `--greet` the server speaks before the client does."""
    with traffic_server(tmp_path / "log", "--greet=127.0.0.1:0") as listening:
        where = listening["greet"]
        with socket.create_connection((where.host, where.port), timeout=5) as connection:
            assert connection.recv(100) == GREETING


def _files(directory: Path) -> list[str]:
    """Write what a server shows and trusts, and return the options that name it."""
    certificate, key, trust = directory / "server.pem", directory / "server.key", directory / "trust.pem"
    SERVER.write_to(certificate, key)
    trust.write_bytes(OURS.pem)
    return [f"--certificate={certificate}", f"--key={key}", f"--client-authority={trust}"]
