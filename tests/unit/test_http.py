"""One HTTP request: what is sent, and what came of it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from meshproof import http
from meshproof.tls import Address
from tests.support.certificates import HOST, OURS, SERVER
from tests.support.servers import Behaviour, serving

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
OK = bytes([0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88])  # HEADERS of stream 1, which it ends: `:status: 200`


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_POST(self) -> None:
        """Answer with the method, the headers and the body."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        said = json.dumps(
            {
                "method": self.command,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": body,
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST  # noqa: N815 - as above

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def echo(*, over_tls: bool) -> Iterator[Address]:
    """Run a server; give its address."""
    server = HTTPServer(("127.0.0.1", 0), Echo)
    if over_tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        SERVER.load_into(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Address("127.0.0.1", server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_headers_and_a_body_are_sent() -> None:
    """Headers are sent beside the host's name, and text as UTF-8; the certificate that was shown is told."""
    with echo(over_tls=True) as address:
        answer = http.get(
            address, "/", host=HOST, trust=OURS.pem, method="POST", headers={"X-Cart": "empty"}, body="drei Äpfel"
        )
    said = json.loads(answer.body)
    assert (said["method"], said["body"], said["headers"]["x-cart"]) == ("POST", "drei Äpfel", "empty")
    assert (said["headers"]["host"], answer.certificate) == (HOST, SERVER.serial)


def test_a_host_of_its_own_is_sent() -> None:
    """A header of that name goes before the server's name, which still has to be in the certificate."""
    with echo(over_tls=True) as address:
        answer = http.get(address, "/", host=HOST, trust=OURS.pem, headers={"host": "other.example"})
    assert json.loads(answer.body)["headers"]["host"] == "other.example"


def test_a_request_in_the_clear() -> None:
    """Without TLS the same is sent, and no certificate is shown; where nobody listens the failure has a name."""
    with echo(over_tls=False) as address:
        answer = http.get_in_the_clear(address, "/", host=HOST, headers={"X-Cart": "empty"}, body=b"\x00")
        assert json.loads(answer.body)["headers"]["x-cart"] == "empty"
        assert (answer.status, answer.certificate) == (200, None)
    assert http.get_in_the_clear(address, "/", host=HOST).failure.startswith("ConnectError")


def goaway(last_stream: int) -> bytes:
    """Return the frame of HTTP/2 that announces the end of a connection in order. Source: RFC 9113, 6.8."""
    return bytes([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last_stream, 0, 0, 0, 0])


def draining(*flights: bytes) -> Behaviour:
    """Speak TLS and HTTP/2 by hand: send each of these octets when the client has said something more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    SERVER.load_into(context)

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            heard = b""
            while b"\x01\x05\x00\x00\x00\x01" not in heard:  # HEADERS of stream 1, which it ends: the request
                heard += encrypted.recv(65536)
            for octets in flights:
                encrypted.sendall(octets)
                encrypted.recv(65536)

    return behave


@pytest.mark.parametrize(
    "flights",
    [(SETTINGS + goaway(1) + OK,), (SETTINGS + goaway(1), OK)],
    ids=["answered in the octets of GOAWAY", "answered after GOAWAY"],
)
def test_an_answer_after_goaway_is_not_the_failure_of_a_server(flights: tuple[bytes, ...]) -> None:
    """A server that drains announces the end, and then answers: httpx does not read that, and the answer says so."""
    with serving(draining(*flights)) as address:
        answer = http.get(address, "/", host=HOST, trust=OURS.pem)
    assert (answer.status, answer.unread, str(answer)) == (
        None,
        True,
        "Unread: an answer after GOAWAY, which httpx does not read",
    )


def test_a_request_that_nobody_may_send_is_not_unread() -> None:
    """What httpx refuses to send at all is told as it is: no server has answered, and none was to."""
    with echo(over_tls=False) as address:
        answer = http.get_in_the_clear(address, "/", host=HOST, headers={"no name": "x"})
    assert (answer.unread, answer.failure.partition(":")[0]) == (False, "LocalProtocolError")


def test_a_request_that_a_draining_server_does_not_take_is_not_unread() -> None:
    """Where GOAWAY says that the request will not be answered, that is how it failed; an answer before it is read."""
    with serving(draining(SETTINGS + goaway(0))) as address:
        answer = http.get(address, "/", host=HOST, trust=OURS.pem)
    assert (answer.status, answer.unread) == (None, False)
    assert answer.failure.startswith("RemoteProtocolError")
    with serving(draining(SETTINGS + OK + goaway(1))) as address:
        assert http.get(address, "/", host=HOST, trust=OURS.pem).status == 200
