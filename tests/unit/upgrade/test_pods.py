"""What is watched while an upgrade goes on: pods that come and go."""

from __future__ import annotations

from meshproof.upgrade.pods import GOING, NOT_READY, READY, changes


def test_pods_that_come_and_go() -> None:
    """One that is not ready for a while does not go, and one that goes need not have been ready."""
    before = {"shop/a": True, "shop/b": False, "shop/c": True, "shop/d": True, "shop/e": False}
    now = {"shop/a": True, "shop/b": True, "shop/d": False, "shop/f": False}
    assert list(changes(before, now)) == [
        (READY, "shop/b"),
        (GOING, "shop/c"),
        (NOT_READY, "shop/d"),
        (GOING, "shop/e"),
    ]
    assert list(changes(now, now)) == []
