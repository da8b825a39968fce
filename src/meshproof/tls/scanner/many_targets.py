"""The scan of many targets at once; one that fails costs that target alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from meshproof.machine import interrupts
from meshproof.tls.probe.answer import Offer, Offered
from meshproof.tls.probe.exchange import DEFAULT_TIMEOUT
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.probe.resolution import resolve
from meshproof.tls.probe.stream import Address
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.connections import CONNECTIONS
from meshproof.tls.scanner.findings import Posture, Target
from meshproof.tls.scanner.one_target import scan_target
from meshproof.tls.scanner.options import Options

TARGETS_AT_ONCE = 64


def scan(
    targets: Iterable[Target], options: Options, take: Callable[[Posture], None], *, interruptible: bool = False
) -> bool:
    """Scan targets, and hand over each posture as soon as it is there.

    Args:
        targets: What to scan.
        options: What to look at.
        take: Takes each posture, in the order in which they are ready.
        interruptible: Whether Ctrl-C, SIGTERM and a closed terminal end the scan in order, and after that the process
            at once; else they do what they did before.

    Returns:
        Whether all were scanned; False when the scan was interrupted.

    Raises:
        RuntimeError: An event loop is running in this thread: there await ``scan_async``.
    """

    async def work() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(TARGETS_AT_ONCE))
        await scan_async(targets, options, take)

    try:
        asyncio.run(_interruptible(work()) if interruptible else work())
    except asyncio.CancelledError:
        return False
    return True


async def scan_async(targets: Iterable[Target], options: Options, take: Callable[[Posture], None]) -> None:
    """Scan targets in the event loop that is running; else as ``scan``.

    Who wants to end it cancels the task: what was ready by then has been handed over. Names are looked up, and
    handshakes completed, in the threads of the loop's default executor.

    Args:
        targets: What to scan.
        options: What to look at.
        take: Takes each posture, in the order in which they are ready; it is called in the event loop.
    """
    at_once, slots = asyncio.Semaphore(TARGETS_AT_ONCE), asyncio.Semaphore(CONNECTIONS)

    async def one(target: Target) -> None:
        async with at_once:
            try:
                take(await scan_target(target, options, slots))
            except Exception as error:  # noqa: BLE001 - a fault in the scan of one target costs that target alone
                take(_failed(target, error))

    async def each(target: Target) -> None:
        parts = await _addresses(target, options) if options.all_addresses else [target]
        await asyncio.gather(*map(one, parts))

    async with asyncio.TaskGroup() as group:
        for target in targets:
            group.create_task(each(target))


def scan_one(target: Target, options: Options) -> Posture:
    """Scan one target; see ``scan``."""
    return asyncio.run(scan_target(target, options))


def offers(address: Address, *, sni: str | None, timeout: float = DEFAULT_TIMEOUT) -> Mapping[ProtocolVersion, Offer]:
    """Ask a server for each version with a hello that offers no other.

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


def _failed(target: Target, error: Exception) -> Posture:
    """Return the posture of a target whose scan failed by a fault of ours."""
    unknown = Offer(offered=Offered.UNKNOWN, refusal=Outcome.LOCAL_FAULT)
    return Posture(
        target=target,
        began=datetime.now(UTC),
        seconds=0,
        connections=0,
        versions=dict.fromkeys(ProtocolVersion, unknown),
        unreachable=Outcome.LOCAL_FAULT,
        notes=(f"The scan itself failed, which is a fault of meshproof: {type(error).__name__}: {error}.",),
    )


async def _interruptible(work: Coroutine[None, None, None]) -> None:
    this = asyncio.current_task()
    assert this
    with interrupts.cancelling(this):
        await work


async def _addresses(target: Target, options: Options) -> list[Target]:
    """Return a target for each address of a name, with its server name."""
    endpoints = await resolve(target.address, options.timeout)
    if isinstance(endpoints, Outcome):
        return [target]
    return [Target(endpoint.plain, target.sni) for endpoint in endpoints]
