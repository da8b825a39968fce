"""Expectations: what is as written passes, each thing that is not is a row, and the unknown is never a match."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from meshproof.posture import expectations
from meshproof.posture.expectations import Deviation, Expectations, compare, read
from meshproof.posture.reading import Unreadable
from meshproof.tls.answer import Answer
from meshproof.tls.outcome import Outcome
from meshproof.tls.posture import ClientResult, Posture
from tests.unit import postures
from tests.unit.postures import CHACHA, GCM, GCM_256, GOOD, SILENT, TLS_1_2, TLS_1_3, WEAK

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
fallback_scsv: true
certificate_names: ["*.example.test", example.test]
clients:
  connect: [seed, Chrome]
  refuse: [IE 6 XP]
  exactly:
    Chrome: {{protocol: TLSv1.3, cipher: TLS_AES_128_GCM_SHA256, forward_secrecy: 253 bit ECDH (X25519)}}
"""


def written(directory: Path, text: str) -> Expectations:
    """Write expectations and read them."""
    path = directory / "expect.yaml"
    path.write_text(text)
    return read(path, CLIENTS)


def deviations(directory: Path, text: str, posture: Posture = GOOD) -> list[Deviation]:
    """Return where a posture is not as the text says."""
    return list(compare(written(directory, text), posture))


def test_what_is_as_expected_passes(tmp_path: Path) -> None:
    """Names of OpenSSL and IANA, sets of clients and single ones, order or none: all of it holds at once."""
    assert deviations(tmp_path, AS_IT_IS) == []


def test_the_example_is_a_file_that_can_be_read(tmp_path: Path) -> None:
    """What the documentation shows works as it stands."""
    example = (expectations.__doc__ or "").partition("::\n")[2].partition("\nKinds of")[0]
    assert written(tmp_path, example).clients["IE 6 XP"] is False


def test_no_expectation_is_met_by_anything(tmp_path: Path) -> None:
    """A key that is left out asks for nothing."""
    assert deviations(tmp_path, "{}", WEAK) == []


@pytest.mark.parametrize(
    ("text", "what", "expected", "seen"),
    [
        ("versions: [TLSv1.3]", "TLS 1.2", "not offered", "offered"),
        (f"ciphers: {{TLSv1.2: [{GCM}, AES128-SHA]}}", "TLS 1.2 ciphers", f"AES128-SHA, {GCM}", GCM_256),
        (f"ciphers: {{TLSv1.0: [{GCM}]}}", "TLS 1 ciphers", GCM, "none"),
        (
            f"ciphers: {{TLSv1.2: {{order: true, names: [{GCM}, {CHACHA}, {GCM_256}]}}}}",
            "TLS 1.2 ciphers, order",
            f"{GCM} > {CHACHA} > {GCM_256}",
            f"{GCM} = {CHACHA} > {GCM_256}",
        ),
        ("groups: [P-256]", "groups", "P-256", "P-256, X25519, X25519MLKEM768"),
        ("groups: {order: true, names: [P-256, X25519, X25519MLKEM768]}", "groups, order", "P-256 > X25519", "X25519"),
        ("alpn: [h2]", "ALPN", "h2", "h2, http/1.1"),
        ("client_authentication: required", "client certificate", "required", "not requested"),
        ("fallback_scsv: false", "downgrade", "not noticed", "noticed"),
        ("certificate_names: [example.test]", "certificate CN=example.test", "example.test", "*.example.test"),
        ("clients: {connect: [IE 6 XP]}", "IE 6 XP", "a connection", "No connection: alert 40"),
        ("clients: {refuse: [Chrome]}", "Chrome", "no connection", "TLSv1.3  TLS_AES_128_GCM_SHA256  253 bit ECDH"),
        ("clients: {exactly: {Chrome: {protocol: TLSv1.2}}}", "Chrome", "TLSv1.2", "TLSv1.3"),
        ("clients: {exactly: {IE 6 XP: {protocol: TLSv1.2}}}", "IE 6 XP", "TLSv1.2", "It has no suite in common."),
    ],
)
def test_what_is_not_as_expected(tmp_path: Path, text: str, what: str, expected: str, seen: str) -> None:
    """Each is a row with what it is about, what it should be and what it is."""
    rows = deviations(tmp_path, text)
    assert what in {row.what for row in rows}
    row = next(row for row in rows if row.what == what)
    assert expected in row.expected
    assert seen in row.seen
    assert not row.unknown


@pytest.mark.parametrize(
    ("text", "posture"),
    [
        ("versions: [TLSv1.2]", replace(GOOD, versions=postures.versions(TLS_1_2, unknown=TLS_1_3))),
        ("versions: [TLSv1.2]", replace(GOOD, versions={TLS_1_2: postures.OFFERED})),
        (f"ciphers: {{TLSv1.2: [{GCM}]}}", replace(GOOD, ciphers=())),
        (f"ciphers: {{TLSv1.2: [{GCM}]}}", replace(GOOD, ciphers=(postures.suites(TLS_1_2, GCM, complete=False),))),
        ("groups: [X25519]", replace(GOOD, groups=())),
        ("groups: [X25519]", replace(GOOD, groups=(postures.groups(TLS_1_3, "x25519", complete=False),))),
        (
            "groups: {order: true, names: [X25519, P-256]}",
            replace(GOOD, groups=(postures.groups(TLS_1_3, "x25519", "secp256r1", decides=None),)),
        ),
        ("alpn: [h2]", replace(GOOD, alpn=(), ciphers=())),
        ("client_authentication: required", replace(GOOD, client_authentication=SILENT.client_authentication)),
        ("fallback_scsv: true", replace(GOOD, fallback_scsv=None)),
        ("certificate_names: [example.test]", replace(GOOD, certificates=())),
        ("clients: {refuse: [Chrome]}", replace(GOOD, clients=(postures.refused("Chrome", unknown=True),))),
        ("clients: {refuse: [curl]}", GOOD),
        ("{}", SILENT),
    ],
)
def test_the_unknown_is_no_match(tmp_path: Path, text: str, posture: Posture) -> None:
    """What could not be found out is a row of its own kind, also where all that was seen would fit."""
    rows = deviations(tmp_path, text, posture)
    assert rows
    assert all(row.unknown for row in rows)


