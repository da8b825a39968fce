"""Pages of ours, read as a browser does."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[2J\u202e{{ 7*7 }}"
"""What a stranger may be called."""
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


def attributes(reader: Reader) -> Iterator[tuple[str, str]]:
    """Give all attributes."""
    yield from ((name, value or "") for _, found in reader.elements for name, value in found.items())
