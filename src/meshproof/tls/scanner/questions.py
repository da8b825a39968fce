"""The hellos with which a scan asks a server for one thing, each short enough for every stack.

Stacks in use take no more than 128 cipher suites, or no hello of more than 512 octets; what they do with a longer one
says nothing about what it offers. So suites are asked for in portions, those first that servers usually have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from meshproof.tls.probe.decryption import SUITES
from meshproof.tls.protocol import codes
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.codes import extension_code, group_named, signature_code, suite_named
from meshproof.tls.protocol.hello import (
    ALPN,
    KEY_SHARE,
    POINT_FORMATS,
    PSK_MODES,
    SERVER_NAME,
    SIGNATURE_ALGORITHMS,
    SIGNATURE_ALGORITHMS_CERT,
    SUPPORTED_GROUPS,
    SUPPORTED_VERSIONS,
    Hello,
)
from meshproof.tls.protocol.keyshare import public_key
from meshproof.tls.protocol.profile import Profile
from meshproof.tls.protocol.version import ProtocolVersion

RSA, ECDSA = "RSA", "ECDSA"
PROTOCOLS = (
    *("h2", "http/1.1", "http/1.0", "acme-tls/1"),
    # What Istio's proxies speak among each other: its model package, alpn_filter and the metadata exchange.
    *("istio-peer-exchange", "istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"),
)
"""The application protocols that a scan asks for."""

MOST_SUITES = 122
FEW_SUITES = 30
LONGEST = 512  # octets of a hello, the header of its record included

_EXTENDED_MASTER_SECRET = extension_code("extended_master_secret")
_RENEGOTIATION = suite_named("TLS_EMPTY_RENEGOTIATION_INFO_SCSV").code
_FALLBACK = suite_named("TLS_FALLBACK_SCSV").code
_SHARED = (group_named("x25519").code, group_named("secp256r1").code)

CERTIFICATES: Mapping[str, tuple[int, ...]] = {
    name: tuple(map(signature_code, schemes))
    for name, schemes in {
        "RSA": (
            *("rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512"),
            *("rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512", "rsa_pkcs1_sha1"),
        ),
        "RSA-PSS": ("rsa_pss_pss_sha256", "rsa_pss_pss_sha384", "rsa_pss_pss_sha512"),
        "P-256": ("ecdsa_secp256r1_sha256", "ecdsa_sha1"),
        "P-384": ("ecdsa_secp384r1_sha384",),
        "P-521": ("ecdsa_secp521r1_sha512",),
        "Ed25519": ("ed25519",),
        "Ed448": ("ed448",),
    }.items()
}
"""The kinds of keys that a certificate may have, each with the algorithms that such a key signs with in TLS 1.3."""

RARE_CERTIFICATES = ("RSA-PSS", "P-384", "P-521", "Ed25519", "Ed448")
"""The kinds that few servers have: they are asked for together first."""

ALL_SIGNATURES = tuple(
    map(
        signature_code,
        (
            *("ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384", "ecdsa_secp521r1_sha512", "ed25519", "ed448"),
            *("ecdsa_sha1", "rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512"),
            *("rsa_pss_pss_sha256", "rsa_pss_pss_sha384", "rsa_pss_pss_sha512"),
            *("rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512", "rsa_pkcs1_sha1"),
            *("dsa_sha256", "dsa_sha1"),
        ),
    )
)
_USUAL_SIGNATURES = tuple(
    map(
        signature_code,
        (
            *("ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256", "rsa_pkcs1_sha256", "ecdsa_secp384r1_sha384"),
            *("rsa_pss_rsae_sha384", "rsa_pkcs1_sha384", "rsa_pss_rsae_sha512", "rsa_pkcs1_sha512", "rsa_pkcs1_sha1"),
        ),
    )
)
_RARE = ("_CCM", "_CCM_8")
_WITHOUT_NAMES = (ProtocolVersion.SSL_2, ProtocolVersion.SSL_3)
_USUAL_GROUPS = ("x25519", "secp256r1", "secp384r1", "secp521r1", "x448")
_USUAL_EXCHANGES = ("ECDHE", "DHE", "RSA")
_USUAL_CIPHERS = ("AES", "CHACHA20", "3DES", "CAMELLIA", "RC4", "ARIA", "SEED")


@cache
def groups(version: ProtocolVersion) -> tuple[int, ...]:
    """Return the codes of all groups that a version can use, first those that nearly every server knows.

    A key encapsulation such as X25519MLKEM768 is for TLS 1.3 only (draft-ietf-tls-ecdhe-mlkem).
    """
    tls13 = version is ProtocolVersion.TLS_1_3
    usual = [group_named(name).code for name in _USUAL_GROUPS]
    rest = [group.code for group in codes.groups() if tls13 or group.kind != "KEM"]
    return tuple(dict.fromkeys((*usual, *rest)))


@cache
def suites(version: ProtocolVersion, certificate: str | None = None) -> tuple[CipherSuite, ...]:
    """Return all cipher suites of a version, first those that servers usually have, in the order of their strength.

    Args:
        version: From SSLv3 on.
        certificate: ``ECDSA`` for the suites of that kind of certificate, ``RSA`` for all others; None for both.
    """
    if version is ProtocolVersion.TLS_1_3:
        return codes.tls13_suites()
    fitting = [
        suite
        for suite in codes.tls12_suites()
        if certificate is None or (suite.authentication == ECDSA) is (certificate == ECDSA)
    ]
    return tuple(sorted(fitting, key=lambda suite: not _is_usual(suite)))


def _is_usual(suite: CipherSuite) -> bool:
    cipher = suite.encryption or ""
    return (
        suite.key_exchange in _USUAL_EXCHANGES
        and suite.authentication in (RSA, ECDSA)
        and cipher.startswith(_USUAL_CIPHERS)
        and not suite.export
    )


def portions(hello: Profile, wanted: Sequence[CipherSuite], sni: str | None) -> Iterator[tuple[CipherSuite, ...]]:
    """Part cipher suites so that every stack takes the hello with any part of them.

    Args:
        hello: The hello that the parts are for; none of them is larger than the number of suites in it.
        wanted: The suites.
        sni: The server name that is sent.
    """
    empty = replace(hello, suites=hello.suites[:1])
    room = (LONGEST - len(Hello(empty, sni).first())) // 2
    size = max(FEW_SUITES, min(len(hello.suites), room))
    for start in range(0, len(wanted), size):
        yield tuple(wanted[start : start + size])


def broad(
    version: ProtocolVersion,
    *,
    suites: Sequence[int] | None = None,
    signatures: Sequence[int] = ALL_SIGNATURES,
    key_shares: Sequence[int] = _SHARED,
    alpn: Sequence[str] = (),
) -> Profile:
    """Return a client that speaks one version only, and in it every group and signature algorithm there is.

    A server that speaks the version must not miss a suite, a group or a signature algorithm in it, so that a refusal
    speaks of the version alone.

    Args:
        version: The version.
        suites: The cipher suites; None for the first portion of them.
        signatures: The signature algorithms.
        key_shares: The groups to send a key share of, in TLS 1.3.
        alpn: The application protocols; empty sends no ALPN.
    """
    if version is ProtocolVersion.SSL_2:
        kinds = tuple(kind.code for kind in codes.ssl2_kinds())
        return Profile(name="", ssl2_format=True, versions=(version.code,), suites=kinds)
    tls13 = version is ProtocolVersion.TLS_1_3
    profile = Profile(
        name="",
        record_version=min(version, ProtocolVersion.TLS_1_0, key=lambda each: each.code),  # RFC 8446 5.1
        versions=(version.code,),
        session_id=32 if tls13 else 0,  # RFC 8446 D.4: compatibility mode
        suites=(),
        groups=groups(version),
        signature_algorithms=tuple(signatures),
        key_shares=tuple(key_shares) if tls13 else (),
    )
    if suites is None:
        suites = [suite.code for suite in _all_suites(version)[:MOST_SUITES]]
    profile = with_suites(profile, suites)
    if version is ProtocolVersion.SSL_3:
        return profile
    extensions = [SERVER_NAME, SUPPORTED_GROUPS]
    if version.code >= ProtocolVersion.TLS_1_2.code:
        extensions.append(SIGNATURE_ALGORITHMS)
    extensions += [SUPPORTED_VERSIONS, PSK_MODES, KEY_SHARE] if tls13 else [POINT_FORMATS, _EXTENDED_MASTER_SECRET]
    return with_alpn(replace(profile, extensions=tuple(extensions)), alpn)


_all_suites = suites  # ``broad`` has an argument of that name


def short(version: ProtocolVersion) -> Profile:
    """Return a client with only a few of all that is usual, for stacks that can't bear more; from TLS 1.0 on."""
    hello = broad(version, signatures=_USUAL_SIGNATURES)
    few = tuple(suite for suite in _all_suites(version) if suite.authentication in (None, RSA, ECDSA))
    hello = with_suites(hello, [suite.code for suite in few if not suite.name.endswith(_RARE)][:FEW_SUITES])
    return with_groups(hello, groups(version)[: len(_USUAL_GROUPS)])


