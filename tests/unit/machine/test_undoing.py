"""Undoing: it happens whatever ends the context, and never hides why that ended."""

from __future__ import annotations

import pytest

from meshproof.errors import ClusterError
from meshproof.machine.undoing import afterwards


def fail() -> None:
    """Not be able to undo it."""
    raise ClusterError("The API did not answer.")


def test_what_is_begun_is_undone_whatever_ends_it() -> None:
    """Also an interrupt, and also a good end."""
    undone: list[str] = []
    with pytest.raises(KeyboardInterrupt), afterwards(lambda: undone.append("after an interrupt")):
        raise KeyboardInterrupt
    with afterwards(lambda: undone.append("after a good end")):
        pass
    assert undone == ["after an interrupt", "after a good end"]


def test_the_first_error_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    """That something could not be undone is said, and is not taken for why."""
    with pytest.raises(ClusterError, match=r"^No such field\.$"), afterwards(fail):
        raise ClusterError("No such field.")
    assert "The API did not answer." in capfd.readouterr().err


def test_an_error_of_undoing_is_one() -> None:
    """Where nothing else went wrong it ends the run."""
    with pytest.raises(ClusterError, match=r"^The API did not answer\.$"), afterwards(fail):
        pass
