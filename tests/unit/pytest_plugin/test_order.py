"""The order of the rows: those of a module together, in it those of a step, and shuffled by a number."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("own_project")

MODULE = """
import pytest

@pytest.mark.parametrize("row", range(4))
def test_before(row): pass

@pytest.mark.step("deny")
@pytest.mark.parametrize("row", range(4))
def test_deny(row): pass

@pytest.mark.parametrize("row", range(4))
def test_after(row): pass
"""


def ordered(pytester: pytest.Pytester, *options: str) -> list[str]:
    """Return the names of the rows of two modules, each as ``module::test[row]``, in the order in which they run."""
    for module in ("test_one.py", "test_two.py"):
        pytester.path.joinpath(module).write_text(MODULE)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--co", "-q", *options)
    return [line for line in result.outlines if "::" in line]


def groups(rows: list[str]) -> list[tuple[str, str]]:
    """Return module and step of the rows, each once for as long as it stays the same."""
    named = [(row.partition("::")[0], "deny" if "deny" in row else "") for row in rows]
    return [each for each, before in zip(named, [None, *named], strict=False) if each != before]


def test_the_rows_of_a_step_are_together(pytester: pytest.Pytester) -> None:
    """A step is put in force once, and the rest of the order is that of the file."""
    rows = ordered(pytester)
    assert groups(rows) == [("test_one.py", ""), ("test_one.py", "deny"), ("test_two.py", ""), ("test_two.py", "deny")]
    assert rows[:3] == [f"test_one.py::test_before[{row}]" for row in range(3)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shuffled_rows_stay_together(seed: int, pytester: pytest.Pytester) -> None:
    """Modules, steps and rows have another order; no row is lost, and no step is put in force twice."""
    rows = ordered(pytester, f"--mesh-shuffle={seed}")
    assert sorted(rows) == sorted(ordered(pytester))
    assert rows != ordered(pytester)
    assert len(groups(rows)) == 4
    assert len({module for module, _ in groups(rows)[:2]}) == 1


def test_a_number_is_an_order(pytester: pytest.Pytester) -> None:
    """What failed in an order can be run again in the same."""
    assert ordered(pytester, "--mesh-shuffle=1") == ordered(pytester, "--mesh-shuffle=1")
    assert ordered(pytester, "--mesh-shuffle=1") != ordered(pytester, "--mesh-shuffle=2")
