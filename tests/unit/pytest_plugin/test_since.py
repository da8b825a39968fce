"""Rows that differ between releases: each mesh is held to what its own release does, and a run says where that is."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from meshproof.pytest_plugin.since import reached
from tools.summary import main as print_summary

pytest_plugins = ["pytester"]

NODE = "tests/e2e/gateway/test_passthrough.py"
SOURCE = "https://istio.io/latest/news/releases/1.31.x/announcing-1.31.1/"
MODULE = '''
"""Rows: by release."""
from dataclasses import dataclass
from enum import Enum
import pytest
from meshproof.pytest_plugin.promises import VERSIONS
from meshproof.testing import Since

@pytest.fixture(scope="session")
def testbed(request):
    request.config.stash[VERSIONS] = {versions}

@pytest.fixture
def scenario(testbed): pass

SOURCE = "{source}"
{rows}
'''


def ran(pytester: pytest.Pytester, rows: str, *options: str, istio: str = "1.31.1", envoy: str = "1.39.3") -> list[str]:
    """Run rows on a mesh of these versions; return the lines that were printed, the errors among them."""
    versions = {"istio": istio, "envoy": envoy}
    pytester.path.joinpath(NODE).write_text(MODULE.format(versions=versions, source=SOURCE, rows=rows))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "tests/e2e", "--junit-xml=junit.xml", *options)
    return [f"exit code {result.ret:d}", *result.outlines, *filter(None, result.errlines)]


def instead(pytester: pytest.Pytester) -> list[dict[str, str]]:
    """Return what is written down of what was expected of an older release."""
    written: list[dict[str, str]] = json.loads((pytester.path / "artifacts" / "promises.json").read_text())["instead"]
    return written


@pytest.mark.parametrize(
    ("running", "release", "there"),
    [
        ("1.31.1", "1.31.1", True),
        ("1.31.0", "1.31.1", False),
        ("1.31.0", "1.31", True),
        ("1.30.9", "1.31", False),
        ("1.9.0", "1.30", False),
        ("1.30.10", "1.30.9", True),
        ("2.0.0", "1.31.1", True),
        # A commit of a branch is newer than the branches before it, and older than the next one.
        ("1.30", "1.29.9", True),
        ("1.30", "1.31", False),
        # What is on the way to a release has what the one before had.
        ("1.39.1-dev", "1.39", True),
        ("1.39.1-dev", "1.39.2", False),
        ("1.32-alpha.0a1b", "1.31.1", True),
    ],
)
def test_versions_are_compared_as_numbers(running: str, release: str, *, there: bool) -> None:
    """1.9 is older than 1.30, and a commit of the branch 1.30 older than 1.31.0."""
    assert reached(running, release) is there


@pytest.mark.parametrize(("release", "there"), [("1.30", True), ("1.30.3", True), ("1.29.9", True), ("1.31", False)])
def test_a_commit_of_a_branch_has_what_the_release_before_it_has(release: str, *, there: bool) -> None:
    """It comes after 1.30.3; nobody has said whether it has what came into 1.30.4."""
    assert reached("1.30", release, after="1.30.3") is there
    with pytest.raises(ValueError, match=r"1\.30"):
        reached("1.30", "1.30.4", after="1.30.3")


@pytest.mark.parametrize(
    ("running", "release"),
    [
        ("unknown", "1.31"),
        ("latest", "1.31"),
        ("1.39.0-dev", "1.39"),
        ("1.31-alpha.0a1b", "1.31.1"),
        ("1.30", "1.30"),
        ("1.30", "1.30.3"),
    ],
)
def test_what_can_not_be_told_is_not_guessed(running: str, release: str) -> None:
    """A version that is no number, or on its way to the release that is asked for, is neither older nor newer."""
    with pytest.raises(ValueError, match=running):
        reached(running, release)


ROWS = """
@dataclass(frozen=True)
class Row:
    client: str
    end: str
    def __str__(self): return self.client

