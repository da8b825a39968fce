"""What docs/boundaries.md calls covered follows from what is measured."""

from __future__ import annotations

import pytest

from tests.support.boundaries import Boundary, Came, boundaries, meanings

ROWS = boundaries()
WITHOUT_TLS = {row.target: row for row in ROWS if row.client == "no sidecar"}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_is_called_covered(row: Boundary) -> None:
    """The application is told who it is, or STRICT lets it in and refuses the same without TLS at the same port."""
    plain = WITHOUT_TLS.get(row.target)
    let_in = row.strict is Came.ANSWERED and plain is not None and plain.strict in {Came.RESET, Came.SILENCE}
    assert row.covered == ("yes" if row.strict is Came.IDENTITY or let_in else "no")


def test_what_can_come_is_told() -> None:
    """The page says of each thing that can come what the rows of the scenario take for it."""
    assert meanings() == {came.name: came.value for came in Came}


def test_no_row_is_there_twice() -> None:
    """Each client and target has one row."""
    assert len({str(row) for row in ROWS}) == len(ROWS)
