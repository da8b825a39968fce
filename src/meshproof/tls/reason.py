"""Why a client gets in, or why not, in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from meshproof.tls import registry
from meshproof.tls.answer import Answer, Offered
from meshproof.tls.hello import SERVER_NAME, SUPPORTED_GROUPS
from meshproof.tls.outcome import WORDLESS, Alert, Outcome, alert_name
from meshproof.tls.posture import Posture
from meshproof.tls.profile import Profile
from meshproof.tls.version import ProtocolVersion


def reason(profile: Profile, answer: Answer, found: Posture) -> str:
    """Explain an answer to a client by what the scan found out about the server beside it.

    Args:
        profile: The client.
        answer: What it got.
        found: The posture, with versions, cipher suites and groups as far as they are known.
    """
    if answer.negotiated:
        return f"after a HelloRetryRequest for {answer.group}" if answer.retried else "first hello accepted"
    ended = (
        f"alert {answer.alert} {alert_name(answer.alert)}" if answer.alert is not None else str(answer.outcome.value)
    )
    why = _why(profile, answer, found)
    return f"{ended}: {why}" if why else ended


def _why(profile: Profile, answer: Answer, found: Posture) -> str | None:
    if answer.outcome in _CHOSEN:
        return _CHOSEN[answer.outcome](answer)
    refused = answer.alert is not None or answer.outcome in WORDLESS
    if not refused:
        return None
    common = [version for version in profile.accepted_versions if version in found.offered]
    if not common:
        known = all(offer.offered is not Offered.UNKNOWN for offer in found.versions.values())
        return (
            f"it speaks {_some(profile.accepted_versions)}, the server offers {_some(found.offered)}" if known else None
        )
    if answer.outcome in WORDLESS:
        named = SERVER_NAME in profile.extensions and found.target.sni
        return None if named else "it sends no server name, and the server has nothing for that"
    if answer.alert == Alert.UNRECOGNIZED_NAME:
        return f"the server has nothing for the name {found.target.sni}"
    return _no_suite(profile, common, found) or _no_group(profile, common, found)


def _no_suite(profile: Profile, common: Sequence[ProtocolVersion], found: Posture) -> str | None:
    orders = [order for order in found.ciphers if order.version in common and order.complete]
    if not orders or any(suite.code in profile.suites for order in orders for suite in order.suites):
        return None
    accepted = {suite for order in orders for suite in order.suites}
    kinds = {suite.authentication for suite in accepted} - {None}
    swapped = {_swapped(suite.name) for suite in accepted}
    other = "ECDSA" if kinds == {"RSA"} else "RSA"
    with_other = any(registry.suite(code).name in swapped for code in profile.suites)
    hint = f"; one with an {other} certificate would do" if with_other else ""
    return f"no cipher suite in common in {_some(common)}{hint}"


def _swapped(name: str) -> str:
    """Return the name of the same suite for the other kind of certificate."""
    return name.replace("_RSA_", "_ECDSA_") if "_RSA_" in name else name.replace("_ECDSA_", "_RSA_")


def _no_group(profile: Profile, common: Sequence[ProtocolVersion], found: Posture) -> str | None:
    accepted = {group.code for order in found.groups if order.version in common for group in order.groups}
    if not accepted or accepted & set(profile.groups):
        return None
    if SUPPORTED_GROUPS not in profile.extensions:
        return "it names no group for an ephemeral key exchange"
    return f"no group in common: the server takes {_some(sorted(registry.group(code).name for code in accepted))}"


def _some(items: Sequence[object]) -> str:
    return ", ".join(map(str, items)) or "none"


_CHOSEN: Mapping[Outcome, Callable[[Answer], str]] = {
    Outcome.VERSION_NOT_OFFERED: lambda answer: f"the server chose {answer.version}, which it does not offer",
    Outcome.CIPHER_NOT_OFFERED: lambda answer: f"the server chose {answer.suite}",
    Outcome.GROUP_NOT_OFFERED: lambda answer: f"the server chose {answer.group}",
    Outcome.DH_SIZE_REFUSED: lambda answer: f"the server's has {answer.dh_bits} bits",
    Outcome.DOWNGRADED: lambda answer: f"the server could do better than {answer.version}",
}