class End(Enum):
    ALERT = 70
    CLOSED = "closed"

@pytest.mark.parametrize(
    "row",
    [Since("1.31.1", Row("old", "closed"), before=Row("old", "alert"), source=SOURCE), Row("new", "answered")],
    ids=str,
)
def test_row(row, scenario): assert {"old": "%s", "new": "answered"}[row.client] == row.end

@pytest.mark.parametrize(
    ("client", "ends"),
    [("old", Since("1.39", [End.CLOSED], before=[End.ALERT], component="envoy", source=SOURCE)), ("new", [])]
)
def test_value(client, ends, scenario): assert ends == ([End.%s] if client == "old" else [])
"""
NAMES = [f"{NODE}::test_row[old]", f"{NODE}::test_row[new]", f"{NODE}::test_value[old-ends0]"]


def test_a_row_that_holds(own_project: Path, pytester: pytest.Pytester) -> None:
    """On the release since which it holds the test gets the row of today, and nothing is said."""
    lines = ran(pytester, ROWS % ("closed", "CLOSED"))
    assert "exit code 0" in lines
    assert instead(pytester) == []
    assert not [line for line in lines if "is older than" in line]


def test_what_an_older_release_does_instead(
    own_project: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test gets that, and the terminal, JUnit, promises.json and the summary say which rows those were, and why."""
    lines = ran(pytester, ROWS % ("alert", "ALERT"), istio="1.31.0", envoy="1.38.3")
    assert "exit code 0" in lines
    said = lines[lines.index(f"Envoy 1.38.3 is older than 1.39: {SOURCE}") :]
    assert said[:6] == [
        f"Envoy 1.38.3 is older than 1.39: {SOURCE}",
        "Expected instead of what holds since then:",
        f"  {NODE}::test_value[old-ends0]: ends: ALERT",
        f"Istio 1.31.0 is older than 1.31.1: {SOURCE}",
        "Expected instead of what holds since then:",
        f"  {NODE}::test_row[old]: end: alert",
    ]
    assert instead(pytester) == [
        {"row": NAMES[2], "since": "Envoy 1.39", "expected": "ends: ALERT", "source": SOURCE},
        {"row": NAMES[0], "since": "Istio 1.31.1", "expected": "end: alert", "source": SOURCE},
    ]
    properties = {
        (case.get("name"), each.get("name"), each.get("value"))
        for case in ET.parse(pytester.path / "junit.xml").iter("testcase")  # noqa: S314 - this run has written it
        for each in case.iter("property")
    }
    assert properties == {
        ("test_row[old]", "expected instead", f"end: alert (Istio 1.31.0 is older than 1.31.1: {SOURCE})"),
        ("test_value[old-ends0]", "expected instead", f"ends: ALERT (Envoy 1.38.3 is older than 1.39: {SOURCE})"),
    }
    capsys.readouterr()
    print_summary()
    summary = capsys.readouterr().out.splitlines()
    assert f"- {NAMES[0]}: expected end: alert, as before Istio 1.31.1 ({SOURCE})" in summary


def test_a_row_is_called_the_same_on_each_release(own_project: Path, pytester: pytest.Pytester) -> None:
    """Its name is that of the present row."""
    new = [line for line in ran(pytester, ROWS % ("closed", "CLOSED"), "-v") if "PASSED" in line]
    old = [
        line
        for line in ran(pytester, ROWS % ("alert", "ALERT"), "-v", istio="1.30", envoy="1.38.3")
        if "PASSED" in line
    ]
    assert len(new) == len(NAMES) + 1
    assert new == old


def test_what_is_broken_on_an_older_release_is_broken(own_project: Path, pytester: pytest.Pytester) -> None:
    """A row is held to what its release does, not let off."""
    lines = ran(pytester, ROWS % ("closed", "CLOSED"), istio="1.31.0", envoy="1.38.3")
    assert "exit code 1" in lines
    assert len(instead(pytester)) == len(NAMES) - 1


