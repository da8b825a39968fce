"""The table of promises: each row of the mesh is counted, and none is lost without a word."""

from __future__ import annotations

import json
import re
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import pytest

from meshproof.project import current_project
from tools.summary import main as print_summary

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("own_project")

MODULE = '''
"""Rows: something of each kind."""
import pytest

@pytest.fixture(autouse=True)
def testbed(): pass

@pytest.fixture(autouse=True)
def scenario(): pass

@pytest.fixture
def gateway(): {works}

def test_kept(): pass
def test_not_tried(gateway): pass
@pytest.mark.parametrize("row", range(40))
def test_rows(row, gateway): pass
def test_broken(): assert {holds}
@pytest.mark.xfail(strict=True)
def test_known(): assert False
@pytest.mark.skipif({skips}, reason="why not")
def test_maybe(): pass
'''
MODULE_NAME = "test_passthrough.py"  # a scenario has its name
TESTBED = (
    "import pytest\n@pytest.fixture(autouse=True)\ndef testbed(): pass\n"
    "@pytest.fixture(autouse=True)\ndef scenario(): pass\n"
)
COLUMNS = ["kept", "broken", "not tried", "known broken", "skipped"]
LOOKED_AT = pytest.ExitCode.OK
NOT_LOOKED_AT = pytest.ExitCode.TESTS_FAILED
WORKS, FAILS = "pass", 'pytest.fail("the gateway is down", pytrace=False)'


def ran(pytester: pytest.Pytester, module: str, *options: str) -> pytest.RunResult:
    """Run a module of the mesh of its own, in a directory of its own."""
    pytester.path.joinpath("tests", "e2e", "gateway", MODULE_NAME).write_text(module)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "tests/e2e", *options)


def written(pytester: pytest.Pytester) -> Any:  # noqa: ANN401 - JSON
    """Return what is written down of the last run."""
    return json.loads(pytester.path.joinpath("artifacts", "promises.json").read_text())


def summary() -> list[str]:
    """Return the lines of `make summary`."""
    with redirect_stdout(StringIO()) as printed:
        print_summary()
    return printed.getvalue().splitlines()


def counts_of(result: pytest.RunResult) -> list[int]:
    """Return the counts of the only row of the table, in the order of COLUMNS; `make summary` has to have the same."""
    (row,) = (line for line in result.outlines if re.match("│ (Rows|tests)", line))
    counts = [int(count) for count in re.findall(r"\b\d+\b", row)]
    (area,) = (line for line in result.outlines if line.startswith("│ gateway "))
    assert [int(count) for count in re.findall(r"\b\d+\b", area)] == counts
    (promise,) = json.loads((current_project().artifacts / "promises.json").read_text())["promises"]
    assert promise["rows"] == dict(zip(COLUMNS, counts, strict=True))
    assert f"| gateway | {promise['promise']} | {' | '.join(map(str, counts))} |" in summary()
    return counts


@pytest.mark.parametrize(
    ("holds", "skips", "works", "counts", "code"),
    [
        pytest.param("True", "False", WORKS, [44, 0, 0, 1, 0], LOOKED_AT, id="a strict xfail is a column of its own"),
        pytest.param("False", "False", WORKS, [43, 1, 0, 1, 0], NOT_LOOKED_AT, id="a broken promise"),
        pytest.param("True", "True", WORKS, [43, 0, 0, 1, 1], NOT_LOOKED_AT, id="a skip ends a green run with 1"),
        pytest.param("True", "False", FAILS, [3, 0, 41, 1, 0], NOT_LOOKED_AT, id="rows that could not be tried"),
    ],
)
def test_each_row_is_counted(
    holds: str, skips: str, works: str, counts: list[int], code: pytest.ExitCode, pytester: pytest.Pytester
) -> None:
    """Kept, broken, not tried, known to be broken, skipped: a column each; whether all were kept is the exit code."""
    result = ran(pytester, MODULE.format(holds=holds, skips=skips, works=works))
    assert counts_of(result) == counts
    assert result.ret == code


def test_rows_that_were_not_asked_for_are_no_skipped_ones(pytester: pytest.Pytester) -> None:
    """The table, promises.json and the summary say which part it was; a run of all rows says nothing of it."""
    module = MODULE.format(holds="True", skips="False", works=WORKS)
    result = ran(pytester, module, "-k", "kept or broken")
    assert (counts_of(result), result.ret) == ([2, 0, 0, 0, 0], LOOKED_AT)
    assert written(pytester)["part"] == {"marks": "", "words": "kept or broken", "left out": 43}
    sentence = "43 more rows were not asked for: only -k 'kept or broken'."
    assert sentence in summary()
    assert sentence in " ".join(result.outlines)
    ran(pytester, module, "-m", "gateway")
    assert written(pytester)["part"] == {"marks": "gateway", "words": "", "left out": 0}
    assert not [line for line in summary() if "not asked for" in line]


