"""The scan: every probe of one target, put together to its posture; and many targets at once.

A target is asked for its versions first. Only if it answers, the rest follows, as much of it at the same time as
``AT_ONCE`` allows; and at the end it must answer once more. So a target that is not there costs one deadline, and no
refusal is ever believed of a target that has gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from meshproof.pki import Leaf
from meshproof.tls import enumeration
from meshproof.tls.answer import Answer, Offer
from meshproof.tls.certificate import certificate_of
from meshproof.tls.enumeration import ECDSA, RSA, broad
from meshproof.tls.handshake import handshake
from meshproof.tls.outcome import Outcome
from meshproof.tls.posture import ClientAuthentication, ClientResult, GroupOrder, Posture, SuiteOrder, Target
from meshproof.tls.probe import DEFAULT_TIMEOUT
from meshproof.tls.prober import CONNECTIONS, Prober
from meshproof.tls.profile import Profile
from meshproof.tls.reason import reason
from meshproof.tls.stream import Address
from meshproof.tls.version import ProtocolVersion

TARGETS_AT_ONCE = 64
_CLEAR = (ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_1, ProtocolVersion.TLS_1_0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to look at.

    Attributes:
        clients: The named clients to simulate.
        timeout: Seconds for each probe.
        lists: Whether to list cipher suites, groups and all else beside versions and clients.
        credential: A client certificate to complete a handshake with; None completes none.
    """

    clients: Sequence[Profile] = ()
    timeout: float = DEFAULT_TIMEOUT
    lists: bool = True
    credential: Leaf | None = None


def scan(targets: Iterable[Target], options: Options, found: Callable[[Posture], None]) -> None:
    """Scan targets, and hand over each posture as soon as it is there.

    Args:
        targets: What to scan.
        options: What to look at.
        found: Takes each posture, in the order in which they are ready.
    """
    asyncio.run(_all(targets, options, found))


def scan_one(target: Target, options: Options) -> Posture:
    """Scan one target; see ``scan``."""
    return asyncio.run(posture(target, options))


def offers(address: Address, *, sni: str | None, timeout: float = DEFAULT_TIMEOUT) -> Mapping[ProtocolVersion, Offer]:
    """Ask a server for each version with a hello that offers no other; six connections and a control.

    No handshake is completed, so a client certificate is never needed. A server without a suite, group or
    signature algorithm of ours for the version does not offer it either: it refuses with alert 40.

    Args:
        address: Where to connect to.
        sni: The server name to send with TLS 1.0 and newer; None sends none.
        timeout: Seconds for each connection.

    Returns:
        For each version whether it is offered, and the refusal by name if not.
    """
    return scan_one(Target(address, sni), Options(timeout=timeout, lists=False)).versions


async def posture(target: Target, options: Options, slots: asyncio.Semaphore | None = None) -> Posture:
    """Scan one target.

    Args:
        target: What to scan.
        options: What to look at.
        slots: Limits the connections to all targets together.
    """
    began, start = datetime.now(UTC), time.monotonic()
    prober = Prober(target, options.timeout, slots or asyncio.Semaphore(CONNECTIONS))
    await prober.resolve()
    versions = await enumeration.versions(prober.ask)
    found = Posture(target=target, began=began, seconds=0, connections=0, versions=versions)
    gone = _gone(versions)
    if gone is None:
        if options.lists or options.clients:
            found = await _examine(prober, found, options)
        gone = await _control(prober, found)
        if gone:
            found = _distrusted(found)
    return replace(found, unreachable=gone, seconds=time.monotonic() - start, connections=prober.connections)


async def _all(targets: Iterable[Target], options: Options, found: Callable[[Posture], None]) -> None:
    at_once, slots = asyncio.Semaphore(TARGETS_AT_ONCE), asyncio.Semaphore(CONNECTIONS)

    async def one(target: Target) -> None:
        try:
            found(await posture(target, options, slots))
        finally:
            at_once.release()

    async with asyncio.TaskGroup() as group:
        for target in targets:
            await at_once.acquire()
            group.create_task(one(target))


def _gone(versions: Mapping[ProtocolVersion, Offer]) -> Outcome | None:
    """Say how a target ended that never answered in TLS; None when it did."""
    if any(offer.refusal is None or offer.alert is not None for offer in versions.values()):
        return None
    return versions[ProtocolVersion.TLS_1_2].refusal


async def _control(prober: Prober, found: Posture) -> Outcome | None:
    """Ask once more what was answered before; return how that ended if it is not the same."""
    newest = found.offered[-1] if found.offered else ProtocolVersion.TLS_1_2
    answer = await prober.ask(broad(newest))
    same = answer.negotiated if found.offered else answer.alert is not None
    return None if same else answer.outcome


