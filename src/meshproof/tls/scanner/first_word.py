"""Getting a first word out of a target: what it answers is the witness that all else is judged by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from meshproof.machine.wait import pause
from meshproof.tls.probe.answer import REFUSING_ALERTS, Answer
from meshproof.tls.probe.outcome import WORDLESS, Alert
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.options import Options
from meshproof.tls.scanner.prober import Prober
from meshproof.tls.scanner.refusals import Control
from meshproof.tls.scanner.versions import first_question

_PATIENCE = 1.0  # seconds for a target to say its first word, when it ends every connection at once
_FEW = 3  # clients that are tried to get a first word


async def wait_for_first_word(prober: Prober, options: Options) -> dict[ProtocolVersion, Answer]:
    """Ask for each version once; where every connection just ends, wait a little for a first word.

    What is known to be answered then is the prober's witness.

    Returns:
        For each version the answer to ``versions.first_question``.
    """
    questions_of = {version: first_question(version, prober.sni) for version in ProtocolVersion}

    async def all_once() -> dict[ProtocolVersion, Answer]:
        answers = await asyncio.gather(*map(prober.ask_once, questions_of.values()))
        return dict(zip(questions_of, answers, strict=True))

    first = await all_once()
    prober.witness = _witness(questions_of, first)
    ended = all(map(_ended, first.values()))
    refuses_the_name = any(answer.alert == Alert.UNRECOGNIZED_NAME for answer in first.values())
    if prober.witness is None and ended and not refuses_the_name:
        plain = [questions.bare(version) for version in (ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_0)]
        newest = [questions_of[version] for version in (ProtocolVersion.TLS_1_3, ProtocolVersion.TLS_1_2)]
        if await _await_word(prober, [*newest, *plain, *options.clients[:_FEW]], options.timeout):
            first = await all_once()
            prober.witness = _witness(questions_of, first) or prober.witness
    # Where only a hello without extensions was answered, there may have been room for no more than that one.
    extended = [hello for version, hello in questions_of.items() if hello.extensions and _ended(first[version])]
    weak = prober.witness is not None and not prober.witness.profile.extensions
    if weak and extended and not refuses_the_name:
        await _await_word(prober, extended[::-1], options.timeout)
    return first


async def _await_word(prober: Prober, profiles: Sequence[Profile], timeout: float) -> bool:
    """Ask in turn until something is answered, for a while; what was answered becomes the witness."""
    began = time.monotonic()
    while time.monotonic() - began < min(_PATIENCE, timeout):
        for profile in profiles:
            answer = await prober.ask_once(profile)
            if answer.negotiated or answer.alert in REFUSING_ALERTS:
                prober.witness = Control(profile, answer.alert)
                return True
        await pause(_PATIENCE / 10)
    return False


def _ended(answer: Answer) -> bool:
    return answer.outcome in WORDLESS or answer.alert is not None


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
