"""The cipher suites of a version, in the order in which the server prefers them.

Where it likes several alike, it follows the client: the list offered the other way round brings out the last of those
(one connection for each class of equals).
"""

from __future__ import annotations

from collections.abc import Sequence

from meshproof.tls.probe.answer import Answer
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.findings import SuiteOrder
from meshproof.tls.scanner.listing import Asker, Choose, Item, Listing, choices


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
        part = await choices(choose, ended, portion, listing.items[-1] if listing.items else None)
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
    """Return whether the best class is chosen also when a client puts one of the others first.

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
