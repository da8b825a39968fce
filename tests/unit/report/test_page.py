"""The page: whole, by itself, and with nothing in it that a server could have put there to be run."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from meshproof.posture.advice import nothing_known
from meshproof.posture.verdict import finding as finding_of
from meshproof.posture.verdict import judge, other_server
from meshproof.report.document import Json, to_json
from meshproof.report.page import html_page
from meshproof.tls.probe.outcome import Outcome
from meshproof.tls.probe.stream import Address
from meshproof.tls.scanner.findings import ClientAuthentication, Posture, Target
from tests.support import postures
from tests.support.pages import EVIL, Reader, attributes
from tests.support.postures import CERTIFICATE, GOOD, SILENT, WEAK


def document(*found: Posture) -> Json:
    """Return the document of some postures."""
    return to_json(found, clients="2026-11-21", aes=None)


def read(*found: Posture) -> Reader:
    """Return the page of some postures, read."""
    reader = Reader()
    reader.feed(html_page(document(*found)))
    assert reader.open == []
    return reader


@pytest.mark.parametrize("found", [(GOOD,), (WEAK,), (SILENT,), (GOOD, WEAK, SILENT)])
def test_a_page_is_whole_and_needs_nothing_else(found: tuple[Posture, ...]) -> None:
    """Its elements close, it has no script, and nothing is fetched for it."""
    reader = read(*found)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in reader.elements}
    assert [value for name, value in attributes(reader) if name in ("src", "href") and not value.startswith("#")] == []
    assert "url(" not in reader.text
    assert "@import" not in reader.text


def test_all_of_it_is_there() -> None:
    """Suites, certificate, clients with their reasons, findings with their remedies."""
    text = " ".join(read(WEAK).text.split())
    for finding in judge(WEAK):
        assert finding.why in text
        assert finding.remedy in text
    for client in WEAK.clients:
        assert client.name in text
        assert client.reason in text
    for word in ("DHE-RSA-AES128-GCM-SHA256", "1024 bit DH", "CN=example.test", "h2, http/1.1", "offered"):
        assert word in text
    assert "Nothing weak was found." in read(GOOD).text
    assert "to 127.0.0.1:443." in read(GOOD).text
    assert "Could not be found out" not in read(GOOD).text


def test_a_target_of_which_nothing_is_known_is_a_sentence() -> None:
    """And its notes; no table of unknowns, and nothing good."""
    reader = read(replace(SILENT, notes=("A note.",)))
    sentence = nothing_known(SILENT)
    assert sentence
    assert sentence in reader.text
    assert "A note." in reader.text
    assert "table" not in {tag for tag, _ in reader.elements}
    assert "Nothing weak" not in reader.text


def test_what_is_unknown_is_listed() -> None:
    """Once, at the end; of a target that stopped answering it is said that it did."""
    partial = replace(GOOD, alpn_complete=False, certificates_complete=False)
    text = " ".join(read(partial).text.split())
    assert "Could not be found out: application protocols certificates" in text
    assert "Nothing weak was found in what is known." in text
    stopped = " ".join(read(replace(GOOD, unreachable=Outcome.RESET, endpoint=None)).text.split())
    assert "It did not answer to the end: connection reset. What is missing here is not known to be absent." in stopped
    assert "Could not be found out" not in stopped
    assert "with 80 connections." in stopped
    assert "did not answer" not in text


def cells(posture: Posture) -> dict[str, str]:
    """Return the rows about the server: each with the text of its cell, the last one of a name."""
    found = re.findall(r'<tr><th scope="row">([^<]*)</th><td>(.*?)</td></tr>', html_page(document(posture)), re.DOTALL)
    return {name: " ".join(cell.split()) for name, cell in found}


@pytest.mark.parametrize(
    ("changes", "row", "cell"),
    [
        ({}, "DH", None),
        ({"dh_bits": (1024, 2048)}, "DH", "1024 bits, 2048 bits"),
        ({}, "ALPN", "h2, http/1.1"),
        ({"alpn": ()}, "ALPN", "none"),
        ({"alpn": (), "alpn_complete": False}, "ALPN", "unknown"),
        ({"alpn": ("h2",), "alpn_complete": False}, "ALPN", "h2, and perhaps more"),
        ({"certificates": ()}, "Certificate", "none"),
        ({"certificates": (), "certificates_complete": False}, "Certificate", "unknown"),
        ({"certificates_complete": False}, "Certificate", "perhaps another"),
        ({"fallback_scsv": True}, "TLS_FALLBACK_SCSV", "honoured"),
        ({"fallback_scsv": False}, "TLS_FALLBACK_SCSV", "ignored"),
        ({"fallback_scsv": None}, "TLS_FALLBACK_SCSV", "unknown"),
        ({"fallback_scsv": None, "versions": postures.versions(postures.TLS_1_3)}, "TLS_FALLBACK_SCSV", None),
        ({"client_authentication": ClientAuthentication.UNKNOWN}, "Client certificate", "unknown"),
        ({"credential": Outcome.CLIENT_CERT_EXPIRED}, "Client certificate given", "client certificate expired"),
        ({}, "Client certificate given", None),
        ({"listed": False, "alpn": ()}, "ALPN", None),
        ({"listed": False, "certificates": ()}, "Certificate", None),
        ({"listed": False, "client_authentication": ClientAuthentication.UNKNOWN}, "Client certificate", None),
        ({"listed": False}, "Client certificate", "not requested"),
    ],
)
def test_none_is_not_unknown(changes: dict[str, Any], row: str, cell: str | None) -> None:
    """A row says that there is nothing only where that is known, and is not there where nobody asked."""
    assert cells(replace(GOOD, **changes)).get(row) == cell


def test_a_chain_is_there() -> None:
    """Each intermediate with its key and its end."""
    assert "then: CN=authority, EC P-384, until 2026-12-11" in cells(GOOD)["Certificate"]


def test_a_manifest_has_its_findings() -> None:
    """Where a file of Gateways was given; a word says that there are none."""
    found = finding_of("gateway-api", [EVIL], "look", where=EVIL, fact="Why.")
    reader = Reader()
    reader.feed(html_page(to_json([GOOD], clients="2026-11-21", gateway=[found])))
    assert not {"script", "img"} & {tag for tag, _ in reader.elements}
    assert "nothing of it was checked. Why." in reader.text
    assert "What would not do as it says" in reader.text
    good = html_page(to_json([GOOD], clients="2026-11-21", gateway=[]))
    assert "Nothing in the manifest would be refused or left out." in good
    assert "<h2>Gateway</h2>" not in html_page(document(GOOD))


def test_a_server_that_is_no_envoy() -> None:
    """One sentence says so below its findings."""
    text = read(WEAK, GOOD).text
    assert text.count(other_server(WEAK) or "?") == 1


def test_many_targets_are_a_matrix() -> None:
    """One column a target for the clients, one row for the protocols, in words and not in colour alone."""
    other = replace(WEAK, target=Target(Address("::1", 8443), None))
    reader = read(GOOD, other, SILENT)
    text = " ".join(reader.text.split())
    assert "Clients: the protocol that each would get" in text
    assert {"✓ offered", "? unknown", "✗ no connection"} <= set(
        re.findall(r"✓ offered|\? unknown|✗ no connection", text)
    )
    assert {value for name, value in attributes(reader) if name == "href"} == {"#t1", "#t2", "#t3"}
    coloured = [found for tag, found in reader.elements if tag == "td" and found.get("class")]
    assert {found["class"] for found in coloured} <= {"yes", "old", "no", "none", "unsure"}


def test_everybody_can_use_it() -> None:
    """It has a language and a title, tables have captions and heads with a scope, and both themes have colours."""
    reader = read(GOOD, WEAK)
    tags = [tag for tag, _ in reader.elements]
    assert ("html", {"lang": "en"}) in reader.elements
    assert tags.count("title") == 1
    assert tags.count("caption") == tags.count("table")
    assert all(found.get("scope") in ("row", "col") for tag, found in reader.elements if tag == "th")
    assert "color-scheme: light dark" in reader.text


def test_a_strangers_text_is_text() -> None:
    """Whatever a server calls itself, it is shown and not run."""
    certificate = replace(CERTIFICATE, subject=EVIL, names=(EVIL,), issuer=EVIL)
    certificate = replace(certificate, intermediates=(certificate,))
    client = replace(GOOD.clients[0], name=EVIL, reason=EVIL)
    target = Target(GOOD.target.address, EVIL)
    evil = replace(GOOD, target=target, alpn=(EVIL,), certificates=(certificate,), clients=(client,), notes=(EVIL,))
    nothing = replace(SILENT, target=Target(Address(EVIL, 1), EVIL))
    reader = read(evil, evil, nothing, replace(evil, clients=(*GOOD.clients, postures.refused(EVIL, unknown=True))))
    assert not {"script", "img"} & {tag for tag, _ in reader.elements}
    assert not [name for name, _ in attributes(reader) if name.startswith("on")]
    assert not {"\x1b", "\u202e"} & set(reader.text + "".join(value for _, value in attributes(reader)))
    assert "<script>alert(1)</script>" in reader.text
    assert "{{ 7*7 }}" in reader.text
