"""What becomes of a client without a certificate, and of one with ours: the only handshakes that a scan completes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence

from meshproof.certificates.leaf import Leaf
from meshproof.tls.probe.completed_handshake import Observation, handshake
from meshproof.tls.probe.outcome import UNDECIDED, WORDLESS, Outcome
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import ClientAuthentication
from meshproof.tls.scanner.prober import Prober
from meshproof.tls.scanner.refusals import TIMES

_INSTANT = 0.001  # seconds
_COMPLETABLE = {
    ProtocolVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2,
    ProtocolVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3,
}
_AUTHENTICATION = {
    Outcome.CLIENT_CERT_REQUIRED: ClientAuthentication.REQUIRED,
    Outcome.ESTABLISHED: ClientAuthentication.REQUESTED,
}
_ABOUT_THE_VERSION = frozenset({Outcome.PROTOCOL_VERSION, Outcome.VERSION_NOT_OFFERED})


async def client_authentication(
    prober: Prober, timeout: float, offered: Sequence[ProtocolVersion], contradict: Callable[[str], None]
) -> ClientAuthentication:
    """Find out whether a client certificate is wanted; versions that differ in that are a contradiction.

    Args:
        prober: Asks the target, and remembers who was asked for a certificate.
        timeout: Seconds for each connection.
        offered: The versions that it offers.
        contradict: Takes a sentence where it contradicts itself.
    """
    requests = [prober.requests.get(version, set()) for version in offered if version in _COMPLETABLE]
    others = [answers for version, answers in prober.requests.items() if version not in _COMPLETABLE]
    answers = set().union(*requests, *others)
    if len(answers) > 1:
        contradict("it asks some clients for a certificate and others not")
        return ClientAuthentication.UNKNOWN
    if not answers or not all(requests):
        return ClientAuthentication.UNKNOWN
    if answers == {False}:
        return ClientAuthentication.NOT_REQUESTED
    versions = [_COMPLETABLE[version] for version in offered if version in _COMPLETABLE]
    outcomes = {await _completed(prober, timeout, None, version) for version in versions}
    if len(outcomes) > 1 and outcomes <= _AUTHENTICATION.keys():
        contradict("one version requires a client certificate, and another does not")
    if len(outcomes) != 1:
        return ClientAuthentication.UNKNOWN
    return _AUTHENTICATION.get(outcomes.pop(), ClientAuthentication.UNKNOWN)


async def what_becomes_of(
    credential: Leaf | None, prober: Prober, timeout: float, wanted: ClientAuthentication
) -> Outcome | None:
    """Find out what becomes of the client certificate that was given, if one was and the server asks for any.

    Args:
        credential: The certificate with its key; None when none was given.
        prober: Asks the target.
        timeout: Seconds for each connection.
        wanted: Whether the server asks for one.
    """
    if credential is None:
        return None
    if wanted is ClientAuthentication.NOT_REQUESTED:
        return Outcome.CLIENT_CERT_NOT_REQUESTED
    outcome = await _completed(prober, timeout, credential)
    # A handshake of ours has TLS 1.2 and 1.3 only: where the server has neither, the certificate was never shown.
    return Outcome.CLIENT_CERT_NOT_SHOWN if outcome in _ABOUT_THE_VERSION else outcome


async def _completed(
    prober: Prober, timeout: float, credential: Leaf | None, version: ssl.TLSVersion | None = None
) -> Outcome:
    """Complete a handshake; an end that proves nothing has to come three times, with a control before each."""
    ends = set()
    for _ in range(TIMES):
        if prober.witness is None or prober.gone or not await prober.answers():
            return Outcome.NOT_ASKED
        observation = await _handshake(prober, timeout, credential, version, ("h2", "http/1.1"))
        if observation.outcome is Outcome.SILENT and observation.alpn == "h2":
            # Some choose h2 and don't speak it.
            observation = await _handshake(prober, timeout, credential, version, ("http/1.1",))
        if observation.outcome not in UNDECIDED | WORDLESS:
            return observation.outcome
        ends.add(observation.outcome)
        if observation.outcome is Outcome.SILENT:
            return Outcome.SILENT
    return ends.pop() if len(ends) == 1 else Outcome.UNSTABLE


async def _handshake(
    prober: Prober, timeout: float, credential: Leaf | None, version: ssl.TLSVersion | None, alpn: Sequence[str]
) -> Observation:
    prober.connections += 1

    def complete() -> Observation:
        if prober.out_of_time:
            return Observation(outcome=Outcome.NOT_ASKED)
        return handshake(
            prober.endpoint.plain,
            sni=prober.sni,
            trust=None,
            client=credential,
            version=version,
            alpn=alpn,
            timeout=max(min(timeout, prober.time_left), _INSTANT),
        )

    return await asyncio.get_running_loop().run_in_executor(None, complete)
