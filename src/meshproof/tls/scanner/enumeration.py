"""What a server offers: each version, and each list with one connection more than it has entries.

To list what a server accepts, offer all, take away what it chose, and ask again until it refuses (N + 1 connections).
The order of the choices is the server's order of preference. Where it likes several alike, it follows the client: the
list offered the other way round brings out the last of those (one connection for each class of equals).

A list is complete only when a refusal ended it. Its control is the same hello with what was chosen last put back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.probe.outcome import WORDLESS, Alert, Outcome
from meshproof.tls.protocol import codes
from meshproof.tls.protocol.codes import CipherSuite, Group
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.findings import GroupOrder, SuiteOrder
from meshproof.tls.scanner.questions import ECDSA, broad

Item = TypeVar("Item")
_EXTENSIBLE = tuple(ProtocolVersion)[2:]
_ABOUT_THE_VERSION = (Outcome.PROTOCOL_VERSION, Outcome.VERSION_NOT_OFFERED)


class Asker(Protocol):
    """Sends hellos to one target."""

    sni: str | None

    @property
    def answered(self) -> bool:
        """Whether the target has answered anything."""
        ...

    async def ask(self, profile: Profile, *, control: Profile | None = None) -> Answer:
        """Send a hello; see ``Prober.ask``."""
        ...

    async def ask_once(self, profile: Profile) -> Answer:
        """Send a hello once; see ``Prober.ask_once``."""
        ...

    async def judged(self, profile: Profile, answer: Answer) -> Answer:
        """Find out what an end is worth; see ``Prober.judged``."""
        ...


@dataclass(frozen=True, slots=True)
class Version:
    """What is known of one version.

    Attributes:
        offer: Whether it is offered.
        hello: The hello that was negotiated, which all lists of the version build on; else the one that was refused.
        answer: What it was answered.
    """

    offer: Offer
    hello: Profile
    answer: Answer


@dataclass(slots=True)
class Listing(Generic[Item]):
    """What a server chose, in its order.

    Attributes:
        items: The choices, best first.
        complete: Whether a refusal ended the list.
        ends: The hellos that were refused, each with its control: they must be refused later as well.
        rest: What was offered at last, and not chosen.
    """

    items: list[Item] = field(default_factory=list)
    complete: bool = True
    ends: list[tuple[Profile, Profile]] = field(default_factory=list)
    rest: list[Item] = field(default_factory=list)


async def version(asker: Asker, wanted: ProtocolVersion, first: Answer) -> Version:
    """Find out whether a version is offered, in portions of its cipher suites.

    Args:
        asker: Sends a hello to the target.
        wanted: The version.
        first: What ``first_question`` was answered.
    """
    hello = first_question(wanted, asker.sni)
    if first.alert == Alert.NO_APPLICATION_PROTOCOL:
        hello = questions.with_alpn(hello, questions.PROTOCOLS)
        first = await asker.ask_once(hello)
    parts = _parts(hello, wanted, asker.sni)
    answers = await _answers_to_portions(asker, parts, first)
    if answers[-1][1].negotiated or answers[-1][1].outcome in _ABOUT_THE_VERSION or wanted not in _EXTENSIBLE:
        return _conclude(answers, asker.sni)
    if answers[-1][1].refused and not answers[-1][1].confirmed:
        return _conclude([*answers, *await _negotiated(asker, questions.short(wanted))], asker.sni)
    return await _without_what_may_be_too_much(asker, wanted, answers)


async def _answers_to_portions(asker: Asker, parts: Sequence[Profile], first: Answer) -> list[tuple[Profile, Answer]]:
    """Ask for a version with one portion of its suites after the other, until one is not refused."""
    if first.doubtful:
        if not asker.answered:
            return [(parts[0], first)]
        answer = await asker.judged(parts[0], first)
        if not answer.confirmed and not answer.refused:
            return [(parts[0], answer)]
        # The usual suites end so each time. If the unusual ones do as well, that is one more witness, and enough.
        others = await asyncio.gather(*map(asker.ask_once, parts[1:]))
        asked_again = [part for part, other in zip(parts[1:], others, strict=True) if not _same_end(answer, other)]
        judged = await asyncio.gather(*map(asker.ask, asked_again))
        pairs = [(parts[0], answer), *zip(asked_again, judged, strict=True)]
        return next(([pair] for pair in pairs if pair[1].negotiated), pairs)
    answers = [(parts[0], first)]
    for part in parts[1:]:
        if answers[-1][1].outcome in _ABOUT_THE_VERSION or not answers[-1][1].refused:
            break
        answers.append((part, await asker.ask(part)))
    return answers


def _same_end(confirmed: Answer, other: Answer) -> bool:
    """Say whether another hello ended as one whose end was confirmed."""
    if confirmed.outcome in WORDLESS:
        return other.outcome in WORDLESS
    return other.outcome is confirmed.outcome and other.alert == confirmed.alert


async def _without_what_may_be_too_much(
    asker: Asker, wanted: ProtocolVersion, answers: list[tuple[Profile, Answer]]
) -> Version:
    """Ask again with less in the hello: where it ends all the same, it is not the stack that can't bear so much.

    If it is the server name that is too much, then another host would answer; that says nothing about this one.
    """
    silent = answers[-1][1].outcome is Outcome.SILENT and asker.answered
    if not silent and not _just_ended(answers[-1][1]):
        return _conclude(answers, asker.sni)
    less = [questions.short(wanted)]
    if wanted is not ProtocolVersion.TLS_1_3:
        less.append(questions.bare(wanted))
    for hello in less:
        if asker.sni and not hello.extensions:
            nameless = await asker.ask_once(questions.nameless(less[0]))
            if nameless.negotiated or nameless.refused:
                break
        worded = await _negotiated(asker, hello)
        if worded:
            return _conclude(worded, asker.sni)
    return _conclude(answers, asker.sni)


async def _negotiated(asker: Asker, hello: Profile) -> list[tuple[Profile, Answer]]:
    """Return a hello with its answer if that is a word on the version."""
    answer = await asker.ask(hello)
    about_it = answer.negotiated or (answer.refused and not answer.confirmed)
    return [(hello, answer)] if about_it else []


def _parts(hello: Profile, wanted: ProtocolVersion, sni: str | None) -> list[Profile]:
    """Return a hello for each portion of the version's suites."""
    if wanted is ProtocolVersion.SSL_2:
        return [hello]
    portions = questions.portions(hello, questions.suites(wanted), sni)
    return [questions.with_suites(hello, [suite.code for suite in portion]) for portion in portions]


