"""The page of an upgrade, and its time line: whole, by themselves, and with a stranger's text as text."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from meshproof.upgrade.evidence import Evidence
from meshproof.upgrade.report.document import Json, to_json
from meshproof.upgrade.report.page import MOST, html_page
from meshproof.upgrade.report.timeline import NARROW, WIDE, draw
from meshproof.upgrade.verdict import judge, verdict_of
from tests.support.pages import EVIL, Reader, attributes
from tests.support.upgrades import GATEWAY, UPGRADES, at, evil, fail_open, flown, good, many_failures, nothing, stopped

_SVG = "{http://www.w3.org/2000/svg}"


def document(evidence: Evidence) -> Json:
    """Return the document of an upgrade."""
    findings = judge(evidence)
    return to_json(evidence, findings, verdict_of(findings))


def page(evidence: Evidence) -> str:
    """Return the page of an upgrade."""
    wide, narrow = (draw(evidence, width=width, legend=False) for width in (WIDE, NARROW))
    return html_page(document(evidence), wide, narrow)


def read(evidence: Evidence) -> Reader:
    """Return the page of an upgrade, read."""
    reader = Reader()
    reader.feed(page(evidence))
    assert reader.open == []
    return reader


def words(evidence: Evidence) -> str:
    """Return the text of its page in one line."""
    return " ".join(read(evidence).text.split())


@pytest.mark.parametrize("name", [*UPGRADES, "evil"])
def test_a_page_is_whole_and_needs_nothing_else(name: str) -> None:
    """Its elements close, it has no script, and nothing is fetched for it."""
    evidence = evil(EVIL) if name == "evil" else UPGRADES[name]()
    reader = read(evidence)
    assert not {"script", "link", "img", "iframe", "image", "use", "object"} & {tag for tag, _ in reader.elements}
    named = [value for attribute, value in attributes(reader) if attribute in ("src", "href", "xlink:href", "action")]
    assert [value for value in named if not value.startswith("#")] == []
    assert not [attribute for attribute, _ in attributes(reader) if attribute.startswith("on")]
    styles = re.findall(r"<style>(.*?)</style>", page(evidence), re.DOTALL)
    assert not [style for style in styles if "url(" in style or "@import" in style]
    assert "default-src 'none'" in page(evidence)


def test_everybody_can_use_it() -> None:
    """It has a language and a title, tables have captions and heads with a scope, pictures a name, ids are unique."""
    reader = read(fail_open())
    tags = [tag for tag, _ in reader.elements]
    assert ("html", {"lang": "en"}) in reader.elements
    assert tags.count("title") == 1
    assert tags.count("caption") == tags.count("table")
    assert all(found.get("scope") for tag, found in reader.elements if tag == "th")
    assert all(found.get("aria-label") for tag, found in reader.elements if tag == "svg")
    ids = [value for name, value in attributes(reader) if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_verdict_is_on_top() -> None:
    """With what to do; and no colour stands alone."""
    text = words(fail_open())
    assert text.index("✗ Fail-open") < text.index("What to do") < text.index("Findings") < text.index("Time line")
    assert "✓ Safe" in words(good())
    assert "Nothing speaks against this upgrade." in words(good())
    for finding in document(fail_open())["findings"]:
        assert finding["text"] in text
        assert finding["to_do"] in text


def test_all_of_it_is_there() -> None:
    """States and promises, flows and their losses, probes, differences of each kind, calibration, pressure."""
    text = words(fail_open())
    for part in (
        "S1 new control plane beside the old one",
        "✗ 1 kept, 1 broken",
        "✗ 3: 3 RESET (2 in S2, 1 in S3)",
        "1,420 ms in S3",
        "0.1 s after 5: istio-system/istio-ingressgateway-5c7b-abc",
        "Unexplained: 1",
        "What changes: 1 unexplained, 1 acknowledged, 1 brought by any upgrade",
        "The senders were late by at most 0 ms",
        "Acknowledged: 1",
        "✓ We asked for that.",
        "✓ the upgrade itself",
        "✗ ANSWERED 418",
        "12 TIMED_OUT",
        "? not shown",
        "Losses made",
        "for a processor at most 49% of ten seconds",
    ):
        assert part in text


def test_what_is_not_known_says_so() -> None:
    """An empty part is no good news."""
    text = words(nothing())
    for part in ("? No row was run.", "? No traffic was sent.", "? Nothing was tried that must be refused."):
        assert part in text
    assert "? The traffic recorder was not calibrated." in text
    assert "Nothing that is known." in text
    assert "? not run" in words(stopped())


def test_thousands_of_failures_are_a_page_that_can_be_read() -> None:
    """The first of each are listed, and it says how many more there are."""
    text = page(many_failures())
    assert len(text) < 1_000_000
    assert f"the first {MOST} of 500" in text
    assert "upgrade.json has more" in text


def test_a_strangers_text_is_text() -> None:
    """Whatever something calls itself, it is shown and not run."""
    reader = read(evil(EVIL))
    everything = reader.text + "".join(value for _, value in attributes(reader))
    assert not {"\x1b", "\u202e"} & set(everything)
    assert "<script>alert(1)</script>" in reader.text
    assert "{{ 7*7 }}" in reader.text


@pytest.mark.parametrize("width", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", [*UPGRADES, "evil"])
def test_a_time_line_is_svg_and_fits(name: str, width: float) -> None:
    """It is XML by itself, and nothing is drawn beside it."""
    top = ET.fromstring(draw(evil(EVIL) if name == "evil" else UPGRADES[name](), width=width))  # noqa: S314 - our own
    assert top.tag == f"{_SVG}svg"
    height = float(top.get("height", 0))
    for element in top.iter():
        for across in ("x", "x1", "x2"):
            assert 0 <= float(element.get(across, 0)) <= width
        for down in ("y", "y1", "y2"):
            assert 0 <= float(element.get(down, 0)) <= height
        assert float(element.get("x", 0)) + float(element.get("width", 0)) <= width + 0.1 or element is top


def texts(picture: str) -> str:
    """Return the text of a picture."""
    return " ".join(" ".join(ET.fromstring(picture).itertext()).split())  # noqa: S314 - our own


def test_a_time_line_shows_what_happened() -> None:
    """A lane for each flow, probe and control, with the longest gap; each state; each event by its number."""
    evidence = fail_open()
    text = texts(draw(evidence))
    for flow in (*evidence.flows, *evidence.controls):
        assert flow.flow.name in text
    for probe in evidence.probes:
        assert probe.name in text
    for part in ("longest gap 1,420 ms, S3", "got in, first at 25.5 s, S2", "S3 mixed sidecars", "3 lost: 3 RESET"):
        assert part in text
    assert "4: 22.1 s, pod ready: istio-system/istio-ingressgateway-6d9f-x2x" in text
    assert "pod ready" not in texts(draw(evidence, legend=False))


def test_a_loud_mark_is_drawn_for_each_that_got_in() -> None:
    """And none where all were refused."""
    picture = draw(fail_open())
    (triangles,) = re.findall(r'<path class="alarm" d="([^"]*)"', picture)
    assert triangles.count("M") == 2
    assert '<path class="alarm"' not in draw(good())
    assert '<path class="loud"' not in draw(good())


def test_a_burst_does_not_flatten_the_rest() -> None:
    """The usual number of answers is nearly as high as a lane, and what is more is as high as the lane."""
    flow = flown(GATEWAY)
    burst = [replace(record, ended_ns=at(30)) for record in flow.records[:300]]
    picture = draw(replace(good(), flows=[replace(flow, records=[*burst, *flow.records[300:]])], controls=[]))
    path = re.findall(r'<path class="flow" d="([^"]*)"', picture)[0]
    heights = {float(height) for height in re.findall(r"v(-[\d.]+)H", path)}
    assert min(heights) == -30
    assert sorted(heights)[1] <= -23


def test_thousands_of_marks_are_drawn_once() -> None:
    """As many as there are places for them."""
    assert len(draw(many_failures())) < 200_000


def test_the_pressure_between_two_clusters_is_not_made_up() -> None:
    """Nobody sampled it for 20 s: nothing is drawn there."""
    areas = [
        path.attrib["d"]
        for path in ET.fromstring(draw(UPGRADES["on a new cluster"]())).iter(f"{_SVG}path")  # noqa: S314 - our own
        if path.attrib.get("class") == "pressure"
    ]
    assert [area.count("M") for area in areas] == [2]


def test_what_was_not_sent_has_no_dash_before_it() -> None:
    """A dash is for a cell with nothing in it."""
    flow = replace(flown(GATEWAY), unsent=2)
    text = words(replace(good(), flows=[flow]))
    assert "2 not sent" in text
    assert "-; 2 not sent" not in text


def test_what_changes_is_before_the_time_line() -> None:
    """Who looks for it finds it beside the verdict, and all of it right after the findings."""
    text = words(fail_open())
    assert text.index("What changes") < text.index("Findings") < text.index("Unexplained: 1") < text.index("Time line")


def test_the_times_say_what_they_are() -> None:
    """From the beginning of the traffic, and with bringing the cluster up where that is known."""
    assert "From the beginning of its traffic to the end it took 60.0 s." in words(good())
    text = words(replace(good(), set_out_ns=at(-92)))
    assert "it took 60.0 s, and 152.0 s with bringing the cluster up." in text
