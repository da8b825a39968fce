"""What was refused since a moment, whatever was counted before it and by whom."""

from __future__ import annotations

from meshproof.upgrade.facts.refusals import of_istiods, since

REJECTS = "pilot_total_xds_rejects"


def page(started: str, *rejects: int) -> str:
    """Return metrics of an istiod that began at a moment, with a sample of a counter for each kind."""
    samples = [f'{REJECTS}{{type="kind{number}"}} {count}' for number, count in enumerate(rejects)]
    return "\n".join(("# HELP a b", f"process_start_time_seconds {started}", "pilot_xds 7", *samples))


def test_the_counts_of_istiods() -> None:
    """A counter is the sum of its samples, of each process by itself, and 0 where it has none."""
    counts = of_istiods([page("1.7e+09", 2, 1), page("1.8e+09")])
    assert [count for (_, _, name), count in counts.items() if name == REJECTS] == [3, 0]
    assert len({process for _, process, _ in counts}) == 2


def test_what_was_counted_before_does_not_count() -> None:
    """Rows that ask for what is refused leave counts behind, which say nothing of the states that follow."""
    before = of_istiods([page("1.7e+09", 3)])
    assert since(before, of_istiods([page("1.7e+09", 3)]))[f"refused by istiod: {REJECTS}"] == "0"
    assert since(before, of_istiods([page("1.7e+09", 5)]))[f"refused by istiod: {REJECTS}"] == "2"
    assert since({}, before)[f"refused by istiod: {REJECTS}"] == "3"


def test_a_new_process_counts_from_nought() -> None:
    """Of an istiod that began later all that it counts is of this state, beside what the other has added."""
    before = of_istiods([page("1.7e+09", 3)])
    now = of_istiods([page("1.7e+09", 4), page("1.8e+09", 1)])
    assert since(before, now)[f"refused by istiod: {REJECTS}"] == "2"


def test_a_proxy_is_told_by_its_workload() -> None:
    """Pods of a workload come and go; the fact has the name of the workload."""
    before = {("proxy default/shop", "shop-1", "listener_manager.lds"): 4}
    now = {("proxy default/shop", "shop-2", "listener_manager.lds"): 1}
    assert since(before, now) == {"refused by proxy default/shop: listener_manager.lds": "1"}
