"""The scan of one target: every probe of it, put together to its posture.

A target is asked for its versions first. Only if it answers, the rest follows, as much of it at the same time as
``connections.AT_ONCE`` allows. At the end all that was refused is asked for once more, and every answer is held against
the rest. So a target that is not there costs one deadline, and nothing is believed of a target that changes its mind.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.probe.resolution import reachable, resolve
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.alpn import ChooseProtocol, choosing_encrypted, choosing_in_clear, protocols, repeated
from meshproof.tls.scanner.certificate_kinds import every_kind_is_known
from meshproof.tls.scanner.client_certificates import client_authentication, what_becomes_of
from meshproof.tls.scanner.conclusions import client_result, notes, with_certificates
from meshproof.tls.scanner.connections import CONNECTIONS
from meshproof.tls.scanner.crosscheck import should_connect, with_all_that_was_negotiated, without_refusals
from meshproof.tls.scanner.findings import GroupOrder, Posture, SuiteOrder, Target
from meshproof.tls.scanner.first_word import wait_for_first_word
from meshproof.tls.scanner.groups import GroupsOfVersion, corroborated, group_order
from meshproof.tls.scanner.listing import Listing
from meshproof.tls.scanner.options import Options
from meshproof.tls.scanner.prober import Prober
from meshproof.tls.scanner.questions import ECDSA, RSA
from meshproof.tls.scanner.refusals import TIMES, Control
from meshproof.tls.scanner.suites import suite_order
from meshproof.tls.scanner.versions import Version, ask_version, fallback_scsv, without_key_share

_CLEAR = (ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_1, ProtocolVersion.TLS_1_0)


async def scan_target(target: Target, options: Options, slots: asyncio.Semaphore | None = None) -> Posture:
    """Scan one target.

    Args:
        target: What to scan.
        options: What to look at.
        slots: Limits the connections to all targets together.
    """
    began, start = datetime.now(UTC), time.monotonic()
    nothing = Posture(target=target, began=began, seconds=0, connections=0, versions={})
    endpoints = await resolve(target.address, min(options.timeout, options.max_time))
    if isinstance(endpoints, Outcome):
        unknown = Offer(offered=Offered.UNKNOWN, refusal=endpoints)
        versions = dict.fromkeys(ProtocolVersion, unknown)
        return replace(nothing, versions=versions, unreachable=endpoints, seconds=time.monotonic() - start)
    endpoint = await reachable(endpoints, min(options.timeout, options.max_time / len(endpoints)))
    prober = Prober(
        target,
        endpoint,
        timeout=options.timeout,
        max_time=max(0.0, options.max_time - (time.monotonic() - start)),
        slots=slots or asyncio.Semaphore(CONNECTIONS),
    )
    result = await _Scan(prober, options, nothing).run()
    return replace(
        result,
        endpoint=str(endpoint.plain),
        seconds=time.monotonic() - start,
        connections=prober.connections,
    )


@dataclass(slots=True)
class _Scan:
    """The scan of one target, step by step."""

    prober: Prober
    options: Options
    posture: Posture
    versions: dict[ProtocolVersion, Version] = field(default_factory=dict)
    ends: list[Profile] = field(default_factory=list)
    protocols: Listing[str] | None = None
    choose_protocol: ChooseProtocol | None = None
    controlled: bool = False

    async def run(self) -> Posture:
        """Scan, and return what is known."""
        prober, options = self.prober, self.options
        first = await wait_for_first_word(prober, options)
        await self._ask_versions(first)
        self.posture = replace(
            self.posture, versions={version: known.offer for version, known in self.versions.items()}
        )
        if prober.witness is None and not any(answer.alert is not None for answer in first.values()):
            return replace(self.posture, unreachable=first[ProtocolVersion.TLS_1_2].outcome)
        self.posture = replace(self.posture, listed=options.lists)
        answers = asyncio.gather(*(prober.ask(profile, follow=True) for profile in options.clients))
        if options.lists:
            await self._list()
        clients = list(await answers)
        await self._ask_again()
        self._cross_check()
        await self._doubt_refusals(clients)
        self._cross_check()
        await self._complete_handshakes()
        self.posture = with_certificates(self.posture, prober)
        results = [
            client_result(profile, answer, self.posture)
            for profile, answer in zip(options.clients, clients, strict=True)
        ]
        self.posture = replace(self.posture, clients=tuple(results), unreachable=await self._gone())
        more = notes(self.posture, prober, options.max_time)
        self.posture = replace(self.posture, notes=(*self.posture.notes, *more))
        return without_refusals(self.posture)

    async def _ask_versions(self, first: Mapping[ProtocolVersion, Answer]) -> None:
        prober = self.prober
        asked = await asyncio.gather(*(ask_version(prober, version, answer) for version, answer in first.items()))
        self.versions = dict(zip(first, asked, strict=True))
        self.ends += [known.too_much for known in asked if known.too_much]
        newest = next((known for known in reversed(asked) if known.offer.offered is Offered.OFFERED), None)
        if newest is None:
            return
        if newest is self.versions[ProtocolVersion.TLS_1_3]:
            newest = newest._replace(hello=await without_key_share(prober, newest.hello))
            self.versions[ProtocolVersion.TLS_1_3] = newest
        prober.witness = Control(newest.hello)

    def _offered(self) -> list[ProtocolVersion]:
        return [version for version, known in self.versions.items() if known.offer.offered is Offered.OFFERED]

    async def _list(self) -> None:
        offered = self._offered()
        clear = next((version for version in _CLEAR if version in offered), None)
        tls13 = ProtocolVersion.TLS_1_3 in offered
        with_groups = {clear, ProtocolVersion.TLS_1_3}
        fallback = [self.versions[version] for version in offered if version.code >= ProtocolVersion.TLS_1_0.code]
        tls12 = self.versions[ProtocolVersion.TLS_1_2].hello if clear is ProtocolVersion.TLS_1_2 else None
        in_clear = choosing_in_clear(self.prober, self.versions[clear]) if clear else None
        encrypted = choosing_encrypted(self.prober) if tls13 else None
        lists, certificates, self.protocols, noticed = await asyncio.gather(
            asyncio.gather(*(self._lists_of(version, groups=version in with_groups) for version in offered)),
            every_kind_is_known(self.prober, tls12, tls13=tls13),
            protocols(in_clear, encrypted, self._contradict),
            fallback_scsv(self.prober, fallback),
        )
        self.choose_protocol = in_clear or encrypted
        # Of a server that offers nothing for certain, nothing of this is known either.
        all_refused = all(known.offer.offered is Offered.NOT_OFFERED for known in self.versions.values())
        listed = all(order.complete for orders, _ in lists for order in orders) and (bool(clear) or tls13)
        self.posture = replace(
            self.posture,
            ciphers=tuple(order for orders, _ in lists for order in orders),
            groups=corroborated([order for _, order in lists if order]),
            alpn=tuple(self.protocols.items) if self.protocols else (),
            alpn_complete=self.protocols.complete if self.protocols else all_refused,
            certificates_complete=all_refused or (listed and certificates),
            fallback_scsv=noticed,
        )

    async def _lists_of(
        self, version: ProtocolVersion, *, groups: bool
    ) -> tuple[list[SuiteOrder], GroupsOfVersion | None]:
        """List the cipher suites of a version by kind of certificate, then its groups."""
        prober, hello = self.prober, self.versions[version].hello
        if version is ProtocolVersion.SSL_2:
            suites = self.versions[version].answer.ssl2_suites
            return [SuiteOrder(version=version, certificate=None, preference=(suites,) if suites else ())], None
        chosen = self.versions[version].answer.suite
        kinds_of_certificate = (None,) if version is ProtocolVersion.TLS_1_3 else (RSA, ECDSA)
        results = await asyncio.gather(*(suite_order(prober, hello, chosen, kind) for kind in kinds_of_certificate))
        lists_end = self.versions[version].lists_end
        orders = [replace(order, complete=order.complete and lists_end) for order, _ in results]
        self.ends += [hello for _, listing in results for hello, _ in listing.ends]
        known = [order for order in orders if order.preference or not order.complete] or orders[:1]
        if not groups:
            return known, None
        accepted = [suite for order in orders for suite in order.suites]
        result = await group_order(prober, hello, accepted)
        if result is None:
            complete = all(order.complete for order in known)
            return known, None if complete else GroupsOfVersion(GroupOrder(version=version, groups=(), complete=False))
        order_of_groups, listing = result
        self.ends += [hello for hello, _ in listing.ends]
        order_of_groups = replace(order_of_groups, complete=order_of_groups.complete and lists_end)
        return known, GroupsOfVersion(order_of_groups, listing.complete and lists_end)

    async def _ask_again(self) -> None:
        """Ask once more for all that was refused, for each version that was offered, and for the protocols."""
        prober = self.prober
        refused = [known.hello for known in self.versions.values() if known.offer.offered is Offered.NOT_OFFERED]
        offered = [known for known in self.versions.values() if known.offer.offered is Offered.OFFERED]
        # In no order, so that of several servers that answer in turn it is not the same one each time.
        again = [*refused, *self.ends * TIMES]
        await asyncio.gather(*map(prober.ask_once, random.sample(again, len(again))))
        answers = await asyncio.gather(*(prober.ask(known.hello) for known in offered))
        for known, answer in zip(offered, answers, strict=True):
            if answer.refused:
                version = known.hello.accepted_versions[0]
                self._contradict(f"{version} was negotiated at one time and refused at another ({answer})")
        self.controlled = bool(answers) and answers[-1].negotiated
        if self.protocols and self.choose_protocol:
            for names, expected in repeated(self.protocols) * 2:
                choice = await self.choose_protocol(names)
                if choice.known and self.protocols.complete and choice.protocol != expected:
                    self._contradict("it chose other application protocols at another time")

    def _contradict(self, what: str) -> None:
        self.posture = replace(self.posture, contradictions=(*self.posture.contradictions, what))

    def _cross_check(self) -> None:
        negotiated = self.prober.negotiated
        primes = sorted({answer.dh_bits for answer in negotiated if answer.dh_bits})
        self.posture = replace(with_all_that_was_negotiated(self.posture, negotiated), dh_bits=tuple(primes))

    async def _doubt_refusals(self, clients: list[Answer]) -> None:
        """Ask again for clients that were refused although they have all in common with what was listed."""

        async def again(place: int, profile: Profile) -> None:
            first = clients[place]
            if not first.refused or not should_connect(profile, self.posture):
                return
            newest = next(version for version in profile.accepted_versions if version in self.posture.offered)
            for _ in range(TIMES - 1):
                answer = await self.prober.ask(profile, control=self.versions[newest].hello, follow=True)
                if (answer.outcome, answer.alert) != (first.outcome, first.alert) or not answer.refused:
                    clients[place] = Answer(outcome=Outcome.UNSTABLE, remark="the same hello was refused only at times")
                    if answer.conclusive:
                        self._contradict(f"{profile.name} was refused at one time ({first}) and not at another")
                    return

        await asyncio.gather(*(again(place, profile) for place, profile in enumerate(self.options.clients)))

    async def _complete_handshakes(self) -> None:
        """Find out what becomes of a client without a certificate, and of one with the one that we were given."""
        prober, timeout = self.prober, self.options.timeout
        wanted = await client_authentication(prober, timeout, self._offered(), self._contradict)
        self.posture = replace(self.posture, client_authentication=wanted)
        credential = await what_becomes_of(self.options.credential, prober, timeout, wanted)
        self.posture = replace(self.posture, credential=credential)

    async def _gone(self) -> Outcome | None:
        prober = self.prober
        if prober.witness and not (self.controlled or prober.gone or prober.out_of_time):
            await prober.answers()
        return prober.gone
