"""Postures that the tests judge and compare, put together by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from meshproof.tls.probe.answer import Answer, Offer, Offered
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.probe.stream import Address
from meshproof.tls.protocol.codes import group_named, suite_named
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import (
    Certificate,
    ClientAuthentication,
    ClientResult,
    GroupOrder,
    Posture,
    SuiteOrder,
    Target,
)

BEGAN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOST = "example.test"
TLS_1_0, TLS_1_2, TLS_1_3 = ProtocolVersion.TLS_1_0, ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3

OFFERED = Offer(offered=Offered.OFFERED)
NOT_OFFERED = Offer(offered=Offered.NOT_OFFERED, refusal=Outcome.PROTOCOL_VERSION, alert=70)
UNKNOWN = Offer(offered=Offered.UNKNOWN, refusal=Outcome.SILENT)

INTERMEDIATE = Certificate(
    subject="CN=authority",
    names=(),
    issuer="CN=root",
    serial=2,
    key="EC P-384",
    signature="ecdsa-with-SHA384",
    not_before=BEGAN - timedelta(days=300),
    not_after=BEGAN + timedelta(days=20),
    fingerprint="ba" * 32,
)
"""Near its end, as many intermediates are."""

CERTIFICATE = Certificate(
    subject=f"CN={HOST}",
    names=(HOST, "*.example.test"),
    issuer="CN=authority",
    serial=1 << 100,
    key="RSA 2048",
    signature="sha256WithRSAEncryption",
    not_before=BEGAN - timedelta(days=30),
    not_after=BEGAN + timedelta(days=60),
    fingerprint="ab" * 32,
    intermediates=(INTERMEDIATE,),
)

GCM = "ECDHE-RSA-AES128-GCM-SHA256"
CHACHA = "ECDHE-RSA-CHACHA20-POLY1305"
GCM_256 = "ECDHE-RSA-AES256-GCM-SHA384"
TLS_1_3_SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")


def versions(*offered: ProtocolVersion, unknown: ProtocolVersion | None = None) -> Mapping[ProtocolVersion, Offer]:
    """Return an answer for each version."""
    return {
        each: OFFERED if each in offered else UNKNOWN if each is unknown else NOT_OFFERED for each in ProtocolVersion
    }


def suites(version: ProtocolVersion, *ranks: str, certificate: str | None = "RSA", complete: bool = True) -> SuiteOrder:
    """Return a list of suites, best first; ``A|B`` are liked alike."""
    preference = tuple(tuple(map(suite_named, rank.split("|"))) for rank in ranks)
    return SuiteOrder(version=version, certificate=certificate, preference=preference, complete=complete)


def groups(version: ProtocolVersion, *names: str, decides: bool | None = True, complete: bool = True) -> GroupOrder:
    """Return a list of groups, the preferred one first."""
    found = tuple(map(group_named, names))
    return GroupOrder(version=version, groups=found, server_decides=decides, complete=complete)


def connected(name: str, version: ProtocolVersion, suite: str, group: str | None = None, **more: int) -> ClientResult:
    """Return a client that gets in."""
    answer = Answer(
        outcome=Outcome.NEGOTIATED,
        version=version,
        suite=suite_named(suite),
        group=group_named(group) if group else None,
        dh_bits=more.get("dh_bits"),
        alpn="h2",
        retried=True,
        client_cert_requested=False,
    )
    return ClientResult(name, answer, "It offers the server's first choice.")


def refused(name: str, *, unknown: bool = False) -> ClientResult:
    """Return a client that does not get in, or of which nothing is known."""
    if unknown:
        return ClientResult(name, Answer(outcome=Outcome.SILENT), "The server said nothing in time.", unknown=True)
    return ClientResult(name, Answer(outcome=Outcome.HANDSHAKE_FAILURE, alert=40), "It has no suite in common.")


GOOD = Posture(
    target=Target(Address("127.0.0.1", 443), HOST),
    began=BEGAN,
    seconds=0.25,
    connections=80,
    versions=versions(TLS_1_2, TLS_1_3),
    listed=True,
    ciphers=(
        suites(TLS_1_2, f"{GCM}|{CHACHA}", GCM_256),
        suites(TLS_1_3, "|".join(TLS_1_3_SUITES), certificate=None),
    ),
    groups=(groups(TLS_1_2, "x25519", "secp256r1"), groups(TLS_1_3, "X25519MLKEM768", "x25519", "secp256r1")),
    alpn=("h2", "http/1.1"),
    certificates=(CERTIFICATE,),
    client_authentication=ClientAuthentication.NOT_REQUESTED,
    fallback_scsv=True,
    clients=(
        connected("Java 8u161", TLS_1_2, GCM, "secp256r1"),
        connected("Chrome", TLS_1_3, TLS_1_3_SUITES[0], "x25519"),
        refused("IE 6 XP"),
    ),
    endpoint="127.0.0.1:443",
)
"""A gateway with nothing weak about it."""

WEAK = replace(
    GOOD,
    versions=versions(ProtocolVersion.SSL_2, ProtocolVersion.SSL_3, TLS_1_0, ProtocolVersion.TLS_1_1, TLS_1_2),
    ciphers=(
        suites(TLS_1_0, "AES128-SHA", "DES-CBC3-SHA", "RC4-MD5", "NULL-SHA", "EXP-DES-CBC-SHA", "ADH-AES128-SHA"),
        suites(TLS_1_2, "AES128-SHA", GCM, "DHE-RSA-AES128-GCM-SHA256", "TLS_DH_RSA_WITH_AES_128_CBC_SHA256"),
    ),
    groups=(groups(TLS_1_2, "secp192r1"), groups(TLS_1_3, "x25519")),
    certificates=(replace(CERTIFICATE, key="RSA 1024", signature="sha1WithRSAEncryption", not_after=BEGAN),),
    fallback_scsv=False,
    clients=(connected("Java 8u161", TLS_1_2, "DHE-RSA-AES128-GCM-SHA256", dh_bits=1024),),
)
"""A server with nearly everything wrong."""

SILENT = replace(
    GOOD,
    versions=dict.fromkeys(ProtocolVersion, UNKNOWN),
    ciphers=(),
    groups=(),
    alpn=(),
    alpn_complete=False,
    certificates=(),
    certificates_complete=False,
    client_authentication=ClientAuthentication.UNKNOWN,
    fallback_scsv=None,
    clients=tuple(refused(client.name, unknown=True) for client in GOOD.clients),
    unreachable=Outcome.SILENT,
)
"""A server that never said a word."""
