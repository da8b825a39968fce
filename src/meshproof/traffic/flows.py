"""A flow: requests of one kind from one place."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from meshproof.certificates.leaf import Leaf
from meshproof.errors import BadTarget
from meshproof.mesh import Workload
from meshproof.tls import Address, ProtocolVersion
from meshproof.traffic.endings import Ending

FASTEST = 500.0
"""Requests a second of one flow at most: on two processors the sender must not be what is measured."""


class Outside(Enum):
    """The place of a flow that comes from this machine."""

    OUTSIDE = "outside"

    def __str__(self) -> str:
        return self.value


OUTSIDE = Outside.OUTSIDE
"""This machine: for flows through the gateway."""


class Connections(Enum):
    """How a flow uses connections."""

    NEW = "new"
    """One for each request, with a whole TLS handshake."""
    KEPT = "kept"
    """A few for all requests; one that has ended is made again."""
    STREAM = "stream"
    """One answer that does not end: each of its lines is a record, from the line before to this one."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Requests at a steady rate: the next one is due whether or not the last one has been answered.

    Attributes:
        name: What a person calls it; no two flows of a recording have the same.
        url: What is asked for; its host is sent (SNI and Host) and has to be in the server's certificate.
        source: ``OUTSIDE``, or the container of a workload that has the image ``traffic``.
        address: Where to connect to; None for the host and port of the URL.
        connections: New ones, kept ones, or one for a stream.
        count: How many kept connections there are.
        http2: Whether to speak HTTP/2, and not HTTP/1.1.
        newest: The highest version of TLS to offer, 1.0 to 1.3; None for the newest that the sender knows.
        rate: Requests a second. A stream's rate is the server's.
        timeout: Seconds without an answer, or a line of a stream, after which a request is lost.
        method: The requests' method.
        headers: Those to send beside the usual ones; a ``Host`` is sent in place of the URL's.
        trust: The authorities to trust, in PEM; only they are trusted.
        client: The certificate to show when asked.
        status: The status code that is expected; an answer with another one is no stream.
        refusals: Endings that are expected, too: a request that ends so is a refusal, and no failure.
        body: Whether records have the headers and the body of the answer.
        instead: Paths for single requests, by their sequence number.

    Raises:
        BadTarget: It can't be sent so.
    """

    name: str
    url: str
    source: Outside | Workload = OUTSIDE
    address: Address | None = None
    connections: Connections = Connections.KEPT
    count: int = 2
    http2: bool = False
    newest: ProtocolVersion | None = None
    rate: float = 50.0
    timeout: float = 5.0
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    trust: bytes = field(default=b"", repr=False)
    client: Leaf | None = None
    status: int = 200
    refusals: Collection[Ending] = ()
    body: bool = False
    instead: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what can't be sent, before anything is.

        Raises:
            BadTarget: It says what and why.
        """
        scheme = urlsplit(self.url).scheme
        if scheme not in {"http", "https"}:
            raise BadTarget(f"The flow {self.name!r} asks for {self.url!r}: a URL begins with http:// or https://.")
        if scheme == "https" and not self.trust:
            raise BadTarget(f"The flow {self.name!r} asks for {self.url} and trusts nobody: name the authority's PEM.")
        if not 0 < self.rate <= FASTEST or self.timeout <= 0 or self.count < 1:
            raise BadTarget(
                f"The flow {self.name!r} can't be sent: its rate is to be above 0 and up to {FASTEST:g} a second, its "
                "timeout above 0 seconds, and it needs one connection at least."
            )

        if self.newest in {ProtocolVersion.SSL_2, ProtocolVersion.SSL_3}:
            raise BadTarget(f"The flow {self.name!r} offers {self.newest} at most: the sender knows TLS 1.0 to 1.3.")

    def order(self, seconds: float) -> dict[str, Any]:
        """Return what the sender is told. It has the client's key: it goes to standard input and nowhere else."""
        chain, key = (self.client.chain_pem, self.client.key_pem) if self.client else (b"", b"")
        per_second = 1000.0 if self.connections is Connections.STREAM else self.rate
        return {
            "url": self.url,
            "address": str(self.address) if self.address else "",
            "method": self.method,
            "headers": dict(self.headers),
            "trust": self.trust.decode(),
            "certificate": chain.decode(),
            "key": key.decode(),
            "connections": self.connections.value,
            "count": self.count,
            "http2": self.http2,
            "newest": self.newest.code if self.newest else 0,
            "rate": self.rate,
            "timeout": self.timeout,
            "requests": math.ceil(per_second * seconds),
            "status": self.status,
            "body": self.body,
            "instead": {str(sequence): path for sequence, path in self.instead.items()},
        }
