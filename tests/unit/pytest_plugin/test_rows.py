"""Rows that could not be what they say are refused before anything is begun: each in a sentence, with code 4."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from meshproof.project import project_here
from meshproof.pytest_plugin.rows import Reasons

pytest_plugins = ["pytester"]

FIXTURES = """
import pytest

@pytest.fixture
def testbed(): pass

@pytest.fixture
def scenario(testbed): pass

@pytest.fixture
def gateway(testbed): pass
"""
MODULE = "tests/e2e/gateway/test_passthrough.py"


def refused(pytester: pytest.Pytester, directory: Path, **modules: str) -> str:
    """Write test modules, by their ways with `__` for a slash, and run them; return the sentence they end with."""
    for name, text in modules.items():
        file = directory / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FIXTURES + text)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--import-mode=importlib", "tests")
    assert result.ret == pytest.ExitCode.USAGE_ERROR, result.outlines
    (sentence,) = [line for line in result.errlines if line]
    return sentence


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("def test_row(gateway): pass", id="by the module's name"),
        pytest.param('@pytest.mark.step("deny")\ndef test_row(gateway): pass', id="by the mark of a step"),
        pytest.param("class TestRows:\n    def test_row(self, gateway): pass", id="in a class"),
    ],
)
def test_a_row_asks_for_its_scenario(row: str, own_project: Path, pytester: pytest.Pytester) -> None:
    """Else its manifest might not be in force when it runs, or with the step of another row."""
    assert "should ask for the fixture `scenario`" in refused(
        pytester, own_project, tests__e2e__gateway__test_passthrough=row
    )


def test_a_row_is_no_test_case(own_project: Path, pytester: pytest.Pytester) -> None:
    """What unittest collects can be given no step."""
    row = """
import unittest

@pytest.mark.usefixtures("scenario")
class TestRows(unittest.TestCase):
    def test_row(self): pass
"""
    assert "can't be in a unittest.TestCase" in refused(
        pytester, own_project, tests__e2e__gateway__test_passthrough=row
    )


def test_two_modules_have_one_manifest_only_if_they_say_so(own_project: Path, pytester: pytest.Pytester) -> None:
    """By their names alone it would be a coincidence."""
    row = "def test_row(scenario): pass"
    (own_project / "manifests" / "scenarios" / "shop.yaml").touch()
    sentence = refused(pytester, own_project, tests__a__test_shop=row, tests__b__test_shop=row)
    assert "both mean manifests/scenarios/shop.yaml by their names" in sentence


def test_a_row_is_of_the_project_of_the_current_directory(own_project: Path, pytester: pytest.Pytester) -> None:
    """A test of another repository is not proven with a manifest of this one that happens to have its name."""
    elsewhere = own_project / "elsewhere"
    other = own_project / "other"
    elsewhere.mkdir()
    (other / "tests").mkdir(parents=True)
    (elsewhere / "pyproject.toml").write_text("[tool.meshproof]\n")
    (other / "tests" / "test_shop.py").write_text(FIXTURES + "def test_row(scenario): pass")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        project_here.cache_clear()
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider", str(other / "tests"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any("is not below" in line and "run pytest in its own project" in line for line in result.errlines)


@pytest.mark.parametrize("area", ["skip", "xfail", "step", "check-out", "seed"])
def test_an_area_is_a_mark_that_is_free(area: str, own_project: Path, pytester: pytest.Pytester) -> None:
    """A directory called `xfail` would have its rows fail and be taken for known."""
    (own_project / "manifests" / "scenarios" / area).mkdir()
    sentence = refused(pytester, own_project, tests__test_nothing="def test_nothing(): pass")
    assert f"manifests/scenarios/{area}: an area is a mark of its rows" in sentence


@pytest.mark.parametrize(
    "mark", ["seed", "seed()", "seed(3)", "seed(number=4)", 'seed(number="3")', "seed(number=3, section=1)"]
)
def test_a_seed_has_a_number_that_there_is(mark: str, own_project: Path, pytester: pytest.Pytester) -> None:
    """With another one its row would not be among those that `-m` asks for, and nobody would miss it."""
    row = f"@pytest.mark.{mark}\ndef test_row(scenario): pass"
    sentence = refused(pytester, own_project, tests__e2e__gateway__test_passthrough=row)
    assert "its mark should say the number of its seed, 0 to 3, as @pytest.mark.seed(number=3)." in sentence


MARKED = """
@pytest.mark.seed(number=0)
def test_zero(scenario): pass

@pytest.mark.slow
@pytest.mark.seed(number=3)
@pytest.mark.parametrize("row", ["a", pytest.param("b", marks=pytest.mark.seed(number=0))])
def test_three(scenario, row): pass

