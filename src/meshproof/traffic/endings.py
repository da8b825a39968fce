"""How a request of the recorder can end."""

from __future__ import annotations

from enum import Enum


class Ending(Enum):
    """The end of one request, by what the sender saw of it: an errno, an alert of TLS, a frame of HTTP/2.

    The sender repeats nothing, so each of them is what became of the request. Its value is what a person reads.
    """

    ANSWERED = "answered"
    REFUSED = "connection refused"
    UNREACHABLE = "no route to the server"
    UNRESOLVED = "name not resolved"
    RESET = "connection reset"
    CLOSED = "connection closed without an answer"
    CROSSED_CLOSE = "the server closed a kept connection before the request had reached it"
    """HTTP/1.1 only, by FIN, and shown by what the server's kernel has not acknowledged. Source: RFC 9112, 9.6."""
    TRUNCATED = "answer cut short"
    TIMED_OUT = "no answer in time"
    TLS_REFUSED = "refused by an alert of TLS"
    UNTRUSTED = "the server's certificate is not trusted"
    NOT_TLS = "the server does not speak TLS"
    NOT_PROCESSED = "the server says that it has not processed the request"
    """A stream above the last one of GOAWAY, or REFUSED_STREAM. Source: RFC 9113, 6.8 and 8.7."""
    STREAM_RESET = "HTTP/2 stream reset"
    PROTOCOL_ERROR = "the answer is not HTTP"
    ANNOUNCED_DRAIN = "long stream ended by an announced drain"
    """The server had sent GOAWAY with NO_ERROR before. HTTP/1.1 can't announce the end of an answer that has begun."""
    STREAM_ENDED = "long stream ended in order"
    OWN_FAULT = "not sent, by a fault of the sender's machine"

    def __str__(self) -> str:
        return self.name


ENDS_OF_STREAMS = frozenset({Ending.ANNOUNCED_DRAIN, Ending.STREAM_ENDED})
"""Ends that a stream with the expected status has to expect: they are counted apart, and are no losses."""
