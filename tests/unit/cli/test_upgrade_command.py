"""`meshproof upgrade`: what it refuses before anything is brought up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        ("def test_row(): pass", "`pytest -m upgrade` has no test: mark those to be tried, or name their directory."),
        ("import nobody_has_this", "No module named 'nobody_has_this'"),
    ],
    ids=["no row is marked", "a test can't be read"],
)
def test_rows_are_looked_for_first(test: str, sentence: str, own_project: Path, pytester: pytest.Pytester) -> None:
    """An upgrade without a row to try would cost a cluster, and be told of it in its first state."""
    (own_project / "tests" / "unit" / "test_shop.py").write_text(test)
    result = pytester.run(sys.executable, "-m", "meshproof", "upgrade", "--from=1.31.0", "--to=1.31.0")
    assert result.ret == 4
    assert sentence in result.stderr.str()
