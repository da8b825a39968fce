"""Which versions a server offers, asked for in portions of their suites; and whether it notices a downgrade."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.probe.outcome import WORDLESS, Alert, Outcome
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.listing import Asker
from meshproof.tls.scanner.questions import broad
from meshproof.tls.scanner.refusals import Control

_EXTENSIBLE = tuple(ProtocolVersion)[2:]
_ABOUT_THE_VERSION = (Outcome.PROTOCOL_VERSION, Outcome.VERSION_NOT_OFFERED)


class Version(NamedTuple):
    """What is known of one version.

    Attributes:
        offer: Whether it is offered.
        hello: The hello that was negotiated, which all lists of the version build on; else the one that was refused.
        answer: What it was answered.
        lists_end: Whether a list that is built on the hello can be complete. It can't where only a hello with less in
            it was answered, and nothing shows that the usual one is too much for the server.
        too_much: The usual hello where it is: it must be so later as well.
    """

    offer: Offer
    hello: Profile
    answer: Answer
    lists_end: bool = True
    too_much: Profile | None = None


async def ask_version(asker: Asker, wanted: ProtocolVersion, first: Answer) -> Version:
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
    return await _without_what_may_be_too_much(asker, wanted, parts, answers)


async def _answers_to_portions(asker: Asker, parts: Sequence[Profile], first: Answer) -> list[tuple[Profile, Answer]]:
    """Ask for a version with one portion of its suites after the other, until one is not refused."""
    if first.doubtful:
        if not asker.answered:
            return [(parts[0], first)]
        answer = await asker.judged(parts[0], first)
        if not answer.confirmed and not answer.refused:
            return [(parts[0], answer)]
        asked_again = list(parts[1:])
        if not asker.slowed:
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
    """Return whether another hello ended as one whose end was confirmed."""
    if confirmed.outcome in WORDLESS:
        return other.outcome in WORDLESS
    return other.outcome is confirmed.outcome and other.alert == confirmed.alert


async def _without_what_may_be_too_much(
    asker: Asker, wanted: ProtocolVersion, parts: Sequence[Profile], answers: list[tuple[Profile, Answer]]
) -> Version:
    """Ask again with less in the hello: where it ends all the same, it is not the stack that can't bear so much.

    A word on less counts only if the usual hello ends each time beside it: else the server may have been busy, and less
    hides what needs more, such as the suites that need a group. If it is the server name that is too much, then another
    host would answer; that says nothing about this one.

    Args:
        asker: Sends a hello to the target.
        wanted: The version.
        parts: The usual hellos, one for each portion of the suites.
        answers: What some of them were answered; the last one just ended.
    """
    silent = answers[-1][1].outcome is Outcome.SILENT and asker.answered
    if not silent and not _just_ended(answers[-1][1]):
        return _conclude(answers, asker.sni)
    less = [questions.short(wanted)]
    if wanted is not ProtocolVersion.TLS_1_3:
        less.append(questions.bare(wanted))
    for hello in less:
        nameless = questions.nameless(less[0])
        unnamed = await asker.ask_once(nameless) if asker.sni and not hello.extensions else None
        if unnamed and (unnamed.negotiated or unnamed.refused):
            break
        worded = await _negotiated(asker, hello)
        if worded:
            known = _conclude(worded, asker.sni)
            too_much = [answers[-1], *([(nameless, unnamed)] if unnamed else [])]
            usual, *others = await _judged_by(asker, worded[0], too_much)
            if not usual.doubtful:  # it had ended by chance
                rest = parts[parts.index(answers[-1][0]) :]
                return _conclude(await _answers_to_portions(asker, rest, usual), asker.sni)
            if all(end.confirmed for end in (usual, *others)):
                return known._replace(too_much=answers[-1][0])
            if known.answer.negotiated and all(end.confirmed or end.outcome is Outcome.SILENT for end in others):
                return known._replace(lists_end=False)
            break
    return _conclude(answers, asker.sni)


async def _judged_by(
    asker: Asker, worded: tuple[Profile, Answer], too_much: Sequence[tuple[Profile, Answer]]
) -> list[Answer]:
    """Find out whether hellos end each time while one with less in it is answered."""
    control = Control(worded[0], worded[1].alert, shorter=True)
    return await asyncio.gather(*(asker.judged(hello, end, control=control) for hello, end in too_much))


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
    """Return whether the server ended the connection, and that proves nothing: it may not bear extensions."""
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


async def fallback_scsv(asker: Asker, versions: Sequence[Version]) -> bool | None:
    """Return whether the server notices a client that was talked into an older version (RFC 7507).

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
