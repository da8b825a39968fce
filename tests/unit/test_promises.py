"""The table of promises: each row of the mesh is counted, and none is lost without a word."""

from __future__ import annotations

import re

import pytest

pytest_plugins = ["pytester"]

MODULE = '''
"""Rows: something of each kind."""
import pytest

@pytest.fixture(autouse=True)
def testbed(): pass

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
LOOKED_AT = pytest.ExitCode.OK
NOT_LOOKED_AT = pytest.ExitCode.TESTS_FAILED
WORKS, FAILS = "pass", 'pytest.fail("the gateway is down", pytrace=False)'


def ran(pytester: pytest.Pytester, module: str, *options: str) -> pytest.RunResult:
    """Run a module of the mesh of its own, in a directory of its own."""
    pytester.mkpydir("tests").joinpath("e2e").mkdir()
    pytester.path.joinpath("tests", "e2e", MODULE_NAME).write_text(module)
    plugins = ("-p", "meshproof.pytest_plugin.promises", "-p", "no:cacheprovider")
    return pytester.runpytest_inprocess(*plugins, "tests/e2e", *options)


def counts_of(result: pytest.RunResult) -> list[int]:
    """Return the counts of the only row of the table: kept, broken, not tried, known to be broken, skipped."""
    (row,) = (line for line in result.outlines if line.startswith("│ Rows"))
    return [int(count) for count in re.findall(r"\d+", row)]


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


def test_a_skipped_module_is_a_skip(pytester: pytest.Pytester) -> None:
    """A module that is skipped as a whole has no rows left to count: it is one itself."""
    result = ran(pytester, '"""Rows: none."""\nimport pytest\npytest.skip("why not", allow_module_level=True)\n')
    assert counts_of(result) == [0, 0, 0, 0, 1]
    assert result.ret != LOOKED_AT


def test_an_empty_table_is_a_mistake(request: pytest.FixtureRequest) -> None:
    """A test without rows can't be collected; pytest would skip it."""
    assert request.config.getini("empty_parameter_set_mark") == "fail_at_collect"