THRICE = """
CHANGED_TWICE = Since("1.31", "c", before=Since("1.30.3", "b", before="a", source=SOURCE), source=SOURCE)

@pytest.mark.parametrize("row", [CHANGED_TWICE], ids=str)
def test_row(row, scenario): assert row == "%s"
"""


@pytest.mark.parametrize(
    ("istio", "expected", "since"),
    [
        ("1.31.0", "c", []),
        ("1.30", "b", ["Istio 1.31"]),  # which is known to come after 1.30.3
        ("1.30.3", "b", ["Istio 1.31"]),
        ("1.29.2", "a", ["Istio 1.30.3"]),
    ],
)
def test_what_changed_twice(
    istio: str, expected: str, since: list[str], own_project: Path, pytester: pytest.Pytester
) -> None:
    """What is expected before one release can itself be there since another."""
    assert "exit code 0" in ran(pytester, THRICE % expected, istio=istio)
    assert [each["since"] for each in instead(pytester)] == since


FIXTURES = """
@pytest.fixture
def direct(row): return row.upper()

@pytest.fixture(scope="module")
def indirect(request, testbed):
    SET_UP.append(request.param)
    return request.param

SET_UP = []

@pytest.mark.parametrize("row", [Since("1.31", "new", before="old", source=SOURCE)])
def test_direct(row, direct, scenario): assert (row, direct) == ("old", "OLD")

@pytest.mark.parametrize("indirect", [Since("1.31", "new", before="old", source=SOURCE)], indirect=True)
class TestIndirect:
    def test_row(self, indirect, scenario): assert indirect == "old"
    def test_another(self, indirect, scenario): assert SET_UP == ["old"]
"""


def test_fixtures_get_it_as_well(own_project: Path, pytester: pytest.Pytester) -> None:
    """A fixture that asks for a row, or is parametrized with it, has it, and is set up once."""
    assert "exit code 0" in ran(pytester, FIXTURES, istio="1.30")


@pytest.mark.parametrize("envoy", ["unknown", "1.39.0-dev"])
def test_a_version_that_tells_nothing(envoy: str, own_project: Path, pytester: pytest.Pytester) -> None:
    """The row is not tried, and one sentence says why; the others are."""
    lines = ran(pytester, ROWS % ("closed", "CLOSED"), envoy=envoy)
    assert "exit code 1" in lines
    assert (
        f"The version of the mesh's Envoy is '{envoy}': whether it has what holds since 1.39 can't be told by that. "
        "Run the row on a release."
    ) in lines
    written = json.loads((own_project / "artifacts" / "promises.json").read_text())
    assert written["failures"] == {NAMES[2]: "not tried"}
    assert written["promises"][0]["rows"]["kept"] == len(NAMES)


def test_a_mesh_that_tells_nothing(own_project: Path, pytester: pytest.Pytester) -> None:
    """Where a project's own `testbed` says no versions, no row gets a Since for a value."""
    own = "@pytest.fixture(scope='session')\ndef testbed(): pass\n"
    ran(pytester, own + (ROWS + ROWS.replace("def test_", "def test_again_")) % (("closed", "CLOSED") * 2))
    written = json.loads((own_project / "artifacts" / "promises.json").read_text())
    assert [*written["failures"].values()] == ["not tried"] * 4


def test_a_plan_needs_no_mesh(own_project: Path, pytester: pytest.Pytester) -> None:
    """`pytest --setup-plan` sets nothing up: there is nothing to be told."""
    assert "exit code 0" in ran(pytester, ROWS % ("closed", "CLOSED"), "--setup-plan", envoy="unknown")


ONE_ROW = '@pytest.mark.parametrize("row", [{}])\ndef test_row(row{}): pass\n'


