"""What a scan writes: JSON, a page, JUnit."""

from __future__ import annotations

import json
from pathlib import Path

from meshproof.cli.output import write
from meshproof.cli.scan.asked import Found
from meshproof.posture import comparison
from meshproof.posture.comparison import Row


def save(found: Found, clients: str, json_file: Path | None, html_file: Path | None) -> None:
    """Write all that was found, as JSON and as a page.

    Args:
        found: What was found.
        clients: The date of the clients.
        json_file: Where the JSON is written; None writes none.
        html_file: Where the page is written; None writes none.

    Raises:
        MachineError: A file can't be written.
    """
    if not (json_file or html_file):
        return
    document = found.document(clients)
    if json_file:
        write(json_file, json.dumps(document, indent=1) + "\n")
    if html_file:
        from meshproof.report.page import html_page  # noqa: PLC0415 - templates take time that most scans can save

        write(html_file, html_page(document))


def save_junit(file: Path, found: Found) -> None:
    """Write what was compared; where nothing was asked of the targets, whether all could be found out.

    Raises:
        MachineError: The file can't be written.
    """
    from meshproof.report.junit import Case, junit_xml  # noqa: PLC0415 - most scans write none

    known = (Row("posture", "known", "known", met=True),)
    suites = [
        (name, [*map(Case.of_row, comparison.gaps(posture) or known if found.asked.nothing else rows)])
        for name, posture, rows in zip(found.names, found.postures, found.rows, strict=True)
    ]
    if found.manifest:
        bad = comparison.at_least(found.asked.fail_on) if found.asked.fail_on else ()
        cases = [Case.of_finding(finding, fails=finding.severity in bad) for finding in found.manifest.findings]
        suites.append((found.manifest.file, cases or [Case("settings")]))
    write(file, junit_xml(suites))
