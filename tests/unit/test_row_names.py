"""The rows of our scenarios: each is called in words, so that its name stays when others come or go."""

from __future__ import annotations

import re
import sys
from collections import Counter

from meshproof.machine.process import run
from meshproof.settings import TIMEOUTS
from tests.support.checkout import ROOT

_NUMBERED = re.compile(r"(?<=[\[-])[a-z_]+\d+(?=[\]-])")  # as in [case0]
_OBJECT = re.compile(r" at 0x[0-9a-f]+")


def test_rows_are_called_in_words() -> None:
    """No name has a number that pytest has counted, none is there twice, and none changes from run to run."""
    command = [sys.executable, "-m", "pytest", "tests/e2e", "--collect-only", "-q", "-p", "no:cacheprovider"]
    names = [line for line in run(command, cwd=ROOT, timeout=TIMEOUTS.program).splitlines() if "::" in line]
    assert names
    assert [name for name in names if _NUMBERED.search(name) or _OBJECT.search(name)] == []
    assert [name for name, count in Counter(names).items() if count > 1] == []
