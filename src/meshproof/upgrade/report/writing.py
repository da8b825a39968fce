"""The files of a report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from meshproof.errors import MachineError
from meshproof.machine import files
from meshproof.upgrade.evidence import Evidence
from meshproof.upgrade.finding import Finding, Verdict
from meshproof.upgrade.report.acknowledging import TO_FILL_IN, to_fill_in
from meshproof.upgrade.report.document import SCHEMA, to_json
from meshproof.upgrade.report.junit import upgrade_junit
from meshproof.upgrade.report.markdown import short_markdown
from meshproof.upgrade.report.page import html_page
from meshproof.upgrade.report.timeline import NARROW, draw


def write(evidence: Evidence, findings: Sequence[Finding], verdict: Verdict, directory: Path) -> list[Path]:
    """Write the page, upgrade.json with its schema, JUnit, Markdown and the time line, each as a whole or not at all.

    Where something is otherwise that nothing explains there is a file to acknowledge it by, too.

    All of them are made before the first is written; the directory is made if it is not there.

    Args:
        evidence: What was seen.
        findings: What speaks against the upgrade, the worst first.
        verdict: What is said of it.
        directory: Where they go.

    Returns:
        The files, the page first.

    Raises:
        MachineError: One can't be written.
    """
    document = to_json(evidence, findings, verdict)
    wide, narrow = (draw(evidence, legend=False), draw(evidence, width=NARROW, legend=False))
    texts = {
        "upgrade.html": html_page(document, wide, narrow),
        "upgrade.json": json.dumps(document, indent=1) + "\n",
        SCHEMA.name: SCHEMA.read_text(encoding="utf-8"),
        "upgrade.xml": upgrade_junit(document),
        "upgrade.md": short_markdown(document),
        "timeline.svg": draw(evidence),
        TO_FILL_IN: to_fill_in(document),
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"Tried to make the directory {directory}: {error.strerror}.") from error
    paths = {directory / name: text for name, text in texts.items() if text}
    for path, text in paths.items():
        files.write(path, text)
    return [*paths]