def _just_ended(answer: Answer) -> bool:
    """Say whether the server ended the connection, and that proves nothing: it may not bear extensions."""
    return not answer.conclusive and (answer.outcome in WORDLESS or answer.alert is not None)


def first_question(wanted: ProtocolVersion, sni: str | None) -> Profile:
    """Return the hello that a version is asked for with at first: with the first portion of its suites."""
    return _parts(broad(wanted), wanted, sni)[0]


def _conclude(answers: Sequence[tuple[Profile, Answer]], sni: str | None) -> Version:
    """Conclude from the answers to all portions whether the version is offered."""
    hello, answer = answers[-1]
    if answer.negotiated:
        return Version(Offer(offered=Offered.OFFERED), hello, answer)
    undecided = next(((hello, answer) for hello, answer in answers if not answer.refused), None)
    hello, answer = undecided or answers[0]
    about_the_name = answer.alert == Alert.UNRECOGNIZED_NAME or (
        answer.alert == Alert.MISSING_EXTENSION and sni is None
    )
    offered = Offered.UNKNOWN if undecided or about_the_name else Offered.NOT_OFFERED
    offer = Offer(offered=offered, refusal=answer.outcome, alert=answer.alert, answered=answer.version)
    return Version(offer, hello, answer)


async def without_key_share(asker: Asker, hello: Profile) -> Profile:
    """Return the hello for the lists of TLS 1.3: one without a key share, unless the server refuses such hellos."""
    spare = questions.without_key_share(hello)
    return spare if (await asker.ask(spare, control=hello)).negotiated else hello


async def suite_order(
    asker: Asker, hello: Profile, chosen: CipherSuite | None, certificate: str | None
) -> tuple[SuiteOrder, Listing[CipherSuite]]:
    """List the cipher suites that a server accepts in one version, with one kind of certificate.

    Args:
        asker: Sends a hello to the target.
        hello: A hello of that version that was negotiated.
        chosen: The suite that was chosen then.
        certificate: ``RSA`` (all that is not ECDSA) or ``ECDSA``; None for TLS 1.3.
    """
    wanted = hello.accepted_versions[0]

    async def choose(suites: Sequence[CipherSuite], back: CipherSuite | None) -> tuple[CipherSuite | None, Answer]:
        part = questions.with_suites(hello, [suite.code for suite in suites])
        return _suite_of(await asker.ask(part, control=control(suites, back)))

    def control(suites: Sequence[CipherSuite], back: CipherSuite | None) -> Profile | None:
        known = back or chosen
        if known is None:
            return None
        codes = [suite.code for suite in suites if suite != known]
        return questions.with_suites(hello, [*codes, known.code])

    def ended(suites: Sequence[CipherSuite], back: CipherSuite | None) -> tuple[Profile, Profile]:
        part = questions.with_suites(hello, [suite.code for suite in suites])
        return part, control(suites, back) or hello

    parts: list[list[CipherSuite]] = []
    listing: Listing[CipherSuite] = Listing()
    for portion in questions.portions(hello, questions.suites(wanted, certificate), asker.sni):
        part = await _choices(choose, ended, portion, listing.items[-1] if listing.items else None)
        parts.append(part.items)
        listing.items += part.items
        listing.ends += part.ends
        listing.complete &= part.complete
        if not part.complete:
            break
    merged = await _merged(choose, [part for part in parts if part])
    preference = await _classes(choose, merged) if merged is not None else None
    if preference and not await _top_wins(choose, preference):
        preference = None
    order = SuiteOrder(
        version=wanted,
        certificate=certificate,
        preference=tuple(map(tuple, preference or [[suite] for suite in merged or listing.items])),
        complete=listing.complete,
        ordered=preference is not None,
    )
    return order, listing


