"""What was compared as a JUnit file, for continuous integration: one suite for each target, one test for each row.

A file of ``--gateway`` is a suite too, with a test for each finding.

A row that is known to be other than it should be is a failure, and one that is unknown an error. The form is that of
Ant's JUnit task, with what Jenkins, GitHub and GitLab read of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self
from xml.etree import ElementTree as ET

from meshproof.posture.comparison import Change, Row
from meshproof.posture.verdict import Finding
from meshproof.report.wording import plain

FAILURE, ERROR = "failure", "error"


class Case(NamedTuple):
    """One test.

    Attributes:
        name: What it is about.
        fault: FAILURE, ERROR, or None when it passed.
        text: One sentence: why it did not pass, or what there is to say though it did.
    """

    name: str
    fault: str | None = None
    text: str = ""

    @classmethod
    def of_row(cls, row: Row) -> Self:
        """Return the test that a row of expectations is."""
        if row.met:
            return cls(row.what)
        seen = f"unknown: {row.seen}" if row.unknown else row.seen
        why = f" ({row.why})" if row.why else ""
        return cls(row.what, ERROR if row.unknown else FAILURE, f"expected: {row.expected}; seen: {seen}{why}")

    @classmethod
    def of_finding(cls, finding: Finding, *, fails: bool) -> Self:
        """Return the test that a finding about a manifest is; one that only warns passes, with its sentence."""
        return cls(f"{finding.severity}: {finding.id}", FAILURE if fails else None, finding.why)

    @classmethod
    def of_change(cls, change: Change) -> Self:
        """Return the test that a row of a difference is; a certificate that was renewed passes."""
        if change.renewed:
            return cls(change.what)
        before, after = (side if side is not None else "unknown" for side in (change.before, change.after))
        text = f"before: {before}; after: {after}" + (f" ({change.reason})" if change.reason else "")
        return cls(change.what, ERROR if change.unknown else FAILURE, text)


def junit_xml(suites: Iterable[tuple[str, Sequence[Case]]]) -> str:
    """Return a JUnit file.

    What XML cannot have, such as a control character in the name of a server, becomes U+FFFD.

    Args:
        suites: For each target, or file, its name and its tests.
    """
    top = ET.Element("testsuites", name="meshproof")
    for name, cases in suites:
        suite = ET.SubElement(top, "testsuite", name=plain(name), tests=str(len(cases)))
        for fault in (FAILURE, ERROR):
            suite.set(f"{fault}s", str(sum(case.fault == fault for case in cases)))
        for case in cases:
            test = ET.SubElement(suite, "testcase", classname=plain(name), name=plain(case.name))
            if case.fault:
                ET.SubElement(test, case.fault, message=plain(case.text)).text = plain(case.text)
            elif case.text:
                ET.SubElement(test, "system-out").text = plain(case.text)
    ET.indent(top)
    return ET.tostring(top, encoding="unicode") + "\n"