def bare(version: ProtocolVersion) -> Profile:
    """Return a client that sends no extension at all, for stacks that can't bear any; up to TLS 1.2."""
    return replace(broad(version), extensions=(), groups=(), signature_algorithms=())


def nameless(hello: Profile) -> Profile:
    """Return a hello without a server name."""
    return replace(hello, extensions=tuple(code for code in hello.extensions if code != SERVER_NAME))


def names_the_server(hello: Profile, sni: str | None) -> bool:
    """Return whether a hello sends the server name, where there is one: an answer to one without may be another host's.

    Hellos of SSL can't send any.
    """
    return sni is None or SERVER_NAME in hello.extensions or hello.accepted_versions[0] in _WITHOUT_NAMES


def alongside(hello: Profile, judged: Profile) -> Profile:
    """Return a hello that offers beside its own all that another one offers, so that it differs in the version only.

    A list that is too long for a server, or has something in it that a firewall won't let pass, then ends both.
    """
    return replace(
        hello,
        suites=_union(hello.suites, judged.suites) if not judged.ssl2_format else hello.suites,
        groups=_union(hello.groups, judged.groups),
        signature_algorithms=_union(hello.signature_algorithms, judged.signature_algorithms),
    )


def _union(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def without_key_share(hello: Profile) -> Profile:
    """Return a hello of TLS 1.3 that the server has to answer with a HelloRetryRequest (RFC 8446 4.1.4).

    It names the cipher suite and the group all the same, and costs the server no signature.
    """
    return replace(hello, key_shares=())


def with_suites(hello: Profile, codes: Sequence[int]) -> Profile:
    """Return a hello with other cipher suites; before TLS 1.3 the signal of RFC 5746 3.3 follows them."""
    tls13 = hello.accepted_versions[0] is ProtocolVersion.TLS_1_3
    return replace(hello, suites=tuple(codes) if tls13 else (*codes, _RENEGOTIATION))


def with_groups(hello: Profile, codes: Sequence[int]) -> Profile:
    """Return a hello with other groups; if it has key shares, with one of those groups."""
    shares = tuple(code for code in hello.key_shares if code in codes)
    if hello.key_shares and not shares:
        shares = tuple(code for code in codes if public_key(code))[:1]
    return replace(hello, groups=tuple(codes), key_shares=shares)


def with_alpn(hello: Profile, protocols: Sequence[str]) -> Profile:
    """Return a hello that offers these application protocols; none sends no ALPN (RFC 7301)."""
    extensions = tuple(code for code in hello.extensions if code != ALPN)
    return replace(hello, alpn=tuple(protocols), extensions=(*extensions, ALPN) if protocols else extensions)


def with_fallback(hello: Profile) -> Profile:
    """Return a hello that says that its client could do better and was refused (RFC 7507 4)."""
    return replace(hello, suites=(*hello.suites, _FALLBACK))


def for_certificate(hello: Profile, *kinds: str) -> Profile:
    """Return a hello that takes only some kinds of certificates for the server itself, whoever signed them.

    Without ``signature_algorithms_cert`` the algorithms would bind the whole chain (RFC 8446 4.2.3).

    Args:
        hello: A hello of TLS 1.2 or 1.3.
        kinds: Of those in ``CERTIFICATES``.
    """
    extensions = tuple(code for code in hello.extensions if code != SIGNATURE_ALGORITHMS_CERT)
    return replace(
        hello,
        signature_algorithms=tuple(scheme for kind in kinds for scheme in CERTIFICATES[kind]),
        signature_algorithms_cert=ALL_SIGNATURES,
        extensions=(*extensions, SIGNATURE_ALGORITHMS_CERT),
    )


ENCRYPTED = broad(ProtocolVersion.TLS_1_3, suites=SUITES, key_shares=(group_named("x25519").code,))
"""A client of TLS 1.3 of whose answer all can be read, what is encrypted too."""
