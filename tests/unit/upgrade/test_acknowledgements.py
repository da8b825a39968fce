"""The file of acknowledgements: what it says, and a sentence for each mistake in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshproof.errors import Unreadable
from meshproof.upgrade.acknowledgements import Acknowledgement, known, literal, read_acknowledgements
from tests.support.checkout import ROOT


def test_what_a_file_says(tmp_path: Path) -> None:
    """Each entry has a pattern and a reason, and may have values and releases; its line is kept."""
    file = tmp_path / "acknowledged.yaml"
    file.write_text(
        '- fact: "posture *: TLS 1.2"\n  reason: TICKET-12\n'
        '- {fact: ALPN, reason: c, before: x, after: "y*", from: "1.30", to: "1.31", states: [S3, S4]}\n'
    )
    assert read_acknowledgements(file) == [
        Acknowledgement("posture *: TLS 1.2", "TICKET-12", line=1),
        Acknowledgement("ALPN", "c", "x", "y*", "1.30", "1.31", ("S3", "S4"), line=3),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fact: ALPN\nreason: b\n", "line 1: the document should be a list"),
        ("- fact: ALPN\n", "line 1: the document lacks `reason`"),
        ("- reason: a\n", "line 1: the document lacks `fact`"),
        ("- fact: ALPN\n  reason: ''\n", "line 2: reason says nothing: write why this may be otherwise."),
        ('- fact: ALPN\n  reason: "\\u200b"\n', "line 2: reason says nothing: write why this may be otherwise."),
        ("- fact: ALPN\n  reason: '...'\n", "line 2: reason says nothing"),
        ("- fact: ''\n  reason: b\n", "line 1: fact should be the name of a fact"),
        ("- fact: ALPN\n  reason: b\n  form: '1.30'\n", "line 3: the document has 'form', which is not known"),
        ("- fact: ALPN\n  reason: b\n  states: S3\n", "line 3: states should be a list, and is 'S3'"),
        (
            '- fact: "*"\n  reason: b\n',
            "line 1: fact should be the name of a fact, with a * for some of it, and is '*'",
        ),
        (
            "- fact: '*e*'\n  reason: b\n",
            "line 1: fact fits nearly everything: write three letters or digits of the name in a row, or more.",
        ),
        ("- fact: 'TL*S_1.2'\n  reason: b\n", "line 1: fact fits nearly everything"),
        ('- fact: "**: 1*"\n  reason: b\n', "line 1: fact should be the name of a fact"),
        (
            "- fact: ALPN\n  reason: b\n  from: 1.3O\n",
            "line 3: from should be a release of Istio, such as 1.30 or 1.31.0, and is '1.3O'",
        ),
        ("- fact: ALPN\n  reason: b\n  to: latest\n", "line 3: to should be a release of Istio"),
        (
            "- fact: ALPN\n  reason: b\n  states: [S3, S9]\n",
            "line 3: states should be among S1, S2, S3, S4, S5, S1', S2', S6, and is 'S9'",
        ),
        ("- fact: ALPN\n  reason: b\n  states: [S0]\n", "line 3: states should be among S1, S2"),
        (
            "- fact: ALPN\n  reason: b\n  from: 1.30\n",
            'line 3: from has to be in quotes, as in from: "1.30"; without them YAML reads 1.3 there.',
        ),
        ("- fact: ALPN\n  reason: b\n  to: 1.31\n", 'line 3: to has to be in quotes, as in to: "1.30"'),
        (
            "- fact: ALPN\n  reason: b\n  before: 200\n",
            'line 3: before has to be in quotes, as in before: "404"; without them YAML reads 200 there.',
        ),
        ("- fact: ALPN\n  reason: 2026-12-01\n", "line 2: reason has to be in quotes"),
        ("- fact: ALPN\n  reason: b\n  after: true\n", "line 3: after has to be in quotes"),
        ("- fact: [a]\n  reason: b\n", "line 1: fact should be text, and is a list"),
        ("- fact: ALPN\n  reason:\n", "line 2: reason should be text, and is empty"),
    ],
    ids=[
        "no list",
        "no reason",
        "no fact",
        "an empty reason",
        "a reason of what nobody sees",
        "a reason without a letter",
        "an empty fact",
        "a wrong key",
        "one state",
        "a pattern of all facts",
        "a pattern with one letter",
        "a pattern with two letters in a row",
        "a pattern without a letter",
        "a letter in a release",
        "a word for a release",
        "no state",
        "the first state",
        "a release that YAML reads as a number",
        "a release after that is read so",
        "a value that is read so",
        "a date",
        "a word that YAML knows",
        "a list",
        "a reason that is left out",
    ],
)
def test_a_mistake_is_a_sentence_with_its_line(text: str, sentence: str, tmp_path: Path) -> None:
    """Who wrote the file finds the place, and what is wrong with it."""
    file = tmp_path / "acknowledged.yaml"
    file.write_text(text)
    with pytest.raises(Unreadable, match=r".") as raised:
        read_acknowledgements(file)
    assert f"{file}, {sentence}" in str(raised.value)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (r"https://\*", "https://*", True),
        (r"https://\*", "https://shop.example", False),
        (r"\\*", r"\anything", True),
        (r"\\\*", r"\*", True),
        (r"\\\*", r"\anything", False),
        (r"\d", r"\d", True),
    ],
    ids=[
        "a star",
        "a star is nothing else",
        "a backslash, and anything",
        "a backslash and a star",
        "a backslash and a star are nothing else",
        "a backslash before something else",
    ],
)
def test_a_star_that_is_a_star(pattern: str, text: str, *, fits: bool) -> None:
    """After a backslash a star is itself, and so is a backslash, in the name and in both values."""
    assert Acknowledgement(pattern, "meant").fits(text, "x", "y", "S1") is fits
    assert Acknowledgement("*", "meant", before=pattern).fits("a", text, "y", "S1") is fits
    assert Acknowledgement("*", "meant", after=pattern).fits("a", "x", text, "S1") is fits


def test_a_text_as_a_pattern() -> None:
    """It fits the text only, whatever is in it."""
    text = r"a \* b * c \ d"
    assert literal(text) == r"a \\\* b \* c \\ d"
    entry = Acknowledgement(literal(text), "meant")
    assert entry.fits(text, "", "", "S1")
    assert not entry.fits(text.replace("*", "x"), "", "", "S1")


def test_what_is_known_has_its_source() -> None:
    """Each entry of ours says who says so, and is about one field of some releases, or of one value."""
    for entry in known():
        assert "https://" in entry.reason
        assert (entry.old and entry.new) or entry.states or entry.before != "*"
        assert not entry.fact.endswith("*")


def test_the_entries_that_are_shown_cover_a_change_as_a_whole(tmp_path: Path) -> None:
    """A higher minimum of TLS, as docs/upgrade.md acknowledges it, by the names and values that were seen of one."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "upgrade.md").read_text(), re.MULTILINE | re.DOTALL)
    file = tmp_path / "changes.yaml"
    file.write_text(block)
    entries = read_acknowledgements(file)
    shop = "posture shop.example:443: "
    chain = "configuration of istio-system/istio-ingressgateway: listener 0.0.0.0_8443: filter chain shop.example: "
    refused, suites = "No connection: alert 70 protocol_version", "ECDHE-ECDSA-AES128-GCM-SHA256"
    seen = [
        (f"{shop}TLS 1.2", "offered", "not offered (alert 70 protocol_version)"),
        (f"{shop}TLS 1.2 ECDSA cipher suites", suites, ""),
        (f"{shop}TLS 1.2 groups", "X25519 > P-256", ""),
        (f"{shop}TLS_FALLBACK_SCSV", "honoured", "no older version to fall back to"),
        (f"{shop}client Android 6.0", f"TLSv1.2  {suites}  256 bit ECDH (P-256)", refused),
        (
            f"{chain}transport_socket.common_tls_context.tls_params",
            "",
            '{"tls_minimum_protocol_version": "TLSv1_3"}',
        ),
    ]
    fitting = [{entry.line for entry in entries if entry.fits(*difference, "S2")} for difference in seen]
    assert all(fitting)
    assert set.union(*fitting) == {entry.line for entry in entries}
    assert {entry.reason for entry in entries} == {"From December on only TLS 1.3, see TICKET-12."}
    assert not any(entry.fits(f"{shop}client curl", "TLSv1.3", "No connection: RESET", "S2") for entry in entries)