def test_what_is_known_to_be_wrong_is_not_unknown(tmp_path: Path) -> None:
    """A suite too many is one, even if there may be more."""
    posture = replace(GOOD, ciphers=(postures.suites(TLS_1_2, GCM, "AES128-SHA", complete=False),))
    (row,) = deviations(tmp_path, f"ciphers: {{TLSv1.2: [{GCM}]}}", posture)
    assert not row.unknown


def test_kinds_of_certificates_together(tmp_path: Path) -> None:
    """A server with two certificates has the suites of both, and each list keeps the order of its own."""
    ecdsa = GCM.replace("RSA", "ECDSA")
    lists = (postures.suites(TLS_1_2, GCM, GCM_256), postures.suites(TLS_1_2, ecdsa, certificate="ECDSA"))
    posture = replace(GOOD, ciphers=lists)
    text = f"ciphers: {{TLSv1.2: {{order: true, names: [{ecdsa}, {GCM}, {GCM_256}]}}}}"
    assert deviations(tmp_path, text, posture) == []
    wrong = f"ciphers: {{TLSv1.2: {{order: true, names: [{ecdsa}, {GCM_256}, {GCM}]}}}}"
    assert [row.what for row in deviations(tmp_path, wrong, posture)] == ["TLS 1.2 ciphers, order"]


def test_a_set_gives_way_to_a_name(tmp_path: Path) -> None:
    """`all` but one: the one is named on the other side."""
    found = written(tmp_path, "clients: {refuse: [IE 6 XP], connect: [all]}")
    assert found.clients == {name: name != "IE 6 XP" for name in CLIENTS}


def test_an_answer_that_was_not_acceptable_is_no_connection(tmp_path: Path) -> None:
    """A version that the client never offered connects nobody."""
    answer = Answer(outcome=Outcome.UNACCEPTABLE_ANSWER, version=TLS_1_2)
    posture = replace(GOOD, clients=(ClientResult("Chrome", answer, "The server chose a version of its own."),))
    assert deviations(tmp_path, "clients: {refuse: [Chrome]}", posture) == []


def test_a_suite_that_istio_would_drop(tmp_path: Path) -> None:
    """Whoever copies the names into a Gateway is warned; those of TLS 1.3 are no setting."""
    (warning,) = written(
        tmp_path, "ciphers: {TLSv1.2: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], TLSv1.3: [TLS_AES_128_GCM_SHA256]}"
    ).warnings
    assert warning.id == "dropped-by-istio"
    assert "ciphers.TLSv1.2" in warning.why
    assert GCM in warning.remedy


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("versionen: [TLSv1.2]", "versionen has 'versionen', which is not known; the nearest is 'versions'"),
        ("versions: [TLSV1_2]", "versions has 'TLSV1_2', which is not known; the nearest is"),
        ("versions: TLSv1.2", "versions should be a list, and is 'TLSv1.2'"),
        ("ciphers: {TLSv1.4: []}", "ciphers.TLSv1.4 has 'TLSv1.4'"),
        ("ciphers: {TLSv1.2: [ECDHE-RSA-AES128-GCM-SHA265]}", f"The nearest is '{GCM}'"),
        ("ciphers: {TLSv1.2: {order: true}}", "ciphers.TLSv1.2 lacks the key 'names'"),
        ("ciphers: {TLSv1.2: {order: yes please, names: []}}", "ciphers.TLSv1.2.order should be true or false"),
        ("groups: [P-265]", "The nearest is"),
        ("alpn: [2]", "alpn should be text, and is 2"),
        ("client_authentication: maybe", "choose from not requested, requested, required"),
        ("clients: {connect: [Java 8u116]}", "clients.connect has 'Java 8u116', which is not known; the nearest is"),
        ("clients: {exactly: {Chrom: {}}}", "clients.exactly.Chrom has 'Chrom', which is not known"),
        ("clients: {exactly: {Chrome: {suite: x}}}", "clients.exactly.Chrome.suite has 'suite'"),
        ("clients: {connect: [curl], refuse: [curl]}", "clients.refuse has 'curl', and clients.connect has 'curl' too"),
        ("clients: {connect: [seed], refuse: [all]}", "clients.refuse has 'all', and clients.connect has"),
        ("[]", "the document should be a mapping"),
        ("", "the document should be there once, and is there 0 times"),
        ("a: [", "this is not YAML"),
        ("a: 2026-13-45", "this is not YAML"),
        ("[" * 10_000, "this is not YAML"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str, why: str) -> None:
    """It names the file, the place and what to write instead."""
    with pytest.raises(Unreadable, match=re.escape(why)) as error:
        written(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "expect.yaml"))
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 4
