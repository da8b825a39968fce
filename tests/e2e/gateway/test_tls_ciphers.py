"""TLS ciphers: a gateway offers the suites that it was given and its certificate allows, and clients get the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from meshproof.posture.verdict import Severity, judge
from meshproof.testing import Certificates, Opinions, Posture, Server
from meshproof.tls import ProtocolVersion
from tests.e2e.gateway.seed import (
    HANDSHAKE_FAILURE,
    NO_CONNECTION,
    PROTOCOL_VERSION,
    SSL_3_CLIENT,
    WORDLESS_END,
    Row,
    refused_ssl_3,
)

pytestmark = pytest.mark.seed(number=0)
SERVERS = {
    "restricted": Server("https-restricted", "aliyun.com"),
    "legacy": Server("https-legacy", "aliyun.com"),
    "ECDSA": Server("https-ecdsa", "ecdsa.aliyun.com"),
}
KEYS = {"restricted": "RSA 2048", "legacy": "RSA 2048", "ECDSA": "EC P-256"}
P_256, X25519 = "256 bit ECDH (P-256)", "253 bit ECDH (X25519)"
TLS_1_0, TLS_1_1 = ProtocolVersion.TLS_1_0, ProtocolVersion.TLS_1_1
TLS_1_2, TLS_1_3 = ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3


@dataclass(frozen=True, slots=True)
class Order:
    """The suites of a server in a version, best first; those between bars it likes alike."""

    server: str
    version: ProtocolVersion
    suites: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.server}: {self.version}"


OLD = ("ECDHE-RSA-AES128-SHA", "AES128-SHA", "DES-CBC3-SHA")
ALL_OF_TLS_1_3 = ("TLS_AES_128_GCM_SHA256|TLS_AES_256_GCM_SHA384|TLS_CHACHA20_POLY1305_SHA256",)
ORDERS = [
    Order("restricted", TLS_1_2, ("ECDHE-RSA-AES256-GCM-SHA384",)),
    Order("restricted", TLS_1_3, ALL_OF_TLS_1_3),
    Order("legacy", TLS_1_0, OLD),
    Order("legacy", TLS_1_1, OLD),
    Order("legacy", TLS_1_2, ("ECDHE-RSA-AES128-GCM-SHA256", *OLD)),
    Order("legacy", TLS_1_3, ALL_OF_TLS_1_3),
    Order(
        "ECDSA",
        TLS_1_2,
        ("ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ),
    Order("ECDSA", TLS_1_3, ALL_OF_TLS_1_3),
]

CLIENTS = [
    # Who has the one suite gets in with it, and who speaks TLS 1.3 notices nothing.
    Row("restricted", "Android 6.0", NO_CONNECTION, HANDSHAKE_FAILURE),
    Row("restricted", "Android 7.0 (native)", f"TLSv1.2  ECDHE-RSA-AES256-GCM-SHA384  {P_256}"),
    Row("restricted", "IE 11 Win 10", f"TLSv1.2  ECDHE-RSA-AES256-GCM-SHA384  {P_256}"),
    Row("restricted", "Java 8u161", f"TLSv1.2  ECDHE-RSA-AES256-GCM-SHA384  {P_256}"),
    Row("restricted", "LibreSSL 2.8.3 (Apple)", f"TLSv1.2  ECDHE-RSA-AES256-GCM-SHA384  {X25519}"),
    Row("restricted", "Chrome 101 (Win 10)", f"TLSv1.3  TLS_AES_128_GCM_SHA256  {X25519}"),
    Row("restricted", "Safari 12.1 (iOS 12.2)", f"TLSv1.3  TLS_CHACHA20_POLY1305_SHA256  {X25519}"),
    Row("restricted", "Java 17.0.3 (OpenJDK)", f"TLSv1.3  TLS_AES_256_GCM_SHA384  {X25519}"),
    # Who has nothing better gets in, down to TLS 1.0, and who has loses nothing.
    refused_ssl_3(
        Row("legacy", SSL_3_CLIENT, NO_CONNECTION, WORDLESS_END),
        Row("legacy", SSL_3_CLIENT, NO_CONNECTION, PROTOCOL_VERSION),
    ),
    Row("legacy", "IE 8 XP", "TLSv1.0  DES-CBC3-SHA  No FS"),
    Row("legacy", "IE 8 Win 7", f"TLSv1.0  ECDHE-RSA-AES128-SHA  {P_256}"),
    Row("legacy", "Java 7u25", f"TLSv1.0  ECDHE-RSA-AES128-SHA  {P_256}"),
    Row("legacy", "IE 11 Win 7", f"TLSv1.2  ECDHE-RSA-AES128-SHA  {P_256}"),
    Row("legacy", "Android 6.0", f"TLSv1.2  ECDHE-RSA-AES128-GCM-SHA256  {P_256}"),
    Row("legacy", "Chrome 101 (Win 10)", f"TLSv1.3  TLS_AES_128_GCM_SHA256  {X25519}"),
    # IE 11 has AES-GCM with ECDHE for ECDSA only: with this certificate it gets in.
    Row("ECDSA", "IE 8 Win 7", NO_CONNECTION, PROTOCOL_VERSION),
    Row("ECDSA", "IE 11 Win 7", f"TLSv1.2  ECDHE-ECDSA-AES128-GCM-SHA256  {P_256}"),
    Row("ECDSA", "IE 11 Win 8.1", f"TLSv1.2  ECDHE-ECDSA-AES128-GCM-SHA256  {P_256}"),
    Row("ECDSA", "IE 11 Win Phone 8.1", f"TLSv1.2  ECDHE-ECDSA-AES128-GCM-SHA256  {P_256}"),
    Row("ECDSA", "LibreSSL 2.8.3 (Apple)", f"TLSv1.2  ECDHE-ECDSA-CHACHA20-POLY1305  {X25519}"),
    Row("ECDSA", "Chrome 101 (Win 10)", f"TLSv1.3  TLS_AES_128_GCM_SHA256  {X25519}"),
]

NEWER = "servers[].tls.minProtocolVersion: TLSV1_2"
STRONGER = "servers[].tls.cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256]"
WEAK = {
    "restricted": {},
    "legacy": {
        "tls-1.0": NEWER,
        "tls-1.1": NEWER,
        "3des": STRONGER,
        "cbc": STRONGER,
        "static-rsa": STRONGER,
        "no-forward-secrecy": STRONGER,
    },
    "ECDSA": {},
}


@pytest.mark.parametrize("server", SERVERS)
def test_versions(server: str, postures: Mapping[str, Posture]) -> None:
    """A server offers the versions that it has suites for, and no others."""
    assert set(postures[server].offered) == {order.version for order in ORDERS if order.server == server}


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_suites(order: Order, postures: Mapping[str, Posture]) -> None:
    """A server offers the suites that it was given, in that order; but in TLS 1.3 all, for those can't be chosen."""
    seen = [each.preference for each in postures[order.server].ciphers if each.version is order.version]
    assert seen, "the version is not offered"
    assert tuple("|".join(sorted(map(str, alike))) for preference in seen for alike in preference) == order.suites


