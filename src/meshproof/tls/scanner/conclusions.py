"""What goes into a posture when all is asked: certificates as facts, a row for each client, and notes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from meshproof.tls.probe.answer import Answer
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.scanner.findings import Certificate, ClientResult, Posture
from meshproof.tls.scanner.prober import Prober
from meshproof.tls.scanner.reason import reason_for


def with_certificates(posture: Posture, prober: Prober) -> Posture:
    """Return the posture with the certificates that were shown; one that can't be read is a note."""
    from meshproof.tls.scanner.certificate import certificate_of  # noqa: PLC0415 - it takes long to import

    certificates: list[Certificate] = []
    notes = []
    for chain in prober.chains:
        try:
            certificates.append(certificate_of(chain))
        except ValueError as error:
            notes.append(f"It showed a certificate that can't be read: {error}.")
    if prober.more_chains:
        notes.append(f"It showed more than {len(prober.chains)} certificates: only the first are listed.")
    complete = posture.certificates_complete and not notes
    return replace(posture, certificates=tuple(certificates), certificates_complete=complete, notes=tuple(notes))


def notes(posture: Posture, prober: Prober, max_time: float) -> Iterable[str]:
    """Give what a reader has to know of how the target answered.

    Args:
        posture: What was found.
        prober: What all connections went through.
        max_time: The seconds that it had.
    """
    if prober.by_chance:
        yield "It ended connections now and then, whatever they asked for: perhaps one of several servers is ill."
    elif prober.slowed:
        yield "It ended connections while others were open, or while they came fast: the scan slowed down."
    if prober.too_long:
        yield (
            f"It answers no hello of {prober.too_long} octets, and shorter ones of the same content: "
            "what becomes of clients with longer hellos is unknown."
        )
    if not posture.offered and not prober.negotiated:
        yield "It agreed on nothing that was offered: whether it would with others, or refuses all, is unknown."
    if prober.out_of_time:
        yield f"Not all was asked: the {max_time:g} s for a target were over."


def client_result(profile: Profile, answer: Answer, known: Posture) -> ClientResult:
    """Return the row of a client: what it was answered, and why."""
    why = reason_for(profile, answer, known)
    if answer.remark:
        why = f"{why}: {answer.remark}"
    return ClientResult(profile.name, replace(answer, certificates=()), why, not answer.conclusive)
