"""What Istio supports: one minor release at a time in place, two with a canary, and no way down."""

from __future__ import annotations

import pytest

from meshproof.errors import BadInput
from meshproof.upgrade.evidence import Side, Strategy
from meshproof.upgrade.support import refuse_a_skip_in_place, support_of

CANARY, IN_PLACE, NEW_CLUSTER = Strategy.CANARY, Strategy.IN_PLACE, Strategy.NEW_CLUSTER


def side(istio: str) -> Side:
    """Return the mesh of a release."""
    return Side(istio, istio, "", "")


@pytest.mark.parametrize(
    ("before", "after", "strategy", "says"),
    [
        ("1.30", "1.31.0", CANARY, ""),
        ("1.30.3", "1.31.0", IN_PLACE, ""),
        ("1.31.0", "1.31.1", IN_PLACE, ""),
        ("1.31.0", "1.31.0", CANARY, ""),
        ("1.31", "1.31.0", CANARY, ""),
        ("1.31.0", "1.31", CANARY, ""),
        (
            "1.29.2",
            "1.31.1",
            CANARY,
            "1.29.2 to 1.31.1 is 2 minor releases: Istio supports that with a canary only, and not in place.",
        ),
        (
            "1.28.6",
            "1.31.1",
            CANARY,
            "1.28.6 to 1.31.1 is 3 minor releases: with a canary Istio supports two at most. Go by those between.",
        ),
        (
            "1.31.0",
            "1.30",
            CANARY,
            "1.31.0 to 1.30 is a downgrade by 1 minor release: Istio supports that only as the way back",
        ),
        (
            "1.31.1",
            "1.31.0",
            IN_PLACE,
            "1.31.1 to 1.31.0 is a downgrade: Istio supports that only as the way back from an upgrade (--rollback).",
        ),
        ("1.31.0", "1.28.6", NEW_CLUSTER, ""),
        ("latest", "1.31.0", CANARY, ""),
    ],
)
def test_what_is_said(before: str, after: str, strategy: Strategy, says: str) -> None:
    """Nothing where Istio supports it, or no two releases meet; where a name tells no release nothing is claimed."""
    sentence = support_of(side(before), side(after), strategy)
    assert says in sentence
    assert bool(sentence) is bool(says)


@pytest.mark.parametrize(
    ("before", "after", "way", "otherwise"),
    [
        ("1.29.2", "1.31.1", "2 minor releases", ", or say --strategy canary, which may skip one"),
        ("1.28.6", "1.31.1", "3 minor releases", ""),
        ("1.31.0", "1.29.2", "a downgrade by 2 minor releases", ""),
    ],
    ids=["two", "three", "two down"],
)
def test_a_skip_in_place_is_refused(before: str, after: str, way: str, otherwise: str) -> None:
    """It says what to do; the same releases by a canary, and the next minor in place, are not refused."""
    with pytest.raises(BadInput) as refused:
        refuse_a_skip_in_place(side(before), side(after), IN_PLACE)
    assert str(refused.value) == (
        f"{before} to {after} is {way}: in place Istio supports one minor release at a time. "
        f"Go by those between{otherwise}."
    )
    refuse_a_skip_in_place(side(before), side(after), CANARY)
    refuse_a_skip_in_place(side("1.30.3"), side("1.31.0"), IN_PLACE)
