"""The page: whole, by itself, and with nothing in it that a server could have put there to be run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from meshproof.posture.document import to_json
from meshproof.posture.page import page
from meshproof.posture.verdict import judge
from meshproof.tls.posture import Posture, Target
from meshproof.tls.stream import Address
from tests.unit.postures import CERTIFICATE, GOOD, SILENT, WEAK

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[2J\u202e{{ 7*7 }}"
EMPTY = {"meta", "br"}


class Reader(HTMLParser):
    """Reads a page: its elements, each with its attributes, whether they close in order, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        self.elements.append((tag, dict(attrs)))
        self.open += [] if tag in EMPTY else [tag]

    def handle_endtag(self, tag: str) -> None:
        """See that it is the last one that was opened."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Take note of text."""
        self.text += data


def read(*postures: Posture) -> Reader:
    """Return the page of some postures, read."""
    reader = Reader()
    reader.feed(page(to_json(postures, clients="2026-11-21", aes=None)))
    assert reader.open == []
    return reader


def attributes(reader: Reader) -> Iterator[tuple[str, str]]:
    """Give all attributes."""
    yield from ((name, value or "") for _, found in reader.elements for name, value in found.items())


@pytest.mark.parametrize("postures", [(GOOD,), (WEAK,), (SILENT,), (GOOD, WEAK, SILENT)])
def test_a_page_is_whole_and_needs_nothing_else(postures: tuple[Posture, ...]) -> None:
    """Its elements close, it has no script, and nothing is fetched for it."""
    reader = read(*postures)
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
    assert "Nothing weak was found." not in read(SILENT).text


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
    client = replace(GOOD.clients[0], name=EVIL, reason=EVIL)
    target = Target(GOOD.target.address, EVIL)
    evil = replace(GOOD, target=target, alpn=(EVIL,), certificates=(certificate,), clients=(client,), notes=(EVIL,))
    reader = read(evil, evil)
    assert not {"script", "img"} & {tag for tag, _ in reader.elements}
    assert not [name for name, _ in attributes(reader) if name.startswith("on")]
    assert not {"\x1b", "\u202e"} & set(reader.text + "".join(value for _, value in attributes(reader)))
    assert "<script>alert(1)</script>" in reader.text
    assert "{{ 7*7 }}" in reader.text
