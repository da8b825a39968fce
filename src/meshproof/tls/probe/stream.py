"""One TCP connection with one deadline."""

from __future__ import annotations

import errno
import socket
import time
from types import TracebackType
from typing import NamedTuple, Self

from meshproof.tls.probe.outcome import Outcome

_CHUNK = 65536  # octets to ask the kernel for at once
_OUTCOME_OF_ERRNO = {
    errno.ETIMEDOUT: Outcome.SILENT,
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ECONNRESET: Outcome.RESET,
    errno.EPIPE: Outcome.RESET,
    errno.ECONNABORTED: Outcome.RESET,
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.EHOSTDOWN: Outcome.UNREACHABLE,
    errno.ENETDOWN: Outcome.UNREACHABLE,
    errno.EADDRNOTAVAIL: Outcome.UNREACHABLE,
}


class Address(NamedTuple):
    """Where to connect to: a host name or IP address, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Ended(Exception):
    """The connection came to an end, or never to a beginning. No error of ours: a probe reports it as its outcome.

    Attributes:
        outcome: How.
    """

    def __init__(self, outcome: Outcome, detail: str = "") -> None:
        self.outcome = outcome
        self.detail = detail
        super().__init__(outcome)


class Deadline:
    """A moment in the future.

    Args:
        seconds: How far off it is; more than 0.
    """

    def __init__(self, seconds: float) -> None:
        if seconds <= 0:
            raise ValueError(f"a deadline of {seconds} s leaves no time")
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left.

        Raises:
            Ended: None is left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise Ended(Outcome.SILENT)
        return left


class Stream:
    """A connected TCP socket that remembers all that it received.

    Args:
        address: Where to connect to; if its name has several addresses, the first that accepts.
        deadline: Bounds connecting, sending and receiving together; not the system's name resolution.

    Attributes:
        received: Every octet so far.

    Raises:
        Ended: By the constructor, when nobody accepts.
    """

    def __init__(self, address: Address, deadline: Deadline) -> None:
        self._deadline = deadline
        self._broken = False
        self.received = b""
        self._socket = _connect(address, deadline)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send all of it.

        A peer that has reset the connection may have sent an alert before: that is no end yet, the next
        ``receive`` still returns what had arrived.

        Raises:
            Ended: The deadline has passed.
        """
        self._socket.settimeout(self._deadline.remaining())
        try:
            self._socket.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            self._broken = True
        except OSError as error:
            raise _ended(error) from error

    def receive(self) -> bytes:
        """Return the next octets, at least one.

        Raises:
            Ended: The peer closed or reset the connection, or the deadline has passed.
        """
        self._socket.settimeout(self._deadline.remaining())
        try:
            data = self._socket.recv(_CHUNK)
        except OSError as error:
            raise _ended(error) from error
        if not data:
            raise Ended(Outcome.RESET if self._broken else Outcome.CLOSED_WITHOUT_ALERT)
        self.received += data
        return data


def _connect(address: Address, deadline: Deadline) -> socket.socket:
    try:
        addresses = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Ended(Outcome.NAME_NOT_RESOLVED, str(error)) from error
    failure: OSError | None = None
    for family, kind, protocol, _, target in addresses:
        try:
            connection = socket.socket(family, kind, protocol)
        except OSError as error:
            failure = error
            continue
        try:
            connection.settimeout(deadline.remaining())
            connection.connect(target)
        except OSError as error:
            connection.close()
            failure = error
        except Ended:
            connection.close()
            raise
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    assert failure is not None  # getaddrinfo never returns an empty list
    raise _ended(failure) from failure


def _ended(error: OSError) -> Ended:
    return Ended(outcome_of_error(error), str(error))


def outcome_of_error(error: OSError) -> Outcome:
    """Name the end that the operating system reported; what speaks of this machine, not of the peer, is LOCAL_FAULT."""
    if isinstance(error, TimeoutError):
        return Outcome.SILENT
    return _OUTCOME_OF_ERRNO.get(error.errno or 0, Outcome.LOCAL_FAULT)
