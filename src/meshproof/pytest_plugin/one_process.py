"""Rows of the mesh share one cluster and change it, so they run in one process: pytest-xdist's ``-n`` is refused.

Only pytest-xdist's workers collect tests. One that finds a row among them ends, and the process that started it ends
the run. Tests that need no mesh run as ever. Where pytest-xdist is not installed none of this is called.

Source: https://pytest-xdist.readthedocs.io/en/stable/how-to.html
"""

from __future__ import annotations

from typing import Any

import pytest

from meshproof.errors import ExitCode
from meshproof.pytest_plugin.scenarios import is_row

_REFUSED = (
    "Tests of the mesh can't be distributed (-n, --dist, --tx of pytest-xdist): their scenarios share one cluster. "
    "Run them without it, or with -n 0."
)
_ROWS = "meshproof_rows"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """End a worker that has found rows, before anything else looks at them."""
    if is_worker(session.config) and any(map(is_row, session.items)):
        session.config.workeroutput[_ROWS] = True  # type: ignore[attr-defined]  # pytest-xdist puts it there
        pytest.exit(_REFUSED, returncode=ExitCode.BAD_INPUT)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - pytest-xdist has no name of its own for it
    """End the run when a worker has found rows."""
    if _ROWS in getattr(node, "workeroutput", {}):
        raise pytest.UsageError(_REFUSED)


def is_worker(config: pytest.Config) -> bool:
    """Return whether this process is one of those that pytest-xdist distributes tests to."""
    return hasattr(config, "workerinput")
