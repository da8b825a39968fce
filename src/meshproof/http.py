"""One HTTP request over a connection of its own, and what came of it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from cryptography import x509
from h2.events import ConnectionTerminated

from meshproof.certificates.leaf import Leaf
from meshproof.settings import TIMEOUTS
from meshproof.tls import Address

_SERVER_ERROR = 500  # the first status of those that are about the server
_REFUSED_BY_H2 = re.compile(r"ConnectionInputs\.RECV_\w+ in state ConnectionState\.CLOSED")
_UNREAD = "Unread: an answer after GOAWAY, which httpx does not read"
_SHOWN = 80  # letters of a body that says why a server could not answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; the status is None where it did not.

    Attributes:
        status: The status code.
        version: ``HTTP/1.1`` or ``HTTP/2``.
        headers: By lower-case name.
        body: As text.
        certificate: The serial number of the server's certificate; None without TLS.
        failure: How it failed where there is no status, by the name of httpx's exception.
        unread: Whether the server had announced the end of the connection (GOAWAY) and said that it would answer: httpx
            does not read that answer, so nobody knows what it was, and the server did not fail.
    """

    status: int | None
    version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str = field(default="", repr=False)
    certificate: int | None = None
    failure: str = ""
    unread: bool = False

    def __str__(self) -> str:
        if self.status is None:
            return self.failure
        why = " ".join(self.body.split())[:_SHOWN] if self.status >= _SERVER_ERROR else ""
        return f"{self.version} {self.status}" + (f" ({why})" if why else "")


def get(
    address: Address,
    path: str,
    *,
    host: str,
    trust: bytes,
    client: Leaf | None = None,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | bytes = b"",
) -> Answer:
    """Send one request, with HTTP/2 if the server wants to.

    Args:
        address: Where to connect to.
        path: What to ask for.
        host: The server name to send (SNI and Host) and to find in the server's certificate.
        trust: The authorities to trust, in PEM.
        client: The certificate to show when asked.
        method: The request's method.
        headers: Those to send beside the usual ones; a ``Host`` among them is sent in place of the server name.
        body: What to send; text is sent as UTF-8.

    Returns:
        The answer; a connection that fails is one too.
    """
    context = ssl.create_default_context(cadata=trust.decode())
    if client is not None:
        client.load_into(context)
    return _send(f"https://{address}{path}", context, host=host, method=method, headers=headers, body=body)


def get_in_the_clear(
    address: Address,
    path: str,
    *,
    host: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | bytes = b"",
) -> Answer:
    """Send one request without TLS; as for ``get``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used, so the system's authorities need not be read for it
    return _send(f"http://{address}{path}", context, host=host, method=method, headers=headers, body=body)


def _send(
    url: str, context: ssl.SSLContext, *, host: str, method: str, headers: Mapping[str, str] | None, body: str | bytes
) -> Answer:
    with httpx.Client(http2=True, verify=context, timeout=TIMEOUTS.request, trust_env=False) as session:
        sent = httpx.Headers({"Host": host})
        sent.update(headers)
        extensions = {"sni_hostname": host}
        request = session.build_request(method, url, headers=sent, content=body or None, extensions=extensions)
        try:
            response = session.send(request, stream=True)
            tls: ssl.SSLObject | None = response.extensions["network_stream"].get_extra_info("ssl_object")
            shown = tls.getpeercert(True) if tls else None  # while the connection is there: a server may close it
            response.read()
        except httpx.TransportError as error:
            if _is_unread_answer(error):
                return Answer(status=None, failure=_UNREAD, unread=True)
            return Answer(status=None, failure=f"{type(error).__name__}: {error}")
        return Answer(
            status=response.status_code,
            version=response.http_version,
            headers=dict(response.headers),
            body=response.text,
            certificate=x509.load_der_x509_certificate(shown).serial_number if shown else None,
        )


def _is_unread_answer(error: httpx.TransportError) -> bool:
    """Tell whether an answer was on its way, or there, and only was not read.

    A server that ends a connection in order says so by GOAWAY, with the last stream that it still answers, and then
    answers. python-h2 takes GOAWAY for the end of all: it refuses the frames that follow, and httpx raises
    LocalProtocolError for those in the same octets, and RemoteProtocolError, which names that GOAWAY, for later ones.
    Source: RFC 9113, 6.8.
    """
    if isinstance(error, httpx.LocalProtocolError):
        return _REFUSED_BY_H2.search(str(error)) is not None  # other such errors are of a request that nobody may send
    said = error.__cause__.args[0] if error.__cause__ and error.__cause__.args else None
    return isinstance(said, ConnectionTerminated) and not said.error_code and bool(said.last_stream_id)
