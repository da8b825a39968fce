"""Relays: they look at a connection before the server behind them does.

A relay looks at the ClientHello, at the number of the connection, at how many others are open. Then it hands the
connection to the server behind, which answers on the same socket, or does something else with it.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count, cycle
from threading import Event, Lock, Thread

from meshproof.tls import Address, ProtocolVersion
from meshproof.tls.protocol.codes import tls12_suites
from tests.support.servers import Behaviour

_POLL = 0.002  # seconds; how soon a place that has become free is noticed
_SSL2_HEADER = 2  # octets
_RECORD_HEADER = 5
_CHUNK = 65536
_ESTABLISHED = 1  # the first octet of Linux's tcp_info is the state of the connection
_QUEUE = 128  # connections that wait to be accepted
_SIGNALS = {0x00FF, 0x5600}  # suites that are none: RFC 5746 3.3, RFC 7507


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a relay sees of a ClientHello.

    Attributes:
        size: How many octets it has, without the header of the record.
        ssl2: Whether it is in the format of SSLv2.
        version: The version in its head.
        versions: The content of ``supported_versions``.
        suites: The cipher suites.
        extensions: The extensions, by code.
    """

    size: int
    ssl2: bool
    version: int
    versions: tuple[int, ...]
    suites: tuple[int, ...]
    extensions: Mapping[int, bytes]

    @property
    def newest(self) -> int:
        """The newest version that it offers."""
        return max((each for each in self.versions if each & 0x0F0F != 0x0A0A), default=self.version)

    @property
    def named(self) -> bool:
        """Whether it has a server name."""
        return 0 in self.extensions

    @property
    def groups(self) -> tuple[int, ...]:
        """The groups that it offers."""
        return _uint16s(self.extensions.get(10, b"")[2:])

    @property
    def only_ecdsa(self) -> bool:
        """Whether it takes no certificate but one with an ECDSA key."""
        if self.newest == ProtocolVersion.TLS_1_3.code:
            return not any(_is_rsa(code) for code in _uint16s(self.extensions.get(13, b"")[2:]))
        return not set(self.suites) - _ECDSA_SUITES - _SIGNALS


_ECDSA_SUITES = {suite.code for suite in tls12_suites() if suite.authentication == "ECDSA"}


def _is_rsa(scheme: int) -> bool:
    """Tell whether a signature scheme is one of RSA: PKCS #1 with its number 1 for RSA, or PSS (RFC 8446 4.2.3)."""
    return scheme & 0xFF == 1 or 0x0804 <= scheme <= 0x0806 or 0x0809 <= scheme <= 0x080B