def _suite_of(answer: Answer) -> tuple[CipherSuite | None, Answer]:
    return answer.suite if answer.negotiated else None, answer


async def group_order(
    asker: Asker, hello: Profile, suites: Sequence[CipherSuite]
) -> tuple[GroupOrder, Listing[Group]] | None:
    """List the groups that a server accepts in one version for an ephemeral exchange.

    Before TLS 1.3 the groups of a hello bind the server's ECDSA certificate as well (RFC 8422 5.1.1): taking away
    P-256 takes away a certificate on P-256 with it. So suites with another certificate are asked for where there
    are any; where there are none, the certificate's own group stays at the end of every hello.

    Args:
        asker: Sends a hello to the target.
        hello: A hello of TLS 1.2 or older, or of TLS 1.3, that was negotiated.
        suites: The cipher suites that the server accepts in this version.

    Returns:
        None when the server accepts no suite with a group.
    """
    wanted = hello.accepted_versions[0]
    pinned: Group | None = None
    if wanted is not ProtocolVersion.TLS_1_3:
        elliptic = [suite for suite in suites if suite.key_exchange in ("ECDHE", "ECDHE_PSK")]
        free = [suite for suite in elliptic if suite.authentication != ECDSA]
        if not elliptic or not hello.groups:
            return None
        hello = questions.with_suites(hello, [suite.code for suite in free or elliptic])
        if not free:
            pinned = _certificate_group(await asker.ask(hello))

    def asking(groups: Sequence[Group]) -> Profile:
        codes = [group.code for group in groups]
        return questions.with_groups(hello, codes)

    async def choose(groups: Sequence[Group], back: Group | None) -> tuple[Group | None, Answer]:
        control = asking([*(group for group in groups if group != back), back]) if back else hello
        answer = await asker.ask(asking(groups), control=control)
        return answer.group if answer.negotiated else None, answer

    def ended(groups: Sequence[Group], back: Group | None) -> tuple[Profile, Profile]:
        return asking(groups), asking([*groups, back]) if back else hello

    wanted_groups = [codes.group(code) for code in questions.groups(wanted)]
    listing = await _choices(choose, ended, wanted_groups, None)
    if pinned in listing.items and listing.complete:
        await _choose_beside(choose, listing, pinned, wanted_groups)
    decides = None
    if len(listing.items) > 1:
        first, _ = await choose(listing.items[::-1], None)
        decides = None if first is None else first == listing.items[0]
    by_client = pinned is None or decides is False
    if any(suite.key_exchange == "ECDH" and suite.authentication == "anonymous" for suite in suites):
        listing.complete = listing.complete and by_client  # these need no certificate, and so can use any group
    complete = listing.complete and (by_client or not _left(wanted_groups, listing.items))
    order = GroupOrder(version=wanted, groups=tuple(listing.items), server_decides=decides, complete=complete)
    return order, listing


def _certificate_group(answer: Answer) -> Group | None:
    """Return the group of the key in the certificate that was shown; None when it is on no curve that is known."""
    if not answer.certificates:
        return None
    from meshproof.tls.scanner.certificate import certificate_of  # noqa: PLC0415 - it takes long to import

    try:
        kind, _, curve = certificate_of(answer.certificates).key.partition(" ")
        return codes.group_named(curve) if kind == "EC" else None
    except ValueError:
        return None


async def _choose_beside(
    choose: Choose[Group], listing: Listing[Group], pinned: Group, wanted: Sequence[Group]
) -> None:
    """Go on with a list after the certificate's group was chosen, with that group at the end of every hello.

    A server that follows the client's order chooses anything before it; of one with an order of its own nobody can
    tell what comes after it, and so the list is complete and the order is not.
    """
    listing.ends.clear()
    while left := _left(wanted, listing.items):
        group, answer = await choose([*left, pinned], pinned)
        if group is None or group not in left:
            listing.complete = group == pinned or answer.refused
            return
        listing.items.append(group)


