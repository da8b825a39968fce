"""Expectations: what is as written passes, each thing that is not is a row, and the unknown is never a match."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meshproof.errors import Unreadable
from meshproof.posture import expectations_file
from meshproof.posture.comparison import Row
from meshproof.posture.expectations import Expectations
from meshproof.posture.expectations_file import KEYS, read
from meshproof.posture.expectations_met import compare
from meshproof.tls.probe.answer import Answer
from meshproof.tls.probe.outcome import UNDECIDED, Outcome
from meshproof.tls.protocol.version import ProtocolVersion
from meshproof.tls.scanner.findings import UNREADABLE, ClientAuthentication, ClientResult, Posture
from tests.support import postures
from tests.support.postures import BEGAN, CERTIFICATE, CHACHA, GCM, GCM_256, GOOD, SILENT, TLS_1_0, TLS_1_2, TLS_1_3

CLIENTS = {"Java 8u161": "seed", "IE 6 XP": "seed", "Chrome": "modern", "curl": "modern"}

AS_IT_IS = f"""
versions: [TLSv1.2, TLSv1.3]
ciphers:
  SSLv3: []
  TLSv1.2: {{order: true, names: [[{CHACHA}, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], {GCM_256}]}}
  TLSv1.3: [TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256]
groups: {{order: true, names: [X25519MLKEM768, x25519, secp256r1]}}
alpn: [http/1.1, h2]
client_authentication: not requested
client_certificate: accepted
credential: established
fallback_scsv: true
certificate:
  names: ["*.example.test", example.test]
  issuer: CN=authority
  key: RSA 2048
  days_left: 60