@pytest.mark.parametrize("version", ProtocolVersion, ids=str)
@pytest.mark.parametrize("server", SERVERS)
def test_suites_say_sslyze(server: str, version: ProtocolVersion, second_opinions: Mapping[str, Opinions]) -> None:
    """Another program, with TLS stacks of its own, finds the same."""
    assert second_opinions[server].sslyze[version] == second_opinions[server].ours[version]


@pytest.mark.parametrize("server", SERVERS)
def test_certificate(server: str, postures: Mapping[str, Posture], certificates: Certificates) -> None:
    """Whatever a client takes, the server shows it the one certificate that it was given."""
    (seen,) = postures[server].certificates
    assert (seen.serial, seen.key) == (certificates[SERVERS[server].host].serial, KEYS[server])


@pytest.mark.parametrize("row", CLIENTS, ids=str)
def test_client(row: Row, postures: Mapping[str, Posture]) -> None:
    """A client gets the best that it and the server have, or nothing."""
    row.check(postures)


@pytest.mark.parametrize("server", SERVERS)
def test_verdict(server: str, postures: Mapping[str, Posture]) -> None:
    """The verdict names what is weak, and the line of the Gateway that mends it; of a good server it says nothing."""
    weak = {each.id: each.remedy for each in judge(postures[server]) if each.severity is not Severity.NOTE}
    assert weak == WEAK[server]