def test_one_reason_is_shown_once(pytester: pytest.Pytester) -> None:
    """What kept many rows from being tried is said once, with their number, and each row still counts."""
    result = ran(pytester, MODULE.format(holds="True", skips="False", works=FAILS))
    assert result.outlines.count("the gateway is down") == 1
    assert len([line for line in result.outlines if line.startswith("ERROR")]) == 1
    result.stdout.fnmatch_lines(["40 more of this module were not tried, for this reason"])
    result.assert_outcomes(passed=3, errors=41, xfailed=1)


def test_a_run_that_ends_early_has_not_tried_the_rest(pytester: pytest.Pytester) -> None:
    """The rows after the first failure of `pytest -x` are there, as not tried."""
    result = ran(pytester, MODULE.format(holds="False", skips="False", works=WORKS), "-x")
    assert counts_of(result) == [42, 1, 2, 0, 0]
    verdicts = {row.partition("::")[2]: verdict for row, verdict in written(pytester)["rows"].items()}
    assert len(verdicts) == 45
    picked = {name: verdicts[name] for name in ("test_kept", "test_broken", "test_known", "test_maybe")}
    assert picked == {
        "test_kept": "kept",
        "test_broken": "broken",
        "test_known": "not tried",
        "test_maybe": "not tried",
    }
    assert [file.name for file in current_project().artifacts.iterdir()] == ["promises.json"]


def test_a_run_that_is_told_to_end_well_has_not_tried_the_rest(pytester: pytest.Pytester) -> None:
    """Pytest ends with 0 where it is told so; a row that was not tried makes that 1."""
    ends = "def test_row(): pass\ndef test_ends(): pytest.exit('enough', returncode=0)\ndef test_rest(): pass\n"
    result = ran(pytester, f'"""Rows: three."""\n{TESTBED}{ends}')
    assert (counts_of(result), result.ret) == ([1, 0, 2, 0, 0], NOT_LOOKED_AT)


def test_a_skipped_module_is_a_skip(pytester: pytest.Pytester) -> None:
    """A module that is skipped as a whole has no rows left to count: it is one itself."""
    result = ran(pytester, '"""Rows: none."""\nimport pytest\npytest.skip("why not", allow_module_level=True)\n')
    assert counts_of(result) == [0, 0, 0, 0, 1]
    assert result.ret != LOOKED_AT


PASSES, FAILS_IN_TEST = "def test_row(): pass\n", "def test_row(): assert False\n"
FAILS_AFTERWARDS = "@pytest.fixture(autouse=True)\ndef after():\n    yield\n    assert False\n"
FAILS_BEFORE = "@pytest.fixture(autouse=True)\ndef before(after): assert False\n"


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        pytest.param(FAILS_AFTERWARDS + PASSES, [0, 1, 0, 0, 0], id="kept, then broken in its teardown"),
        pytest.param(FAILS_AFTERWARDS + FAILS_IN_TEST, [0, 1, 0, 0, 0], id="broken twice"),
        pytest.param(FAILS_AFTERWARDS + FAILS_BEFORE + PASSES, [0, 1, 0, 0, 0], id="not tried, then broken"),
        pytest.param("@pytest.mark.xfail(strict=False)\n" + PASSES, [0, 1, 0, 0, 0], id="not as broken as it was said"),
        pytest.param("@pytest.mark.xfail(strict=True)\n" + PASSES, [0, 1, 0, 0, 0], id="the same, strictly"),
    ],
)
def test_a_row_is_counted_once(rows: str, counts: list[int], pytester: pytest.Pytester) -> None:
    """Of all that is reported of a row the worst counts, and the run ends with 1."""
    result = ran(pytester, f'"""Rows: one."""\n{TESTBED}{rows}')
    assert (counts_of(result), result.ret) == (counts, NOT_LOOKED_AT)
    assert written(pytester)["failures"] == {f"tests/e2e/gateway/{MODULE_NAME}::test_row": "broken"}


