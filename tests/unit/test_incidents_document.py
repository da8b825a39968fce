"""docs/incidents.md says which public incidents an upgrade would have shown, and tools/bad_upgrades.yaml shows them."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from tests.support.checkout import ROOT
from tools.bad_upgrades import ways

INCIDENTS = {
    *(f"istio/istio#{number}" for number in (12658, 22143, 38160, 41138, 41305, 42648, 43527, 46794, 58912)),
    "CVE-2022-21679",
    "ISTIO-SECURITY-2021-002",
}
"""Those that the table has to have."""
WAYS = {way.name: way for way in ways()}


class Row(NamedTuple):
    """A row of the table."""

    incident: str
    verdict: str
    shown_by: tuple[str, ...]


ROWS = [
    Row(incident, cells.split(" | ")[-2], tuple(re.findall(r"`(.+?)`", cells.split(" | ")[-1])))
    for incident, cells in re.findall(
        r"^\| \[(.+?)\]\(https://\S+\) \| (.*) \|$", (ROOT / "docs" / "incidents.md").read_text(), re.MULTILINE
    )
]


def test_each_incident_is_there() -> None:
    """The table has each of them, once."""
    assert sorted(row.incident for row in ROWS) == sorted(INCIDENTS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.incident)
def test_what_shows_an_incident(row: Row) -> None:
    """It is shown by the bad upgrades that name it, and gets their verdict in their state."""
    assert row.shown_by == tuple(way.name for way in WAYS.values() if row.incident in way.incidents)
    assert {f"{WAYS[name].verdict}, {WAYS[name].state}" for name in row.shown_by} == {row.verdict}


def test_the_number_of_bad_upgrades_is_as_readme_says() -> None:
    """It says in how many ways a mesh is upgraded badly, and each has a name of its own."""
    assert len(WAYS) == len(ways())
    assert f"Upgrade a mesh badly, in {len(WAYS)} ways," in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("states", "said"),
    [
        pytest.param(("S2", "S2"), True, id="both in its state"),
        pytest.param(("S2", "S3"), False, id="one in another state"),
        pytest.param(("S2",), False, id="one of them is missing"),
    ],
)
def test_all_that_is_wrong_has_to_be_said(states: tuple[str, ...], said: bool) -> None:  # noqa: FBT001 - of a table
    """Where a bad upgrade has several signs, one of them alone is not enough."""
    way = next(way for way in WAYS.values() if not isinstance(way.says, str))
    findings = [
        {"verdict": way.verdict, "state": state, "subject": "posture", "text": part}
        for part, state in zip(way.says, states, strict=False)
    ]
    assert way.is_said_by(findings) is said