def _distrusted(found: Posture) -> Posture:
    """Return what a posture is worth when the target was gone at the end: an end without a word refused nothing."""
    return replace(
        found,
        versions={version: offer.without_witness() for version, offer in found.versions.items()},
        ciphers=tuple(replace(order, complete=False) for order in found.ciphers),
        groups=tuple(replace(order, complete=False) for order in found.groups),
        clients=tuple(replace(each, unknown=each.unknown or not each.answer.negotiated) for each in found.clients),
    )


async def _examine(prober: Prober, found: Posture, options: Options) -> Posture:
    clients = asyncio.gather(*(prober.ask(profile, follow=True) for profile in options.clients))
    if options.lists:
        ciphers, groups, alpn, fallback = await asyncio.gather(
            _ciphers(prober, found.offered),
            _groups(prober, found.offered),
            _protocols(prober, found.offered),
            enumeration.fallback_scsv(prober.ask, found.offered),
        )
        found = replace(found, ciphers=ciphers, groups=groups, alpn=alpn, fallback_scsv=fallback)
    answers = await clients
    found = replace(
        found,
        certificates=tuple(map(certificate_of, prober.chains)),
        clients=tuple(
            _result(profile, answer, found) for profile, answer in zip(options.clients, answers, strict=True)
        ),
    )
    wanted, credential = await _authentication(prober, options)
    return replace(found, client_authentication=wanted, credential=credential)


async def _ciphers(prober: Prober, offered: Sequence[ProtocolVersion]) -> tuple[SuiteOrder, ...]:
    async def of(version: ProtocolVersion) -> list[SuiteOrder]:
        if version is ProtocolVersion.SSL_2:
            kinds = (await prober.ask(broad(version))).ssl2_suites
            return [SuiteOrder(version=version, certificate=None, preference=(kinds,) if kinds else ())]
        if version is ProtocolVersion.TLS_1_3:
            shares = await prober.needed_shares()
            return [await enumeration.suite_order(prober.ask, version, None, shares=shares)]
        both = (enumeration.suite_order(prober.ask, version, kind) for kind in (RSA, ECDSA))
        orders = await asyncio.gather(*both)
        return [order for order in orders if order.preference] or orders[:1]

    return tuple(order for orders in await asyncio.gather(*map(of, offered)) for order in orders)


async def _groups(prober: Prober, offered: Sequence[ProtocolVersion]) -> tuple[GroupOrder, ...]:
    found: list[Awaitable[GroupOrder]] = []
    clear = next((version for version in _CLEAR if version in offered), None)
    if clear:
        found.append(enumeration.group_order(prober.ask, clear))
    if ProtocolVersion.TLS_1_3 in offered:
        shares = await prober.needed_shares()
        found.append(enumeration.group_order(prober.ask, ProtocolVersion.TLS_1_3, shares=shares))
    return tuple(order for order in await asyncio.gather(*found) if order.groups or not order.complete)


async def _protocols(prober: Prober, offered: Sequence[ProtocolVersion]) -> tuple[str, ...]:
    """List the application protocols; where all but the ServerHello is encrypted, look at certificates there too."""
    clear = next((version for version in _CLEAR if version in offered), None)
    if clear:
        return await enumeration.protocols(prober.ask, clear)
    if ProtocolVersion.TLS_1_3 not in offered:
        return ()
    await asyncio.gather(*(prober.ask_encrypted(signatures=kind) for kind in (RSA, ECDSA)))
    found: list[str] = []
    left = list(enumeration.PROTOCOLS)
    while left and (chosen := (await prober.ask_encrypted(alpn=left)).alpn) in left:
        assert chosen is not None
        found.append(chosen)
        left.remove(chosen)
    return tuple(found)


async def _authentication(prober: Prober, options: Options) -> tuple[ClientAuthentication, Outcome | None]:
    """Find out what becomes of a client without a certificate, and of one with the one that we were given."""
    address, sni = prober.target.address, prober.target.sni

    async def completed(credential: Leaf | None) -> Outcome:
        prober.connections += 1
        seen = await asyncio.to_thread(
            handshake, address, sni=sni, trust=None, client=credential, timeout=options.timeout
        )
        return seen.outcome

    wanted = {None: ClientAuthentication.UNKNOWN, False: ClientAuthentication.NOT_REQUESTED}.get(
        prober.client_cert_requested
    )
    if wanted is None:
        without = await completed(None)
        wanted = {
            Outcome.CLIENT_CERT_REQUIRED: ClientAuthentication.REQUIRED,
            Outcome.ESTABLISHED: ClientAuthentication.REQUESTED,
        }.get(without, ClientAuthentication.UNKNOWN)
    credential = await completed(options.credential) if options.credential else None
    return wanted, credential


_PROVES_NOTHING = frozenset(
    {Outcome.SILENT, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.NAME_NOT_RESOLVED, Outcome.NOT_TLS, Outcome.UNSTABLE}
)


def _result(profile: Profile, answer: Answer, found: Posture) -> ClientResult:
    unknown = answer.outcome in _PROVES_NOTHING
    return ClientResult(profile.name, replace(answer, certificates=()), reason(profile, answer, found), unknown)