@pytest.mark.parametrize(
    ("docstring", "promise"),
    [
        pytest.param("'''Rows: in other quotes.'''", "Rows: in other quotes.", id="other quotes"),
        pytest.param('"""\nRows: below.\n"""', "Rows: below.", id="on the second line"),
        pytest.param('"""Rows: [red] and [/]."""', "Rows: [red] and [/].", id="no markup"),
        pytest.param("", f"tests/e2e/gateway/{MODULE_NAME}", id="none: the path"),
    ],
)
def test_the_promise_of_a_module(docstring: str, promise: str, pytester: pytest.Pytester) -> None:
    """It is the first line of its docstring, however that is written."""
    result = ran(pytester, f"{docstring}\n{TESTBED}{PASSES}")
    assert counts_of(result) == [1, 0, 0, 0, 0]
    assert written(pytester)["promises"][0]["promise"] == promise
    assert promise.split(maxsplit=1)[0] in str(result.outlines)


@pytest.mark.parametrize("module", ["import nothing_of_that_name\n", "def ("], ids=["import", "syntax"])
def test_a_module_that_can_not_be_collected(module: str, pytester: pytest.Pytester) -> None:
    """Its rows are not known: it is one that was not tried, and is named."""
    result = ran(pytester, f'"""Rows: none."""\n{module}')
    assert counts_of(result) == [0, 0, 1, 0, 0]
    assert f"- **tests/e2e/gateway/{MODULE_NAME}**: not tried" in summary()


@pytest.mark.parametrize(
    ("options", "forgotten"),
    [
        pytest.param(("--co",), False, id="rows that are only listed"),
        pytest.param(("--deselect=tests/e2e",), True, id="no rows"),
        pytest.param(("-n2",), True, id="a usage error"),
    ],
)
def test_the_result_of_the_last_run_is_forgotten(
    options: tuple[str, ...], *, forgotten: bool, pytester: pytest.Pytester
) -> None:
    """Where a run of rows ends before its first test, nobody is shown the result of the run before."""
    ran(pytester, MODULE.format(holds="True", skips="False", works=WORKS))
    ran(pytester, MODULE.format(holds="True", skips="False", works=WORKS), *options)
    assert ("There is no result: the run ended before its first test. Its log says why." in summary()) is forgotten


def test_other_tests_leave_the_result(pytester: pytest.Pytester) -> None:
    """A run of tests that are no rows is not the last run of the mesh."""
    ran(pytester, MODULE.format(holds="True", skips="False", works=WORKS))
    before = summary()
    pytester.path.joinpath("tests/unit/test_other.py").write_text(PASSES)
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "tests/unit")
    assert summary() == before


def test_rows_are_not_distributed(pytester: pytest.Pytester) -> None:
    """Scenarios share a cluster: pytest-xdist is refused in one sentence."""
    result = ran(pytester, MODULE.format(holds="True", skips="False", works=WORKS), "-n2", "-x")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (sentence,) = (line for line in result.errlines if line)
    assert sentence.startswith("ERROR: Tests of the mesh can't be distributed (-n, --dist, --tx of pytest-xdist): ")
    assert "INTERNALERROR" not in str(result.outlines)


def test_other_tests_are_distributed(pytester: pytest.Pytester) -> None:
    """Tests that need no mesh are, and so is one row with the `-n 0` that switches pytest-xdist off."""
    ran(pytester, PASSES, "-n2").assert_outcomes(passed=1)
    ran(pytester, f'"""Rows: one."""\n{TESTBED}{PASSES}', "-n0").assert_outcomes(passed=1)


def test_rows_without_xdist(pytester: pytest.Pytester) -> None:
    """Where pytest-xdist is not installed, nothing is amiss."""
    ran(pytester, f'"""Rows: one."""\n{TESTBED}{PASSES}', "-p", "no:xdist").assert_outcomes(passed=1)


def test_an_empty_table_is_a_mistake(request: pytest.FixtureRequest) -> None:
    """A test without rows can't be collected; pytest would skip it."""
    assert request.config.getini("empty_parameter_set_mark") == "fail_at_collect"


@pytest.mark.parametrize("where", ["{}", "eventually(lambda: {}, str, 200)"], ids=["itself", "eventually"])
def test_a_name_that_is_not_there_breaks_no_promise(where: str, pytester: pytest.Pytester) -> None:
    """The row was not tried, wherever it names what is not there, and the reason is one sentence."""
    body = where.format('Certificates()["shop"]')
    imported = "from meshproof.certificates.tree import Certificates\n"
    result = ran(pytester, f'"""Rows: one."""\n{TESTBED}{imported}def test_row(eventually): {body}\n')
    assert result.ret == NOT_LOOKED_AT
    assert counts_of(result) == [0, 0, 1, 0, 0]
    assert "There is no certificate shop: there is none." in result.outlines
