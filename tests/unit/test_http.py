"""One HTTP request: what is sent, and what came of it."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from meshproof import http
from meshproof.tls import Address
from tests.support.certificates import HOST, OURS, SERVER


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
