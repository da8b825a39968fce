"""The files of a report, and the lines on a terminal."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from meshproof.errors import MachineError, ReaderLeft
from meshproof.upgrade.evidence import Evidence, Try
from meshproof.upgrade.new_cluster import joined
from meshproof.upgrade.report import Lines, write
from meshproof.upgrade.report.document import to_json
from meshproof.upgrade.report.junit import upgrade_junit
from meshproof.upgrade.report.markdown import short_markdown
from meshproof.upgrade.report.page import html_page
from meshproof.upgrade.summary import summary_of
from meshproof.upgrade.verdict import Verdict, judge, verdict_of
from tests.support.pages import EVIL
from tests.support.upgrades import (
    EXPECTED,
    GATEWAY,
    MOVING,
    ROWS,
    UNEXPLAINED,
    UPGRADES,
    at,
    evil,
    fail_open,
    flown,
    good,
    many_failures,
    nothing,
    on_the_new_cluster,
    on_the_old_cluster,
    stopped,
    visits,
)

FILES = ["upgrade.html", "upgrade.json", "upgrade.schema.json", "upgrade.xml", "upgrade.md", "timeline.svg"]


def save(evidence: Evidence, directory: Path) -> list[Path]:
    """Write the report of an upgrade."""
    findings = judge(evidence)
    return write(evidence, findings, verdict_of(findings), directory)


@pytest.mark.parametrize("name", [*UPGRADES, "evil"])
def test_a_report_is_six_files(name: str, tmp_path: Path) -> None:
    """In a directory that is made for them, and nothing else is left there; a second report replaces the first.

    Where something is otherwise that nothing explains there is a seventh one, to acknowledge it by.
    """
    evidence = evil(EVIL) if name == "evil" else UPGRADES[name]()
    directory = tmp_path / "artifacts" / "upgrade"
    changed = any(finding.verdict is Verdict.CHANGED for finding in judge(evidence) if finding.subject not in ROWS)
    names = [*FILES, "acknowledge.yaml"] if changed else FILES
    for _ in range(2):
        assert [path.name for path in save(evidence, directory)] == names
    assert sorted(path.name for path in directory.iterdir()) == sorted(names)
    assert json.loads((directory / "upgrade.json").read_text())["format"] == 1
    ET.parse(directory / "timeline.svg")  # noqa: S314 - our own
    ET.parse(directory / "upgrade.xml")  # noqa: S314 - our own


def test_a_directory_that_can_not_be_made_is_one_sentence(tmp_path: Path) -> None:
    """It says what was tried, and why not."""
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"^Tried to make the directory .*/file: File exists\.$"):
        save(good(), tmp_path / "file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """It names the file."""
    (tmp_path / "upgrade.json").symlink_to("/dev/full")
    with pytest.raises(MachineError, match=r"^Tried to write .*upgrade\.json: No space left on device\.$"):
        save(good(), tmp_path)


def junit(evidence: Evidence) -> dict[str, dict[str, tuple[str, str]]]:
    """Return what became of each test of each suite: ``passed``, ``failure`` or ``error``, with its text."""
    findings = judge(evidence)
    top = ET.fromstring(upgrade_junit(to_json(evidence, findings, verdict_of(findings))))  # noqa: S314 - our own
    suites: dict[str, dict[str, tuple[str, str]]] = {}
    for suite in top:
        cases = suites.setdefault(suite.get("name", ""), {})
        for test in suite:
            ends = [(end.tag.replace("system-out", "passed"), end.text or "") for end in test]
            cases[test.get("name", "")] = ends[0] if ends else ("passed", "")
    return suites


def test_junit_has_a_test_for_each_promise_and_state() -> None:
    """One that is broken names its rows; one that was not run is unknown."""
    suites = junit(fail_open())
    assert suites["S2 new gateways"]["gateway/mutual_tls"] == ("passed", "2 kept")
    assert suites["S3 mixed sidecars"]["gateway/mutual_tls"] == (
        "failure",
        "1 kept, 1 broken; test_our_certificate_is_accepted: broken",
    )
    assert junit(stopped())["S2 new gateways"]["gateway/mutual_tls"] == ("error", "no row was run")


def test_junit_tells_of_a_row_that_is_known_to_be_broken_only_since_the_upgrade() -> None:
    """That is a change; one that was so before the upgrade is none."""
    always = [replace(visit, rows={**visit.rows, ROWS[2]: "known broken"}) for visit in visits()]
    since = [*visits()[:2], *always[2:]]
    text = "1 known broken; test_a_denied_principal[sleep]: known broken"
    for broken, result in ((always, "passed"), (since, "failure")):
        assert junit(replace(good(), visits=broken))["S2 new gateways"]["policies/authorization"] == (result, text)


@pytest.mark.parametrize("lost", [({450}, ()), ((), {900}), ({450}, {900})], ids=["one part", "the other", "both"])
def test_junit_has_one_test_for_all_parts_of_a_flow(lost: Sequence[Collection[int]]) -> None:
    """Where one of them lost something it is a failure, and there is no other one of it that passes."""
    parts = [flown("it", lost=lost[0], until=40), flown("it, part 2", lost=lost[1], silent=(0, 41))]
    assert junit(replace(good(), flows=parts))["flows"].keys() == {"it"}
    assert junit(replace(good(), flows=parts))["flows"]["it"][0] == "failure"


def test_junit_has_one_test_for_a_probe_on_two_clusters() -> None:
    """What is open on the new one is a failure of the probe."""
    evidence = joined(on_the_old_cluster(), on_the_new_cluster(), MOVING)
    *others, last = evidence.probes
    opened = replace(last, let_through=[Try(at(50), MOVING.state, "ANSWERED 418")])
    probes = junit(replace(evidence, probes=[*others, opened]))["fail-open probes"]
    assert {name: result for name, (result, _) in probes.items()} == {
        "no client certificate": "passed",
        "a denied principal": "failure",
    }


def test_junit_has_a_test_for_each_probe_flow_and_difference() -> None:
    """What is wrong is a failure, what is unknown an error."""
    suites = junit(fail_open())
    results = {name: {case: result for case, (result, _) in suite.items()} for name, suite in suites.items()}
    assert results["fail-open probes"] == {
        "no client certificate": "failure",
        "a denied principal": "passed",
        "plaintext into STRICT": "error",
    }
    assert results["flows"][GATEWAY] == "failure"
    assert list(results["flows"].values()) == ["failure", "passed", "passed"]
    assert list(results["control"].values()) == ["error"]
    assert list(results["differences"].values()) == ["failure", "passed", "passed"]
    assert results["upgrade"] == {"comes to its end": "passed"}


@pytest.mark.parametrize(
    ("made", "result"), [(stopped, "failure"), (nothing, "error")], ids=["it is stuck", "a person ended it"]
)
def test_junit_says_why_an_upgrade_ended_early(made: Callable[[], Evidence], result: str) -> None:
    """Stuck is a failure, and interrupted unknown."""
    evidence = made()
    assert evidence.stop
    assert junit(evidence)["upgrade"]["comes to its end"] == (result, evidence.stop.what)


def test_each_finding_is_in_junit() -> None:
    """A build server is as red as the verdict."""
    for name, made in UPGRADES.items():
        failed = [result for suite in junit(made()).values() for result, _ in suite.values() if result != "passed"]
        assert bool(failed) is (name not in {"safe", "on a new cluster"})


def short(evidence: Evidence) -> str:
    """Return an upgrade as Markdown."""
    findings = judge(evidence)
    return short_markdown(to_json(evidence, findings, verdict_of(findings)))


def test_markdown_is_short() -> None:
    """The verdict and what to do first, then the findings, and numbers in tables."""
    text = short(fail_open())
    assert text.startswith("### ❌ Upgrade from 1.30 to 1.31.0: fail-open\n")
    assert "**What to do:** Do not upgrade like this" in text
    assert f"| {GATEWAY} | 1,200 | 3 | 150 ms | 4 ms |" in text
    assert "| no client certificate | 600 | 586 | 2 | 12 TIMED\\_OUT |" in text
    assert "**What changes:** 1 unexplained, 1 acknowledged, 1 brought by any upgrade; 1 fact was compared." in text
    assert "3 of 7,130 requests were lost, and 2 of 1,800 that must be refused got in" in text
    assert text.index("What changes") < text.index("| Finding |")
    assert short(good()).startswith("### ✅ Upgrade from 1.30 to 1.31.0: safe\n")
    assert len(short(many_failures()).splitlines()) < 60
    assert "And 17 more, which are in the report." in short(
        replace(good(), differences=[replace(UNEXPLAINED, name=f"fact {number}") for number in range(22)])
    )


def test_a_strangers_text_is_no_markdown() -> None:
    """It makes no table, no link and no HTML."""
    text = short(evil(f"{EVIL}|[a](b)|\n# x `y` @everybody"))
    assert "<script>" not in text
    assert "\x1b" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} <= {4, 5, 6}
    assert "\n#" not in text.removeprefix("#")
    assert " @everybody" not in text


def printed(tell: Callable[[Lines], None]) -> list[str]:
    """Return the lines that are printed."""
    out = io.StringIO()
    tell(Lines(at(0), Console(file=out, width=200)))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_fewer_requests_are_a_line_before_the_first_state() -> None:
    """With what makes them fewer; where none are, nothing is printed."""
    assert printed(lambda lines: lines.fewer("Fewer requests than usual: 5.")) == ["! Fewer requests than usual: 5."]
    assert printed(lambda lines: lines.fewer("")) == []


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (0, "✓   10.0 s S0 all old: 3 of 3 rows kept"),
        (2, "✓   32.0 s S2 new gateways (after 6.0 s): 3 of 3 rows kept"),
        (3, "✗   45.0 s S3 mixed sidecars (after 8.0 s): 2 of 3 rows kept"),
    ],
    ids=["the first state", "a state in which all is well", "a state in which a row is broken"],
)
def test_a_state_is_a_line(state: int, line: str) -> None:
    """When it was looked at, how long it took to get there, what was kept, and how much has been sent."""
    sent = ", 1,234 requests and 56 fail-open tries so far"
    assert printed(lambda lines: lines.reached(visits(S3=[1])[state], 1234, 56)) == [line + sent]


def test_a_busy_machine_is_a_line() -> None:
    """Whoever watches can end the run then, and look for what keeps the machine busy."""
    line = (
        "!   10.0 s The machine is very busy: where something is slow nobody can tell whether that is the mesh's fault."
    )
    assert printed(lambda lines: lines.busy(visits()[0])) == [f"{line} (S0 all old)"]


def test_a_step_is_a_line() -> None:
    """It begins with the state that it is in, or leads to, and says when it was begun."""
    state = visits()[2].state
    line = "…   26.0 s S2: have the gateways of 1.31.0"
    assert printed(lambda lines: lines.begun("have the gateways of 1.31.0", state, at(26))) == [line]


def test_a_surprise_is_a_line_and_thousands_are_not_thousands() -> None:
    """A lost request, one that got in, a difference that nobody explains; of each kind the first ones."""
    evidence = fail_open()
    state = evidence.visits[2].state

    def tell(lines: Lines) -> None:
        for record in flown(GATEWAY, lost=range(450, 900)).failures:
            lines.lost(record, state)
        lines.let_through("no client certificate", evidence.probes[0].let_through[0])
        lines.changed(UNEXPLAINED, at(31))
        lines.changed(EXPECTED, at(31))

    lines = printed(tell)
    assert lines[0] == f"✗   22.5 s {GATEWAY} lost a request: RESET (S2 new gateways)"
    assert lines[5].endswith(f"more of {GATEWAY}: the report counts them")
    assert lines[6:] == [
        "✗   25.5 s FAIL-OPEN: no client certificate got in: ANSWERED 418 (S2 new gateways)",
        f"!   31.0 s {UNEXPLAINED.name} is otherwise than before the upgrade (S2 new gateways)",
    ]


def test_the_verdict_is_the_end() -> None:
    """With its reasons, what to do, and where the report is."""
    evidence = fail_open()
    findings = judge(evidence)

    def tell(lines: Lines) -> None:
        lines.verdict(verdict_of(findings), findings, summary_of(evidence))
        lines.written(Path("artifacts/upgrade.html"))

    lines = printed(tell)
    assert lines[1] == "✗ Fail-open"
    assert findings[0].text in lines[2]
    assert findings[0].to_do in " ".join(line.strip() for line in lines)
    assert "  and 1 more, which are in the report" in lines
    assert lines[-1] == "The report: artifacts/upgrade.html"


SAFE = (
    "0 of 4,200 requests were lost, and 0 of 1,200 that must be refused got in; the longest time without an answer was "
    "50 ms, of outside, HTTP/1.1, new connections."
)


def test_a_safe_upgrade_says_what_was_tried_what_changes_and_how_busy_the_machine_was() -> None:
    """Real changes first; another version is only counted."""
    lines = printed(lambda lines: lines.verdict(verdict_of([]), [], summary_of(good())))
    assert [line.strip() for line in lines[1:-1]] == [
        "✓ Safe",
        SAFE,
        "In each state 3 rows of 2 modules (gateway/mutual_tls 2, policies/authorization 1) were tried.",
        "What changes: 1 acknowledged, 1 brought by any upgrade; 1 fact was compared.",
        "acknowledged: response header server: istio-envoy is now nothing. First in S2. We asked for that.",
    ]
    assert lines[-1].strip() == (
        "The senders were late by at most 0 ms in 99 of 100 requests of each flow; "
        "some tasks waited for a processor for at most 49% of ten seconds."
    )


def test_a_fact_that_could_not_be_found_out_says_why() -> None:
    """In its line, and not in the report only."""
    unknown = replace(UNEXPLAINED, before="unknown: nobody answered")
    (line,) = printed(lambda lines: lines.changed(unknown, at(31)))
    assert f"{UNEXPLAINED.name} could not be found out: nobody answered (S2 new gateways)" in line


def test_what_istio_does_not_support_is_in_the_report() -> None:
    """In the JSON, on the page and in the Markdown; where it is supported nobody says so."""
    evidence = good()
    down = replace(evidence, before=evidence.after, after=evidence.before)
    for of_one, has_it in ((down, True), (evidence, False)):
        document = to_json(of_one, [], verdict_of([]))
        assert ("1.31.0 to 1.30.0 is a downgrade" in document["support"]) is has_it
        for text in (short_markdown(document), html_page(document, "", "")):
            assert ("is a downgrade" in text) is has_it


class Closed(io.StringIO):
    """A stream that nobody reads, as ``meshproof`` has it."""

    def write(self, _: str) -> int:
        """Say so."""
        raise ReaderLeft("Nobody reads what is printed.")


def test_lines_that_nobody_reads_end_nothing() -> None:
    """An upgrade whose standard error was closed (``2>&1 | head``) goes on to its report."""
    evidence = fail_open()
    findings = judge(evidence)
    lines = Lines(at(0), Console(file=Closed(), width=200))
    lines.begun("look at the mesh", visits()[0].state, at(1))
    lines.reached(visits()[0], 1, 1)
    lines.lost(flown(GATEWAY, lost=[3]).failures[0], visits()[0].state)
    lines.verdict(verdict_of(findings), findings, summary_of(evidence))
    lines.written(Path("upgrade.html"))


def test_a_strangers_text_does_nothing_to_a_terminal() -> None:
    """It neither colours it nor moves its cursor."""
    evidence = evil("\x1b[2J[bold red]x[/]")
    findings = judge(evidence)
    lines = printed(lambda lines: lines.verdict(verdict_of(findings), findings, summary_of(evidence)))
    assert not [line for line in lines if "\x1b" in line]
    assert any("[bold red]x[/]" in line for line in lines)
