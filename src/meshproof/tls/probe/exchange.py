"""One ClientHello, one connection, one answer; and many of them at once."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace

from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.outcome import WORDLESS, Outcome, outcome_of_alert
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.probe.stream import outcome_of_error
from meshproof.tls.protocol.codes import group, is_grease, suite
from meshproof.tls.protocol.flight import Flight
from meshproof.tls.protocol.hello import SUPPORTED_GROUPS, Hello, Retry
from meshproof.tls.protocol.keyshare import public_key
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.record import Malformed, NotTls, Overlong
from meshproof.tls.protocol.ssl2 import Ssl2Flight
from meshproof.tls.protocol.version import ProtocolVersion

DEFAULT_TIMEOUT = 5.0  # seconds for one probe, from the TCP connect to the answer
_CHUNK = 65536  # octets to ask the kernel for at once
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: thousands of connections must not linger in TIME_WAIT


async def ask(
    endpoint: Endpoint,
    profile: Profile,
    *,
    sni: str | None,
    timeout: float = DEFAULT_TIMEOUT,
    follow: bool = True,
    length: int | None = None,
) -> Answer:
    """Send a client's hello and read what the server makes of it. The handshake is never completed.

    So no certificate of the client is needed, and a server that requires one is judged like any other.

    Args:
        endpoint: Where to connect to.
        profile: The client.
        sni: The server name, for clients that send one; None sends none.
        timeout: Seconds for all of it.
        follow: Whether to answer a HelloRetryRequest; if not, it counts as the answer.
        length: The octets of the hello, which is padded to it (RFC 7685); None leaves it as the client has it.

    Returns:
        What came, by name; a refusal is a value, not an exception.
    """
    hello = Hello(profile, sni, length)
    flight = Flight()

    def judge(data: bytes) -> Answer | bytes | None:
        flight.feed(data)
        verdict = _judge(flight, profile, follow=follow)
        if isinstance(verdict, Retry):
            flight.next_hello()
            at_once = _judge(flight, profile, follow=follow)  # it did not wait for our second hello
            return at_once if isinstance(at_once, Answer) else _again(hello, verdict)
        return verdict

    answer = await send_and_judge(endpoint, hello.first(), judge, timeout=timeout)
    if answer.outcome in WORDLESS and flight.warning is not None:
        # In TLS 1.3 an alert is fatal whatever its level says (RFC 8446 6.2); before, an end after it speaks for that.
        return replace(answer, outcome=outcome_of_alert(flight.warning), alert=flight.warning)
    return replace(answer, begun=True) if answer.outcome in WORDLESS and flight.begun else answer


async def ask_ssl2(endpoint: Endpoint, profile: Profile, *, timeout: float = DEFAULT_TIMEOUT) -> Answer:
    """Ask for SSLv2 in its own format; see ``ask``."""
    flight = Ssl2Flight()

    def judge(data: bytes) -> Answer | None:
        flight.feed(data)
        if flight.tls is not None:
            verdict = _judge(flight.tls, profile, follow=False)
            return verdict if isinstance(verdict, Answer) else None
        if flight.suites is not None:
            kinds = tuple(map(suite, flight.suites))
            return Answer(outcome=Outcome.NEGOTIATED, version=ProtocolVersion.SSL_2, ssl2_suites=kinds)
        return Answer(outcome=Outcome.HANDSHAKE_FAILURE) if flight.error else None

    return await send_and_judge(endpoint, Hello(profile, None).first(), judge, timeout=timeout)


Judge = Callable[[bytes], Answer | bytes | None]
"""Takes what has come; returns an answer, or what to send next, or None to wait for more."""


async def send_and_judge(endpoint: Endpoint, first: bytes, judge: Judge, *, timeout: float) -> Answer:
    """Open a connection, send, and give what comes to a judge until it has an answer.

    Args:
        endpoint: Where to connect to.
        first: What to send first.
        judge: Asked each time that more has come; may raise ``Malformed``.
        timeout: Seconds for all of it.

    Returns:
        The judge's answer, or how the connection ended before.
    """
    try:
        with _connection(endpoint) as connection:
            async with asyncio.timeout(timeout):
                answer = await _converse(connection, endpoint, first, judge)
    except TimeoutError:
        answer = Answer(outcome=Outcome.SILENT)
    except OSError as error:
        answer = Answer(outcome=outcome_of_error(error))
    return answer


def _connection(endpoint: Endpoint) -> socket.socket:
    connection = socket.socket(endpoint.family, socket.SOCK_STREAM)
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if secrets.randbits(1):
        # Linux takes even ports for connect() and odd ones for bind(): a balancer that looks at the client's port must
        # not show us one of its servers only.
        with suppress(OSError):
            connection.bind(("", 0))
    return connection


async def _converse(connection: socket.socket, endpoint: Endpoint, first: bytes, judge: Judge) -> Answer:
    """Connect, send, and give what comes to the judge.

    Raises:
        OSError: How the connection ended, or that it never began.
    """
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, endpoint.address)
    await loop.sock_sendall(connection, first)
    try:
        while data := await loop.sock_recv(connection, _CHUNK):
            verdict = judge(data)
            if isinstance(verdict, Answer):
                return verdict
            if verdict:
                await loop.sock_sendall(connection, verdict)
    except NotTls:
        return Answer(outcome=Outcome.NOT_TLS)
    except Overlong:
        return Answer(outcome=Outcome.OVERLONG)
    except Malformed:
        return Answer(outcome=Outcome.UNACCEPTABLE_ANSWER)
    return Answer(outcome=Outcome.CLOSED_WITHOUT_ALERT)


def _again(hello: Hello, retry: Retry) -> bytes:
    try:
        return hello.again(retry)
    except OverflowError as error:
        raise Malformed("the server's cookie has no room in a hello") from error


def _judge(flight: Flight, profile: Profile, *, follow: bool) -> Answer | Retry | None:
    """Conclude from a flight whether the client could go on from here."""
    if flight.alert is not None:
        return _answer(flight, outcome_of_alert(flight.alert))
    if flight.hello is None or not flight.ended:
        return None
    fault = _fault(flight, profile)
    if fault:
        return _answer(flight, fault)
    if flight.hello.retry:
        if flight.retry:
            return _answer(flight, Outcome.SECOND_RETRY)
        wanted = flight.hello.group
        if follow and (wanted is None or public_key(wanted)):
            return Retry(wanted, flight.hello.cookie)
    return _answer(flight, Outcome.NEGOTIATED)


def _fault(flight: Flight, profile: Profile) -> Outcome | None:
    """Return why the client would refuse what the server chose; None when it would not (RFC 8446 4.1.3 and 4.1.4)."""
    assert flight.hello is not None
    chosen, asked = flight.hello, flight.retry
    tls13 = chosen.version is ProtocolVersion.TLS_1_3
    if chosen.version not in profile.accepted_versions or (asked and not tls13):
        return Outcome.VERSION_NOT_OFFERED
    taken = suite(chosen.suite)
    if not _is_among(chosen.suite, [asked.suite] if asked else profile.suites):
        return Outcome.CIPHER_NOT_OFFERED
    if taken.signalling or taken.tls13 is not tls13:
        return Outcome.CIPHER_NOT_OFFERED
    if chosen.downgraded and not tls13 and ProtocolVersion.TLS_1_3 in profile.accepted_versions:
        return Outcome.DOWNGRADED
    return _fault_of_key(flight, profile)


def _fault_of_key(flight: Flight, profile: Profile) -> Outcome | None:
    """Return what is wrong with the server's half of the key exchange (RFC 8446 4.2.8, RFC 8422 5.4)."""
    if flight.group is None:
        if _lacks_key(flight):
            return Outcome.UNACCEPTABLE_ANSWER
    elif not _is_among(flight.group, _acceptable_groups(flight, profile)):
        return Outcome.GROUP_NOT_OFFERED
    if flight.dh_bits is not None and profile.dh_bits:
        smallest, largest = profile.dh_bits
        if not smallest <= flight.dh_bits <= largest:
            return Outcome.DH_SIZE_REFUSED
    return None


