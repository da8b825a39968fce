"""What is watched while an upgrade goes on: pods that come and go."""

from __future__ import annotations

from meshproof.upgrade.pods import GOING, READY, changes


def test_pods_that_come_and_go() -> None:
    """One that is ready now and was not has become so; one that was ready, and is on its way out, is gone."""
    before = {"shop/a": True, "shop/b": False, "shop/c": True}
    now = {"shop/a": True, "shop/b": True, "shop/d": False}
    assert list(changes(before, now)) == [(READY, "shop/b"), (GOING, "shop/c")]
    assert list(changes(now, now)) == []
