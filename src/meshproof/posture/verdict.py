"""What is weak about a posture: why, who says so, and which field of an Istio Gateway fixes it.

Only what was seen is judged: where a posture is unknown, that nothing was found means nothing. The texts are in
``weaknesses.json``, by the name of the finding: how bad, why, who says so, and what fixes it on any server.

A field of Istio is named only if it can do it. A server that does what Envoy, with BoringSSL, never does is not Envoy:
then no field of Istio changes anything about it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from meshproof.posture.istio import BORINGSSL_GROUPS, BORINGSSL_SUITES, CIPHERS, ENVOY_DEFAULTS
from meshproof.posture.spelling import group as spelled
from meshproof.tls.probe.answer import Offered
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.codes import group_named
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import UNKNOWN, UNREADABLE, Certificate, Posture


class Severity(Enum):
    """How bad a finding is; the worst first."""

    BROKEN = "broken"  # an attack on it is known, or a client has to refuse it
    WEAK = "weak"  # a standard says that it must not, or should not, be used
    NOTE = "note"  # no fault today, but there is something better

    def __str__(self) -> str:
        return self.value


class Finding(NamedTuple):
    """One thing that is weak.

    Attributes:
        id: Its name, the same in every release.
        severity: How bad it is.
        what: The versions, suites, groups, certificates or files that it is about.
        why: One sentence: why that is weak.
        source: Who says so.
        remedy: What fixes it: a field of an Istio Gateway or of the mesh's configuration, and its value; or whose
            settings to change.
    """

    id: str
    severity: Severity
    what: tuple[str, ...]
    why: str
    source: str
    remedy: str


BEHIND_PASSTHROUGH = "Behind PASSTHROUGH the gateway ends no TLS: there the backend itself has to be fixed."
"""Goes with every list of findings, for a scan cannot tell who ends TLS."""

_OTHER_SERVER = (
    "It is not an Envoy: it {sign}. No field of Istio changes that: the fixes are for the server that answers, "
    "such as a backend behind PASSTHROUGH."
)

_NEWER = "servers[].tls.minProtocolVersion: TLSV1_2"
_CERTIFICATE = "servers[].tls.credentialName: a Secret with another certificate"
_CHAIN = (
    "servers[].tls.credentialName: a Secret whose certificate comes first, after it the one that issued it, "
    "and so on, without the root"
)
_POST_QUANTUM = "X25519MLKEM768"
_STRONG_PRIME, _STRONG_CURVE = 2048, 224  # bits: 112 of strength
_BITS = re.compile(r"[0-9]{1,9}")
_BROKEN_HASH = re.compile(r"md[245]|sha-?1(?!\d)", re.IGNORECASE)

_OLD_VERSIONS = {
    ProtocolVersion.SSL_2: ("ssl-2", None),
    ProtocolVersion.SSL_3: ("ssl-3", None),
    ProtocolVersion.TLS_1_0: ("tls-1.0", _NEWER),
    ProtocolVersion.TLS_1_1: ("tls-1.1", _NEWER),
}


def _exchange(suite: CipherSuite) -> str:
    return suite.key_exchange or ""


def _cipher(suite: CipherSuite) -> str:
    return (suite.encryption or "").replace("DES_192_EDE3", "3DES_EDE")  # as SSLv2 calls it


def _anonymous(suite: CipherSuite) -> bool:
    return suite.authentication == "anonymous"


_WEAK_SUITES: Mapping[str, Callable[[CipherSuite], bool]] = {
    "null": lambda suite: _cipher(suite) == "NULL",
    "anonymous": _anonymous,
    "export": lambda suite: suite.export,
    "rc4": lambda suite: _cipher(suite).startswith("RC4"),
    "des": lambda suite: _cipher(suite).startswith(("DES", "RC2")),
    "3des": lambda suite: _cipher(suite).startswith(("3DES", "IDEA")),
    "cbc": lambda suite: "CBC" in _cipher(suite),
    "static-rsa": lambda suite: _exchange(suite).startswith("RSA"),
    "static-dh": lambda suite: _exchange(suite) in ("DH", "ECDH") and not _anonymous(suite),
    "no-forward-secrecy": lambda suite: not suite.forward_secret and not _anonymous(suite),
    "dhe": lambda suite: _exchange(suite).startswith("DHE"),
    "md5-mac": lambda suite: suite.mac == "MD5",
    "sha1-mac": lambda suite: suite.mac == "SHA",
}


def finding(name: str, what: Iterable[str], remedy: str | None = None, **facts: str) -> Finding:
    """Return the finding of that name; the facts go into its sentence. Without a remedy it has that of any server."""
    severity, why, source, *fix = _texts()[name]
    return Finding(name, Severity(severity), tuple(what), why.format(**facts), source, remedy or fix[0])


def judge(posture: Posture) -> tuple[Finding, ...]:
    """Return what is weak about a posture, the worst first."""
    parts = (_versions, _suites, _groups, _certificates)
    findings = dict.fromkeys(finding for part in parts for finding in part(posture))
    if other_server(posture):
        findings = dict.fromkeys(finding._replace(remedy=_texts()[finding.id][3]) for finding in findings)
    return tuple(sorted(findings, key=lambda finding: list(Severity).index(finding.severity)))


@cache
def _texts() -> Mapping[str, Sequence[str]]:
    texts: Mapping[str, Sequence[str]] = json.loads(Path(__file__).with_name("weaknesses.json").read_bytes())
    return texts


def other_server(posture: Posture) -> str | None:
    """Return the sentence that names what the server does and Envoy, with BoringSSL, never does; None if nothing."""
    sign = next(_signs_of_another_server(posture), None)
    return _OTHER_SERVER.format(sign=sign) if sign else None


def _signs_of_another_server(posture: Posture) -> Iterator[str]:
    """Give what Envoy never does, each as the end of a sentence."""
    suites = {suite.label for order in posture.ciphers for suite in order.suites if suite.encryption}
    groups = {spelled(group) for order in posture.groups for group in order.groups if group.kind != "unknown"}
    for version in (ProtocolVersion.SSL_2, ProtocolVersion.SSL_3):
        if version in posture.offered:
            yield f"offers {version}"
    if posture.dh_bits or any(client.answer.dh_bits for client in posture.clients):
        yield "offers DHE"
    for what, names in (("cipher suite", suites - BORINGSSL_SUITES), ("group", groups - BORINGSSL_GROUPS)):
        if names:
            yield f"offers the {what} {min(names)}"
    if posture.fallback_scsv is False:
        yield "ignores TLS_FALLBACK_SCSV"


def _versions(posture: Posture) -> Iterator[Finding]:
    for version in posture.offered:
        if version in _OLD_VERSIONS:
            name, remedy = _OLD_VERSIONS[version]
            yield finding(name, [str(version)], remedy)
    newest = posture.versions.get(ProtocolVersion.TLS_1_3)
    if posture.offered and newest and newest.offered is Offered.NOT_OFFERED:
        remedy = "servers[].tls.maxProtocolVersion: TLSV1_3, or leave it out"
        yield finding("no-tls-1.3", [str(ProtocolVersion.TLS_1_3)], remedy)
    if posture.fallback_scsv is False:
        yield finding("no-fallback-scsv", map(str, posture.fallback_versions))


def _suites(posture: Posture) -> Iterator[Finding]:
    # Of a code without a name nothing is known.
    offered = [(order.version, suite) for order in posture.ciphers for suite in order.suites if suite.encryption]
    good = [str(s) for _, s in offered if s.openssl in CIPHERS and not any(weak(s) for weak in _WEAK_SUITES.values())]
    wanted = f"servers[].tls.cipherSuites: [{', '.join(dict.fromkeys(good or ENVOY_DEFAULTS))}]"
    for name, weak in _WEAK_SUITES.items():
        weak_suites: dict[ProtocolVersion, dict[CipherSuite, None]] = {}
        for version, suite in offered:
            if weak(suite):
                weak_suites.setdefault(version, {})[suite] = None
        if weak_suites:
            what = [f"{version}: {', '.join(map(str, suites))}" for version, suites in weak_suites.items()]
            yield finding(name, what, wanted)


def _groups(posture: Posture) -> Iterator[Finding]:
    groups = {group for order in posture.groups for group in order.groups}
    small = sorted(spelled(group) for group in groups if group.kind == "ECDH" and _is_short(group.bits, _STRONG_CURVE))
    if small:
        yield finding("small-group", small)
    primes = {group.bits for group in groups if group.kind == "DH"}
    primes |= {*posture.dh_bits, *(client.answer.dh_bits for client in posture.clients)}
    if short := sorted(bits for bits in primes if bits and _is_short(bits, _STRONG_PRIME)):
        yield finding("small-dh", [f"{bits} bit DH" for bits in short])
    for order in posture.groups:
        if order.version is ProtocolVersion.TLS_1_3 and order.complete and all(g.kind != "KEM" for g in order.groups):
            names = [spelled(group) for group in order.groups]
            curves = f"meshConfig.tlsDefaults.ecdhCurves: [{', '.join((_POST_QUANTUM, *names))}]"
            remedy = f"{curves}, for the whole mesh: a Gateway has no field for it"
            yield finding("no-post-quantum", names, remedy)


def _certificates(posture: Posture) -> Iterator[Finding]:
    for leaf in posture.certificates:
        name = leaf.subject or ", ".join(leaf.names) or leaf.fingerprint
        for fault in (*_leaf_faults(leaf, posture), *_faults(leaf, posture)):
            yield _certificate_finding(fault, name, leaf, sni=posture.target.sni or "")
        for sent in leaf.intermediates:
            for fault in _faults(sent, posture):
                if not (fault == "sha1-signature" and _is_self_signed(sent)):  # nobody checks how a root is signed
                    yield _certificate_finding(fault, f"intermediate {sent.subject}", sent)
        yield from _chain(leaf, name)


def _chain(leaf: Certificate, name: str) -> Iterator[Finding]:
    """Judge the order of what was sent: each certificate has to certify the one before it."""
    chain = (leaf, *leaf.intermediates)
    wrong, roots = [], []
    for place, (before, sent) in enumerate(pairwise(chain), start=1):
        earlier = [certificate.fingerprint for certificate in chain[:place]]
        if sent.fingerprint and sent.fingerprint in earlier:
            wrong.append(f"{sent.subject} is sent twice")
        elif not _may_certify(sent, before):
            others = [certificate for certificate in chain if certificate.fingerprint != sent.fingerprint]
            out_of_order = any(_may_certify(sent, certificate) for certificate in others)
            wrong.append(
                f"{sent.subject} is out of order" if out_of_order else f"{sent.subject} certifies none of the others"
            )
        elif _is_self_signed(sent):
            roots.append(sent.subject)
    if wrong:
        yield finding("chain-order", [f"{name}: {', '.join(wrong)}"], _CHAIN)
    if roots:
        yield finding("root-sent", [f"{name}: {', '.join(roots)}"], _CHAIN)


def _may_certify(issuer: Certificate, certificate: Certificate) -> bool:
    """Return whether one may have issued the other: by their names, of which one that is not known may be any."""
    names = (issuer.subject, certificate.issuer)
    return bool({UNREADABLE, UNKNOWN}.intersection(names)) or _same_name(*names)


def _is_self_signed(certificate: Certificate) -> bool:
    return certificate.subject != UNREADABLE and _same_name(certificate.subject, certificate.issuer)


def _same_name(first: str, second: str) -> bool:
    """Compare distinguished names; capitals and spaces do not count (RFC 5280 section 7.1)."""
    return " ".join(first.split()).casefold() == " ".join(second.split()).casefold()


def _certificate_finding(fault: str, name: str, certificate: Certificate, **facts: str) -> Finding:
    since, until = f"{certificate.not_before:%Y-%m-%d}", f"{certificate.not_after:%Y-%m-%d}"
    facts |= {"since": since, "until": until, "key": certificate.key, "signature": certificate.signature}
    return finding(fault, [name], _CERTIFICATE, **facts)


def _leaf_faults(leaf: Certificate, posture: Posture) -> Iterator[str]:
    """Give what is wrong with a certificate of a server, and would not be with an intermediate."""
    now = posture.began
    if leaf.not_before <= now <= leaf.not_after and leaf.not_after - now < (leaf.not_after - leaf.not_before) / 10:
        yield "expires-soon"
    sni = posture.target.sni
    if sni is not None and UNREADABLE not in leaf.names and not any(_covers(name, sni) for name in leaf.names):
        yield "wrong-name"
    if _is_self_signed(leaf):
        yield "self-signed"


def _faults(certificate: Certificate, posture: Posture) -> Iterator[str]:
    now = posture.began
    if certificate.not_after < now:
        yield "expired"
    elif certificate.not_before > now:
        yield "not-yet-valid"
    if _BROKEN_HASH.search(certificate.signature):
        yield "sha1-signature"
    size = certificate.key.partition(" ")[2]
    if _is_short(int(size), _STRONG_PRIME) if _BITS.fullmatch(size) else _is_short(_curve_bits(size), _STRONG_CURVE):
        yield "small-key"


def _covers(name: str, host: str) -> bool:
    """Return whether a name of a certificate is that of the host; a wildcard stands for one label (RFC 9525 6.3)."""
    name, host = name.lower(), host.lower().rstrip(".")
    return name == host or (name.startswith("*.") and "." in host and name[1:] == host[host.index(".") :])


def _curve_bits(name: str) -> int | None:
    try:
        return group_named(name).bits
    except ValueError:
        return None


def _is_short(bits: int | None, enough: int) -> bool:
    return bits is not None and bits < enough