def test_of_none(scenario): pass
"""


@pytest.mark.parametrize(
    ("marks", "rows"),
    [
        ("seed(number=3)", ["test_three[a]", "test_three[b]"]),
        ("seed(number=0)", ["test_zero", "test_three[b]"]),
        ("seed", ["test_zero", "test_three[a]", "test_three[b]"]),
        ("not slow", ["test_zero", "test_of_none"]),
        ("gateway and not seed", ["test_of_none"]),
    ],
)
def test_rows_are_asked_for_by_their_marks(
    marks: str, rows: list[str], own_project: Path, pytester: pytest.Pytester
) -> None:
    """By area, by seed, and by whether they are slow."""
    (own_project / "tests" / "e2e" / "gateway" / "test_passthrough.py").write_text(FIXTURES + MARKED)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "tests", "--collect-only", "-q", "-m", marks)
    assert [line.partition("::")[2] for line in result.outlines if "test_passthrough.py::" in line] == rows


def test_what_is_no_row_is_left_alone(own_project: Path, pytester: pytest.Pytester) -> None:
    """A test that needs no mesh may have fixtures and marks that are called as ours."""
    (own_project / "tests" / "unit" / "test_own.py").write_text(
        """
import pytest

@pytest.fixture
def settings(): return 1

@pytest.mark.step(1, "two")
@pytest.mark.parametrize("scenario", ["a", "b"])
def test_own(scenario, settings): assert (scenario in "ab", settings) == (True, 1)
"""
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "tests/unit").assert_outcomes(passed=2)


def test_a_module_that_is_skipped_as_a_whole_is_not_lost(own_project: Path, pytester: pytest.Pytester) -> None:
    """Its scenario is known by its mark as it is by its name: the run ends with 1."""
    module = own_project / "tests" / "e2e" / "gateway" / "test_other.py"
    mark = 'pytestmark = pytest.mark.scenario("gateway/passthrough")'
    module.write_text(f'import pytest\n{mark}\npytest.importorskip("nothing_of_it")\n')
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "tests")
    assert result.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    result_of_rows = json.loads((own_project / "artifacts" / "promises.json").read_text())
    assert result_of_rows["failures"] == {"tests/e2e/gateway/test_other.py": "skipped"}


REASONS = """
import pytest

def test_kept(): pass
def test_broken():
    token = "a-secret"
    assert [1] == [2], "the answer\\nwas another one"
def test_skipped(): pytest.skip("not on this machine")
@pytest.mark.xfail(reason="a known fault")
def test_known(): assert False
@pytest.mark.xfail(reason="mended since")
def test_mended(): pass
def test_not_tried(nobody_has_this): pass
"""


def test_a_row_hands_over_why_it_is_not_kept(own_project: Path, pytester: pytest.Pytester) -> None:
    """In one line, that of its report's own message; what variables had is not among it."""
    (own_project / "tests" / "unit" / "test_own.py").write_text(REASONS)
    reasons = Reasons()
    pytester.inline_run("-p", "no:cacheprovider", "tests/unit", plugins=[reasons])
    by_test = {row.partition("::")[2]: reason for row, reason in reasons.by_row.items()}
    assert by_test == {
        "test_broken": "AssertionError: the answer",
        "test_skipped": "Skipped: not on this machine",
        "test_known": "a known fault",
        "test_mended": "It passes, and is marked as known to be broken: mended since",
        "test_not_tried": "fixture 'nobody_has_this' not found",
    }


RUN = """
import json, sys
from pathlib import Path
from meshproof.pytest_plugin.rows import look_for_rows, run_rows

words = ["--import-mode=importlib", "-m", "upgrade", *sys.argv[1:]]
tried = run_rows(None, words, Path("artifacts/S0"))
print(json.dumps([look_for_rows(words), tried.rows, tried.interrupted, tried.ended_by]))
"""
ASKED_FOR = """
import pytest

pytestmark = pytest.mark.upgrade

def test_with_the_mesh(scenario): pass
def test_with_nothing_of_ours(): assert False, "the shop is not reachable"
def test_by_its_name(request): request.getfixturevalue("nothing_of_that_name")
"""


def test_each_test_that_is_asked_for_in_an_upgrade_counts(own_project: Path, pytester: pytest.Pytester) -> None:
    """Whichever fixtures it asks for: one that is counted in the plan, and fails, is told."""
    (own_project / MODULE).write_text(FIXTURES + ASKED_FOR)
    result = pytester.run(sys.executable, "-c", RUN, "tests")
    counted, rows, interrupted, ended_by = json.loads(result.outlines[-1])
    assert counted == {MODULE: 3}
    assert {row.partition("::")[2]: verdict for row, verdict in rows.items()} == {
        "test_with_the_mesh": "not tried",  # there is none
        "test_with_nothing_of_ours": "broken",
        "test_by_its_name": "broken",
    }
    assert not interrupted
    assert not ended_by


@pytest.mark.parametrize(
    ("row", "interrupted", "ended_by"),
    [
        ("pytest.exit('the shop is not reachable')", False, "the shop is not reachable"),
        ("raise KeyboardInterrupt", True, ""),
    ],
    ids=["by a test", "by a person"],
)
def test_who_has_ended_the_rows(
    row: str, ended_by: str, own_project: Path, pytester: pytest.Pytester, *, interrupted: bool
) -> None:
    """A test that ends the run is no person that does: its words are told, and the upgrade did not finish."""
    module = f"{FIXTURES}pytestmark = pytest.mark.upgrade\ndef test_one(): pass\ndef test_two(): {row}\n"
    (own_project / MODULE).write_text(module)
    result = pytester.run(sys.executable, "-c", RUN, "tests")
    _, rows, *end = json.loads(result.outlines[-1])
    assert end == [interrupted, ended_by]
    assert list(rows.values()) == ["kept", "not tried"]
