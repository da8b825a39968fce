"""An upgrade in short, as Markdown for a pull request, made of the JSON document."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

from meshproof.report.wording import plain
from meshproof.upgrade.report.document import Json
from meshproof.upgrade.summary import change_of

_MOST = 10
"""So many changes are shown; the report has all."""
_MOST_ALIKE = 5
"""So many findings of a verdict are."""
_SIGNS = {"safe": "✅", "inconclusive": "❔", "interrupted": "❔", "behaviour changed": "⚠️"}


def short_markdown(document: Json) -> str:
    """Return a document of ``document.to_json`` in short."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Json) -> Iterator[str]:
    verdict, findings = document["verdict"], document["findings"]
    before, after = (_text(document[side]["name"]) for side in ("before", "after"))
    yield f"### {_SIGNS.get(verdict['name'], '❌')} Upgrade from {before} to {after}: {verdict['name']}"
    yield ""
    yield _text(verdict["sentence"])
    yield ""
    yield f"**What to do:** {_text(verdict['to_do'])}"
    yield ""
    summary = document["summary"]
    yield _text(summary["traffic"])
    yield ""
    yield from _changes(summary)
    yield f"{_text(summary['rows'])} {_text(summary['machine'])}"
    yield ""
    if document["support"]:
        yield _text(document["support"])
        yield ""
    if findings:
        shown = list(_some_of_each(findings))
        rows = ((finding["verdict"], finding["state"], finding["text"]) for finding in shown)
        yield from _table(("Finding", "State", "What"), rows)
        if len(findings) > len(shown):
            yield f"And {len(findings) - len(shown):,} more, which are in the report."
            yield ""
    yield from _table(
        ("Traffic", "Requests", "Failed", "Longest gap", "p99"),
        (
            (
                flow["flow"],
                f"{flow['requests']:,}",
                f"{flow['failed']:,}",
                _ms(flow["longest_gap_ms"]),
                _ms(flow["p99_ms"]),
            )
            for flow in (*document["flows"], *document["controls"])
        ),
    )
    yield from _table(
        ("Must be refused", "Tries", "Refused", "Got in", "Unknown"),
        (
            (
                probe["name"],
                f"{probe['tries']:,}",
                f"{probe['refusals']:,}",
                f"{probe['got_in']:,}",
                ", ".join(f"{number:,} {ending}" for ending, number in probe["unknown"].items()) or "0",
            )
            for probe in document["probes"]
        ),
    )
    yield _text(" ".join(document["summary"]["scope"]))


def _some_of_each(findings: Sequence[Json]) -> Iterator[Json]:
    """Yield the first findings of each verdict: many of one don't hide the others."""
    for _, alike in groupby(findings, key=lambda finding: str(finding["verdict"])):
        yield from islice(alike, _MOST_ALIKE)


def _changes(summary: Json) -> Iterator[str]:
    """Yield how much is otherwise, and what of it is more than another version."""
    yield f"**What changes:** {_text(summary['differences'])}."
    yield ""
    for change in summary["changes"][:_MOST]:
        yield f"- {_text(change['kind'])}: {_text(str(change_of(change)))}"
    if len(summary["changes"]) > _MOST:
        yield f"- and {len(summary['changes']) - _MOST:,} more, which are in the report"
    if summary["changes"]:
        yield ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = [f"| {' | '.join(map(_text, row))} |" for row in rows]
    if lines:
        yield f"| {' | '.join(heads)} |"
        yield f"|{' --- |' * len(heads)}"
        yield from lines
        yield ""


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"


def _text(text: str) -> str:
    """Return text as Markdown shows it, in one line: none of its letters is a sign of Markdown's, or of HTML."""
    return re.sub(r"([\\`*_\[\]|~#@])", r"\\\1", html.escape(plain(" ".join(text.split())), quote=False))
