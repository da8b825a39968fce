"""The groups for the key exchange of a version, also beside a certificate that hides some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from meshproof.tls.probe.answer import Answer
from meshproof.tls.protocol import codes
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.codes import Group
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner import questions
from meshproof.tls.scanner.findings import GroupOrder
from meshproof.tls.scanner.listing import Asker, Choose, Item, Listing, choices
from meshproof.tls.scanner.questions import ECDSA


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
    known = True
    if wanted is not ProtocolVersion.TLS_1_3:
        elliptic = [suite for suite in suites if suite.key_exchange in ("ECDHE", "ECDHE_PSK")]
        free = [suite for suite in elliptic if suite.authentication != ECDSA]
        if not elliptic or not hello.groups:
            return None
        hello = questions.with_suites(hello, [suite.code for suite in free or elliptic])
        if not free:
            shown = await asker.ask(hello)
            pinned, known = _certificate_group(shown), shown.negotiated

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
    listing = await choices(choose, ended, wanted_groups, None)
    listing.complete &= known  # else the list may have ended where the certificate's group was taken away
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


class GroupsOfVersion(NamedTuple):
    """The groups of a version.

    Attributes:
        order: What was listed.
        to_the_end: Whether the list ended with a refusal, or where a certificate hid the rest.
    """

    order: GroupOrder
    to_the_end: bool = False


def corroborated(lists: Sequence[GroupsOfVersion]) -> tuple[GroupOrder, ...]:
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