def _left(wanted: Iterable[Item], chosen: Sequence[Item]) -> list[Item]:
    return [item for item in wanted if item not in chosen]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a server made of a list of application protocols.

    Attributes:
        protocol: The one that it chose; None when it chose none.
        known: Whether it said so: it went on without any (RFC 7301 3.2 allows that), or refused.
    """

    protocol: str | None
    known: bool


ChooseProtocol = Callable[[Sequence[str]], Awaitable[Choice]]
"""Offers application protocols."""


async def protocols(choose: ChooseProtocol) -> Listing[str]:
    """List the application protocols that a server accepts of those that are asked for, its first choice first."""
    listing: Listing[str] = Listing(rest=list(questions.PROTOCOLS))
    while listing.rest:
        choice = await choose(listing.rest)
        if choice.protocol not in listing.rest:
            listing.complete = choice.known and choice.protocol is None
            break
        listing.items.append(choice.protocol)
        listing.rest.remove(choice.protocol)
    return listing


async def fallback_scsv(asker: Asker, versions: Sequence[Version]) -> bool | None:
    """Say whether the server notices a client that was talked into an older version (RFC 7507).

    Args:
        asker: Sends a hello to the target.
        versions: The offered versions from TLS 1.0 on, oldest first.

    Returns:
        None when there is no older version, or when nothing can be concluded.
    """
    if len(versions) < 2:  # noqa: PLR2004 - one to fall back from, one to fall back to
        return None
    hello = versions[-2].hello
    answer = await asker.ask(questions.with_fallback(hello), control=hello)
    if answer.alert == Alert.INAPPROPRIATE_FALLBACK:
        return True
    return False if answer.negotiated else None


Choose = Callable[[Sequence[Item], Item | None], Awaitable[tuple[Item | None, Answer]]]
"""Offers some items; the other one is known to be accepted, and goes into the control."""

Ended = Callable[[Sequence[Item], Item | None], tuple[Profile, Profile]]
"""Returns the hello that offers some items, and its control."""


async def _choices(
    choose: Choose[Item], ended: Ended[Item], offered: Sequence[Item], back: Item | None
) -> Listing[Item]:
    """List what the server chooses, one after the other, until it refuses."""
    left = list(offered)
    listing: Listing[Item] = Listing()
    while left:
        item, answer = await choose(left, back)
        if item is None or item not in left:
            listing.complete = answer.refused
            if answer.refused:
                listing.ends.append(ended(left, back))
            return listing
        listing.items.append(item)
        left.remove(item)
        back = item
    return listing


async def _merged(choose: Choose[Item], parts: Sequence[list[Item]]) -> list[Item] | None:
    """Put lists that are each in the server's order together: it chooses among the first of each."""
    if len(parts) < 2:  # noqa: PLR2004 - one list is in order as it is
        return list(parts[0]) if parts else []
    queues = [list(part) for part in parts]
    merged: list[Item] = []
    while len(queues) > 1:
        heads = [queue[0] for queue in queues]
        item, _ = await choose(heads, merged[-1] if merged else None)
        if item is None or item not in heads:
            return None
        merged.append(item)
        queues[heads.index(item)].pop(0)
        queues = [queue for queue in queues if queue]
    return merged + queues[0]


async def _top_wins(choose: Choose[CipherSuite], classes: Sequence[Sequence[CipherSuite]]) -> bool:
    """Say whether the best class is chosen also when a client puts one of the others first.

    Some servers take ChaCha20 from a client that puts it first, and keep to their own order for all others (OpenSSL's
    SSL_OP_PRIORITIZE_CHACHA): then there is no single order.
    """
    top, *others = classes
    chacha = [suite for other in others for suite in other if (suite.encryption or "").startswith("CHACHA20")]
    for first in dict.fromkeys((*(other[0] for other in others[:1]), *chacha[:1])):
        rest = [suite for equals in classes for suite in equals if suite != first]
        suite, _ = await choose([first, *rest], None)
        if suite not in top:
            return False
    return True


async def _classes(choose: Choose[Item], chosen: Sequence[Item]) -> list[list[Item]] | None:
    """Part the choices into classes of equals; None when the server stopped answering as it did."""
    classes = []
    left = list(chosen)
    while len(left) > 1:
        item, _ = await choose(left[::-1], None)
        if item is None or item not in left:
            return None
        end = left.index(item) + 1
        classes.append(left[:end])
        left = left[end:]
    return [*classes, left] if left else classes
