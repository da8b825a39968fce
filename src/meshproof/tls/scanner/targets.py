"""The scan: every probe of one target, put together to its posture; and many targets at once.

A target is asked for its versions first. Only if it answers, the rest follows, as much of it at the same time as
``AT_ONCE`` allows. At the end all that was refused is asked for once more, and every answer is held against the rest.
So a target that is not there costs one deadline, and nothing is believed of a target that changes its mind.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from meshproof.certificates.leaf import Leaf
from meshproof.machine import interrupts
from meshproof.machine.wait import pause
from meshproof.tls.probe.answer import REFUSING_ALERTS, Answer, Offer, Offered
from meshproof.tls.probe.encrypted import SUITES
from meshproof.tls.probe.exchange import DEFAULT_TIMEOUT
from meshproof.tls.probe.handshake import Observation, handshake
from meshproof.tls.probe.outcome import UNDECIDED, WORDLESS, Alert, Outcome
from meshproof.tls.probe.resolution import reachable, resolve
from meshproof.tls.probe.stream import Address
from meshproof.tls.protocol import codes
from meshproof.tls.protocol.codes import Group, group_named
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner import enumeration, questions
from meshproof.tls.scanner.crosscheck import should_connect, with_all_that_was_negotiated, without_refusals
from meshproof.tls.scanner.enumeration import Choice, Version, first_question
from meshproof.tls.scanner.findings import (
    Certificate,
    ClientAuthentication,
    ClientResult,
    GroupOrder,
    Posture,
    SuiteOrder,
    Target,
)
from meshproof.tls.scanner.prober import CONNECTIONS, Control, Prober
from meshproof.tls.scanner.questions import ECDSA, RSA
from meshproof.tls.scanner.reason import reason

TARGETS_AT_ONCE = 64
DEFAULT_MAX_TIME = 60.0  # seconds for all that is asked of one target
_CLEAR = (ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_1, ProtocolVersion.TLS_1_0)
_ENCRYPTED = questions.broad(ProtocolVersion.TLS_1_3, suites=SUITES, key_shares=(group_named("x25519").code,))
_PATIENCE = 1.0  # seconds for a target to say its first word, when it ends every connection at once
_FEW = 3  # clients that are tried to get a first word
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
_TIMES = 3  # that an end has to come to be believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to look at.

    Attributes:
        clients: The named clients to simulate.
        timeout: Seconds for each connection.
        max_time: Seconds for all that is asked of one target; what is left then is unknown.
        lists: Whether to list cipher suites, groups and all else beside versions and clients.
        credential: A client certificate to complete a handshake with; None completes none.
        all_addresses: Whether to scan each address of a name as a target of its own.
    """

    clients: Sequence[Profile] = ()
    timeout: float = DEFAULT_TIMEOUT
    max_time: float = DEFAULT_MAX_TIME
    lists: bool = True
    credential: Leaf | None = None
    all_addresses: bool = False


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
    """
    try:
        asyncio.run(_interruptible(_all(targets, options, take)) if interruptible else _all(targets, options, take))
    except asyncio.CancelledError:
        return False
    return True


def scan_one(target: Target, options: Options) -> Posture:
    """Scan one target; see ``scan``."""
    return asyncio.run(posture(target, options))


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


async def _all(targets: Iterable[Target], options: Options, take: Callable[[Posture], None]) -> None:
    at_once, slots = asyncio.Semaphore(TARGETS_AT_ONCE), asyncio.Semaphore(CONNECTIONS)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(TARGETS_AT_ONCE))

    async def one(target: Target) -> None:
        async with at_once:
            try:
                take(await posture(target, options, slots))
            except Exception as error:  # noqa: BLE001 - a fault in the scan of one target costs that target alone
                take(_failed(target, error))

    async def each(target: Target) -> None:
        parts = await _addresses(target, options) if options.all_addresses else [target]
        await asyncio.gather(*map(one, parts))

    async with asyncio.TaskGroup() as group:
        for target in targets:
            group.create_task(each(target))


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


async def posture(target: Target, options: Options, slots: asyncio.Semaphore | None = None) -> Posture:
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
    notes: list[str] = field(default_factory=list)
    protocols: enumeration.Listing[str] | None = None
    choose_protocol: enumeration.ChooseProtocol | None = None
    controlled: bool = False

    async def run(self) -> Posture:
        """Scan, and return what is known."""
        prober, options = self.prober, self.options
        first = await self._first_word()
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
        self._read_certificates()
        results = [
            _result(profile, answer, self.posture) for profile, answer in zip(options.clients, clients, strict=True)
        ]
        self.posture = replace(
            self.posture, clients=tuple(results), unreachable=await self._gone(), notes=tuple(self._notes())
        )
        return without_refusals(self.posture)

    async def _first_word(self) -> dict[ProtocolVersion, Answer]:
        """Ask for each version once; where every connection just ends, wait a little for a first word."""
        prober = self.prober
        questions_of = {version: first_question(version, prober.sni) for version in ProtocolVersion}

        async def all_once() -> dict[ProtocolVersion, Answer]:
            answers = await asyncio.gather(*map(prober.ask_once, questions_of.values()))
            return dict(zip(questions_of, answers, strict=True))

        first = await all_once()
        prober.witness = _witness(questions_of, first)
        ended = all(answer.outcome in WORDLESS or answer.alert is not None for answer in first.values())
        if prober.witness is None and ended and not any(_refuses_the_name(answer) for answer in first.values()):
            plain = [questions.bare(version) for version in _CLEAR[::2]]
            newest = [questions_of[version] for version in (ProtocolVersion.TLS_1_3, ProtocolVersion.TLS_1_2)]
            if await self._await_word([*newest, *plain, *self.options.clients[:_FEW]]):
                first = await all_once()
                prober.witness = _witness(questions_of, first) or prober.witness
        return first

    async def _await_word(self, profiles: Sequence[Profile]) -> bool:
        """Ask in turn until something is answered, for a while; what was answered becomes the witness."""
        began = time.monotonic()
        while time.monotonic() - began < min(_PATIENCE, self.options.timeout):
            for profile in profiles:
                answer = await self.prober.ask_once(profile)
                if answer.negotiated or answer.alert in REFUSING_ALERTS:
                    self.prober.witness = Control(profile, answer.alert)
                    return True
            await pause(_PATIENCE / 10)
        return False

    async def _ask_versions(self, first: Mapping[ProtocolVersion, Answer]) -> None:
        prober = self.prober
        asked = await asyncio.gather(
            *(enumeration.version(prober, version, answer) for version, answer in first.items())
        )
        self.versions = dict(zip(first, asked, strict=True))
        newest = next((known for known in reversed(asked) if known.offer.offered is Offered.OFFERED), None)
        if newest is None:
            return
        if newest is self.versions[ProtocolVersion.TLS_1_3]:
            newest = replace(newest, hello=await enumeration.without_key_share(prober, newest.hello))
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
        lists, certificates, protocols, noticed = await asyncio.gather(
            asyncio.gather(*(self._lists_of(version, groups=version in with_groups) for version in offered)),
            self._certificates(clear, tls13=tls13),
            self._protocols(clear, tls13=tls13),
            enumeration.fallback_scsv(self.prober, fallback),
        )
        self.protocols = protocols
        self.choose_protocol = self._choose_in_clear(clear) if clear else self._choose_encrypted
        # Of a server that offers nothing for certain, nothing of this is known either.
        all_refused = all(known.offer.offered is Offered.NOT_OFFERED for known in self.versions.values())
        groups = _corroborated([order for _, order in lists if order])
        in_clear = all(order.complete for orders, _ in lists for order in orders) and (bool(clear) or tls13)
        self.posture = replace(
            self.posture,
            ciphers=tuple(order for orders, _ in lists for order in orders),
            groups=groups,
            alpn=tuple(protocols.items) if protocols else (),
            alpn_complete=protocols.complete if protocols else all_refused,
            certificates_complete=all_refused or (in_clear and certificates),
            fallback_scsv=noticed,
        )

    async def _lists_of(self, version: ProtocolVersion, *, groups: bool) -> tuple[list[SuiteOrder], _Groups | None]:
        """List the cipher suites of a version by kind of certificate, then its groups."""
        prober, hello = self.prober, self.versions[version].hello
        if version is ProtocolVersion.SSL_2:
            suites = self.versions[version].answer.ssl2_suites
            return [SuiteOrder(version=version, certificate=None, preference=(suites,) if suites else ())], None
        chosen = self.versions[version].answer.suite
        kinds_of_certificate = (None,) if version is ProtocolVersion.TLS_1_3 else (RSA, ECDSA)
        results = await asyncio.gather(
            *(enumeration.suite_order(prober, hello, chosen, kind) for kind in kinds_of_certificate)
        )
        orders = [order for order, _ in results]
        self.ends += [end for _, listing in results for end, _ in listing.ends]
        known = [order for order in orders if order.preference or not order.complete] or orders[:1]
        if not groups:
            return known, None
        accepted = [suite for order in orders for suite in order.suites]
        result = await enumeration.group_order(prober, hello, accepted)
        if result is None:
            complete = all(order.complete for order in known)
            return known, None if complete else _Groups(GroupOrder(version=version, groups=(), complete=False))
        order_of_groups, listing = result
        self.ends += [end for end, _ in listing.ends]
        return known, _Groups(order_of_groups, listing.complete)

    async def _certificates(self, clear: ProtocolVersion | None, *, tls13: bool) -> bool:
        """Look at the certificate for each kind of key; say whether each kind is known."""
        if not tls13 and clear is not ProtocolVersion.TLS_1_2:
            return True  # before TLS 1.2 a client can't choose among them but by its suites
        hello = _ENCRYPTED if tls13 else self.versions[ProtocolVersion.TLS_1_2].hello
        is_known = self._is_encrypted_kind_known if tls13 else self._is_kind_known
        usual = [kind for kind in questions.CERTIFICATES if kind not in questions.RARE_CERTIFICATES]
        known = [*await asyncio.gather(*(is_known(questions.for_certificate(hello, kind), hello) for kind in usual))]
        rare = questions.for_certificate(hello, *questions.RARE_CERTIFICATES)
        if not (await self.prober.ask(rare, control=hello)).refused:
            kinds = [questions.for_certificate(hello, kind) for kind in questions.RARE_CERTIFICATES]
            known += await asyncio.gather(*(is_known(kind, hello) for kind in kinds))
        return all(known) and bool(self.prober.chains or not tls13)

    async def _is_kind_known(self, hello: Profile, control: Profile) -> bool:
        answer = await self.prober.ask(hello, control=control)
        return answer.negotiated or answer.refused

    async def _is_encrypted_kind_known(self, hello: Profile, control: Profile) -> bool:
        answer, flight = await self.prober.ask_encrypted(hello)
        if flight.client_cert_requested is not None:
            return True
        return answer.refused or (answer.doubtful and (await self.prober.ask(hello, control=control)).refused)

    async def _protocols(self, clear: ProtocolVersion | None, *, tls13: bool) -> enumeration.Listing[str] | None:
        """List the application protocols: of the newest version in the clear; in TLS 1.3 they have to be the same."""
        in_clear = await enumeration.protocols(self._choose_in_clear(clear)) if clear else None
        if not tls13:
            return in_clear
        if in_clear is None or not in_clear.complete:
            encrypted = await enumeration.protocols(self._choose_encrypted)
            return encrypted if in_clear is None or encrypted.complete else in_clear
        for protocols, expected in _repeated(in_clear):
            choice = await self._choose_encrypted(protocols)
            if choice.known and choice.protocol != expected:
                encrypted = await enumeration.protocols(self._choose_encrypted)
                in_clear.items += [protocol for protocol in encrypted.items if protocol not in in_clear.items]
                self._contradict("its application protocols in TLS 1.3 are not those before")
                return in_clear
            in_clear.complete &= choice.known
        return in_clear

    def _choose_in_clear(self, clear: ProtocolVersion) -> enumeration.ChooseProtocol:
        known = self.versions[clear]
        chosen = known.answer.suite
        hello = questions.with_suites(known.hello, [chosen.code]) if chosen else known.hello  # it may not be long

        async def choose(protocols: Sequence[str]) -> Choice:
            answer = await self.prober.ask(questions.with_alpn(hello, protocols), control=hello)
            return Choice(answer.alpn if answer.negotiated else None, answer.negotiated or answer.refused)

        return choose

    async def _choose_encrypted(self, protocols: Sequence[str]) -> Choice:
        answer, flight = await self.prober.ask_encrypted(questions.with_alpn(_ENCRYPTED, protocols))
        return Choice(flight.alpn, flight.client_cert_requested is not None or answer.refused)

    async def _ask_again(self) -> None:
        """Ask once more for all that was refused, for each version that was offered, and for the protocols."""
        prober = self.prober
        refused = [known.hello for known in self.versions.values() if known.offer.offered is Offered.NOT_OFFERED]
        offered = [known for known in self.versions.values() if known.offer.offered is Offered.OFFERED]
        # In no order, so that of several servers that answer in turn it is not the same one each time.
        again = [*refused, *self.ends * _TIMES]
        await asyncio.gather(*map(prober.ask_once, random.sample(again, len(again))))
        answers = await asyncio.gather(*(prober.ask(known.hello) for known in offered))
        for known, answer in zip(offered, answers, strict=True):
            if answer.refused:
                version = known.hello.accepted_versions[0]
                self._contradict(f"{version} was negotiated at one time and refused at another ({answer})")
        self.controlled = bool(answers) and answers[-1].negotiated
        if self.protocols and self.choose_protocol:
            for protocols, expected in _repeated(self.protocols) * 2:
                choice = await self.choose_protocol(protocols)
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
            for _ in range(_TIMES - 1):
                answer = await self.prober.ask(profile, control=self.versions[newest].hello, follow=True)
                if (answer.outcome, answer.alert) != (first.outcome, first.alert) or not answer.refused:
                    clients[place] = Answer(outcome=Outcome.UNSTABLE, remark="the same hello was refused only at times")
                    if answer.conclusive:
                        self._contradict(f"{profile.name} was refused at one time ({first}) and not at another")
                    return

        await asyncio.gather(*(again(place, profile) for place, profile in enumerate(self.options.clients)))

    async def _complete_handshakes(self) -> None:
        """Find out what becomes of a client without a certificate, and of one with the one that we were given."""
        wanted = await self._client_authentication()
        self.posture = replace(self.posture, client_authentication=wanted)
        self.posture = replace(self.posture, credential=await self._credential())

    async def _client_authentication(self) -> ClientAuthentication:
        """Find out whether a client certificate is wanted; versions that differ in that are a contradiction."""
        requests = [self.prober.requests.get(version, set()) for version in self._offered() if version in _COMPLETABLE]
        others = [seen for version, seen in self.prober.requests.items() if version not in _COMPLETABLE]
        seen = set().union(*requests, *others)
        if len(seen) > 1:
            self._contradict("it asks some clients for a certificate and others not")
            return ClientAuthentication.UNKNOWN
        if not seen or not all(requests):
            return ClientAuthentication.UNKNOWN
        if seen == {False}:
            return ClientAuthentication.NOT_REQUESTED
        versions = [_COMPLETABLE[version] for version in self._offered() if version in _COMPLETABLE]
        outcomes = {await self._completed(None, version) for version in versions}
        if len(outcomes) > 1 and outcomes <= _AUTHENTICATION.keys():
            self._contradict("one version requires a client certificate, and another does not")
        return (
            _AUTHENTICATION.get(outcomes.pop(), ClientAuthentication.UNKNOWN)
            if len(outcomes) == 1
            else (ClientAuthentication.UNKNOWN)
        )

    async def _credential(self) -> Outcome | None:
        """Find out what becomes of the client certificate that was given, if one was and the server asks for any."""
        if self.options.credential is None:
            return None
        if self.posture.client_authentication is ClientAuthentication.NOT_REQUESTED:
            return Outcome.CLIENT_CERT_NOT_REQUESTED
        outcome = await self._completed(self.options.credential)
        # A handshake of ours has TLS 1.2 and 1.3 only: where the server has neither, the certificate was never shown.
        return Outcome.CLIENT_CERT_NOT_SHOWN if outcome in _ABOUT_THE_VERSION else outcome

    async def _completed(self, credential: Leaf | None, version: ssl.TLSVersion | None = None) -> Outcome:
        """Complete a handshake; an end that proves nothing has to come three times, with a control before each."""
        prober, ends = self.prober, set()
        for _ in range(_TIMES):
            if prober.witness is None or prober.gone or not await prober.answers():
                return Outcome.NOT_ASKED
            observation = await self._handshake(credential, version, ("h2", "http/1.1"))
            if observation.outcome is Outcome.SILENT and observation.alpn == "h2":
                observation = await self._handshake(
                    credential, version, ("http/1.1",)
                )  # some choose h2 and don't speak it
            if observation.outcome not in UNDECIDED | WORDLESS:
                return observation.outcome
            ends.add(observation.outcome)
            if observation.outcome is Outcome.SILENT:
                return Outcome.SILENT
        return ends.pop() if len(ends) == 1 else Outcome.UNSTABLE

    async def _handshake(
        self, credential: Leaf | None, version: ssl.TLSVersion | None, alpn: Sequence[str]
    ) -> Observation:
        prober = self.prober
        prober.connections += 1

        def complete() -> Observation:
            if prober.out_of_time:
                return Observation(outcome=Outcome.NOT_ASKED)
            timeout = min(self.options.timeout, prober.time_left)
            return handshake(
                prober.endpoint.plain,
                sni=prober.sni,
                trust=None,
                client=credential,
                version=version,
                alpn=alpn,
                timeout=max(timeout, _INSTANT),
            )

        return await asyncio.get_running_loop().run_in_executor(None, complete)

    def _read_certificates(self) -> None:
        from meshproof.tls.scanner.certificate import certificate_of  # noqa: PLC0415 - it takes long to import

        certificates: list[Certificate] = []
        for chain in self.prober.chains:
            try:
                certificates.append(certificate_of(chain))
            except ValueError as error:
                self.notes.append(f"It showed a certificate that can't be read: {error}.")
                self.posture = replace(self.posture, certificates_complete=False)
        if self.prober.more_chains:
            self.posture = replace(self.posture, certificates_complete=False)
            self.notes.append(f"It showed more than {len(self.prober.chains)} certificates: only the first are listed.")
        self.posture = replace(self.posture, certificates=tuple(certificates))

    async def _gone(self) -> Outcome | None:
        prober = self.prober
        if prober.witness and not (self.controlled or prober.gone or prober.out_of_time):
            await prober.answers()
        return prober.gone

    def _notes(self) -> Iterable[str]:
        yield from self.notes
        if self.prober.by_chance:
            yield "It ended connections now and then, whatever they asked for: perhaps one of several servers is ill."
        elif self.prober.slowed:
            yield "It ended connections while others were open, or while they came fast: the scan slowed down."
        if self.prober.too_long:
            yield (
                f"It answers no hello of {self.prober.too_long} octets, and shorter ones of the same content: "
                "what becomes of clients with longer hellos is unknown."
            )
        if not self.posture.offered and not self.prober.negotiated:
            yield "It agreed on nothing that was offered: whether it would with others, or refuses all, is unknown."
        if self.prober.out_of_time:
            yield f"Not all was asked: the {self.options.max_time:g} s for a target were over."


@dataclass(frozen=True, slots=True)
class _Groups:
    """The groups of a version.

    Attributes:
        order: What was listed.
        to_the_end: Whether the list ended with a refusal, or where a certificate hid the rest.
    """

    order: GroupOrder
    to_the_end: bool = False


def _corroborated(lists: Sequence[_Groups]) -> tuple[GroupOrder, ...]:
    """Return the groups; those that a certificate may hide are known if TLS 1.3, where it hides none, has no more.

    A server with an order of its own that prefers the group of its ECDSA certificate never shows what comes after it.
    """
    newest = {
        group
        for groups in lists
        if groups.order.version is ProtocolVersion.TLS_1_3 and groups.order.complete
        for group in groups.order.groups
    }
    return tuple(
        replace(groups.order, complete=True)
        if newest and groups.to_the_end and newest <= {*groups.order.groups, *_later_than(groups.order.version)}
        else groups.order
        for groups in lists
    )


def _later_than(version: ProtocolVersion) -> Sequence[Group]:
    """Return the groups that only versions after this one can use."""
    usable = questions.groups(version)
    return [codes.group(code) for code in questions.groups(ProtocolVersion.TLS_1_3) if code not in usable]


def _repeated(protocols: enumeration.Listing[str]) -> list[tuple[Sequence[str], str | None]]:
    """Return what has to be answered as before: the whole list with the first choice, and the rest with none."""
    first = protocols.items[0] if protocols.items else None
    return [(questions.PROTOCOLS, first), (protocols.rest, None)]


def _refuses_the_name(answer: Answer) -> bool:
    return answer.alert == Alert.UNRECOGNIZED_NAME


def _witness(hellos: Mapping[ProtocolVersion, Profile], answers: Mapping[ProtocolVersion, Answer]) -> Control | None:
    """Choose what is known to be answered: the newest version that was negotiated, else one that was refused in words.

    A hello with extensions is the better witness: an answer to one without says nothing of those with some.
    """
    known = [
        Control(hellos[version], answer.alert)
        for version, answer in answers.items()
        if answer.negotiated or answer.alert in REFUSING_ALERTS
    ]
    return max(
        known,
        key=lambda control: (bool(control.profile.extensions), control.alert is None, control.profile.versions),
        default=None,
    )


def _result(profile: Profile, answer: Answer, known: Posture) -> ClientResult:
    why = reason(profile, answer, known)
    if answer.remark:
        why = f"{why}: {answer.remark}"
    return ClientResult(profile.name, replace(answer, certificates=()), why, not answer.conclusive)