@pytest.mark.parametrize(
    ("since", "sentence"),
    [
        ('Since("v1.31", 1, before=0, source=SOURCE)', "has the release 'v1.31': it should be two or three numbers"),
        ("Since(1.31, 1, before=0, source=SOURCE)", "has the release 1.31: it should be two or three numbers"),
        ('Since("1.31", 1, before=0, source="http://istio.io")', "has the source 'http://istio.io': it should be the"),
        ('Since("1.31", 1, before=0, source="1.31.1")', "has the source '1.31.1': it should be the https address"),
        ('Since("1.31", 1, before=0, source="")', "has the source '': it should be the https address"),
        ('Since("1.31", 1, before=1, source=SOURCE)', "expects 1 before 1.31 as well: then the row needs none."),
        ('Since("1.31", 1, before=0, source=SOURCE, component="kind")', "has the component 'kind': it should be istio"),
        (
            'Since("1.31", 2, before=Since("1.30", 1, before=0, source=""), source=SOURCE)',
            "has the source '': it should be the https address",
        ),
        (
            'Since("1.31", 2, before=Since("1.32", 1, before=0, source=SOURCE), source=SOURCE)',
            "has a `before` since 1.32, which is not older than 1.31.",
        ),
    ],
)
def test_a_faulty_one_is_told_before_anything_is_begun(
    since: str, sentence: str, own_project: Path, pytester: pytest.Pytester
) -> None:
    """In one sentence that names the row, with code 4."""
    code, *lines = ran(pytester, ONE_ROW.format(since, ", scenario"))
    assert code == "exit code 4"
    (said,) = [line for line in lines if line.startswith("ERROR")]
    assert f"{NODE}::test_row[row0]: the Since of `row` {sentence}" in said


def test_one_within_a_row_is_told(own_project: Path, pytester: pytest.Pytester) -> None:
    """The test would get it as it is, and no value."""
    case = "from dataclasses import make_dataclass\nCase = make_dataclass('Case', ['outcome'])\n"
    inside = 'Case(Since("1.31", 1, before=0, source=SOURCE))'
    code, *lines = ran(pytester, case + ONE_ROW.format(inside, ", scenario"))
    assert code == "exit code 4"
    assert any("`row` has a Since in its field `outcome`: it should stand for the whole row" in line for line in lines)


@pytest.mark.parametrize("missing", ['Since("1.31", 1, source=SOURCE)', 'Since("1.31", 1, before=0)'])
def test_one_without_its_parts(missing: str, own_project: Path, pytester: pytest.Pytester) -> None:
    """What was before, and where that is written, can't be left out: its module can't be collected."""
    code, *lines = ran(pytester, ONE_ROW.format(missing, ", scenario"))
    assert code == f"exit code {pytest.ExitCode.INTERRUPTED:d}"
    assert any("missing 1 required keyword-only argument" in line for line in lines)


def test_a_test_without_a_mesh_can_not_have_one(own_project: Path, pytester: pytest.Pytester) -> None:
    """There is no release to tell what holds."""
    code, *lines = ran(pytester, ONE_ROW.format('Since("1.31", 1, before=0, source=SOURCE)', ""))
    assert code == "exit code 4"
    assert any("the test should ask for the fixture `testbed`, or one that does" in line for line in lines)


EARLY = """
@pytest.fixture(scope="session")
def early(request): return request.param

@pytest.fixture(scope="session")
def mesh(early, testbed): pass

@pytest.mark.parametrize("early", [Since("1.31", 1, before=0, source=SOURCE)], indirect=True)
def test_row(mesh, scenario): pass
"""


def test_what_comes_before_the_mesh_can_not_have_one(own_project: Path, pytester: pytest.Pytester) -> None:
    """A fixture that is set up before the mesh can't know its release: the row says so, and is not tried."""
    lines = ran(pytester, EARLY)
    assert "exit code 1" in lines
    assert "The fixture early is set up before `testbed`: it can't have a Since." in lines
