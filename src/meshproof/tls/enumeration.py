"""What a server offers: each version with one hello, and each list with one connection more than it has entries.

To list what a server accepts, offer all, take away what it chose, and ask again until it refuses (N + 1 connections).
The order of the choices is the server's order of preference. Where it likes several alike, it follows the client: the
list offered the other way round brings out the last of those (one connection for each class of equals).

In TLS 1.3 the hellos carry no key share. The HelloRetryRequest that follows names the cipher suite and the group (RFC
8446 4.1.4), and costs the server no signature.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from meshproof.tls import registry
from meshproof.tls.answer import Answer, Offer, Offered
from meshproof.tls.hello import (
    ALPN,
    KEY_SHARE,
    POINT_FORMATS,
    PSK_MODES,
    SERVER_NAME,
    SIGNATURE_ALGORITHMS,
    SUPPORTED_GROUPS,
    SUPPORTED_VERSIONS,
)
from meshproof.tls.outcome import WORDLESS, Alert, Outcome
from meshproof.tls.posture import GroupOrder, SuiteOrder
from meshproof.tls.profile import Profile
from meshproof.tls.registry import CipherSuite, Group, extension_code, group_named, signature_code, suite_named
from meshproof.tls.version import ProtocolVersion

Ask = Callable[[Profile], Awaitable[Answer]]
"""Sends a hello to the target."""

Item = TypeVar("Item")

RSA, ECDSA = "RSA", "ECDSA"
PROTOCOLS = ("h2", "http/1.1", "http/1.0", "istio", "istio-peer-exchange", "acme-tls/1")

_EXTENDED_MASTER_SECRET = extension_code("extended_master_secret")
_RENEGOTIATION = suite_named("TLS_EMPTY_RENEGOTIATION_INFO_SCSV").code
_FALLBACK = suite_named("TLS_FALLBACK_SCSV").code
_X25519, _P256 = group_named("x25519").code, group_named("secp256r1").code
_SHARED = (_X25519, _P256)

_SIGNATURES: Mapping[str, tuple[int, ...]] = {
    RSA: tuple(
        map(
            signature_code,
            (
                *("rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512"),
                *("rsa_pss_pss_sha256", "rsa_pss_pss_sha384", "rsa_pss_pss_sha512"),
                *("rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512", "rsa_pkcs1_sha1"),
            ),
        )
    ),
    ECDSA: tuple(
        map(
            signature_code,
            (
                *("ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384", "ecdsa_secp521r1_sha512"),
                *("ed25519", "ed448", "ecdsa_sha1"),
            ),
        )
    ),
}
_ALL_SIGNATURES = _SIGNATURES[ECDSA] + _SIGNATURES[RSA] + (signature_code("dsa_sha256"), signature_code("dsa_sha1"))

_USUAL_SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_ELLIPTIC_SUITES = tuple(suite.code for suite in registry.tls12_suites() if suite.key_exchange == "ECDHE")


def _groups_first() -> tuple[int, ...]:
    """Return all groups, first those that every server knows, so that a server without an order takes a usual one."""
    usual = ("x25519", "secp256r1", "secp384r1", "secp521r1", "x448")
    first = [group_named(name).code for name in usual]
    return (*first, *(group.code for group in registry.groups() if group.code not in first))


ALL_GROUPS = _groups_first()


def broad(
    version: ProtocolVersion,
    *,
    suites: Sequence[int] | None = None,
    signatures: Sequence[int] = _ALL_SIGNATURES,
    groups: Sequence[int] = ALL_GROUPS,
    key_shares: Sequence[int] = _SHARED,
    alpn: Sequence[str] = (),
) -> Profile:
    """Return a client that speaks one version only, and in it all that there is unless told otherwise.

    A server that speaks the version must not miss a suite, a group or a signature algorithm in it, so that a refusal
    speaks of the version alone.
    """
    if version is ProtocolVersion.SSL_2:
        kinds = tuple(kind.code for kind in registry.ssl2_kinds())
        return Profile(name="", ssl2_format=True, versions=(version.code,), suites=kinds)
    tls13 = version is ProtocolVersion.TLS_1_3
    if suites is None:
        suites = [suite.code for suite in (registry.tls13_suites() if tls13 else registry.tls12_suites())]
    profile = Profile(
        name="",
        record_version=min(version, ProtocolVersion.TLS_1_0, key=lambda each: each.code),  # RFC 8446 5.1
        versions=(version.code,),
        session_id=32 if tls13 else 0,  # RFC 8446 D.4: compatibility mode
        suites=tuple(suites) if tls13 else (*suites, _RENEGOTIATION),
        groups=tuple(groups),
        signature_algorithms=tuple(signatures),
        key_shares=tuple(key_shares) if tls13 else (),
        alpn=tuple(alpn),
    )
    if version is ProtocolVersion.SSL_3:
        return profile
    extensions = [SERVER_NAME, SUPPORTED_GROUPS]
    if version.code >= ProtocolVersion.TLS_1_2.code:
        extensions.append(SIGNATURE_ALGORITHMS)
    if alpn:
        extensions.append(ALPN)
    extensions += [SUPPORTED_VERSIONS, PSK_MODES, KEY_SHARE] if tls13 else [POINT_FORMATS, _EXTENDED_MASTER_SECRET]
    return replace(profile, extensions=tuple(extensions))


def for_certificate(kind: str | None, alpn: Sequence[str]) -> Profile:
    """Return a client of TLS 1.3 that takes only one kind of certificate, ``RSA`` or ``ECDSA``, or any (None)."""
    signatures = _SIGNATURES[kind] if kind else _ALL_SIGNATURES
    suites = [suite_named(name).code for name in _USUAL_SUITES]
    return broad(ProtocolVersion.TLS_1_3, suites=suites, signatures=signatures, key_shares=_SHARED[:1], alpn=alpn)


async def versions(ask: Ask) -> dict[ProtocolVersion, Offer]:
    """Ask for each version with a hello that offers no other; six connections.

    Where no version gets an answer in TLS, a close or a reset proves nothing (docker-proxy and kube-proxy accept
    connections for nobody): those versions are then UNKNOWN.
    """
    answers = await asyncio.gather(*(ask(broad(version)) for version in ProtocolVersion))
    found = {version: _offer(answer) for version, answer in zip(ProtocolVersion, answers, strict=True)}
    if any(offer.offered is Offered.OFFERED or offer.alert is not None for offer in found.values()):
        return found
    return {version: offer.without_witness() for version, offer in found.items()}


def _offer(answer: Answer) -> Offer:
    if answer.negotiated:
        return Offer(offered=Offered.OFFERED)
    return Offer(
        offered=Offered.NOT_OFFERED if is_refusal(answer) else Offered.UNKNOWN,
        refusal=answer.outcome,
        alert=answer.alert,
        answered=answer.version,
    )


def is_refusal(answer: Answer) -> bool:
    """Say whether an answer refuses what was offered. A wrong name, a dead target or nonsense does not."""
    if answer.outcome is Outcome.UNRECOGNIZED_NAME:
        return False
    worded = answer.alert is not None or answer.outcome in (Outcome.VERSION_NOT_OFFERED, Outcome.HANDSHAKE_FAILURE)
    return worded or answer.outcome in WORDLESS


async def needed_shares(ask: Ask) -> Sequence[int]:
    """Return the key shares to send in TLS 1.3: none, unless the server refuses hellos without."""
    answer = await ask(broad(ProtocolVersion.TLS_1_3, key_shares=()))
    return () if answer.negotiated else _SHARED


async def suite_order(
    ask: Ask, version: ProtocolVersion, certificate: str | None, *, shares: Sequence[int] = ()
) -> SuiteOrder:
    """List the cipher suites that a server accepts in one version, with one kind of certificate.

    Args:
        ask: Sends a hello to the target.
        version: The version; from SSLv3 on.
        certificate: ``RSA`` (all that is not ECDSA) or ``ECDSA``; None for TLS 1.3.
        shares: The key shares to send in TLS 1.3; see ``needed_shares``.
    """
    if version is ProtocolVersion.TLS_1_3:
        offered = registry.tls13_suites()
        signatures = _ALL_SIGNATURES
    else:
        offered = tuple(
            suite for suite in registry.tls12_suites() if (suite.authentication == "ECDSA") is (certificate == ECDSA)
        )
        signatures = _SIGNATURES[certificate or RSA]
        if certificate == RSA:
            signatures += _ALL_SIGNATURES[-2:]  # DSA

    async def choose(suites: Sequence[CipherSuite]) -> tuple[CipherSuite | None, Answer]:
        codes = [suite.code for suite in suites]
        answer = await ask(broad(version, suites=codes, signatures=signatures, key_shares=shares))
        return answer.suite if answer.negotiated else None, answer

    chosen, complete = await _choices(choose, offered)
    preference = await _classes(choose, chosen)
    return SuiteOrder(
        version=version,
        certificate=certificate,
        preference=tuple(map(tuple, preference or [[suite] for suite in chosen])),
        complete=complete and preference is not None,
    )


async def group_order(ask: Ask, version: ProtocolVersion, *, shares: Sequence[int] = ()) -> GroupOrder:
    """List the groups that a server accepts in one version, TLS 1.2 or 1.3, for an ephemeral exchange.

    Args:
        ask: Sends a hello to the target.
        version: The version.
        shares: The key shares to send in TLS 1.3; see ``needed_shares``.
    """
    offered = [registry.group(code) for code in ALL_GROUPS]
    suites = None if version is ProtocolVersion.TLS_1_3 else _ELLIPTIC_SUITES

    async def choose(groups: Sequence[Group]) -> tuple[Group | None, Answer]:
        codes = [group.code for group in groups]
        mine = [share for share in shares if share in codes]
        answer = await ask(broad(version, suites=suites, groups=codes, key_shares=mine))
        return answer.group if answer.negotiated else None, answer

    chosen, complete = await _choices(choose, offered)
    decides = None
    if len(chosen) > 1:
        first, _ = await choose(chosen[::-1])
        decides = None if first is None else first == chosen[0]
    return GroupOrder(version=version, groups=tuple(chosen), server_decides=decides, complete=complete)


async def protocols(ask: Ask, version: ProtocolVersion) -> tuple[str, ...]:
    """List the application protocols that a server accepts, its first choice first; in TLS 1.2 or older."""
    found: list[str] = []
    offered = list(PROTOCOLS)
    while offered:
        answer = await ask(broad(version, alpn=offered))
        if not answer.negotiated or answer.alpn not in offered:
            break
        found.append(answer.alpn)
        offered.remove(answer.alpn)
    return tuple(found)


async def fallback_scsv(ask: Ask, offered: Sequence[ProtocolVersion]) -> bool | None:
    """Say whether the server notices a client that was talked into an older version (RFC 7507).

    Args:
        ask: Sends a hello to the target.
        offered: The versions that it offers, oldest first.

    Returns:
        None when there is no older version from TLS 1.0 on, or when nothing can be concluded.
    """
    candidates = [version for version in offered if version.code >= ProtocolVersion.TLS_1_0.code]
    if len(candidates) < 2:  # noqa: PLR2004 - one to fall back from, one to fall back to
        return None
    hello = broad(candidates[-2])
    answer = await ask(replace(hello, suites=(*hello.suites, _FALLBACK)))
    if answer.alert == Alert.INAPPROPRIATE_FALLBACK:
        return True
    return False if answer.negotiated else None


Choose = Callable[[Sequence[Item]], Awaitable[tuple[Item | None, Answer]]]


async def _choices(choose: Choose[Item], offered: Sequence[Item]) -> tuple[list[Item], bool]:
    """Return what the server chooses, one after the other, and whether a refusal ended it."""
    left = list(offered)
    chosen: list[Item] = []
    while left:
        item, answer = await choose(left)
        if item is None or item not in left:
            return chosen, is_refusal(answer)
        chosen.append(item)
        left.remove(item)
    return chosen, True


async def _classes(choose: Choose[Item], chosen: Sequence[Item]) -> list[list[Item]] | None:
    """Part the choices into classes of equals; None when the server stopped answering as it did."""
    classes = []
    left = list(chosen)
    while len(left) > 1:
        item, _ = await choose(left[::-1])
        if item is None or item not in left:
            return None
        end = left.index(item) + 1
        classes.append(left[:end])
        left = left[end:]
    return [*classes, left] if left else classes
