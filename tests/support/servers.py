"""Real servers on loopback, good and hostile, each for the length of a ``with`` block."""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from threading import Event, Thread

from meshproof.certificates.authority import Authority
from meshproof.certificates.leaf import Leaf
from meshproof.tls import Address

Behaviour = Callable[[socket.socket], None]
ANYWHERE = Address("127.0.0.1", 0)

_POLL = 0.002  # seconds; how soon a server notices that it should end
_QUEUE = 128  # connections that wait to be accepted; more than a scan opens at once
_ANSWERS = {
    "h2": bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]),  # an empty SETTINGS frame
    "http/1.1": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}
_HELLO = 65536  # octets; more than any ClientHello
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time


@contextmanager
def serving(behaviour: Behaviour, where: Address = ANYWHERE) -> Iterator[Address]:
    """Give each connection to the behaviour in a thread of its own, and close it afterwards.

    Args:
        behaviour: What is done with a connection.
        where: The address to listen at; port 0 takes a free one.
    """

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # ssl.SSLError is one: a refused client is no fault of the server
                behaviour(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
        request_queue_size = _QUEUE  # with the usual 5 the kernel drops connections, which then come a second late

    with Server((where.host, where.port), Handler) as server:
        Thread(target=server.serve_forever, args=(_POLL,)).start()
        try:
            yield Address(where.host, server.server_address[1])
        finally:
            server.shutdown()


def tls(
    leaf: Leaf,
    *,
    clients: Authority | None = None,
    optional: bool = False,
    oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    names: tuple[str | None, ...] = (),
    curve: str | None = None,
    answer: bool = True,
) -> Behaviour:
    """Speak TLS, then answer one request or end in order.

    Args:
        leaf: The certificate to show.
        clients: Whose clients are let in; None asks for no certificate.
        optional: Whether a client without a certificate is let in too.
        oldest: The oldest version.
        newest: The newest version.
        names: The only server names that are known, None for no name; empty knows them all.
        curve: The only group for the key exchange, as OpenSSL calls it; None for its usual ones.
        answer: Whether to answer.
    """
    context = server_context(leaf, oldest=oldest, newest=newest, curve=curve)
    if clients:
        context.load_verify_locations(cadata=clients.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED
    if names:
        context.sni_callback = lambda _, name, __: None if name in names else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    return speak(context, answer=answer)


def server_context(
    *leaves: Leaf, oldest: ssl.TLSVersion, newest: ssl.TLSVersion, curve: str | None = None
) -> ssl.SSLContext:
    """Return what a server of these certificates, versions and groups needs; it takes weak algorithms too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for leaf in leaves:
        leaf.load_into(context)
    context.set_alpn_protocols(list(_ANSWERS))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    if curve:
        context.set_ecdh_curve(curve)
    with warnings.catch_warnings():  # Python deprecates TLS 1.0 and 1.1; a server to be found out needs them
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = oldest, newest
    return context


def speak(context: ssl.SSLContext, *, answer: bool = True) -> Behaviour:
    """Speak TLS with a context of a server, then answer one request or end in order."""

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as session:
            request = session.recv()
            if request and answer:
                session.sendall(_ANSWERS.get(session.selected_alpn_protocol() or "", _ANSWERS["http/1.1"]))
            session.unwrap()

    return behave


def say(*chunks: bytes, then: Behaviour = lambda _: None) -> Behaviour:
    """Read the hello, send each chunk in a segment of its own, then behave otherwise; close by default."""

    def behave(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.recv(_HELLO)
        for chunk in chunks:
            connection.sendall(chunk)
        then(connection)

    return behave


def pour(chunk: bytes) -> Behaviour:
    """Send the same again and again, as fast as it is taken."""

    def behave(connection: socket.socket) -> None:
        while True:  # until the client has had enough
            connection.sendall(chunk)

    return behave


def trickle(octets: bytes, *, pause: float) -> Behaviour:
    """Read the hello, then send octet by octet, with seconds between them; close at the end."""

    def behave(connection: socket.socket) -> None:
        connection.recv(_HELLO)
        for at in range(len(octets)):
            connection.sendall(octets[at : at + 1])
            Event().wait(pause)

    return behave


def until_then(number: int, first: Behaviour, then: Behaviour) -> Behaviour:
    """Behave one way to so many connections, and another way to all that come later."""
    numbers = count()

    def behave(connection: socket.socket) -> None:
        (first if next(numbers) < number else then)(connection)

    return behave


def reset(connection: socket.socket) -> None:
    """Reset the connection instead of closing it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    connection.close()


def stay_silent(connection: socket.socket) -> None:
    """Read until the client has had enough."""
    while connection.recv(_HELLO):
        pass


@contextmanager
def nobody() -> Iterator[Address]:
    """Give an address where nothing listens, and nothing else will: the port is bound meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield Address(*bound.getsockname())
