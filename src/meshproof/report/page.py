"""Postures in a browser: one page that needs nothing else, made of the JSON document."""

from __future__ import annotations

from pathlib import Path

from meshproof.posture.advice import NOT_ABSENT, nothing_known
from meshproof.posture.spelling import PROTOCOLS
from meshproof.posture.verdict import BEHIND_PASSTHROUGH, other_server
from meshproof.report.document import Json
from meshproof.report.document_reading import from_json
from meshproof.report.templates import template
from meshproof.report.wording import fallback_scsv, first_of
from meshproof.tls.probe.outcome import Outcome

TEMPLATE = Path(__file__).with_name("page.html.j2")


def html_page(document: Json) -> str:
    """Return a document of ``document.to_json`` as HTML."""
    return template(TEMPLATE).render(
        document,
        protocols=list(PROTOCOLS),
        footnotes=[other_server(posture) or BEHIND_PASSTHROUGH for posture in from_json(document)],
        not_absent=NOT_ABSENT,
        nothing_known=[nothing_known(posture) for posture in from_json(document)],
        first_of=first_of,
        fallback_scsv=fallback_scsv,
        name_of=lambda outcome: Outcome[outcome].value,
    )
