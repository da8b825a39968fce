"""The table of promises: each row of the mesh is counted, and none is lost without a word."""

from __future__ import annotations

import re

import pytest

pytest_plugins = ["pytester"]

MODULE = '''
"""Rows: something of each kind."""
import pytest

def test_kept(): pass
def test_broken(): assert {holds}
@pytest.mark.xfail(strict=True)
def test_known(): assert False
@pytest.mark.skipif({skips}, reason="why not")
def test_maybe(): pass
'''
LOOKED_AT = pytest.ExitCode.OK
NOT_LOOKED_AT = pytest.ExitCode.TESTS_FAILED


def ran(pytester: pytest.Pytester, module: str) -> pytest.RunResult:
    """Run a module of the mesh of its own, in a directory of its own."""
    pytester.mkpydir("tests").joinpath("e2e").mkdir()
    pytester.path.joinpath("tests", "e2e", "test_rows.py").write_text(module)
    return pytester.runpytest_inprocess("-p", "fixtures.promises", "-p", "no:cacheprovider", "tests/e2e")


@pytest.mark.parametrize(
    ("holds", "skips", "counts", "code"),
    [
        pytest.param("True", "False", ["3", "0", "1", "0"], LOOKED_AT, id="a strict xfail is a column of its own"),
        pytest.param("False", "False", ["2", "1", "1", "0"], NOT_LOOKED_AT, id="a broken promise"),
        pytest.param("True", "True", ["2", "0", "1", "1"], NOT_LOOKED_AT, id="a skip ends a green run with 1"),
    ],
)
def test_each_row_is_counted(
    holds: str, skips: str, counts: list[str], code: pytest.ExitCode, pytester: pytest.Pytester
) -> None:
    """Kept, broken, known to be broken, skipped: a column each; and whether all were looked at is the exit code."""
    result = ran(pytester, MODULE.format(holds=holds, skips=skips))
    (row,) = (line for line in result.outlines if "Rows: something" in line)
    assert re.findall(r"\d+", row) == counts
    assert result.ret == code


def test_a_skipped_module_is_a_skip(pytester: pytest.Pytester) -> None:
    """A module that is skipped as a whole has no rows left to count: it is one itself."""
    result = ran(pytester, '"""Rows: none."""\nimport pytest\npytest.skip("why not", allow_module_level=True)\n')
    (row,) = (line for line in result.outlines if "Rows: none" in line)
    assert re.findall(r"\d+", row) == ["0", "0", "0", "1"]
    assert result.ret != LOOKED_AT


def test_an_empty_table_is_a_mistake(request: pytest.FixtureRequest) -> None:
    """A test without rows can't be collected; pytest would skip it."""
    assert request.config.getini("empty_parameter_set_mark") == "fail_at_collect"
