"""An upgrade in a browser: one page that needs nothing else, made of the JSON document."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from meshproof.report.templates import template
from meshproof.upgrade.report.document import ACKNOWLEDGED, BROUGHT, RESULTS, UNEXPLAINED, UNFOUND, Json, group_of

TEMPLATE = Path(__file__).with_name("page.html.j2")
MOST = 50
"""So many findings, requests that were lost, or events of one kind are shown; the JSON has more."""
_KINDS = {
    "fail-open": ("no", "✗"),
    "regression": ("no", "✗"),
    "did not finish": ("no", "✗"),
    "interrupted": ("unsure", "?"),
    "disruption above budget": ("no", "✗"),
    "behaviour changed": ("old", "!"),
    "inconclusive": ("unsure", "?"),
    "safe": ("yes", "✓"),
}
"""For each verdict its colour, and the sign that says the same."""

_GROUPS = {UNEXPLAINED: "", UNFOUND: "", ACKNOWLEDGED: "Reason", BROUGHT: "Why"}
"""The differences, and what the column of their reasons is called."""


def html_page(document: Json, wide: str, narrow: str) -> str:
    """Return a document of ``document.to_json`` as HTML.

    Args:
        document: The document.
        wide: The time line, for a wide screen and paper.
        narrow: The same, for a narrow screen.
    """
    return template(TEMPLATE).render(
        document,
        kinds=_KINDS,
        most=MOST,
        results=RESULTS,
        groups=[
            (name, why, [difference for difference in document["differences"] if group_of(difference) == name])
            for name, why in _GROUPS.items()
        ],
        # Both are made of a template of ours that escapes every value.
        wide=Markup(wide),  # noqa: S704
        narrow=Markup(narrow),  # noqa: S704
    )