def _uint16s(octets: bytes) -> tuple[int, ...]:
    return struct.unpack(f"!{len(octets) // 2}H", octets[: len(octets) // 2 * 2])


def look(connection: socket.socket) -> Seen:
    """Look at the ClientHello of a connection, and leave it there.

    Raises:
        ConnectionError: None came.
    """
    header = connection.recv(_RECORD_HEADER, socket.MSG_PEEK | socket.MSG_WAITALL)
    if len(header) < _RECORD_HEADER:
        raise ConnectionError
    ssl2 = bool(header[0] & 0x80)
    length = (
        _SSL2_HEADER + (header[0] & 0x7F) * 256 + header[1] if ssl2 else _RECORD_HEADER + header[3] * 256 + header[4]
    )
    return parse(connection.recv(length, socket.MSG_PEEK | socket.MSG_WAITALL))


def parse(octets: bytes) -> Seen:
    """Read a ClientHello of one record (RFC 8446 4.1.2), or of SSLv2."""
    if octets[0] & 0x80:
        version, length = struct.unpack_from("!HH", octets, 3)
        kinds = octets[11 : 11 + length]
        suites = tuple(int.from_bytes(kinds[at : at + 3], "big") for at in range(0, length, 3))
        return Seen(
            size=len(octets) - _SSL2_HEADER, ssl2=True, version=version, versions=(), suites=suites, extensions={}
        )
    body = octets[_RECORD_HEADER:]
    at = 4 + 2 + 32
    at += 1 + body[at]
    length = int.from_bytes(body[at : at + 2], "big")
    suites = _uint16s(body[at + 2 : at + 2 + length])
    at += 2 + length
    at += 1 + body[at] + 2
    extensions = {}
    while at < len(body):
        code, length = struct.unpack_from("!HH", body, at)
        extensions[code] = body[at + 4 : at + 4 + length]
        at += 4 + length
    return Seen(
        size=len(body),
        ssl2=False,
        version=int.from_bytes(body[4:6], "big"),
        versions=_uint16s(extensions.get(43, b"\0")[1:]),
        suites=suites,
        extensions=extensions,
    )


def when(hurts: Callable[[Seen], object], misbehave: Behaviour, behind: Behaviour) -> Behaviour:
    """Misbehave towards some hellos."""

    def behave(connection: socket.socket) -> None:
        (misbehave if hurts(look(connection)) else behind)(connection)

    return behave


def numbered(hurts: Callable[[int], object], misbehave: Behaviour, behind: Behaviour) -> Behaviour:
    """Misbehave towards some connections; the first has the number 1."""
    numbers = count(1)

    def behave(connection: socket.socket) -> None:
        (misbehave if hurts(next(numbers)) else behind)(connection)

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Give each connection to the next."""
    turns = cycle(behaviours)

    def behave(connection: socket.socket) -> None:
        next(turns)(connection)

    return behave


def after(number: int, seconds: float, misbehave: Behaviour, behind: Behaviour) -> Behaviour:
    """Be well for so many connections, misbehave for so many seconds, and be well again."""
    numbers, ends = count(1), [0.0]

    def behave(connection: socket.socket) -> None:
        here = next(numbers)
        if here == number + 1:
            ends[0] = time.monotonic() + seconds
        (misbehave if here > number and time.monotonic() < ends[0] else behind)(connection)

    return behave


def limited(rate: int, window: float, misbehave: Behaviour, behind: Behaviour) -> Behaviour:
    """Misbehave towards connections beyond so many in so many seconds."""
    moments: list[float] = []
    lock = Lock()

    def behave(connection: socket.socket) -> None:
        with lock:
            now = time.monotonic()
            moments[:] = [moment for moment in moments if moment > now - window]
            room = len(moments) < rate
            if room:
                moments.append(now)
        (behind if room else misbehave)(connection)

    return behave


def banning(hurts: Callable[[Seen], object], length: int, misbehave: Behaviour, behind: Behaviour) -> Behaviour:
    """Misbehave towards a hello, and to so many connections after it, whatever they are."""
    left = [0]

    def behave(connection: socket.socket) -> None:
        if left[0] > 0:
            left[0] -= 1
            misbehave(connection)
        elif hurts(look(connection)):
            left[0] = length
            misbehave(connection)
        else:
            behind(connection)

    return behave


def crowded(room: int, extra: Behaviour | None, behind: Behaviour) -> Behaviour:
    """Have room for so many connections at once; further ones get something else, or wait for room (None)."""
    lock = Lock()
    inside: list[socket.socket] = []

    def enters(own: socket.socket) -> bool:
        with lock:
            inside[:] = filter(_is_connected, inside)
            if len(inside) >= room:
                return False
            inside.append(own)
            return True

    def behave(connection: socket.socket) -> None:
        with connection.dup() as own:  # ssl takes the other one away
            entered = enters(own)
            while not entered and extra is None and _is_connected(own):
                Event().wait(_POLL)
                entered = enters(own)
            try:
                if entered or extra:
                    (behind if entered else extra or behind)(connection)
            finally:
                with lock:
                    if own in inside:
                        inside.remove(own)

    return behave


def _is_connected(connection: socket.socket) -> bool:
    """Tell whether the peer is still there."""
    return connection.fileno() >= 0 and connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED


def slowly(seconds: float, behind: Behaviour) -> Behaviour:
    """Wait before every answer."""

    def behave(connection: socket.socket) -> None:
        look(connection)
        Event().wait(seconds)
        behind(connection)

    return behave


def altered(
    context: ssl.SSLContext, alter: Callable[[bytes], Iterable[bytes]], then: Behaviour | None = None
) -> Behaviour:
    """Change what a server says.

    Args:
        context: What the server needs.
        alter: Makes of each flight the segments in which it is sent.
        then: What is done after the first flight; None goes on.
    """

    def behave(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_side=True)
        waits = True
        while waits and (octets := connection.recv(_CHUNK)):
            incoming.write(octets)
            try:
                session.do_handshake()
                waits = False
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                waits = False  # the alert is in the flight
            for segment in alter(outgoing.read()):
                connection.sendall(segment)
            if then:
                then(connection)
                return

    return behave


@contextmanager
def with_a_door(
    behaviour: Behaviour,
    *,
    room: int | None = None,
    last: int | None = None,
    away: float | None = None,
    shut: bool = True,
) -> Iterator[Address]:
    """Serve with a door that is shut at times: TCP refuses a connection then.

    Args:
        behaviour: What is done with a connection.
        room: How many may be inside at once; None sets no limit.
        last: After how many connections the door is shut; None never.
        away: For how many seconds it is shut then; None for good.
        shut: Whether the door is shut while there is no room; if not, TCP leaves a connection without an answer once
            one waits at it.
    """
    with socket.socket() as holder, socket.socket() as listener:  # the holder keeps the port while the door is shut
        for each in (holder, listener):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        listener.bind(holder.getsockname())
        door = _Door(listener, room, shut=shut)
        worker = Thread(target=door.work, args=(behaviour, last, away))
        worker.start()
        try:
            yield Address(*holder.getsockname())
        finally:
            door.end.set()
            while worker.is_alive():  # it may open the door once more meanwhile
                _shut(listener)
                worker.join(_POLL)
            for connection in door.inside:
                connection.close()


class _Door:
    """See ``with_a_door``."""

    def __init__(self, listener: socket.socket, room: int | None, *, shut: bool) -> None:
        self.end = Event()
        self.inside: list[socket.socket] = []
        self._listener = listener
        self._room = room
        self._shut = shut
        self._queue = _QUEUE if shut else 0
        listener.listen(self._queue)

    def work(self, behaviour: Behaviour, last: int | None, away: float | None) -> None:
        """Take connections, up to the last one, or until the end; and all the others, once it is not away any more."""
        with suppress(OSError):  # the listener was shut
            for number in count(1):
                connection, _ = self._listener.accept()
                self.inside.append(connection.dup())
                Thread(target=_handle, args=(behaviour, connection), daemon=True).start()
                self._wait_for_room()
                if number == last:
                    _shut(self._listener)
                    if away is None or self.end.wait(away):
                        return
                    self._listener.listen(self._queue)

    def _wait_for_room(self) -> None:
        if not self._is_full():
            return
        if self._shut:
            _shut(self._listener)
        while self._is_full() and not self.end.wait(_POLL):
            pass
        if self._shut and not self.end.is_set():
            self._listener.listen(self._queue)

    def _is_full(self) -> bool:
        return self._room is not None and len(_still(self.inside)) >= self._room


def _shut(listener: socket.socket) -> None:
    """Refuse connections from now on; that it does so already is no fault."""
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)


def _handle(behaviour: Behaviour, connection: socket.socket) -> None:
    with suppress(OSError), connection:
        behaviour(connection)


def _still(inside: list[socket.socket]) -> list[socket.socket]:
    """Forget the connections whose client has gone, and return the others."""
    for connection in [each for each in inside if not _is_connected(each)]:
        inside.remove(connection)
        connection.close()
    return inside
