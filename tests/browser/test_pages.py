"""Our pages as a person sees them, in Chromium: on a telephone, on a desk and on paper, in light and in dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meshproof.project import current_project
from meshproof.report.document import to_json as scan_to_json
from meshproof.report.page import html_page as scan_page
from meshproof.upgrade.report import write
from meshproof.upgrade.verdict import judge, verdict_of
from tests.browser.chromium import Tab, chromium
from tests.support.postures import GOOD, SILENT, WEAK
from tests.support.upgrades import UPGRADES, evil

MEASURE = Path(__file__).with_name("measure.js").read_text()
PAPER = 718
"""The width of a page of A4 between margins of 1 cm, in pixels of CSS."""
WAYS = {
    "375, light": (375, "light", "screen"),
    "375, dark": (375, "dark", "screen"),
    "700, light": (700, "light", "screen"),
    "1280, light": (1280, "light", "screen"),
    "1280, dark": (1280, "dark", "screen"),
    "paper": (PAPER, "light", "print"),
    "paper, dark preferred": (PAPER, "dark", "print"),
}
LONG = "a-very-long-name-" * 20


def upgrade(name: str) -> Callable[[Path], Path]:
    """Return what writes the page of an upgrade."""

    def page(directory: Path) -> Path:
        evidence = evil(LONG) if name == "long names" else UPGRADES[name]()
        findings = judge(evidence)
        return write(evidence, findings, verdict_of(findings), directory)[0]

    return page


def scan(directory: Path) -> Path:
    """Write the page of a scan of three targets."""
    file = directory / "scan.html"
    file.write_text(scan_page(scan_to_json([GOOD, WEAK, replace(SILENT, notes=("A note.",))], clients="2026-11-21")))
    return file


PAGES: dict[str, Callable[[Path], Path]] = {
    **{f"upgrade, {name}": upgrade(name) for name in (*UPGRADES, "long names")},
    "scan": scan,
}


@pytest.fixture(scope="session")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser for all tests."""
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages, by their names."""
    return {name: write_page(tmp_path_factory.mktemp("page")) for name, write_page in PAGES.items()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read(name: str, way: str, tab: Tab, written: dict[str, Path]) -> None:
    """Nothing runs out of it sideways, no text is cut off or too small, and the contrast is at least 4.5 to 1.

    What it looks like is left in artifacts/browser.

    Source: https://www.w3.org/TR/WCAG22/#contrast-minimum
    """
    width, scheme, media = WAYS[way]
    tab.show(written[name], width=width, scheme=scheme, media=media)
    tab.picture(current_project().artifacts / "browser" / f"{name}, {way}.png".replace(", ", "-").replace(" ", "-"))
    assert tab.value(MEASURE) == []


@pytest.mark.parametrize(
    ("markup", "problem"),
    [
        ("<p style='color: #999'>faint</p>", "contrast 2.8: faint"),
        ("<p style='width: 600px; background: #eee'>wide</p>", "the page is 608 wide in 375"),
        ("<p style='font-size: 6px'>small</p>", "6.0 px high: small"),
        ("<p style='position: absolute; left: -50px'>gone</p>", "cut off: gone"),
        (
            "<svg viewBox='0 0 100 20'><rect width='100' height='20'/><text y='10'>black</text></svg>",
            "contrast 1.0: black",
        ),
        ("<p style='width: 1px; overflow-wrap: anywhere'>thin</p>", "squeezed: thin"),
        ("", "no text is visible"),
    ],
    ids=["too faint", "too wide", "too small", "cut off", "black on black in a picture", "squeezed", "empty"],
)
def test_the_measure_sees_what_it_measures(markup: str, problem: str, tab: Tab, tmp_path: Path) -> None:
    """A page with one thing wrong is told from one with nothing wrong."""
    file = tmp_path / "page.html"
    file.write_text(f"<!doctype html><meta name='viewport' content='width=device-width'><body>{markup}</body>")
    tab.show(file, width=375, scheme="light")
    assert tab.value(MEASURE) == [problem]


def test_a_page_asks_for_nothing(tab: Tab, written: dict[str, Path]) -> None:
    """But for itself: no picture, no font, no style, no script."""
    for name, file in written.items():
        tab.show(file, width=1280, scheme="light")
        assert tab.value("performance.getEntriesByType('resource').map((entry) => entry.name)") == [], name
