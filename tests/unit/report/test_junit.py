"""JUnit: a suite for each target, a test for each row, and XML whatever a server calls itself."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from meshproof.posture.comparison import Change, Row
from meshproof.posture.verdict import finding
from meshproof.report.junit import ERROR, FAILURE, Case, junit_xml

EVIL = "\x00\x1b[2J<b>&\"'\ud800\ufffe\u202e\n"


def test_a_row_is_a_test() -> None:
    """What deviates is a failure, what is unknown an error, and what is as expected passes."""
    assert Case.of_row(Row("ALPN", "h2", "h2", met=True)) == Case("ALPN")
    assert Case.of_row(Row("ALPN", "h2", "none")) == Case("ALPN", FAILURE, "expected: h2; seen: none")
    unknown = Row("ALPN", "h2", "none", unknown=True)
    assert Case.of_row(Row("a", "b", "c", why="Why.")).text == "expected: b; seen: c (Why.)"
    assert Case.of_row(unknown) == Case("ALPN", ERROR, "expected: h2; seen: unknown: none")


def test_a_change_is_a_test() -> None:
    """One that is known is a failure, one that may be is an error, and a renewed certificate passes."""
    assert Case.of_change(Change("ALPN", "h2", "none")) == Case("ALPN", FAILURE, "before: h2; after: none")
    assert Case.of_change(Change("ALPN", "h2", None, "Why.")) == Case(
        "ALPN", ERROR, "before: h2; after: unknown (Why.)"
    )
    assert Case.of_change(Change("ALPN", None, "h2")).text == "before: unknown; after: h2"
    assert Case.of_change(Change("RSA certificate", "a", "b", renewed=True)) == Case("RSA certificate")


def test_a_finding_about_a_manifest_is_a_test() -> None:
    """It fails where it is to; else it passes, and its sentence is there all the same."""
    found = finding("gateway-api", ["g.yaml"], "look", where="g.yaml", fact="Why.")
    text = "g.yaml: nothing of it was checked. Why."
    assert Case.of_finding(found, fails=True) == Case("note: gateway-api", FAILURE, text)
    passes = Case.of_finding(found, fails=False)
    assert passes == Case("note: gateway-api", None, text)
    (test,) = ET.fromstring(junit_xml([("g.yaml", [passes])]))[0]  # noqa: S314 - it is our own
    assert [(end.tag, end.text) for end in test] == [("system-out", text)]


def test_a_file() -> None:
    """Its form, with the counts that build servers read."""
    text = junit_xml(
        [
            (
                "a:443",
                [Case("one"), Case("two", FAILURE, "No."), Case("three", ERROR, "Who knows?"), Case("four", ERROR)],
            ),
            ("b:443", [Case("one")]),
        ]
    )
    top = ET.fromstring(text)  # noqa: S314 - it is our own
    assert (top.tag, top.get("name")) == ("testsuites", "meshproof")
    assert [dict(suite.attrib) for suite in top] == [
        {"name": "a:443", "tests": "4", "failures": "1", "errors": "2"},
        {"name": "b:443", "tests": "1", "failures": "0", "errors": "0"},
    ]
    tests = list(top[0])
    assert {test.tag for test in tests} == {"testcase"}
    assert [(test.get("classname"), test.get("name")) for test in tests] == [
        ("a:443", name) for name in ("one", "two", "three", "four")
    ]
    assert [[(end.tag, end.get("message"), end.text) for end in test] for test in tests] == [
        [],
        [("failure", "No.", "No.")],
        [("error", "Who knows?", "Who knows?")],
        [("error", "", None)],
    ]
    assert text.endswith("\n")
    assert len(text.splitlines()) > 4


def test_no_file_is_broken_by_a_name() -> None:
    """Control characters, halves of characters and XML's own signs in a server's text leave it readable."""
    text = junit_xml([(EVIL, [Case(EVIL, FAILURE, EVIL)])])
    suite = ET.fromstring(text.encode("utf-8"))[0]  # noqa: S314 - it is our own
    plain = "\ufffd\ufffd[2J<b>&\"'\ufffd\ufffd\ufffd\ufffd"
    assert suite.get("name") == plain
    assert [(test.get("classname"), test.get("name")) for test in suite] == [(plain, plain)]
    assert [(end.get("message"), end.text) for end in suite[0]] == [(plain, plain)]
