"""An upgrade in a browser: one page that needs nothing else, made of the JSON document."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from meshproof.report.templates import template
from meshproof.upgrade.evidence import Kind
from meshproof.upgrade.report.document import RESULTS, Json
from meshproof.upgrade.summary import change_of

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

_GROUPS = {
    Kind.UNEXPLAINED: "",
    Kind.UNFOUND: "",
    Kind.ACKNOWLEDGED: "Reason",
    Kind.RELEASE: "Why",
    Kind.ROUTINE: "Why",
}
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
            (
                kind.value,
                why,
                [difference for difference in document["differences"] if difference["kind"] == kind.value],
            )
            for kind, why in _GROUPS.items()
        ],
        changes=[(change["kind"], str(change_of(change))) for change in document["summary"]["changes"]],
        # Both are made of a template of ours that escapes every value.
        wide=Markup(wide),  # noqa: S704
        narrow=Markup(narrow),  # noqa: S704
    )
