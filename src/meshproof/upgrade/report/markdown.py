"""An upgrade in short, as Markdown for a pull request, made of the JSON document."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from meshproof.report.wording import plain
from meshproof.upgrade.report.document import Json, group_of

_MOST = 10
"""So many findings are shown; the report has all."""
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
    if document["support"]:
        yield _text(document["support"])
        yield ""
    if findings:
        rows = ((finding["verdict"], finding["state"], finding["text"]) for finding in findings[:_MOST])
        yield from _table(("Finding", "State", "What"), rows)
        if len(findings) > _MOST:
            yield f"And {len(findings) - _MOST:,} more, which are in the report."
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
        ("Must be refused", "Tries", "Refused", "Got in"),
        (
            (probe["name"], f"{probe['tries']:,}", f"{probe['refusals']:,}", f"{probe['got_in']:,}")
            for probe in document["probes"]
        ),
    )
    groups = Counter(group_of(difference) for difference in document["differences"])
    yield f"Differences: {', '.join(f'{number:,} {group.lower()}' for group, number in groups.items()) or 'none'}."


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