def _acceptable_groups(flight: Flight, profile: Profile) -> Collection[int]:
    assert flight.hello is not None
    if flight.hello.retry:
        return set(profile.groups) - set(profile.key_shares)
    if flight.hello.version is ProtocolVersion.TLS_1_3:
        return [flight.retry.group] if flight.retry and flight.retry.group else profile.key_shares
    return profile.groups if SUPPORTED_GROUPS in profile.extensions else [flight.group or 0]


def _is_among(code: int, offered: Collection[int]) -> bool:
    return code in offered and not is_grease(code)


def _lacks_key(flight: Flight) -> bool:
    """Return whether the server named no group where it must (RFC 8446 4.1.4 and 4.2.8, RFC 5246 7.4.3)."""
    assert flight.hello is not None
    if flight.hello.version is ProtocolVersion.TLS_1_3:
        return flight.hello.cookie is None if flight.hello.retry else True
    exchange = suite(flight.hello.suite).key_exchange
    return flight.dh_bits is None if exchange == "DHE" else exchange == "ECDHE"


def _answer(flight: Flight, outcome: Outcome) -> Answer:
    hello = flight.hello or flight.retry
    return Answer(
        outcome=outcome,
        alert=flight.alert,
        version=hello.version if hello else None,
        suite=suite(hello.suite) if hello else None,
        group=group(flight.group) if flight.group is not None else None,
        dh_bits=flight.dh_bits,
        alpn=hello.alpn if hello else None,
        retried=bool(flight.retry or (hello and hello.retry)),
        client_cert_requested=flight.client_cert_requested,
        certificates=flight.certificates,
    )
