"""Looking at the certificate that a server has for each kind of key."""

from __future__ import annotations

import asyncio
from functools import partial

from meshproof.tls.protocol.profile import Profile
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.prober import Prober
from meshproof.tls.scanner.questions import ENCRYPTED


async def every_kind_is_known(prober: Prober, tls12: Profile | None, *, tls13: bool) -> bool:
    """Look at the certificate for each kind of key; say whether each kind is known.

    Args:
        prober: Asks the target, and remembers the certificates.
        tls12: A hello that was negotiated in TLS 1.2; None where the server has not got it.
        tls13: Whether it has TLS 1.3.
    """
    hello = ENCRYPTED if tls13 else tls12
    if hello is None:
        return True  # before TLS 1.2 a client can't choose among them but by its suites
    is_known = partial(_is_encrypted_kind_known if tls13 else _is_kind_known, prober)
    usual = [kind for kind in questions.CERTIFICATES if kind not in questions.RARE_CERTIFICATES]
    known = [*await asyncio.gather(*(is_known(questions.for_certificate(hello, kind), hello) for kind in usual))]
    rare = questions.for_certificate(hello, *questions.RARE_CERTIFICATES)
    if not (await prober.ask(rare, control=hello)).refused:
        kinds = [questions.for_certificate(hello, kind) for kind in questions.RARE_CERTIFICATES]
        known += await asyncio.gather(*(is_known(kind, hello) for kind in kinds))
    return all(known) and bool(prober.chains or not tls13)


async def _is_kind_known(prober: Prober, hello: Profile, control: Profile) -> bool:
    answer = await prober.ask(hello, control=control)
    return answer.negotiated or answer.refused


async def _is_encrypted_kind_known(prober: Prober, hello: Profile, control: Profile) -> bool:
    answer, flight = await prober.ask_encrypted(hello)
    if flight.client_cert_requested is not None:
        return True
    return answer.refused or (answer.doubtful and (await prober.ask(hello, control=control)).refused)
