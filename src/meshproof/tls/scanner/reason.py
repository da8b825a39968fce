"""Why a client gets in, or why not, in one sentence.

A sentence follows from what is known, or is not said: a list that is not complete, or a version of which nothing is
known, explains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from meshproof.tls.probe.answer import Answer, Offered
from meshproof.tls.probe.outcome import WORDLESS, Alert, Outcome, alert_name
from meshproof.tls.protocol import codes
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.hello import SERVER_NAME, SUPPORTED_GROUPS
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import Posture

FIRST_HELLO = "first hello accepted"
"""The reason of a client that gets in at once."""

_ABOUT_SUITES = frozenset(
    {Alert.HANDSHAKE_FAILURE, Alert.ILLEGAL_PARAMETER, Alert.INSUFFICIENT_SECURITY, Alert.MISSING_EXTENSION}
)
"""Alerts with which servers refuse suites and groups (RFC 8446 sections 4.1.1, 6.2 and 9.2)."""

_OTHER_KIND = {"RSA": "ECDSA", "ECDSA": "RSA"}


def reason_for(profile: Profile, answer: Answer, found: Posture) -> str:
    """Explain an answer to a client by what the scan found out about the server beside it.

    Args:
        profile: The client.
        answer: What it got.
        found: The posture, with versions, cipher suites, groups and certificates as far as they are known.
    """
    if answer.negotiated:
        return f"after a HelloRetryRequest for {answer.group}" if answer.retried else FIRST_HELLO
    ended = (
        f"alert {answer.alert} {alert_name(answer.alert)}" if answer.alert is not None else str(answer.outcome.value)
    )
    why = _why(profile, answer, found)
    return f"{ended}: {why}" if why else ended


def _why(profile: Profile, answer: Answer, found: Posture) -> str | None:
    if answer.outcome in _CHOSEN:
        field, words = _CHOSEN[answer.outcome]
        chosen = getattr(answer, field)
        return None if chosen is None else words.format(chosen)
    nameless = SERVER_NAME not in profile.extensions or found.target.sni is None
    if answer.alert == Alert.UNRECOGNIZED_NAME:
        return "it sends no server name" if nameless else f"the server has nothing for the name {found.target.sni}"
    wordless = answer.outcome in WORDLESS
    common = _versions_in_common(profile, found)
    if common is None or not (wordless or answer.alert is not None):
        return None
    if not common:
        return _no_version(profile, found)
    if nameless and found.target.sni is not None:  # suites and groups are those that go with the name
        return "it sends no server name, and the server has nothing for that" if wordless and _talks(found) else None
    if wordless or answer.alert in _ABOUT_SUITES:
        return _no_suite_or_group(profile, common, found)
    return None


def _versions_in_common(profile: Profile, found: Posture) -> Sequence[ProtocolVersion] | None:
    """Return the versions that client and server have in common, newest first; None when that is not known."""
    offers = {version: found.versions.get(version) for version in profile.accepted_versions}
    if any(offer is None or offer.offered is Offered.UNKNOWN for offer in offers.values()):
        return None
    return [version for version, offer in offers.items() if offer and offer.offered is Offered.OFFERED]


def _no_version(profile: Profile, found: Posture) -> str:
    speaks = f"it speaks {_some(profile.accepted_versions)}"
    if any(offer.offered is Offered.UNKNOWN for offer in found.versions.values()):
        return f"{speaks}, which the server does not offer"
    return f"{speaks}, the server offers {_some(found.offered)}"


def _talks(found: Posture) -> bool:
    """Return whether the server refuses a version of TLS with an alert, where it refuses one."""
    return not any(
        offer.refusal in WORDLESS
        for version, offer in found.versions.items()
        if version.code >= ProtocolVersion.TLS_1_0.code
    )


def _no_suite_or_group(profile: Profile, common: Sequence[ProtocolVersion], found: Posture) -> str | None:
    accepted: dict[CipherSuite, None] = {}
    for version in common:
        orders = [order for order in found.ciphers if order.version is version]
        if not orders or not all(order.complete for order in orders):
            return None
        accepted |= dict.fromkeys(suite for order in orders for suite in order.suites)
    both = [suite for suite in accepted if suite.code in profile.suites]
    if not both:
        return f"no cipher suite in common in {_some(common)}{_hint(profile, accepted, found)}"
    needs_group = all(suite.tls13 or (suite.key_exchange or "").startswith("ECDHE") for suite in both)
    return _no_group(profile, common, found) if needs_group else None


def _hint(profile: Profile, accepted: Iterable[CipherSuite], found: Posture) -> str:
    """Return that another kind of certificate may help: one that the server is known not to have."""
    kinds = {suite.authentication for order in found.ciphers for suite in order.suites}
    kinds |= {certificate.key.partition(" ")[0].replace("EC", "ECDSA") for certificate in found.certificates}
    for kind, other in _OTHER_KIND.items():
        if kind in kinds and other not in kinds:
            like = {suite.name.replace(f"_{kind}_", f"_{other}_") for suite in accepted}
            if any(codes.suite(code).name in like for code in profile.suites):
                return f"; with an {other} certificate as well there may be one"
    return ""


def _no_group(profile: Profile, common: Sequence[ProtocolVersion], found: Posture) -> str | None:
    accepted = {order.version: order.groups for order in found.groups if order.complete}
    groups = dict.fromkeys(group for version in common for group in accepted.get(version, ()))
    if not all(accepted.get(version) for version in common) or any(group.code in profile.groups for group in groups):
        return None
    if SUPPORTED_GROUPS not in profile.extensions:
        return "it names no group for an ephemeral key exchange"
    return f"no group in common: the server takes {_some(groups)}"


def _some(items: Iterable[object]) -> str:
    return ", ".join(map(str, items)) or "none"


_CHOSEN: Mapping[Outcome, tuple[str, str]] = {
    Outcome.VERSION_NOT_OFFERED: ("version", "the server chose {}"),
    Outcome.CIPHER_NOT_OFFERED: ("suite", "the server chose {}"),
    Outcome.GROUP_NOT_OFFERED: ("group", "the server chose {}"),
    Outcome.DH_SIZE_REFUSED: ("dh_bits", "the server's has {} bits"),
    Outcome.DOWNGRADED: ("version", "the server says that it could do better than {}"),
}
"""What the server chose that the client can't take: a field of the answer, and the words for it."""
