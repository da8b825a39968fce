"""Holding what a scan concluded against every answer that it got: a contradiction is said, never passed over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.codes import Group
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import ClientAuthentication, GroupOrder, Posture, SuiteOrder
from meshproof.tls.scanner.questions import ECDSA, RSA

WITH_KINDS = tuple(ProtocolVersion)[1:-1]
"""The versions in which a cipher suite names the kind of certificate that it goes with."""


def with_all_that_was_negotiated(posture: Posture, answers: Iterable[Answer]) -> Posture:
    """Return the posture with each version, suite and group that any answer agreed on.

    What was negotiated once is offered, whatever a list says. A list that missed it is not complete.

    Args:
        posture: What was concluded.
        answers: All answers that agreed on something.
    """
    for answer in answers:
        if answer.version is None:
            continue
        posture = _with_version(posture, answer.version)
        if posture.listed and answer.suite is not None:
            posture = _with_suite(posture, answer.version, answer.suite)
        if posture.listed and answer.group is not None:
            posture = _with_group(posture, answer.version, answer.group)
    return posture


def _with_version(posture: Posture, version: ProtocolVersion) -> Posture:
    before = posture.versions[version]
    if before.offered is Offered.OFFERED:
        return posture
    changed = replace(posture, versions={**posture.versions, version: Offer(offered=Offered.OFFERED)})
    if posture.listed:
        kinds = (RSA, ECDSA) if version in WITH_KINDS else (None,)
        suites = [SuiteOrder(version=version, certificate=kind, preference=(), complete=False) for kind in kinds]
        group_order = GroupOrder(version=version, groups=(), complete=False)
        changed = replace(
            changed,
            ciphers=(*posture.ciphers, *suites),
            groups=(*posture.groups, group_order),
            alpn_complete=False,
            certificates_complete=False,
        )
    if before.offered is Offered.UNKNOWN:
        return changed
    return _contradicted(changed, f"{version} was refused at one time ({before.refusal}) and negotiated at another")


def _with_suite(posture: Posture, version: ProtocolVersion, suite: CipherSuite) -> Posture:
    orders = [order for order in posture.ciphers if order.version is version]
    if any(suite in order.suites for order in orders):
        return posture
    kind = None if version not in WITH_KINDS else ECDSA if suite.authentication == ECDSA else RSA
    order = next((order for order in orders if order.certificate == kind), None)
    if order is None:
        order = SuiteOrder(version=version, certificate=kind, preference=())
        posture = replace(posture, ciphers=(*posture.ciphers, order))
    longer = replace(order, preference=(*order.preference, (suite,)), complete=False, ordered=False)
    ciphers = tuple(longer if each is order else each for each in posture.ciphers)
    changed = replace(posture, ciphers=ciphers)
    if not order.complete:
        return changed
    return _contradicted(changed, f"{version}: {suite} was negotiated, and is not among the suites that were listed")


def _with_group(posture: Posture, version: ProtocolVersion, group: Group) -> Posture:
    order = next((order for order in posture.groups if order.version is version), None)
    if order is None or group in order.groups:
        return posture
    longer: GroupOrder = replace(order, groups=(*order.groups, group), complete=False)
    changed = replace(posture, groups=tuple(longer if each is order else each for each in posture.groups))
    if not order.complete:
        return changed
    return _contradicted(changed, f"{version}: {group} was negotiated, and is not among the groups that were listed")


def _contradicted(posture: Posture, what: str) -> Posture:
    return replace(posture, contradictions=(*posture.contradictions, what))


def without_refusals(posture: Posture) -> Posture:
    """Return a posture of a target that contradicts itself: what was refused may be offered at another time.

    Several servers answer under one address, or the server changed during the scan. What was negotiated stays. Nor does
    a target that never agreed on anything refuse for certain: it may refuse whoever comes, whatever is offered.
    """
    agreed = bool(posture.offered) or any(client.answer.negotiated for client in posture.clients)
    if agreed and not posture.contradictions:
        return posture
    posture = _with_missing_groups(posture)
    wanted = posture.client_authentication
    known = (ClientAuthentication.NOT_REQUESTED, ClientAuthentication.UNKNOWN)
    return replace(
        posture,
        versions={
            version: offer._replace(offered=Offered.UNKNOWN) if offer.offered is Offered.NOT_OFFERED else offer
            for version, offer in posture.versions.items()
        },
        ciphers=tuple(replace(order, complete=False, ordered=False) for order in posture.ciphers),
        groups=tuple(replace(order, complete=False) for order in posture.groups),
        alpn_complete=False,
        certificates_complete=False,
        fallback_scsv=None,
        client_authentication=wanted if wanted in known else ClientAuthentication.UNKNOWN,
        clients=tuple(
            replace(client, unknown=client.unknown or not client.answer.negotiated) for client in posture.clients
        ),
    )


def _with_missing_groups(posture: Posture) -> Posture:
    """Add what is not known of the groups of the versions that would have a list, so that none goes without a word."""
    if not posture.listed:
        return posture
    listed = {order.version for order in posture.groups}
    before = [version for version in posture.offered if version in WITH_KINDS]
    newest = [*before[-1:], *(version for version in posture.offered if version is ProtocolVersion.TLS_1_3)]
    if listed & set(before):
        newest = newest[-1:]
    missing = [GroupOrder(version=version, groups=(), complete=False) for version in newest if version not in listed]
    return replace(posture, groups=(*posture.groups, *missing))


def should_connect(profile: Profile, posture: Posture) -> bool:
    """Return whether a client has a version, a cipher suite and a group in common with what the posture lists.

    Whoever is refused all the same was refused for another reason, or by another server than the one that was listed.
    """
    for version in profile.accepted_versions:
        offer = posture.versions.get(version)
        if offer is None or offer.offered is not Offered.OFFERED:
            continue
        suites = [
            suite
            for order in posture.ciphers
            if order.version is version
            for suite in order.suites
            if suite.code in profile.suites
        ]
        if not posture.listed or any(_has_group(profile, version, suite, posture.groups) for suite in suites):
            return True
    return False


def _has_group(profile: Profile, version: ProtocolVersion, suite: CipherSuite, orders: Sequence[GroupOrder]) -> bool:
    if not suite.tls13 and not (suite.key_exchange or "").startswith("ECDHE"):
        return True
    order = next((order for order in orders if order.version is version), None)
    return order is None or not profile.groups or any(group.code in profile.groups for group in order.groups)
