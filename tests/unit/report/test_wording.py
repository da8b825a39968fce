"""What tables and pages write in the same words."""

from __future__ import annotations

from meshproof.report.wording import first_of


def test_many_gaps_are_cut_short() -> None:
    """Up to twelve are all written; of more the first twelve, and how many are left out."""
    many = [f"gap {number}" for number in range(14)]
    assert first_of(many[:12]) == tuple(many[:12])
    assert first_of(many[:13]) == (*many[:12], "and 1 more")
    assert first_of(many) == (*many[:12], "and 2 more")
    assert first_of([]) == ()