clients:
  connect: [seed, Chrome]
  refuse: [IE 6 XP]
  exactly:
    Chrome: {{protocol: TLSv1.3, cipher: TLS_AES_128_GCM_SHA256, forward_secrecy: 253 bit ECDH (X25519)}}
    Java 8u161: {{cipher: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
"""

LET_IN = replace(GOOD, credential=Outcome.ESTABLISHED)


def written(directory: Path, text: str) -> Expectations:
    """Write expectations and read them."""
    path = directory / "expect.yaml"
    path.write_text(text)
    return read(path, CLIENTS)


def rows(directory: Path, text: str, posture: Posture = GOOD) -> dict[str, Row]:
    """Return all rows by what they are about."""
    found = compare(written(directory, text), posture)
    named = {row.what: row for row in found}
    assert len(named) == len(found)
    return named


def deviations(directory: Path, text: str, posture: Posture = GOOD) -> list[Row]:
    """Return where a posture is not as the text says."""
    return [row for row in rows(directory, text, posture).values() if not row.met]


def test_what_is_as_expected_passes(tmp_path: Path) -> None:
    """Names of OpenSSL and IANA, sets of clients and single ones, order or none: all of it holds at once."""
    found = rows(tmp_path, AS_IT_IS, LET_IN)
    assert [row for row in found.values() if not row.met] == []
    assert all(not row.unknown and not row.deviates for row in found.values())
    assert list(found) == [
        *("SSLv2", "SSLv3", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"),
        *("SSLv3 ciphers", "TLS 1.2 ciphers", "TLS 1.2 RSA ciphers, order", "TLS 1.3 ciphers"),
        *(
            "groups",
            "TLS 1.2 groups, order",
            "TLS 1.3 groups, order",
            "ALPN",
            "client authentication",
            "TLS_FALLBACK_SCSV",
        ),
        *(f"certificate CN=example.test, {what}" for what in ("names", "issuer", "days left")),
        *("certificate keys", "client certificate", "client certificate, handshake"),
        *("Java 8u161", "IE 6 XP", "Chrome"),
    ]
    assert found["TLS 1.0"] == Row("TLS 1.0", "not offered", "not offered (alert 70 protocol_version)", met=True)
    assert found["TLS 1.2"] == Row("TLS 1.2", "offered", "offered", met=True)
    assert found["SSLv3 ciphers"] == Row("SSLv3 ciphers", "none", "none", met=True)


def test_the_example_is_a_file_that_can_be_read(tmp_path: Path) -> None:
    """What the documentation shows works as it stands, and has every key."""
    example = (expectations_file.__doc__ or "").partition("::\n")[2].partition("\n`certificate_names`")[0]
    found = written(tmp_path, example)
    assert found.clients["IE 6 XP"] is False
    assert found.certificate.issuer == frozenset({"CN=R11", "O=Let's Encrypt"})
    assert found.certificate.keys == frozenset({"RSA 2048", "EC P-256"})
    assert set(re.findall(r"^    (\w+):", example, re.MULTILINE)) | {"certificate_names"} == set(KEYS)


@pytest.mark.parametrize(
    ("text", "what", "expected", "seen"),
    [
        ("versions: [TLSv1.3]", "TLS 1.2", "not offered", "offered"),
        ("versions: [TLSv1.1, TLSv1.2, TLSv1.3]", "TLS 1.1", "offered", "not offered (alert 70 protocol_version)"),
        (
            f"ciphers: {{TLSv1.2: [{GCM}, AES128-SHA]}}",
            "TLS 1.2 ciphers",
            f"AES128-SHA, {GCM}",
            f"{GCM}, {GCM_256}, {CHACHA}",
        ),
        (f"ciphers: {{TLSv1.0: [{GCM}]}}", "TLS 1.0 ciphers", GCM, "none"),
        ("ciphers: {TLSv1.2: []}", "TLS 1.2 ciphers", "none", f"{GCM}, {GCM_256}, {CHACHA}"),
        (
            f"ciphers: {{TLSv1.2: {{order: true, names: [{GCM}, {CHACHA}, {GCM_256}]}}}}",
            "TLS 1.2 RSA ciphers, order",
            f"{GCM} > {CHACHA} > {GCM_256}",
            f"{GCM} = {CHACHA} > {GCM_256}",
        ),
        ("groups: [P-256]", "groups", "P-256", "P-256, X25519, X25519MLKEM768"),
        ("alpn: [h2]", "ALPN", "h2", "h2, http/1.1"),
        ("alpn: [h2, http/1.1, istio]", "ALPN", "h2, http/1.1, istio", "h2, http/1.1"),
        ("client_authentication: required", "client authentication", "required", "not requested"),
        ("fallback_scsv: false", "TLS_FALLBACK_SCSV", "ignored", "honoured"),
        (
            "certificate_names: [example.test]",
            "certificate CN=example.test, names",
            "example.test",
            "*.example.test, example.test",
        ),
        ("certificate: {issuer: CN=other}", "certificate CN=example.test, issuer", "CN=other", "CN=authority"),
        ("certificate: {issuer: auth}", "certificate CN=example.test, issuer", "CN=auth", "CN=authority"),
        ("certificate: {key: EC P-256}", "certificate keys", "EC P-256", "RSA 2048"),
        ("certificate: {key: [RSA 2048, EC P-256]}", "certificate keys", "EC P-256, RSA 2048", "RSA 2048"),
        (
            "certificate: {days_left: 61}",
            "certificate CN=example.test, days left",
            "61 or more",
            "60, until 2027-01-20 12:00",
        ),
        (
            "clients: {connect: [IE 6 XP]}",
            "IE 6 XP",
            "a connection",
            "No connection: alert 40 handshake_failure - It has no suite in common.",
        ),
        (
            "clients: {refuse: [Chrome]}",
            "Chrome",
            "no connection",
            "TLSv1.3  TLS_AES_128_GCM_SHA256  253 bit ECDH (X25519)",
        ),
        (
            "clients: {exactly: {Chrome: {protocol: TLSv1.2, cipher: AES128-SHA}}}",
            "Chrome",
            "TLSv1.2  AES128-SHA",
            "TLSv1.3  TLS_AES_128_GCM_SHA256  253 bit ECDH (X25519)",
        ),
        (
            "clients: {exactly: {IE 6 XP: {protocol: TLSv1.2}}}",
            "IE 6 XP",
            "TLSv1.2",
            "No connection: alert 40 handshake_failure - It has no suite in common.",
        ),
        (
            "clients: {exactly: {Chrome: {forward_secrecy: No FS}}}",
            "Chrome",
            "No FS",
            "TLSv1.3  TLS_AES_128_GCM_SHA256  253 bit ECDH (X25519)",
        ),
        ("client_certificate: refused", "client certificate", "refused", "established"),
        (
            "credential: client certificate expired",
            "client certificate, handshake",
            "client certificate expired",
            "established",
        ),
    ],
)
def test_what_is_not_as_expected(tmp_path: Path, text: str, what: str, expected: str, seen: str) -> None:
    """Each is a row with what it is about, what it should be and what it is."""
    row = rows(tmp_path, text, LET_IN)[what]
    assert row == Row(what, expected, seen)
    assert row.deviates


def test_the_order_of_groups(tmp_path: Path) -> None:
    """It is compared in each version, with those of the expected ones that the version has."""
    text = "groups: {order: true, names: [P-256, X25519, X25519MLKEM768]}"
    found = [row for row in compare(written(tmp_path, text), GOOD) if not row.met]
    assert found == [
        Row("TLS 1.2 groups, order", "P-256 > X25519", "X25519 > P-256"),
        Row("TLS 1.3 groups, order", "P-256 > X25519 > X25519MLKEM768", "X25519MLKEM768 > X25519 > P-256"),
    ]
    client_chooses = replace(GOOD, groups=tuple(replace(order, server_decides=False) for order in GOOD.groups))
    alike = "groups: {order: true, names: [[P-256, X25519, X25519MLKEM768]]}"
    assert deviations(tmp_path, "groups: [P-256, X25519, X25519MLKEM768]", client_chooses) == []
    assert [row.met for row in compare(written(tmp_path, alike), client_chooses)] == [True, True, True]


PARTLY = replace(GOOD, versions=postures.versions(TLS_1_2, unknown=TLS_1_3))
ONLY_1_3 = postures.versions(TLS_1_3)
NO_GROUPS = postures.versions(TLS_1_2)


@pytest.mark.parametrize(
    ("text", "posture"),
    [
        ("versions: [TLSv1.2]", PARTLY),
        ("versions: [TLSv1.2]", replace(GOOD, versions={TLS_1_2: postures.OFFERED})),
        (f"ciphers: {{TLSv1.2: [{GCM}]}}", replace(GOOD, ciphers=())),
        (f"ciphers: {{TLSv1.2: [{GCM}]}}", replace(GOOD, ciphers=(postures.suites(TLS_1_2, GCM, complete=False),))),
        (
            f"ciphers: {{TLSv1.2: [{GCM}]}}",
            replace(GOOD, versions=postures.versions(unknown=TLS_1_2), ciphers=(postures.suites(TLS_1_2, GCM),)),
        ),
        (
            f"ciphers: {{TLSv1.2: [{GCM}]}}",
            replace(
                GOOD,
                ciphers=(
                    postures.suites(TLS_1_2, GCM),
                    postures.suites(TLS_1_2, certificate="ECDSA", complete=False),
                ),
            ),
        ),
        ("ciphers: {TLSv1.3: []}", replace(PARTLY, ciphers=())),
        ("groups: [X25519]", replace(GOOD, groups=())),
        ("groups: [X25519]", replace(GOOD, groups=(postures.groups(TLS_1_3, "x25519", complete=False),))),
        ("groups: [X25519]", replace(PARTLY, groups=(postures.groups(TLS_1_2, "x25519"),))),
        (
            "groups: [X25519]",
            replace(
                GOOD, versions=postures.versions(TLS_1_3, unknown=TLS_1_0), groups=(postures.groups(TLS_1_3, "x25519"),)
            ),
        ),
        (
            "groups: {order: true, names: [X25519, P-256]}",
            replace(GOOD, groups=(postures.groups(TLS_1_3, "x25519", "secp256r1", decides=None),)),
        ),
        ("alpn: [h2]", replace(GOOD, alpn=("h2",), listed=False)),
        ("alpn: [h2, http/1.1]", replace(GOOD, alpn_complete=False)),
        ("alpn: [h2, http/1.1, http/1.0]", replace(GOOD, alpn_complete=False)),
        ("alpn: []", replace(GOOD, alpn=(), alpn_complete=False)),
        ("client_authentication: required", replace(GOOD, client_authentication=ClientAuthentication.UNKNOWN)),
        ("fallback_scsv: true", replace(GOOD, fallback_scsv=None)),
        ("fallback_scsv: false", replace(GOOD, fallback_scsv=None)),
        ("certificate_names: [example.test]", replace(GOOD, certificates=(), certificates_complete=False)),
        ("certificate_names: [example.test]", replace(GOOD, certificates=(), listed=False)),
        ("certificate: {days_left: 1}", replace(GOOD, certificates_complete=False)),
        ("certificate: {key: RSA 2048}", replace(GOOD, certificates_complete=False)),
        ("certificate: {key: RSA 2048}", replace(GOOD, listed=False)),
        ("certificate: {key: RSA 2048}", replace(GOOD, certificates=(replace(CERTIFICATE, key="RSA unknown"),))),
        ("certificate: {key: RSA 2048}", replace(GOOD, certificates=(replace(CERTIFICATE, key=UNREADABLE),))),
        ("certificate: {names: [x]}", replace(GOOD, certificates=(replace(CERTIFICATE, names=(UNREADABLE,)),))),
        ("certificate: {issuer: x}", replace(GOOD, certificates=(replace(CERTIFICATE, issuer=UNREADABLE),))),
        (
            "certificate: {days_left: 1}",
            replace(GOOD, certificates=(replace(CERTIFICATE, not_after=datetime.min.replace(tzinfo=UTC)),)),
        ),
        ("clients: {refuse: [Chrome]}", replace(GOOD, clients=(postures.refused("Chrome", unknown=True),))),
        ("clients: {connect: [Chrome]}", replace(GOOD, clients=(postures.refused("Chrome", unknown=True),))),
        (
            "clients: {connect: [Chrome]}",
            replace(GOOD, clients=(ClientResult("Chrome", Answer(outcome=Outcome.NEGOTIATED), "Cut off."),)),
        ),
        ("clients: {refuse: [curl]}", GOOD),
        ("clients: {exactly: {curl: {protocol: TLSv1.2}}}", GOOD),
        ("client_certificate: accepted", GOOD),
        ("client_certificate: refused", GOOD),
        ("client_certificate: refused", replace(GOOD, credential=Outcome.SILENT)),
        ("client_certificate: accepted", replace(GOOD, credential=Outcome.RESET)),
        ("client_certificate: refused", replace(GOOD, credential=Outcome.RESET)),
        ("client_certificate: refused", replace(GOOD, credential=Outcome.CLOSED_IN_ORDER)),
        ("credential: established", GOOD),
        ("credential: established", replace(GOOD, credential=Outcome.NOT_TLS)),
        ("versions: [TLSv1.2]", SILENT),
        ("clients: {refuse: [Chrome]}", SILENT),
    ],
)
def test_the_unknown_is_no_match(tmp_path: Path, text: str, posture: Posture) -> None:
    """What could not be found out is a row of its own kind, also where all that was seen would fit."""
    found = deviations(tmp_path, text, posture)
    assert found
    assert all(row.unknown and not row.deviates and not row.met for row in found)


@pytest.mark.parametrize("outcome", sorted(UNDECIDED, key=str))
def test_an_end_that_decides_nothing_is_unknown(tmp_path: Path, outcome: Outcome) -> None:
    """It is neither the refusal nor the connection that a client is expected to get."""
    client = ClientResult("Chrome", Answer(outcome=outcome), "Because.")
    for wish in ("connect", "refuse"):
        (row,) = deviations(tmp_path, f"clients: {{{wish}: [Chrome]}}", replace(GOOD, clients=(client,)))
        assert row.unknown
        assert row.seen == "Because."


@pytest.mark.parametrize(
    "outcome",
    [
        *(Outcome.HANDSHAKE_FAILURE, Outcome.PROTOCOL_VERSION, Outcome.OTHER_ALERT, Outcome.RESET),
        *(Outcome.VERSION_NOT_OFFERED, Outcome.CIPHER_NOT_OFFERED, Outcome.GROUP_NOT_OFFERED, Outcome.DH_SIZE_REFUSED),
        *(Outcome.DOWNGRADED, Outcome.SECOND_RETRY),
    ],
)
def test_no_connection_is_known(tmp_path: Path, outcome: Outcome) -> None:
    """The server refused, by a word or by ends that were believed; or it chose what the client itself refuses."""
    client = ClientResult("Chrome", Answer(outcome=outcome, version=TLS_1_2), "Because.")
    posture = replace(GOOD, clients=(client,))
    assert deviations(tmp_path, "clients: {refuse: [Chrome]}", posture) == []
    (row,) = deviations(tmp_path, "clients: {connect: [Chrome]}", posture)
    assert row.deviates


def test_what_was_not_asked_is_said(tmp_path: Path) -> None:
    """A version, a client and a client certificate: each says why nothing is known."""
    assert rows(tmp_path, "versions: [TLSv1.2]", replace(GOOD, versions={}))["TLS 1.2"].seen == "not asked"
    assert rows(tmp_path, "clients: {refuse: [curl]}")["curl"].seen == "not simulated"
    for key, what in (("client_certificate: accepted", ""), ("credential: established", ", handshake")):
        row = rows(tmp_path, key)[f"client certificate{what}"]
        assert row.seen == "none was given: scan with --cert and --key"
    assert rows(tmp_path, "fallback_scsv: true", replace(GOOD, fallback_scsv=None))["TLS_FALLBACK_SCSV"].seen == (
        "not known"
    )
    (target,) = rows(tmp_path, "versions: [TLSv1.2]", SILENT).values()
    assert target == Row("target", "an answer", "silent until the deadline", unknown=True)


def test_an_incomplete_list(tmp_path: Path) -> None:
    """What is too much is known, what is missing is not, and that there may be more is said."""
    posture = replace(GOOD, ciphers=(postures.suites(TLS_1_2, GCM, "AES128-SHA", complete=False),))
    (row,) = deviations(tmp_path, f"ciphers: {{TLSv1.2: [{GCM}]}}", posture)
    assert row == Row("TLS 1.2 ciphers", GCM, f"AES128-SHA, {GCM}, and perhaps more")
    part = replace(GOOD, alpn_complete=False)
    assert rows(tmp_path, "alpn: [h2]", part)["ALPN"] == Row("ALPN", "h2", "h2, http/1.1, and perhaps more")
    missing = rows(tmp_path, "alpn: [h2, http/1.1, istio]", part)["ALPN"]
    assert missing == Row("ALPN", "h2, http/1.1, istio", "h2, http/1.1, and perhaps more", unknown=True)
    some = rows(tmp_path, "certificate: {days_left: 1}", replace(GOOD, certificates_complete=False))
    assert some["certificates"].seen == "CN=example.test, and perhaps more"
    assert some["certificate CN=example.test, days left"].met
    # The order of a list that may go on is not judged.
    text = f"ciphers: {{TLSv1.2: {{order: true, names: [AES128-SHA, {GCM}]}}}}"
    assert list(rows(tmp_path, text, posture)) == ["TLS 1.2 ciphers"]


def test_groups_that_are_all_known(tmp_path: Path) -> None:
    """A server with TLS 1.2 and RSA alone has none; one with TLS 1.3 alone has those that it has there."""
    without = replace(GOOD, versions=NO_GROUPS, groups=())
    assert deviations(tmp_path, "groups: []", without) == []
    assert all(row.unknown for row in deviations(tmp_path, "groups: []", replace(without, listed=False)))
    newest = replace(GOOD, versions=ONLY_1_3, groups=(postures.groups(TLS_1_3, "x25519"),))
    assert deviations(tmp_path, "groups: [X25519]", newest) == []
    assert deviations(tmp_path, "groups: []", replace(GOOD, versions=postures.versions(), groups=())) == []


def test_a_server_without_certificates(tmp_path: Path) -> None:
    """Where it is known that there are none, none of them is as expected."""
    posture = replace(GOOD, certificates=())
    (row,) = deviations(tmp_path, "certificate: {days_left: 1}", posture)
    assert row == Row("certificates", "all of them as expected", "none")
    (row,) = deviations(tmp_path, "certificate: {key: RSA 2048}", posture)
    assert row == Row("certificate keys", "RSA 2048", "none")


def test_two_certificates(tmp_path: Path) -> None:
    """Each is compared, and the keys of all are taken together."""
    second = replace(CERTIFICATE, subject="CN=second", key="EC P-256", names=("b.test",), issuer="CN=b")
    posture = replace(GOOD, certificates=(CERTIFICATE, second))
    assert deviations(tmp_path, "certificate: {key: [EC secp256r1, rsa 2048]}", posture) == []
    assert [row.what for row in deviations(tmp_path, "certificate: {key: RSA 2048}", posture)] == ["certificate keys"]
    (row,) = deviations(tmp_path, "certificate: {names: [example.test, '*.example.test']}", posture)
    assert row == Row("certificate CN=second, names", "*.example.test, example.test", "b.test")
    (row,) = deviations(tmp_path, "certificate: {issuer: authority}", posture)
    assert row.what == "certificate CN=second, issuer"


@pytest.mark.parametrize(
    ("wanted", "issuer", "met"),
    [
        ("CN=R11,O=Let's Encrypt,C=US", "CN=R11,O=Let's Encrypt,C=US", True),
        ("O=Let's Encrypt", "CN=R11,O=Let's Encrypt,C=US", True),
        ("c=US, cn=R11", "CN=R11,O=Let's Encrypt,C=US", True),
        ("R11", "CN=R11,O=Let's Encrypt,C=US", True),
        ("Let's Encrypt", "CN=R11,O=Let's Encrypt,C=US", False),
        ("R1", "CN=R11", False),
        ("CN=R11,O=other", "CN=R11,O=Let's Encrypt", False),
        (r"O=a\,b", r"O=a\,b,C=US", True),
        ("O=a", r"O=a\,b,C=US", False),
        ("CN=b", "OU=a+CN=b", True),
    ],
)
def test_the_issuer(tmp_path: Path, wanted: str, issuer: str, met: bool) -> None:  # noqa: FBT001 - a row
    """The whole name, whole parts of it in any order, or a CN alone; never a piece of a part."""
    posture = replace(GOOD, certificates=(replace(CERTIFICATE, issuer=issuer),))
    (row,) = rows(tmp_path, f"certificate:\n  issuer: |\n    {wanted}\n", posture).values()
    assert row.met is met


@pytest.mark.parametrize(
    ("text", "key"),
    [
        *(("RSA 2048", "RSA 2048"), ("rsa 02048", "RSA 2048"), ("DSA 1024", "DSA 1024"), ("EC P-256", "EC P-256")),
        *(("ECDSA prime256v1", "EC P-256"), ("ec p-384", "EC P-384"), ("ed25519", "Ed25519"), ("ED448", "Ed448")),
    ],
)
def test_the_key(tmp_path: Path, text: str, key: str) -> None:
    """It may be written as people write it."""
    assert written(tmp_path, f"certificate: {{key: {text}}}").certificate.keys == frozenset({key})


@pytest.mark.parametrize(("more", "days", "met"), [(0, 60, True), (-1, 60, False), (-1, 59, True)])
def test_days_left(tmp_path: Path, more: int, days: int, met: bool) -> None:  # noqa: FBT001 - a row
    """A day that has begun to go by is no whole day; it counts from when the scan began."""
    until = BEGAN + timedelta(days=60, seconds=more)
    posture = replace(GOOD, certificates=(replace(CERTIFICATE, not_after=until),))
    (row,) = rows(tmp_path, f"certificate: {{days_left: {days}}}", posture).values()
    assert row.met is met


@pytest.mark.parametrize(
    ("text", "end", "met"),
    [
        ("client_certificate: accepted", Outcome.ESTABLISHED, True),
        ("client_certificate: refused", Outcome.CLIENT_CERT_UNKNOWN_CA, True),
        ("client_certificate: refused", Outcome.HANDSHAKE_FAILURE, True),
        ("client_certificate: accepted", Outcome.CLIENT_CERT_EXPIRED, False),
        ("credential: Client certificate EXPIRED", Outcome.CLIENT_CERT_EXPIRED, True),
        ("credential: client_cert_expired", Outcome.CLIENT_CERT_EXPIRED, True),
        ("credential: CLIENT_CERT_REQUIRED", Outcome.CLIENT_CERT_REQUIRED, True),
        ("credential: connection reset", Outcome.RESET, True),
        ("credential: established", Outcome.RESET, False),
        ("credential: client certificate not asked for", Outcome.CLIENT_CERT_NOT_REQUESTED, True),
        ("client_certificate: accepted", Outcome.CLIENT_CERT_NOT_REQUESTED, False),
        ("client_certificate: refused", Outcome.CLIENT_CERT_NOT_REQUESTED, False),
    ],
)
def test_our_certificate(tmp_path: Path, text: str, end: Outcome, met: bool) -> None:  # noqa: FBT001 - a row
    """What becomes of it is a conclusion, or the end to the letter, in words or by its name."""
    (row,) = rows(tmp_path, text, replace(GOOD, credential=end)).values()
    assert (row.met, row.unknown) == (met, False)


def test_why_our_certificate_was_refused(tmp_path: Path) -> None:
    """The row says it."""
    (row,) = deviations(
        tmp_path, "client_certificate: accepted", replace(GOOD, credential=Outcome.CLIENT_CERT_UNKNOWN_CA)
    )
    assert row == Row("client certificate", "accepted", "refused: client certificate of an unknown authority")
    assert written(tmp_path, "client_certificate: refused").of_our_certificate
    assert written(tmp_path, "credential: established").of_our_certificate
    assert not written(tmp_path, "alpn: []").of_our_certificate


@pytest.mark.parametrize(
    ("offered", "fallback", "expected", "met"),
    [
        ((TLS_1_2, TLS_1_3), True, "true", True),
        ((TLS_1_2, TLS_1_3), False, "false", True),
        ((TLS_1_2, TLS_1_3), False, "true", False),
        ((TLS_1_3,), None, "true", True),
        ((TLS_1_3,), None, "false", False),
        ((ProtocolVersion.SSL_3, TLS_1_0), None, "true", True),
        ((), None, "true", True),
    ],
)
def test_a_downgrade(
    tmp_path: Path,
    offered: tuple[ProtocolVersion, ...],
    fallback: bool | None,  # noqa: FBT001 - a row
    expected: str,
    met: bool,  # noqa: FBT001 - a row
) -> None:
    """It is noticed, or it is not; where there is no older version that counts, none can go unnoticed."""
    posture = replace(GOOD, versions=postures.versions(*offered), fallback_scsv=fallback)
    (row,) = rows(tmp_path, f"fallback_scsv: {expected}", posture).values()
    assert (row.met, row.unknown) == (met, False)


def test_a_downgrade_to_what_is_not_known(tmp_path: Path) -> None:
    """One version is offered, and another may be."""
    posture = replace(GOOD, versions=postures.versions(TLS_1_3, unknown=TLS_1_0), fallback_scsv=None)
    (row,) = rows(tmp_path, "fallback_scsv: true", posture).values()
    assert row.unknown


def test_a_server_that_contradicts_itself(tmp_path: Path) -> None:
    """All may have been as expected, and still it was not so each time."""
    posture = replace(GOOD, contradictions=("TLS 1.2 was refused at one time", "and twice more"))
    (row,) = deviations(tmp_path, "versions: [TLSv1.2, TLSv1.3]", posture)
    assert row == Row("answers", "the same each time", "TLS 1.2 was refused at one time; and twice more", unknown=True)


def test_kinds_of_certificates_together(tmp_path: Path) -> None:
    """A server with two certificates has the suites of both, and each list keeps the order of its own."""
    ecdsa = GCM.replace("RSA", "ECDSA")
    lists = (postures.suites(TLS_1_2, GCM, GCM_256), postures.suites(TLS_1_2, ecdsa, certificate="ECDSA"))
    posture = replace(GOOD, ciphers=lists)
    text = f"ciphers: {{TLSv1.2: {{order: true, names: [{ecdsa}, {GCM}, {GCM_256}]}}}}"
    assert all(row.met for row in compare(written(tmp_path, text), posture))
    wrong = f"ciphers: {{TLSv1.2: {{order: true, names: [{ecdsa}, {GCM_256}, {GCM}]}}}}"
    found = [row for row in compare(written(tmp_path, wrong), posture) if not row.met]
    assert found == [Row("TLS 1.2 RSA ciphers, order", f"{GCM_256} > {GCM}", f"{GCM} > {GCM_256}")]


def test_a_set_gives_way_to_a_name(tmp_path: Path) -> None:
    """`all` but one: the one is named on the other side, or gets exactly something."""
    found = written(tmp_path, "clients: {refuse: [IE 6 XP], connect: [all]}")
    assert found.clients == {name: name != "IE 6 XP" for name in CLIENTS}
    found = written(tmp_path, "clients: {connect: [modern], refuse: [Chrome]}")
    assert found.clients == {"Chrome": False, "curl": True}
    found = written(tmp_path, "clients: {refuse: [all], exactly: {curl: {protocol: TLSv1.3}}}")
    assert found.clients == {name: name == "curl" for name in CLIENTS}
    assert found.exactly == {"curl": {"protocol": "TLSv1.3"}}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "versionen: [TLSv1.2]",
            ", line 1: the document has 'versionen', which is not known; the nearest is 'versions'.",
        ),
        ("alpn: [h2]\n\nversions: [TLSv1_4]", ", line 3: versions has 'TLSv1_4', which is not known; the nearest is"),
        ("versions: TLSv1.2", "versions should be a list, and is 'TLSv1.2'"),
        ("versions:", "versions should be a list, and is empty"),
        ("versions: [TLSv1.2]\nversions: [TLSv1.3]", ", line 2: the key 'versions' is there twice, first in line 1."),
        ("ciphers: {TLSv1.4: []}", "ciphers has 'TLSv1.4', which is not known; the nearest is 'TLSv1."),
        ("ciphers: {TLSv1.2: [ECDHE-RSA-AES128-GCM-SHA265]}", f"The nearest is '{GCM}'"),
        ("ciphers: {TLSv1.2: {order: true}}", "ciphers.TLSv1.2 lacks the key 'names'."),
        ("ciphers: {TLSv1.2: {order: yes please, names: []}}", "ciphers.TLSv1.2.order should be true or false"),
        (f"ciphers: {{TLSv1.2: [{GCM}, [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]]}}", f"has '{GCM}' twice"),
        (
            "ciphers:\n  TLSv1.2: []\n  TLS 1.2: []",
            ", line 3: ciphers.TLS 1.2 says the same as ciphers.TLSv1.2: keep one of them.",
        ),
        ("versions: [1.2]", "versions has 1.2, which is not known"),
        ("ciphers: {}", "ciphers is empty, so that nothing is expected"),
        ("groups: [P-265]", "The nearest is"),
        ("alpn: [2]", "alpn has 2, which is not known; the nearest is 'h2'"),
        ("alpn: [htpp/1.1]", "alpn has 'htpp/1.1', which is not known; the nearest is 'http/1.1'"),
        ("client_authentication: maybe", "choose from not requested, requested, required."),
        ("client_authentication: unknown", "client_authentication has 'unknown', which is not known"),
        ("client_certificate: rejected", "client_certificate has 'rejected', which is not known"),
        ("credential: client certificate expried", "the nearest is 'client certificate expired'"),
        ("credential: silent until the deadline", "credential has 'silent until the deadline', which is not known"),
        ("credential: negotiated", "credential has 'negotiated', which is not known"),
        ("credential: [established]", "credential should be text, and is a list"),
        ("certificate: {}", "certificate is empty, so that nothing is expected"),
        ("certificate: {name: [x]}", "certificate has 'name', which is not known; the nearest is 'names'"),
        ("certificate: {days_left: soon}", "certificate.days_left should be a whole number, 0 or more, and is 'soon'"),
        ("certificate: {issuer: ' '}", "certificate.issuer is empty, so that nothing is expected"),
        (
            "certificate: {key: RSA}",
            "certificate.key has 'RSA', which is no key: write it as RSA 2048, EC P-256 or Ed25519",
        ),
        ("certificate: {key: RSA P-256}", "certificate.key has 'RSA P-256', which is no key"),
        ("certificate: {key: RSA ²}", "certificate.key has 'RSA ²', which is no key"),
        ("certificate: {key: [EC P-265]}", "certificate.key has a mistake. Looked for a group called 'P-265'"),
        ("certificate: {names: [a]}\ncertificate_names: [a]", ", line 2: certificate_names says the same as"),
        ("clients: {}", "clients is empty, so that nothing is expected"),
        ("clients: {connect: []}", "clients.connect is empty, so that nothing is expected"),
        ("clients: {refuse: []}", "clients.refuse is empty, so that nothing is expected"),
        ("clients: {connected: [curl]}", "clients has 'connected', which is not known; the nearest is 'connect'"),
        ("clients: {connect: [Java 8u116]}", "clients.connect has 'Java 8u116', which is not known; the nearest is"),
        ("clients: {exactly: {Chrom: {}}}", "clients.exactly has 'Chrom', which is not known"),
        ("clients: {exactly: {Chrome: {}}}", "clients.exactly.Chrome is empty, so that nothing is expected"),
        ("clients: {exactly: {}}", "clients.exactly is empty, so that nothing is expected"),
        ("clients: {exactly: {Chrome: {suite: x}}}", "clients.exactly.Chrome has 'suite'"),
        ("clients: {exactly: {Chrome: {protocol: TLS1}}}", "clients.exactly.Chrome.protocol has 'TLS1'"),
        ("clients: {exactly: {Chrome: {cipher: AES}}}", "clients.exactly.Chrome.cipher has a mistake. Looked for a"),
        ("clients: {exactly: {Chrome: {forward_secrecy: 1}}}", "clients.exactly.Chrome.forward_secrecy should be text"),
        ("clients: {connect: [curl], refuse: [curl]}", "clients.refuse has 'curl', and clients.connect has 'curl' too"),
        ("clients: {connect: [seed], refuse: [all]}", "clients.refuse has 'all', and clients.connect has"),
        (
            "clients:\n  refuse: [curl]\n  exactly:\n    curl: {protocol: TLSv1.2}",
            ", line 4: clients.exactly.curl says what the client gets, and clients.refuse has it too.",
        ),
        (
            f"versions: [TLSv1.3]\nciphers:\n  TLSv1.2: [{GCM}]",
            ", line 3: ciphers.TLSv1.2 has suites, and versions lacks",
        ),
        ("versions: [TLSv1.2]\nciphers: {TLSv1.2: []}", "ciphers.TLSv1.2 has no suite, and versions has TLSv1.2"),
        (
            "versions: [TLSv1.3]\nclients: {exactly: {curl: {protocol: TLSv1.2}}}",
            ", line 2: clients.exactly.curl has TLSv1.2, and versions lacks it.",
        ),
        (
            "client_certificate: accepted\ncredential: client certificate expired",
            ", line 2: credential can't be so when client_certificate is accepted.",
        ),
        ("client_certificate: refused\ncredential: established", "can't be so when client_certificate is refused"),
        ("[]", "the document should be a mapping, and is a list"),
        ("{}", "the document is empty, so that nothing is expected"),
        ("", ": the file is empty, so that nothing is expected."),
        ("# versions: [TLSv1.3]\n---\n", ": the file is empty, so that nothing is expected."),
        ("versions: []", "versions is empty, so that nothing is expected"),
        ("alpn: []\n---\nalpn: []", ", line 3: the document is the second one: expectations are one document."),
        ("a: [", "this is not YAML"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str, why: str) -> None:
    """It names the file, the place and what to write instead."""
    with pytest.raises(Unreadable, match=re.escape(why)) as error:
        written(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "expect.yaml"))
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 4


@pytest.mark.parametrize("spelled", ["TLSv1.2", "TLS 1.2", "TLSV1_2", "tlsv1.2", "TLS1.2", "tls 1.2"])
def test_a_version_has_several_spellings(tmp_path: Path, spelled: str) -> None:
    """Those of this program's tables, of testssl.sh and of a Gateway."""
    text = f"versions: [SSLv3, '{spelled}']\nciphers: {{'{spelled}': [{GCM}]}}\n"
    found = written(tmp_path, f"{text}clients: {{exactly: {{curl: {{protocol: '{spelled}'}}}}}}")
    assert found.versions == frozenset({"SSLv3", "TLSv1.2"})
    assert list(found.ciphers) == ["TLSv1.2"]
    assert found.exactly == {"curl": {"protocol": "TLSv1.2"}}


def test_what_goes_together(tmp_path: Path) -> None:
    """Versions with their suites, a version without any, and a client of a version that is expected."""
    text = f"""
versions: [TLSv1.2]
ciphers: {{TLSv1.2: [{GCM}], TLSv1.3: []}}
client_certificate: refused
credential: client certificate expired
clients: {{exactly: {{curl: {{protocol: TLSv1.2}}, Chrome: {{cipher: {GCM}}}}}}}
"""
    found = written(tmp_path, text)
    assert found.credential is Outcome.CLIENT_CERT_EXPIRED
    assert found.exactly["Chrome"] == {"cipher": GCM}
    assert written(tmp_path, "ciphers: {TLSv1.2: []}").ciphers["TLSv1.2"].ranks == ()
